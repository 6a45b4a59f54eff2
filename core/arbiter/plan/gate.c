/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/gate.h"

#include <signal.h>

#include "core/arbiter/plan/backoff.h"
#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/roster.h"
#include "core/arbiter/plan/target.h"

enum {
    GATE_LATE_MS = 30000, /* where timeout is none */
    GATE_DEATHS = 3       /* so many are no chance any more */
};

/* Not while more workers are ending than serve: a storm of HUPs would fill the
 * machine with processes. */
static bool
may_reload(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].state == ROSTER_STOPPING;
    }
    return n <= p->o.target || p->o.target == 0;
}

void
cg_plan_follow_up(struct cg_plan *p)
{
    if (p->phase > PLAN_RUNNING || p->reload_asked) {
        return;
    }
    if (p->usr2_waits) {
        cg_plan_emit(p, EFFECT_REEXEC);
        p->usr2_waits = p->hup_waits = false;
    } else if (p->hup_waits && may_reload(p)) {
        cg_plan_emit(p, EFFECT_RELOAD);
        p->hup_waits = false;
        p->reload_asked = true;
    }
}

static void
leave_gate(struct cg_plan *p)
{
    cg_plan_enter(p, PLAN_RUNNING);
    p->gate = p->gate_failures = p->gate_deaths = 0;
    cg_plan_follow_up(p);
}

static void
stop_previous(struct cg_plan *p, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (!cg_roster_is_current(p, w) && w->state != ROSTER_STOPPING) {
            cg_roster_stop(p, w, SIGTERM, now_ms);
        }
    }
}

static void
commit(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_emit(p, EFFECT_COMMIT);
    stop_previous(p, now_ms);
    leave_gate(p);
}

void
cg_gate_try(struct cg_plan *p, uint64_t now_ms)
{
    if (p->phase == PLAN_RELOADING &&
        cg_roster_count(p, ROSTER_READY) >= p->gate) {
        commit(p, now_ms);
    }
}

static void
say_failed_reload(struct cg_plan *p)
{
    if (p->o.before) {
        cg_plan_say(
            p, CG_ERROR,
            "Reload failed: the new workers do not boot; others are started "
            "with the previous settings");
        cg_plan_classify(p, CG_HAPPENED_ROLLED_BACK, 0);
        return;
    }
    cg_plan_say(
        p, CG_ERROR,
        "Reload failed: the new workers do not boot; the previous ones keep "
        "serving");
    cg_plan_classify(p, CG_HAPPENED_ROLLED_BACK, 0);
    if (p->gate_failures > 0) {
        cg_backoff_say_hint(p);
    }
}

void
cg_gate_revert(struct cg_plan *p, uint64_t now_ms)
{
    say_failed_reload(p);
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (cg_roster_is_current(p, w) && w->state != ROSTER_STOPPING) {
            cg_roster_stop(p, w, SIGTERM, now_ms);
        }
    }
    if (p->o.target != p->old.target) {
        cg_plan_tell_target(p, p->old.target, p->o.target);
    }
    p->generation--;
    p->o = p->old;
    cg_backoff_forgive(p);
    cg_plan_emit(p, EFFECT_REVERT);
    leave_gate(p);
    cg_plan_manage(p, now_ms);
}

void
cg_plan_reloaded(struct cg_plan *p, const struct cg_plan_options *o,
                 uint64_t now_ms)
{
    p->reload_asked = false;
    if (o == NULL || p->phase >= PLAN_DRAINING) { /* a hook wants the end */
        cg_plan_follow_up(p);
        return;
    }
    p->old = p->o;
    p->o = *o;
    p->o.target = cg_plan_fitting(o);
    if (p->o.target != o->target) {
        cg_plan_say(
            p, CG_WARNING,
            "no more than %d of %d workers fit until the next start or USR2",
            p->o.target, o->target);
    }
    p->generation++;
    cg_backoff_forgive_successors(p);
    p->gate = p->o.target;
    p->gate_failures = 0;
    p->gate_begun_ms = now_ms;
    p->gate_late_ms =
        now_ms + (p->o.timeout_ms != 0 ? p->o.timeout_ms : GATE_LATE_MS);
    p->gate_told = false;
    p->before_winch = 0;
    cg_backoff_forgive(p);
    cg_plan_enter(p, PLAN_RELOADING);
    if (o->target == 0) {
        commit(p, now_ms);
    } else if (o->before) {
        stop_previous(p, now_ms);
    }
    cg_plan_manage(p, now_ms);
}

void
cg_gate_count_death(struct cg_plan *p, const struct cg_plan_worker *w)
{
    if (p->phase == PLAN_RELOADING && cg_roster_is_current(p, w)) {
        p->gate_failures += ++p->gate_deaths >= GATE_DEATHS;
    }
}

bool
cg_gate_is_late(const struct cg_plan *p, uint64_t now_ms)
{
    return p->phase == PLAN_RELOADING && now_ms >= p->gate_late_ms;
}

void
cg_gate_tell_late(struct cg_plan *p, uint64_t now_ms)
{
    if (cg_gate_is_late(p, now_ms) && !p->gate_told) {
        p->gate_told = true;
        cg_plan_say(
            p, CG_WARNING,
            "The new workers of the reload still boot; the previous ones keep "
            "serving. Another HUP gives them up and starts anew");
    }
}
