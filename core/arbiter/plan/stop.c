/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/stop.h"

#include <signal.h>
#include <stdio.h>

#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/roster.h"

enum { REPEATS = 3 /* of a QUIT that did not do it */ };

void
cg_plan_finish_if_empty(struct cg_plan *p)
{
    if (cg_plan_is_ending(p) && p->phase != PLAN_DONE && p->nworkers == 0) {
        cg_plan_enter(p, PLAN_DONE);
        struct cg_effect *e = cg_plan_emit(p, EFFECT_EXIT);
        e->status = p->exit_status;
        snprintf(e->text, sizeof e->text, "%s",
                 p->reason != NULL ? p->reason : "");
    }
}

void
cg_plan_begin_quit(struct cg_plan *p, uint64_t patience_ms, uint64_t now_ms)
{
    cg_plan_enter(p, PLAN_QUITTING);
    p->stop_at_ms = now_ms + patience_ms;
    p->repeat_at_ms = now_ms + CG_PLAN_TICK_MS;
    cg_roster_signal(p, SIGQUIT, now_ms);
}

void
cg_plan_begin_stop(struct cg_plan *p, bool gracefully, uint64_t now_ms)
{
    cg_plan_emit(p, EFFECT_STOP_LISTENING);
    if (gracefully) {
        cg_plan_enter(p, PLAN_STOPPING);
        p->stop_at_ms = now_ms + p->o.graceful_ms;
        cg_roster_signal(p, SIGTERM, now_ms);
    } else {
        cg_plan_begin_quit(p, p->o.graceful_ms, now_ms);
    }
    cg_plan_finish_if_empty(p);
}

void
cg_plan_over(struct cg_plan *p, int pid)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w != NULL) {
        w->over = true;
    }
}

/* A signal that comes after Python has looked for one and before it waits for
 * the kernel does not end that wait: the next one does. What it raises may also
 * be swallowed, as by a file that is closed because nobody uses it any more.
 * Not for ever: who took our handler away may mean something else by QUIT. */
void
cg_plan_repeat_quit(struct cg_plan *p, uint64_t now_ms)
{
    if (p->repeat_at_ms == 0 || now_ms < p->repeat_at_ms) {
        return;
    }
    for (int i = 0; i < p->nworkers; i++) {
        const struct cg_plan_worker *w = &p->workers[i];
        if (!w->over && w->aborted_ms == 0 && w->killed == KILL_NONE) {
            cg_plan_kill(p, w->pid, SIGQUIT);
        }
    }
    p->repeat_at_ms = ++p->repeats < REPEATS ? now_ms + CG_PLAN_TICK_MS : 0;
}

void
cg_plan_begin_drain(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_enter(p, PLAN_DRAINING);
    p->stop_at_ms = now_ms + p->o.delay_ms;
    cg_plan_say(p, CG_INFO, "Serving on for %llu s (shutdown_delay)",
                (unsigned long long)(p->o.delay_ms / 1000));
    cg_plan_emit(p, EFFECT_DRAIN);
}

void
cg_plan_exit(struct cg_plan *p, int status, const char *reason, uint64_t now_ms)
{
    if (p->exit_status == 0) { /* the first reason is the one that counts */
        p->exit_status = status;
        p->reason = reason;
    }
    if (!cg_plan_is_ending(p)) {
        cg_plan_begin_stop(p, true, now_ms);
    }
}
