/* SPDX-License-Identifier: MIT */
/*
 * Memo: the field lines of a head that both readers have proven. Clients repeat
 * most of theirs byte by byte, so a line that is in the memo is known by one
 * comparison: where its name and value are, that they are valid, and that
 * http-parser thinks so too. What a client sends for itself alone (cookies,
 * credentials) is not compared with another's.
 *
 * Knows no verdict but "the same line": whatever differs, is too long or too
 * many is left to the reader. A memo serves one policy; no two threads share
 * one.
 */
#ifndef CG_HTTP_MEMO_H
#define CG_HTTP_MEMO_H

#include "core/http/request.h"

enum { CG_MEMO_LINES = 32, CG_MEMO_BYTES = 2048 };

/* Zeroed memory is an empty memo. */
struct cg_head_memo {
    uint16_t n;      /* lines */
    uint16_t missed; /* lines that were read anew since it was learned */
    /* positions in `bytes`; one more, whose name is the end */
    struct cg_field line[CG_MEMO_LINES + 1];
    char bytes[CG_MEMO_BYTES];
};

/* Takes the line at r->pos if it is the one that is expected or the one after;
 * false: it has to be read. */
bool cg_memo_take(const struct cg_head_memo *m, struct cg_request *r,
                  const struct cg_head_policy *policy, const char *p, size_t n);
/* The last field of r was read: which line is expected next? */
void cg_memo_follow(const struct cg_head_memo *m, struct cg_request *r);
/* r is complete and agreed upon. */
void cg_memo_learn(struct cg_head_memo *m, const struct cg_request *r,
                   const char *p);

#endif
