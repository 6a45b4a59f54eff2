/* SPDX-License-Identifier: MIT */
/* What the plan decided, done: an effect of it after the other. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/arbiter/ready.h"
#include "core/base/memory.h"

/* Who waits for the start at a shell hears why it failed: there where the log
 * goes to a file, else it has been seen. */
static void
tell_shell(struct cg_arbiter *a, int status, const char *reason)
{
    const char *errorlog = cg_settings_str(a->settings, CG_errorlog);
    if (a->start->ready_fd >= 0) {
        cg_ready_fail(&a->start->ready_fd, status != 0 ? status : EXIT_ERROR,
                      reason);
    } else if (status != 0 && !a->plan.serving && cg_arbiter_logs_to_file(a) &&
               a->plan.parent_pid == 0) {
        fprintf(stderr, "\nError: %s (more in %s)\n", reason, errorlog);
    }
}

static void
on_exit_effect(struct cg_arbiter *a, const struct cg_effect *e)
{
    cg_companions_end(a);
    enum cg_level level = e->status != 0 ? CG_ERROR : CG_INFO;
    cg_log_line(a->log, level, "Shutting down: %s", cg_plan_name(&a->plan));
    if (e->text[0] != '\0') {
        cg_log_line(a->log, level, "Reason: %s", e->text);
    }
    cg_auto(free) char *reason = a->failure[0] != '\0'
                                     ? cg_strf("%s %s", e->text, a->failure)
                                     : cg_strdup(e->text);
    tell_shell(a, e->status, reason);
    a->status = a->exiting ? a->status : e->status;
    a->done = true;
    cg_arbiter_tell_end(a, e->text, a->status);
}

bool
cg_arbiter_exits(struct cg_arbiter *a, enum cg_setting_id hook, int r,
                 const struct cg_error *err)
{
    if (r != CG_HOOK_EXIT && r != CG_HOOK_HALT) {
        return false;
    }
    if (a->plan.phase == PLAN_DONE) { /* the last child_exit, or on_exit */
        a->exiting = true;
        a->status = err->code;
    }
    if (r == CG_HOOK_HALT) {
        snprintf(a->exit_reason, sizeof a->exit_reason, "%.199s", err->text);
    } else {
        snprintf(a->exit_reason, sizeof a->exit_reason,
                 "sys.exit(%d) in the hook %s.", err->code,
                 cg_setting_name(hook));
    }
    cg_plan_exit(&a->plan, err->code, a->exit_reason, cg_arbiter_now_ms());
    return true;
}

void
cg_arbiter_tell_workers(struct cg_arbiter *a, int number, int old)
{
    struct cg_error err = {0};
    if (!cg_hook_is_set(a->settings, CG_nworkers_changed)) {
        return;
    }
    int r = cg_hook_nworkers(a->server, number, old, &err);
    if (!cg_arbiter_exits(a, CG_nworkers_changed, r, &err) && r < 0) {
        cg_log_line(a->log, CG_ERROR,
                    "Exception in the hook nworkers_changed\n%s", err.text);
    }
}

static void
on_serving(struct cg_arbiter *a)
{
    cg_ready_tell(&a->start->ready_fd);
    cg_events_add(&a->events, CG_HAPPENED_SERVING, 0, "Serving with %d workers",
                  a->plan.o.target);
    cg_notify("READY=1\nSTATUS=Serving with %d workers", a->plan.o.target);
    cg_arbiter_put_banner(a);
}

static void
on_drain(struct cg_arbiter *a)
{
    atomic_store(&a->board->master->draining, 1);
    cg_events_add(&a->events, CG_HAPPENED_DRAIN, 0,
                  "Serving on until shutdown_delay is over");
    cg_notify("STOPPING=1\nSTATUS=Serving on until shutdown_delay is over");
}

/* Sockets that another master uses too are only let go. */
static void
on_stop_listening(struct cg_arbiter *a)
{
    bool ours = !cg_plan_shares_sockets(&a->plan);
    atomic_store(&a->board->master->draining, 1);
    if (ours) {
        atomic_store(&a->board->master->closing, 1);
        cg_sockets_quiesce(&a->sockets);
    }
    cg_sockets_close(&a->sockets, NULL, ours);
    cg_events_add(&a->events, CG_HAPPENED_STOP, 0, "Finishing requests");
    cg_notify("STOPPING=1\nSTATUS=Finishing requests");
}

/* One that was buried since is nobody's: its pid may be another program's. */
static void
signal_worker(struct cg_arbiter *a, int pid, int sig)
{
    if (cg_arbiter_child(a, pid) != NULL &&
        !cg_arbiter_asks_to_kill(a, pid, sig)) {
        a->workers_killed += sig == SIGTERM || sig == SIGKILL;
        kill(pid, sig);
    }
}

/* What the plan says: into the log, and what matters among the events. */
static void
on_line(struct cg_arbiter *a, const struct cg_effect *e)
{
    cg_arbiter_log_apart(a, e->level, cg_slice_of(e->text));
    if (e->kind_of_event == CG_HAPPENED_DEATH) {
        cg_events_judge(&a->events, e->pid, e->cause, e->text);
    } else if (e->level >= CG_WARNING ||
               e->kind_of_event != CG_HAPPENED_TROUBLE) {
        cg_events_add(&a->events, e->kind_of_event, e->pid, "%s", e->text);
    }
}

static void
on_workers_changed(struct cg_arbiter *a, const struct cg_effect *e)
{
    cg_events_add(&a->events, CG_HAPPENED_SCALE, 0, "%d workers (before: %d)",
                  e->number, e->old);
    cg_arbiter_tell_workers(a, e->number, e->old);
}

static void
on_revert(struct cg_arbiter *a)
{
    cg_arbiter_revert(a);
    cg_arbiter_end_reload(
        a, a->failure[0] != '\0' ? a->failure : "the new workers do not boot");
}

static void
on_commit(struct cg_arbiter *a)
{
    const struct cg_plan *p = &a->plan;
    double took_s = (double)(cg_arbiter_now_ms() - p->gate_begun_ms) / 1000;
    cg_log_line(a->log, CG_INFO,
                "Reload done: %d workers, generation %u, %.1f s", p->o.target,
                p->generation, took_s);
    cg_arbiter_commit(a);
    cg_companions_follow(a);
    cg_arbiter_end_reload(a, NULL);
}

static void
trace_worker(struct cg_arbiter *a, int pid)
{
    if (cg_arbiter_child(a, pid) != NULL) {
        kill(pid, CG_TRACE_SIGNAL);
    }
}

static void
carry_out(struct cg_arbiter *a, const struct cg_effect *e)
{
    switch (e->kind) {
    case EFFECT_LOG: on_line(a, e); break;
    case EFFECT_SPAWN: cg_arbiter_spawn(a); break;
    case EFFECT_KILL: signal_worker(a, e->pid, e->sig); break;
    case EFFECT_RELOAD: cg_arbiter_reload(a); break;
    case EFFECT_COMMIT: on_commit(a); break;
    case EFFECT_REVERT: on_revert(a); break;
    case EFFECT_REEXEC: cg_arbiter_reexec(a); break;
    case EFFECT_PROMOTE: cg_arbiter_promote(a); break;
    case EFFECT_REOPEN_LOGS: cg_py_server_reopen_logs(a->server); break;
    case EFFECT_EXPLAIN: cg_arbiter_explain(a, e->pid); break;
    case EFFECT_TRACE: trace_worker(a, e->pid); break;
    case EFFECT_TELL_TRACE: cg_arbiter_tell_stacks(a, e->pid); break;
    case EFFECT_DRAIN: on_drain(a); break;
    case EFFECT_STOP_LISTENING: on_stop_listening(a); break;
    case EFFECT_SERVING: on_serving(a); break;
    case EFFECT_WORKERS_CHANGED: on_workers_changed(a, e); break;
    case EFFECT_EXIT: on_exit_effect(a, e); break;
    }
}

void
cg_arbiter_carry_out(struct cg_arbiter *a)
{
    struct cg_effect e;
    while (cg_plan_next(&a->plan, &e)) {
        carry_out(a, &e);
    }
}
