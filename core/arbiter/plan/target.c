/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/target.h"

#include <signal.h>
#include <stdio.h>

#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/gate.h"
#include "core/arbiter/plan/roster.h"

enum {
    HEAVY = 3,        /* samples above the limit until it counts */
    FORKS_A_TURN = 16 /* signals and children come between */
};

/* ---- make before break ---- */

static int
share(const struct cg_plan *p)
{
    int n = p->o.target * p->o.share / 100;
    return n > 1 ? n : 1;
}

/* Workers that there are for a while besides those that count: until they
 * have ended they need memory too. */
static int
count_extra(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].wants_out && p->workers[i].state >= ROSTER_LEAVING;
    }
    return n;
}

/* Those that want out and may go now serve on, but count no more. Or they go at
 * once, if nobody may start beside them. */
static void
begin_replacing(struct cg_plan *p, uint64_t now_ms)
{
    struct cg_plan_worker *w;
    if (p->phase != PLAN_RUNNING) {
        return;
    }
    while (count_extra(p) < share(p) &&
           (w = cg_roster_oldest(p, ROSTER_READY, true)) != NULL) {
        if (p->o.before) {
            cg_roster_stop(p, w, SIGTERM, now_ms);
        } else {
            w->state = ROSTER_LEAVING;
        }
    }
}

/* As many leave as successors serve. */
static void
release_leaving(struct cg_plan *p, uint64_t now_ms)
{
    int leaving = cg_roster_count(p, ROSTER_LEAVING);
    int surplus = cg_roster_count(p, ROSTER_READY) + leaving - p->o.target;
    for (; surplus > 0 && leaving > 0; surplus--, leaving--) {
        cg_roster_stop(p, cg_roster_oldest(p, ROSTER_LEAVING, false), SIGTERM,
                       now_ms);
    }
}

int
cg_plan_count_placed(const struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.before) {
        return p->nworkers + p->spawning;
    }
    int leaving =
        now_ms < p->successor_after_ms ? cg_roster_count(p, ROSTER_LEAVING) : 0;
    return cg_roster_count_live(p) + leaving + p->spawning;
}

static void
grow(struct cg_plan *p, uint64_t now_ms)
{
    int n = cg_plan_count_placed(p, now_ms);
    for (; n < p->o.target && p->spawning < FORKS_A_TURN &&
           now_ms >= p->spawn_after_ms;
         n++) {
        cg_plan_emit(p, EFFECT_SPAWN);
        p->spawning++;
    }
}

/* One too many: a booting one as long as the others serve alone. */
static struct cg_plan_worker *
superfluous(struct cg_plan *p)
{
    bool enough = cg_roster_count(p, ROSTER_READY) > p->o.target;
    return cg_roster_oldest(p, enough ? ROSTER_READY : ROSTER_BOOTING, false);
}

static void
cull(struct cg_plan *p, uint64_t now_ms)
{
    int live = cg_roster_count_live(p);
    for (; live > p->o.target && p->phase != PLAN_RELOADING; live--) {
        cg_roster_stop(p, superfluous(p), SIGTERM, now_ms);
    }
}

void
cg_plan_cull(struct cg_plan *p, uint64_t now_ms)
{
    if (!cg_plan_is_ending(p)) {
        cull(p, now_ms);
    }
}

void
cg_plan_manage(struct cg_plan *p, uint64_t now_ms)
{
    if (cg_plan_is_ending(p)) {
        return;
    }
    release_leaving(p, now_ms);
    begin_replacing(p, now_ms);
    grow(p, now_ms);
    if (!p->hands_off) {
        cull(p, now_ms);
    }
}

/* ---- who wants out ---- */

void
cg_plan_retire(struct cg_plan *p, int pid, const char *why, uint64_t now_ms)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w == NULL || w->wants_out || w->state == ROSTER_STOPPING) {
        return;
    }
    w->wants_out = true;
    if (why[0] != '\0') {
        cg_plan_say(p, CG_INFO, "Worker (pid:%d) will be replaced: %s", pid,
                    why);
        cg_plan_classify(p, CG_HAPPENED_RECYCLE, pid);
    }
    cg_plan_manage(p, now_ms);
}

void
cg_plan_weighed(struct cg_plan *p, int pid, uint64_t rss, uint64_t now_ms)
{
    enum { MIB = 1 << 20 };
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w == NULL || p->o.rss_limit == 0) {
        return;
    }
    w->heavy = rss > p->o.rss_limit ? w->heavy + 1 : 0;
    if (w->heavy == HEAVY) {
        char why[100];
        snprintf(why, sizeof why,
                 "it uses %llu MiB of memory, more than max_worker_rss",
                 (unsigned long long)(rss / MIB));
        cg_plan_retire(p, pid, why, now_ms);
    }
}

/* ---- the target itself ---- */

int
cg_plan_fitting(const struct cg_plan_options *o)
{
    return o->most != 0 && o->target > o->most ? o->most : o->target;
}

void
cg_plan_tell_target(struct cg_plan *p, int target, int old)
{
    struct cg_effect *e = cg_plan_emit(p, EFFECT_WORKERS_CHANGED);
    e->number = target;
    e->old = old;
}

void
cg_plan_set_target(struct cg_plan *p, int target, uint64_t now_ms)
{
    if (cg_plan_is_ending(p) || target == p->o.target) {
        return;
    }
    if (p->o.most != 0 && target > p->o.most) {
        cg_plan_say(p, CG_WARNING,
                    "no more than %d workers fit: %d are not started",
                    p->o.most, target);
        return;
    }
    cg_plan_tell_target(p, target, p->o.target);
    p->o.target = target;
    if (p->phase == PLAN_RELOADING && p->gate > target) {
        p->gate = target;
        cg_gate_try(p, now_ms);
    }
    cg_plan_manage(p, now_ms);
}
