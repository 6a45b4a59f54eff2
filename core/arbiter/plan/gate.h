/* SPDX-License-Identifier: MIT */
/*
 * Gate: a reload has succeeded when as many workers of the new generation
 * serve as are to; then the old one ends. If they do not boot, the new one
 * ends. What asks for a reload or a new master meanwhile waits.
 */
#ifndef CG_ARBITER_PLAN_GATE_H
#define CG_ARBITER_PLAN_GATE_H

#include "core/arbiter/plan/plan.h"

/* What had to wait, if it may begin now. */
void cg_plan_follow_up(struct cg_plan *p);
/* Whenever one more is ready, or fewer are asked for. */
void cg_gate_try(struct cg_plan *p, uint64_t now_ms);
/* Gives the new generation up. */
void cg_gate_revert(struct cg_plan *p, uint64_t now_ms);
/* A new worker that ended before it served, for whatever reason: a reload that
 * waited for its successors for ever would keep the next one waiting, too. */
void cg_gate_count_death(struct cg_plan *p, const struct cg_plan_worker *w);
/* Booting is not under timeout: a slow one is no failed one, but it is told. */
bool cg_gate_is_late(const struct cg_plan *p, uint64_t now_ms);
void cg_gate_tell_late(struct cg_plan *p, uint64_t now_ms);

#endif
