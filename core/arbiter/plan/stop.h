/* SPDX-License-Identifier: MIT */
/*
 * Stop: how the server ends: it serves on for a while (DRAINING), gracefully
 * (STOPPING), or at once (QUITTING); DONE when the last worker has gone.
 */
#ifndef CG_ARBITER_PLAN_STOP_H
#define CG_ARBITER_PLAN_STOP_H

#include "core/arbiter/plan/plan.h"

/* Serves on until shutdown_delay is over. */
void cg_plan_begin_drain(struct cg_plan *p, uint64_t now_ms);
void cg_plan_begin_stop(struct cg_plan *p, bool gracefully, uint64_t now_ms);
/* Of a server that stops: at once, with that much patience. */
void cg_plan_begin_quit(struct cg_plan *p, uint64_t patience_ms,
                        uint64_t now_ms);
void cg_plan_repeat_quit(struct cg_plan *p, uint64_t now_ms);
void cg_plan_finish_if_empty(struct cg_plan *p);

#endif
