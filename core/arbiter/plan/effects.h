/* SPDX-License-Identifier: MIT */
/*
 * Effects: what the plan wants done, in order. The arbiter takes them one by
 * one (cg_plan_next) and answers some of them with an event.
 */
#ifndef CG_ARBITER_PLAN_EFFECTS_H
#define CG_ARBITER_PLAN_EFFECTS_H

#include "core/arbiter/plan/plan.h"

/* Appends one, for the caller to fill in; valid until the next is appended. */
struct cg_effect *cg_plan_emit(struct cg_plan *p, enum cg_effect_kind kind);
/* One about a process. */
void cg_plan_about(struct cg_plan *p, enum cg_effect_kind kind, int pid);
void cg_plan_kill(struct cg_plan *p, int pid, int sig);
/* It was waited for: no signal that was decided on before, and not sent yet,
 * may reach whoever has its pid next. */
void cg_plan_spare(struct cg_plan *p, int pid);
/* A line for the log, cut to what an effect has room for. */
void cg_plan_say(struct cg_plan *p, enum cg_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What the line just said is about: for the events that operators see. */
void cg_plan_classify(struct cg_plan *p, enum cg_event_word kind, int pid);
/* It is about a worker's death. */
void cg_plan_classify_death(struct cg_plan *p, int pid,
                            enum cg_death_cause cause);
/* KILL, TERM, …; "signal" for one without a name. */
const char *cg_signal_name(int sig);

#endif
