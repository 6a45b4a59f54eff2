/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/plan.h"

#include <stdlib.h>

#include "core/base/memory.h"

const char *
cg_plan_phase_word(enum cg_plan_phase phase)
{
    static const char *const word[] = {
#define X(id, text) [PLAN_##id] = text,
        CG_PLAN_PHASES(X)
#undef X
    };
    return (size_t)phase < CG_COUNT(word) ? word[phase] : "?";
}

void
cg_plan_init(struct cg_plan *p, const struct cg_plan_options *o, int parent_pid,
             uint64_t chance)
{
    *p = (struct cg_plan){.o = *o,
                          .old = *o,
                          .generation = 1,
                          .parent_pid = parent_pid,
                          .chance = chance != 0 ? chance : 1};
}

void
cg_plan_release(struct cg_plan *p)
{
    free(p->workers);
    free(p->effects);
    *p = (struct cg_plan){0};
}

void
cg_plan_enter(struct cg_plan *p, enum cg_plan_phase phase)
{
    p->phase = phase;
}
