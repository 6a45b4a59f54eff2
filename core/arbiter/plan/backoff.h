/* SPDX-License-Identifier: MIT */
/*
 * Back-off: how long the next worker is not started because the last ones did
 * not live long. Two counts: of workers that are missed (pauses of seconds),
 * and of successors whose predecessors serve on (of minutes).
 */
#ifndef CG_ARBITER_PLAN_BACKOFF_H
#define CG_ARBITER_PLAN_BACKOFF_H

#include "core/arbiter/plan/plan.h"

/* All is well again: what counted does not any more. */
void cg_backoff_forgive(struct cg_plan *p);
void cg_backoff_forgive_successors(struct cg_plan *p);
void cg_backoff_fork_failed(struct cg_plan *p, uint64_t now_ms);
/* A worker ended that nobody had told to. */
void cg_backoff_count_death(struct cg_plan *p, const struct cg_plan_worker *w,
                            uint64_t now_ms);
/* A successor ended before it served. Nobody is missing, since the old one
 * serves on. So there is time, and the log is not filled: what keeps the next
 * one from booting may be the old one. */
void cg_backoff_count_successor(struct cg_plan *p, uint64_t now_ms);
/* A line on what a predecessor may have to do with it. */
void cg_backoff_say_hint(struct cg_plan *p);
void cg_backoff_tick(struct cg_plan *p, uint64_t now_ms);

#endif
