/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/effects.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

struct cg_effect *
cg_plan_emit(struct cg_plan *p, enum cg_effect_kind kind)
{
    if (p->neffects == p->effects_cap) {
        p->effects_cap = p->effects_cap != 0 ? p->effects_cap * 2 : 16;
        p->effects =
            cg_realloc(p->effects, p->effects_cap * sizeof *p->effects);
    }
    struct cg_effect *e = &p->effects[p->neffects++];
    *e = (struct cg_effect){.kind = kind};
    return e;
}

void
cg_plan_say(struct cg_plan *p, enum cg_level level, const char *fmt, ...)
{
    struct cg_effect *e = cg_plan_emit(p, EFFECT_LOG);
    va_list ap;
    e->level = level;
    e->kind_of_event = CG_HAPPENED_TROUBLE;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
}

void
cg_plan_classify(struct cg_plan *p, enum cg_event_word kind, int pid)
{
    struct cg_effect *e = &p->effects[p->neffects - 1];
    e->kind_of_event = kind;
    e->pid = pid;
}

void
cg_plan_classify_death(struct cg_plan *p, int pid, enum cg_death_cause cause)
{
    cg_plan_classify(p, CG_HAPPENED_DEATH, pid);
    p->effects[p->neffects - 1].cause = cause;
}

void
cg_plan_about(struct cg_plan *p, enum cg_effect_kind kind, int pid)
{
    cg_plan_emit(p, kind)->pid = pid;
}

void
cg_plan_kill(struct cg_plan *p, int pid, int sig)
{
    struct cg_effect *e = cg_plan_emit(p, EFFECT_KILL);
    e->pid = pid;
    e->sig = sig;
}

void
cg_plan_spare(struct cg_plan *p, int pid)
{
    size_t kept = p->effect_at;
    for (size_t i = p->effect_at; i < p->neffects; i++) {
        const struct cg_effect *e = &p->effects[i];
        bool signals = e->kind == EFFECT_KILL || e->kind == EFFECT_TRACE;
        if (!signals || e->pid != pid) {
            p->effects[kept++] = *e;
        }
    }
    p->neffects = kept;
}

bool
cg_plan_next(struct cg_plan *p, struct cg_effect *ret)
{
    if (p->effect_at == p->neffects) {
        p->effect_at = p->neffects = 0;
        return false;
    }
    *ret = p->effects[p->effect_at++];
    return true;
}

const char *
cg_signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);
    return name != NULL ? name : "signal";
}
