/* SPDX-License-Identifier: MIT */
/*
 * Life: a worker is forked, serves, ends; and what follows from that.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "core/arbiter/plan/backoff.h"
#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/gate.h"
#include "core/arbiter/plan/masters.h"
#include "core/arbiter/plan/roster.h"
#include "core/arbiter/plan/stop.h"
#include "core/arbiter/plan/target.h"
#include "core/base/exits.h"
#include "core/base/memory.h"

/* ---- it begins ---- */

/* xorshift; only to spread things in time */
static uint64_t
random_below(struct cg_plan *p, uint64_t n)
{
    p->chance ^= p->chance << 13;
    p->chance ^= p->chance >> 7;
    p->chance ^= p->chance << 17;
    return n != 0 ? p->chance % n : 0;
}

void
cg_plan_start(struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.target == 0) {
        cg_plan_enter(p, PLAN_RUNNING);
        p->serving = true;
        cg_plan_emit(p, EFFECT_SERVING);
    }
    cg_plan_manage(p, now_ms);
}

void
cg_plan_spawn_more(struct cg_plan *p)
{
    p->spawning++;
}

void
cg_plan_spawned(struct cg_plan *p, int pid, uint64_t now_ms)
{
    p->spawning--;
    if (pid < 0) {
        cg_backoff_fork_failed(p, now_ms);
        return;
    }
    p->workers =
        cg_realloc(p->workers, (size_t)(p->nworkers + 1) * sizeof *p->workers);
    struct cg_plan_worker *w = &p->workers[p->nworkers++];
    *w = (struct cg_plan_worker){.pid = pid,
                                 .age = ++p->age,
                                 .generation = p->generation,
                                 .born_ms = now_ms};
    if (p->o.lifetime_ms != 0) {
        w->retire_at_ms = now_ms + p->o.lifetime_ms +
                          random_below(p, p->o.lifetime_jitter_ms + 1);
    }
    if (cg_plan_is_ending(p)) { /* a stop was asked for while it was forked */
        cg_roster_stop(p, w, SIGTERM, now_ms);
    }
}

void
cg_plan_ready(struct cg_plan *p, int pid, uint64_t now_ms)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    if (w == NULL || w->state != ROSTER_BOOTING) {
        return;
    }
    w->state = ROSTER_READY;
    w->served = true;
    cg_backoff_forgive_successors(p);
    if (p->phase == PLAN_STARTING) {
        cg_plan_enter(p, PLAN_RUNNING);
    }
    if (!p->serving && cg_roster_count(p, ROSTER_READY) >= p->o.target) {
        p->serving = true;
        cg_plan_emit(p, EFFECT_SERVING);
    }
    cg_gate_try(p, now_ms);
    cg_plan_manage(p, now_ms);
}

/* ---- it ends ---- */

static const char *
who_killed(const struct cg_plan_worker *w, enum cg_oom oom)
{
    static const char *const ours[] = {
#define X(id, text) [KILL_##id] = text,
        CG_KILL_REASONS(X)
#undef X
    };
    static const char *const others[] = {
        [OOM_UNKNOWN] = " Perhaps out of memory?",
        [OOM_YES] = " Out of memory: the kernel's OOM killer chose it "
                    "(memory.events of its cgroup).",
        [OOM_NO] = " Neither this server nor the OOM killer of its cgroup did "
                   "that: another process sent it.",
    };
    return w->killed != KILL_NONE ? ours[w->killed] : others[oom];
}

static bool
is_boot_failure(const struct cg_plan_worker *w, int code)
{
    return w->state == ROSTER_BOOTING &&
           (code == CG_EXIT_BOOT || code == CG_EXIT_APP);
}

/* Also of one that was told to stop meanwhile, as the other new ones of a
 * reload are when the first of them does not boot. */
static enum cg_death_cause
cause_of_exit(const struct cg_plan_worker *w, int code)
{
    bool boots = !w->served && (code == CG_EXIT_BOOT || code == CG_EXIT_APP ||
                                code == CG_EXIT_CRASHED);
    return boots ? CG_DEATH_BOOT : CG_DEATH_EXIT;
}

static void
say_exit(struct cg_plan *p, const struct cg_plan_worker *w, int code)
{
    if (code != 0) {
        cg_plan_say(p, CG_ERROR, "Worker (pid:%d) exited with code %d.", w->pid,
                    code);
    } else if (w->state == ROSTER_BOOTING) {
        cg_plan_say(
            p, CG_ERROR,
            "Worker (pid:%d) ended before it served, without an error: it "
            "was sent TERM, or the application ended it.",
            w->pid);
    } else {
        return;
    }
    cg_plan_classify_death(p, w->pid, cause_of_exit(w, code));
}

static enum cg_death_cause
cause_of(const struct cg_plan_worker *w, int sig, enum cg_oom oom)
{
    if (w->killed == KILL_TIMEOUT || (sig == SIGABRT && w->aborted_ms != 0)) {
        return CG_DEATH_TIMEOUT;
    }
    if (sig != SIGKILL) {
        return CG_DEATH_SIGNAL;
    }
    return w->killed == KILL_STOP ? CG_DEATH_STOP
           : oom == OOM_YES       ? CG_DEATH_OOM
                                  : CG_DEATH_KILLED;
}

bool
cg_plan_was_stopped(const struct cg_plan_worker *w, int status)
{
    return w->state == ROSTER_STOPPING && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGTERM;
}

static void
say_end(struct cg_plan *p, const struct cg_plan_worker *w, int status,
        enum cg_oom oom)
{
    if (WIFEXITED(status)) {
        say_exit(p, w, WEXITSTATUS(status));
        return;
    }
    int sig = WTERMSIG(status);
    enum cg_level level = sig == SIGKILL   ? CG_ERROR
                          : sig == SIGTERM ? CG_INFO
                                           : CG_WARNING;
    cg_plan_say(p, level, "Worker (pid:%d) was sent SIG%s!%s", w->pid,
                cg_signal_name(sig), sig == SIGKILL ? who_killed(w, oom) : "");
    if (!cg_plan_was_stopped(w, status)) {
        cg_plan_classify_death(p, w->pid, cause_of(w, sig, oom));
    }
}

/* A worker that could not load the application. */
static void
on_boot_failure(struct cg_plan *p, const struct cg_plan_worker *w, int code,
                uint64_t now_ms)
{
    if (p->phase == PLAN_STARTING || cg_plan_is_ending(p)) {
        cg_plan_exit(p, code,
                     code == CG_EXIT_APP ? "App failed to load."
                                         : "Worker failed to boot.",
                     now_ms);
    } else if (p->phase == PLAN_RELOADING && cg_roster_is_current(p, w)) {
        p->gate_failures++;
    }
}

static bool
is_successor(const struct cg_plan *p, const struct cg_plan_worker *w)
{
    return p->phase == PLAN_RUNNING && w->state == ROSTER_BOOTING &&
           cg_roster_count(p, ROSTER_LEAVING) > 0;
}

static void
on_worker_end(struct cg_plan *p, struct cg_plan_worker *found, int status,
              enum cg_oom oom, uint64_t now_ms)
{
    struct cg_plan_worker w = *found;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    say_end(p, &w, status, oom);
    *found = p->workers[--p->nworkers];
    if (is_boot_failure(&w, code)) {
        on_boot_failure(p, &w, code, now_ms);
    } else if (w.state == ROSTER_BOOTING) {
        cg_gate_count_death(p, &w);
    }
    if (is_successor(p, &w)) {
        cg_backoff_count_successor(p, now_ms);
    } else if (w.state != ROSTER_STOPPING && !cg_plan_is_ending(p)) {
        cg_backoff_count_death(p, &w, now_ms);
    }
    if (p->phase == PLAN_RELOADING && p->gate_failures > 0) {
        cg_gate_revert(p, now_ms);
    }
}

bool
cg_plan_exited(struct cg_plan *p, int pid, int status, enum cg_oom oom,
               uint64_t now_ms)
{
    struct cg_plan_worker *w = cg_roster_find(p, pid);
    cg_plan_spare(p, pid);
    if (w != NULL) {
        on_worker_end(p, w, status, oom, now_ms);
    } else if (pid != 0 && pid == p->reexec_pid) {
        cg_masters_new_ended(p, status, now_ms);
    } else {
        return false;
    }
    cg_plan_manage(p, now_ms);
    cg_plan_follow_up(p);
    cg_plan_finish_if_empty(p);
    return true;
}
