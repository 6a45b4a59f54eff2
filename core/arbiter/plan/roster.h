/* SPDX-License-Identifier: MIT */
/*
 * Roster: the workers that there are, of all generations. Who is on it and who
 * may be asked to go; nothing here decides that somebody has to.
 */
#ifndef CG_ARBITER_PLAN_ROSTER_H
#define CG_ARBITER_PLAN_ROSTER_H

#include "core/arbiter/plan/plan.h"

/* NULL: none of ours. Valid until a worker comes or goes. */
struct cg_plan_worker *cg_roster_find(struct cg_plan *p, int pid);
/* Whether it is of the generation that is to serve. */
bool cg_roster_is_current(const struct cg_plan *p,
                          const struct cg_plan_worker *w);
/* Those of the current generation in that state. */
int cg_roster_count(const struct cg_plan *p, enum cg_plan_worker_state state);
/* Workers that count against the target. */
int cg_roster_count_live(const struct cg_plan *p);
/* The oldest of the current generation in that state that wants out, or any;
 * NULL: none. */
struct cg_plan_worker *cg_roster_oldest(struct cg_plan *p,
                                        enum cg_plan_worker_state state,
                                        bool wants_out);
/* Tells it to stop; from now on its patience runs. */
void cg_roster_stop(struct cg_plan *p, struct cg_plan_worker *w, int sig,
                    uint64_t now_ms);
/* A signal for everybody; TERM and QUIT tell them to stop. */
void cg_roster_signal(struct cg_plan *p, int sig, uint64_t now_ms);

#endif
