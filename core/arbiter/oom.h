/* SPDX-License-Identifier: MIT */
/* The OOM killer, as our cgroup counts it. */
#ifndef CG_ARBITER_OOM_H
#define CG_ARBITER_OOM_H

#include "core/arbiter/plan/plan.h"

struct cg_arbiter;

/* From here on strikes count. */
void cg_arbiter_count_oom(struct cg_arbiter *a);
/* For a process of ours that got a KILL which was not ours: whether it was one
 * since the last look. */
enum cg_oom cg_arbiter_was_oom(struct cg_arbiter *a);

#endif
