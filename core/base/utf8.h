/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 that comes in pieces (RFC 3629): no overlong forms, no surrogates,
 * nothing above U+10FFFF. A fault is seen with the byte that makes it one, not
 * at the end of its character.
 */
#ifndef CG_BASE_UTF8_H
#define CG_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory is the state before the first byte. */
struct cg_utf8 {
    uint8_t left;      /* bytes that the current character still needs */
    uint8_t low, high; /* the next byte lies between them */
};

/* False: p[0..n) cannot go on what was there before. */
bool cg_utf8_feed(struct cg_utf8 *u, const char *p, size_t n);

/* No character is incomplete. */
static inline bool
cg_utf8_is_whole(const struct cg_utf8 *u)
{
    return u->left == 0;
}

#endif
