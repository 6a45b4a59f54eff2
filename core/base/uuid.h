/* SPDX-License-Identifier: MIT */
/* UUID of version 7 (RFC 9562, 5.7): the time in milliseconds, then chance. */
#ifndef CG_BASE_UUID_H
#define CG_BASE_UUID_H

enum { CG_UUID_SIZE = 36 };

/* As text, without a NUL. Any thread. Two processes never make the same one
 * unless the second was forked from a thread that had made some. */
void cg_uuid_make(char to[CG_UUID_SIZE]);

#endif
