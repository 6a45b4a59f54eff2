/* SPDX-License-Identifier: MIT */
/*
 * Limit of lines that peers can cause: so many per second are written, the
 * others are counted. One per kind of line; the caller guards it.
 */
#ifndef CG_LOGGING_LIMIT_H
#define CG_LOGGING_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed memory is a fresh limit. */
struct cg_log_limit {
    uint64_t since_us; /* start of the current second */
    uint32_t shown;    /* lines in it */
    uint64_t held;     /* lines that were not written, until taken */
};

/* Whether one of `most` lines a second is left; else it is counted. */
bool cg_log_limit_pass(struct cg_log_limit *l, uint64_t now_us, uint32_t most);
/* How many were held back since the last call. */
uint64_t cg_log_limit_take(struct cg_log_limit *l);

#endif
