/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/arbiter/plan/backoff.h"

#include "core/arbiter/plan/effects.h"

enum {
    QUICK_MS = 5000,  /* a death within this is a quick one */
    CALM_MS = 30000,  /* without one: all is well again */
    BACKOFF_MS = 100, /* doubled by each quick death in a row */
    BACKOFF_MAX_MS = 5000,
    SUCCESSOR_MS = 1000, /* the same where nobody is missing */
    SUCCESSOR_MAX_MS = 300 * 1000
};

void
cg_backoff_forgive(struct cg_plan *p)
{
    p->quick_deaths = 0;
    p->spawn_after_ms = 0;
}

void
cg_backoff_forgive_successors(struct cg_plan *p)
{
    p->failed_successors = 0;
    p->successor_after_ms = 0;
}

static uint64_t
doubled(uint64_t ms, int times, uint64_t most)
{
    for (int i = 0; i < times && ms < most; i++) {
        ms *= 2;
    }
    return ms < most ? ms : most;
}

static uint64_t
backoff_ms(int deaths)
{
    return doubled(BACKOFF_MS, deaths - 1, BACKOFF_MAX_MS);
}

void
cg_backoff_fork_failed(struct cg_plan *p, uint64_t now_ms)
{
    p->last_death_ms = now_ms;
    p->spawn_after_ms = now_ms + backoff_ms(++p->quick_deaths);
}

void
cg_backoff_count_death(struct cg_plan *p, const struct cg_plan_worker *w,
                       uint64_t now_ms)
{
    if (now_ms - w->born_ms >= QUICK_MS) {
        cg_backoff_forgive(p);
        return;
    }
    p->last_death_ms = now_ms;
    /* the first one may be chance: it is replaced at once */
    if (++p->quick_deaths > 1) {
        uint64_t ms = backoff_ms(p->quick_deaths - 1);
        p->spawn_after_ms = now_ms + ms;
        cg_plan_say(
            p, CG_WARNING,
            "%d workers in a row ended within %d s: the next one is started "
            "in %llu.%llu s",
            p->quick_deaths, QUICK_MS / 1000, (unsigned long long)(ms / 1000),
            (unsigned long long)(ms % 1000 / 100));
    }
}

void
cg_backoff_count_successor(struct cg_plan *p, uint64_t now_ms)
{
    int n = ++p->failed_successors;
    if (n == 1) { /* may be chance */
        return;
    }
    uint64_t ms = doubled(SUCCESSOR_MS, n - 2, SUCCESSOR_MAX_MS);
    p->successor_after_ms = now_ms + ms;
    cg_plan_say(
        p, CG_WARNING,
        "%d successors in a row ended before they served: the old workers "
        "serve on, the next successor is started in %llu s",
        n, (unsigned long long)(ms / 1000));
    if (n == 2) {
        cg_backoff_say_hint(p);
    }
}

void
cg_backoff_tick(struct cg_plan *p, uint64_t now_ms)
{
    if (p->quick_deaths > 0 && now_ms - p->last_death_ms >= CALM_MS) {
        cg_backoff_forgive(p);
    }
}

void
cg_plan_explain_failure(struct cg_plan *p, const char *text)
{
    static const char *const of_code[] = {
        "ModuleNotFoundError", "ImportError", "SyntaxError", "IndentationError",
        "NameError",           "TypeError",   "Attribute",   "warmup:"};
    p->is_fault_of_code = false;
    for (size_t i = 0; i < sizeof of_code / sizeof of_code[0]; i++) {
        if (strncmp(text, of_code[i], strlen(of_code[i])) == 0) {
            p->is_fault_of_code = true;
        }
    }
}

void
cg_backoff_say_hint(struct cg_plan *p)
{
    if (p->is_fault_of_code) {
        return;
    }
    cg_plan_say(
        p, CG_WARNING,
        "If the application holds what only one process can have (a lock, a "
        "port, a GPU): with replace = \"before\" old workers end before new "
        "ones are started");
}
