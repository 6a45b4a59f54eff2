/* SPDX-License-Identifier: MIT */
/* UUID of version 7 (RFC 9562, 5.7): the time in milliseconds, then chance. */
#ifndef CG_BASE_UUID_H
#define CG_BASE_UUID_H

#include <stdint.h>

enum { CG_UUID_SIZE = 36 };

/*
 * As text, without a NUL, for that time in milliseconds since 1970. Any thread.
 * The other 74 bits are the kernel's chance (getrandom(2)), none of which is
 * used twice: one tells nothing of the next, and those of one millisecond have
 * no order. Two processes never make the same one unless the second was forked
 * from a thread that had made some.
 */
void cg_uuid_make(char to[CG_UUID_SIZE], uint64_t ms);

#endif
