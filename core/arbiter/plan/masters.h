/* SPDX-License-Identifier: MIT */
/*
 * Masters: the one that USR2 started beside us, or the one that we are to
 * succeed. There are never three.
 */
#ifndef CG_ARBITER_PLAN_MASTERS_H
#define CG_ARBITER_PLAN_MASTERS_H

#include "core/arbiter/plan/plan.h"

/* Whether there is another one; then a line says that USR2 is ignored. */
bool cg_masters_has_other(struct cg_plan *p);
/* The one that we started has ended; status as of waitpid. */
void cg_masters_new_ended(struct cg_plan *p, int status, uint64_t now_ms);

#endif
