/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/roster.h"

#include <signal.h>

#include "core/arbiter/plan/effects.h"
#include "core/base/memory.h"

const char *
cg_roster_word(enum cg_plan_worker_state state)
{
    static const char *const word[] = {
#define X(id, text) [ROSTER_##id] = text,
        CG_ROSTER_STATES(X)
#undef X
    };
    return (size_t)state < CG_COUNT(word) ? word[state] : "?";
}

struct cg_plan_worker *
cg_roster_find(struct cg_plan *p, int pid)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (p->workers[i].pid == pid) {
            return &p->workers[i];
        }
    }
    return NULL;
}

bool
cg_roster_is_current(const struct cg_plan *p, const struct cg_plan_worker *w)
{
    return w->generation == p->generation;
}

int
cg_roster_count(const struct cg_plan *p, enum cg_plan_worker_state state)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += cg_roster_is_current(p, &p->workers[i]) &&
             p->workers[i].state == state;
    }
    return n;
}

/* Workers that count against the target. */
int
cg_roster_count_live(const struct cg_plan *p)
{
    return cg_roster_count(p, ROSTER_BOOTING) +
           cg_roster_count(p, ROSTER_READY);
}

void
cg_roster_stop(struct cg_plan *p, struct cg_plan_worker *w, int sig,
               uint64_t now_ms)
{
    w->state = ROSTER_STOPPING;
    w->kill_at_ms = now_ms + p->o.graceful_ms + CG_PLAN_TICK_MS;
    cg_plan_kill(p, w->pid, sig);
}

/* The oldest of the current generation in that state that wants out, or any. */
struct cg_plan_worker *
cg_roster_oldest(struct cg_plan *p, enum cg_plan_worker_state state,
                 bool wants_out)
{
    struct cg_plan_worker *found = NULL;
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (cg_roster_is_current(p, w) && w->state == state &&
            (w->wants_out || !wants_out) &&
            (found == NULL || w->age < found->age)) {
            found = w;
        }
    }
    return found;
}

const struct cg_plan_worker *
cg_plan_worker(const struct cg_plan *p, int pid)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (p->workers[i].pid == pid) {
            return &p->workers[i];
        }
    }
    return NULL;
}

bool
cg_plan_is_stopping(const struct cg_plan *p, int pid)
{
    const struct cg_plan_worker *w = cg_plan_worker(p, pid);
    return w != NULL && w->state == ROSTER_STOPPING;
}

void
cg_roster_signal(struct cg_plan *p, int sig, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (sig == SIGTERM || sig == SIGQUIT) {
            cg_roster_stop(p, &p->workers[i], sig, now_ms);
        } else {
            cg_plan_kill(p, p->workers[i].pid, sig);
        }
    }
}
