/* SPDX-License-Identifier: MIT */
/*
 * Watch: what time alone brings: workers that are silent, stuck, old or do not
 * stop; and when the arbiter has to look next.
 */
#include <signal.h>

#include "core/arbiter/plan/backoff.h"
#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/gate.h"
#include "core/arbiter/plan/roster.h"
#include "core/arbiter/plan/stop.h"
#include "core/arbiter/plan/target.h"

enum {
    TRACE_MS = 200, /* from the wish for stacks to ABRT */
    ABORT_MS = 1000 /* from ABRT to KILL */
};

static void
kill_worker(struct cg_plan *p, struct cg_plan_worker *w,
            enum cg_kill_reason why)
{
    w->killed = why;
    cg_plan_kill(p, w->pid, SIGKILL);
}

void
cg_plan_silent(struct cg_plan *p, int pid, uint64_t silent_ms, uint64_t now_ms)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w == NULL || w->aborted_ms != 0) {
        return;
    }
    if (p->o.timeout_ms == 0 || silent_ms <= p->o.timeout_ms) {
        w->traced_ms = 0; /* it came back just in time */
    } else if (w->traced_ms == 0) {
        cg_plan_say(p, CG_CRITICAL, "WORKER TIMEOUT (pid:%d)", pid);
        cg_plan_classify(p, CG_HAPPENED_TIMEOUT, pid);
        cg_plan_about(p, EFFECT_EXPLAIN, pid);
        cg_plan_about(p, EFFECT_TRACE, pid);
        w->traced_ms = now_ms;
    } else if (now_ms - w->traced_ms >= TRACE_MS) {
        cg_plan_about(p, EFFECT_TELL_TRACE, pid);
        w->aborted_ms = now_ms;
        cg_plan_kill(p, pid, SIGABRT);
    }
}

void
cg_plan_stuck(struct cg_plan *p, int pid, uint64_t now_ms)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w == NULL || w->spent) {
        return;
    }
    w->spent = true;
    cg_plan_say(p, CG_ERROR, "A request of worker (pid:%d) does not end", pid);
    cg_plan_classify(p, CG_HAPPENED_TIMEOUT, pid);
    cg_plan_about(p, EFFECT_EXPLAIN, pid);
    cg_plan_about(p, EFFECT_TRACE, pid);
    w->tell_at_ms = now_ms + TRACE_MS;
    cg_plan_retire(p, pid, "a request runs on after request_timeout", now_ms);
}

static void
watch_worker(struct cg_plan *p, struct cg_plan_worker *w, uint64_t now_ms)
{
    bool late = w->kill_at_ms != 0 && now_ms >= w->kill_at_ms;
    bool over = cg_plan_is_ending(p) && now_ms >= p->stop_at_ms;
    if (w->tell_at_ms != 0 && now_ms >= w->tell_at_ms) {
        w->tell_at_ms = 0;
        cg_plan_about(p, EFFECT_TELL_TRACE, w->pid);
    }
    if (w->killed != KILL_NONE) {
        return;
    }
    if (w->aborted_ms != 0 && now_ms - w->aborted_ms >= ABORT_MS) {
        kill_worker(p, w, KILL_TIMEOUT);
    } else if (w->state == ROSTER_STOPPING && (late || over)) {
        kill_worker(p, w, KILL_STOP);
    } else if (w->retire_at_ms != 0 && now_ms >= w->retire_at_ms) {
        w->retire_at_ms = 0;
        cg_plan_retire(p, w->pid, "it reached max_worker_lifetime", now_ms);
    }
}

void
cg_plan_tick(struct cg_plan *p, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        watch_worker(p, &p->workers[i], now_ms);
    }
    if (p->phase == PLAN_DRAINING && now_ms >= p->stop_at_ms) {
        cg_plan_begin_stop(p, true, now_ms);
    }
    cg_plan_repeat_quit(p, now_ms);
    cg_gate_tell_late(p, now_ms);
    cg_backoff_tick(p, now_ms);
    cg_plan_manage(p, now_ms);
    cg_plan_finish_if_empty(p);
}

/* The earlier of two; at_ms may be 0: none. */
static uint64_t
sooner(uint64_t next, uint64_t at_ms)
{
    return at_ms != 0 && at_ms < next ? at_ms : next;
}

/* When something is to be done about that worker. */
static uint64_t
due(const struct cg_plan *p, const struct cg_plan_worker *w, uint64_t next)
{
    next = sooner(next, w->tell_at_ms);
    if (w->killed != KILL_NONE) {
        return next;
    }
    if (w->aborted_ms != 0) {
        next = sooner(next, w->aborted_ms + ABORT_MS);
    } else if (w->traced_ms != 0) {
        next = sooner(next, w->traced_ms + TRACE_MS);
    }
    next = sooner(next, w->kill_at_ms);
    return cg_plan_is_ending(p) ? sooner(next, p->stop_at_ms) : next;
}

int
cg_plan_patience(const struct cg_plan *p, uint64_t now_ms)
{
    uint64_t next = now_ms + CG_PLAN_TICK_MS;
    for (int i = 0; i < p->nworkers; i++) {
        next = due(p, &p->workers[i], next);
    }
    if (p->phase == PLAN_DRAINING) {
        next = sooner(next, p->stop_at_ms);
    }
    next = sooner(next, p->repeat_at_ms);
    if (now_ms < p->successor_after_ms) {
        next = sooner(next, p->successor_after_ms);
    }
    if (!cg_plan_is_ending(p) &&
        cg_plan_count_placed(p, now_ms) < p->o.target) {
        next = p->spawn_after_ms > now_ms ? sooner(next, p->spawn_after_ms)
                                          : now_ms;
    }
    return next > now_ms ? (int)(next - now_ms) : 1;
}
