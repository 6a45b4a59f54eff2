/* SPDX-License-Identifier: MIT */
/*
 * Overload: whether requests wait here because more come than can be run, and
 * not because a few came together. CoDel's rule (RFC 8289): a queue that drains
 * now and then is a burst; one whose oldest request has been waiting for longer
 * than TARGET, without a break for INTERVAL, stands. While it stands the newest
 * request is run first, since its client still waits; a SHARE of the time is
 * the oldest's, so that no patient client is forgotten. Of the time, not of the
 * requests: those that take long have the patience to become the oldest, and
 * would have most of the time, each begun too late. With the baton.
 */
#ifndef CG_ENGINE_OVERLOAD_H
#define CG_ENGINE_OVERLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine/engine.h"

struct cg_engine;

enum {
    CG_OVERLOAD_TARGET_US = 50 * 1000,
    CG_OVERLOAD_INTERVAL_US = 100 * 1000
};

struct cg_overload {
    bool standing;
    uint64_t drained_us; /* nothing waited here then */
    uint64_t above_us;   /* the oldest waits too long since then; 0: it does not
                          */
    uint64_t swept_us;   /* who waits was looked at */
    bool oldest;         /* the one that was taken last is it */
    int oldest_run;      /* such ones run */
    uint64_t debt_us;    /* the others' time before it is their turn again */
    uint64_t taken_us;   /* a loop of the host's got the last one then */
    uint64_t tell_us;    /* begin or end is told then; 0: nothing to tell */
    bool told;           /* the begin was */
    struct cg_overload_tale tale;
};

/* The oldest one waits since then: what follows from that. */
void cg_overload_observe(struct cg_engine *e, uint64_t oldest_us);
/* Nothing waits. */
void cg_overload_drained(struct cg_engine *e);
/* Whether the next one is the newest, not the oldest. */
bool cg_overload_newest_first(const struct cg_engine *e);
/* One of them took so long. */
void cg_overload_spent(struct cg_engine *e, bool oldest, uint64_t us);
/* Whether relief accepts: waiting in the kernel, where nobody sees who leaves,
 * is no better than here. */
bool cg_overload_accepts_eagerly(const struct cg_engine *e);
/* At tell_us: the begin or the end, to the host. */
void cg_overload_tell(struct cg_engine *e);
/* At the end of the worker's loop: an overload that lasts is told. */
void cg_overload_end(struct cg_engine *e);

#endif
