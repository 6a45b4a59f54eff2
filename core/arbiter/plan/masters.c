/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan/masters.h"

#include <sys/wait.h>

#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/target.h"

const char *
cg_plan_name(const struct cg_plan *p)
{
    return p->parent_pid != 0 ? "Master.2" : "Master";
}

bool
cg_plan_shares_sockets(const struct cg_plan *p)
{
    return p->parent_pid != 0 || p->reexec_pid != 0;
}

void
cg_plan_reexeced(struct cg_plan *p, int pid)
{
    p->reexec_pid = pid > 0 ? pid : 0;
}

void
cg_plan_orphaned(struct cg_plan *p)
{
    if (p->parent_pid != 0) {
        p->parent_pid = 0;
        cg_plan_say(p, CG_INFO, "Master has been promoted.");
        cg_plan_emit(p, EFFECT_PROMOTE);
    }
}

bool
cg_masters_has_other(struct cg_plan *p)
{
    if (p->reexec_pid != 0) {
        cg_plan_say(p, CG_WARNING, "USR2 signal ignored. Child exists.");
    } else if (p->parent_pid != 0) {
        cg_plan_say(p, CG_WARNING, "USR2 signal ignored. Parent exists.");
    }
    return cg_plan_shares_sockets(p);
}

void
cg_masters_new_ended(struct cg_plan *p, int status, uint64_t now_ms)
{
    int pid = p->reexec_pid;
    p->reexec_pid = 0;
    if (WIFSIGNALED(status)) {
        cg_plan_say(
            p, CG_ERROR,
            "The new master (pid:%d) was sent SIG%s: this one keeps serving",
            pid, cg_signal_name(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        cg_plan_say(
            p, CG_ERROR,
            "The new master (pid:%d) exited with code %d: this one keeps "
            "serving",
            pid, WEXITSTATUS(status));
    } else {
        cg_plan_say(p, CG_INFO, "The new master (pid:%d) has ended", pid);
    }
    if (p->before_winch != 0 && p->o.target == 0 && !cg_plan_is_ending(p)) {
        cg_plan_say(p, CG_INFO, "the %d workers from before WINCH come back",
                    p->before_winch);
        cg_plan_set_target(p, p->before_winch, now_ms);
    }
}
