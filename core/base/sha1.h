/* SPDX-License-Identifier: MIT */
/* SHA-1 (RFC 3174), for the WebSocket handshake alone: it protects nothing. */
#ifndef CG_BASE_SHA1_H
#define CG_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { CG_SHA1_SIZE = 20 };

/* Of p[0..n), which are less than 2^32 bits. */
void cg_sha1(const void *p, size_t n, uint8_t ret[CG_SHA1_SIZE]);

#endif
