/* SPDX-License-Identifier: MIT */
/*
 * Target: how many workers there are to be, and what brings them to that
 * number: starts, successors, workers that are let go. Make before break,
 * unless the settings say otherwise: who wants out serves until its successor
 * does.
 */
#ifndef CG_ARBITER_PLAN_TARGET_H
#define CG_ARBITER_PLAN_TARGET_H

#include "core/arbiter/plan/plan.h"

/* Brings the number of workers to the target, whatever has changed. */
void cg_plan_manage(struct cg_plan *p, uint64_t now_ms);
/* Workers that have a place. One that leaves has none, unless its successors do
 * not boot; where a successor may not start beside it, it has until it ended.
 */
int cg_plan_count_placed(const struct cg_plan *p, uint64_t now_ms);
void cg_plan_tell_target(struct cg_plan *p, int target, int old);

#endif
