/* SPDX-License-Identifier: MIT */
#include "core/arbiter/arbiter.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/arbiter/oom.h"
#include "core/arbiter/pidfile.h"
#include "core/arbiter/ready.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/compat/written.h"
#include "core/py/runtime/interp.h"

enum { SIGNALS_A_TURN = 64, EXTEND_US = 30 * 1000 * 1000 };

/* ---- the loop ---- */

static size_t
watch_desk(struct cg_desk *desk, struct pollfd *p, uint64_t now, int *ms)
{
    if (desk == NULL) {
        return 0;
    }
    int patience = cg_desk_patience(desk, now);
    *ms = patience >= 0 && patience < *ms ? patience : *ms;
    return (size_t)cg_desk_watch(desk, p, now);
}

/* Whoever asks or orders something. */
static void
serve_desks(struct cg_arbiter *a)
{
    cg_arbiter_follow_web(a);
    cg_arbiter_follow_interface(a);
    if (a->interface.desk != NULL) {
        cg_desk_turn(a->interface.desk, cg_arbiter_now_ms());
    }
    if (a->channel != NULL) {
        cg_desk_turn(a->channel, cg_arbiter_now_ms());
    }
    if (a->web != NULL) {
        cg_desk_turn(a->web, cg_arbiter_now_ms());
    }
    cg_arbiter_carry_out(a);
}

static void
wait_for_events(struct cg_arbiter *a)
{
    size_t n = (size_t)a->nchildren + 1;
    struct pollfd *p =
        cg_calloc(n + (size_t)a->companions.n + 3 * CG_DESK_FDS, sizeof *p);
    p[0] = (struct pollfd){.fd = a->signal_fd, .events = POLLIN};
    for (int i = 0; i < a->nchildren; i++) {
        p[i + 1] =
            (struct pollfd){.fd = a->children[i].news_fd, .events = POLLIN};
    }
    uint64_t now = cg_arbiter_now_ms();
    int ms = cg_plan_patience(&a->plan, now);
    n += watch_desk(a->channel, p + n, now, &ms);
    n += watch_desk(a->web, p + n, now, &ms);
    n += watch_desk(a->interface.desk, p + n, now, &ms);
    n += (size_t)cg_companions_watch(a, p + n, &ms);
    if (a->watchdog_ms != 0 && (uint64_t)ms > a->watchdog_ms) {
        ms = (int)a->watchdog_ms;
    }
    cg_gil_drop(); /* users run threads in the master */
    poll(p, (nfds_t)n, ms);
    cg_gil_take();
    free(p);
}

static void
run_python_signals(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    int status = 0;
    int r = cg_python_signals(&status, &err);
    if (r == -1) {
        cg_signals_raise(SIGTERM);
    } else if (r < 0) {
        cg_log_line(a->log, CG_ERROR, "Exception in a signal handler: %s",
                    err.text);
    }
}

static void
take_wishes(struct cg_arbiter *a)
{
    if (a->wanted_workers >= 0) {
        cg_plan_set_target(&a->plan, a->wanted_workers, cg_arbiter_now_ms());
        a->wanted_workers = -1;
    }
}

/* Each turn, so at most a second after it began or ended. */
static void
tell_of_overload(struct cg_arbiter *a)
{
    int n = 0;
    for (int i = 0; i < a->nchildren; i++) {
        n += cg_slot_look(a->children[i].slot).overloaded;
    }
    if (n == a->told_overloaded || !a->plan.serving ||
        a->plan.phase != PLAN_RUNNING) {
        return;
    }
    a->told_overloaded = n;
    if (n > 0) {
        cg_notify("STATUS=Overloaded: requests pile up in %d of %d workers", n,
                  a->plan.o.target);
    } else {
        cg_notify("STATUS=Serving with %d workers", a->plan.o.target);
    }
}

/* A slow boot is no failed one: the service manager waits with us. */
static void
tell_service_manager(struct cg_arbiter *a)
{
    uint64_t now = cg_arbiter_now_ms();
    if (!a->plan.serving) {
        cg_notify("EXTEND_TIMEOUT_USEC=%d\nSTATUS=Workers are booting",
                  EXTEND_US);
    }
    if (a->watchdog_ms != 0 && now >= a->watchdog_at_ms) {
        a->watchdog_at_ms = now + a->watchdog_ms;
        cg_notify("WATCHDOG=1");
    }
    tell_of_overload(a);
}

static void
turn(struct cg_arbiter *a)
{
    wait_for_events(a);
    run_python_signals(a);
    int sig;
    /* a flood must not keep us from children and timeouts */
    for (int n = 0; n < SIGNALS_A_TURN && (sig = cg_signals_next()) != 0; n++) {
        if (sig == SIGCHLD) {
            continue;
        }
        if (!cg_arbiter_asks_to_handle(a, sig)) {
            cg_plan_signal(&a->plan, sig, cg_arbiter_now_ms());
        }
        cg_arbiter_carry_out(a);
    }
    cg_arbiter_reap(a); /* each second too: a SIGCHLD may have been merged */
    cg_arbiter_carry_out(a);
    serve_desks(a);
    take_wishes(a);
    cg_arbiter_check_parent(a);
    cg_tickets_turn(&a->tickets, (int64_t)time(NULL));
    cg_arbiter_watch(a);
    cg_arbiter_mend_listeners(a);
    cg_plan_tick(&a->plan, cg_arbiter_now_ms());
    cg_arbiter_carry_out(a);
    cg_companions_turn(a);
    cg_arbiter_pass(a);
    cg_arbiter_carry_out(a);
    cg_arbiter_report(a);
    cg_arbiter_sample(a);
    tell_service_manager(a);
}

/* ---- end ---- */

static void
tear_down(struct cg_arbiter *a)
{
    for (int i = 0; i < a->nchildren; i++) {
        cg_py_worker_free(a->children[i].object);
        cg_fd_close(&a->children[i].trace_fd);
        cg_fd_close(&a->children[i].news_fd);
        cg_buf_release(&a->children[i].story);
        cg_fd_close(&a->children[i].beat_fd);
    }
    free(a->children);
    cg_companions_free(a);
    cg_desk_free(a->channel);
    cg_arbiter_close_web(a);
    cg_arbiter_close_interface(a);
    cg_events_release(&a->events);
    cg_arbiter_forget_env(a);
    bool ours = !cg_plan_shares_sockets(&a->plan);
    cg_sockets_close(&a->sockets, NULL, ours);
    cg_sockets_close(&a->old_sockets, NULL, ours);
    cg_settings_free(a->old_settings);
    cg_security_free(a->security);
    cg_security_free(a->old_security);
    cg_tickets_close(&a->tickets);
    cg_app_free(a->app);
    cg_py_server_free(a->server);
    cg_settings_free(a->settings);
    cg_plan_release(&a->plan);
    if (a->log != NULL) {
        cg_log_follow_level(a->log, NULL);
    }
    cg_scoreboard_free(a->board);
    cg_log_free(a->log);
    cg_handover_release(&a->handover);
    cg_handover_release(&a->old_handover);
    cg_fd_close(&a->alive_read);
    cg_fd_close(&a->alive_write);
    free(a->pidfile);
}

/* Whether the terminal has the reason already, by the log. */
static bool
was_seen(const struct cg_arbiter *a)
{
    return a->failure_logged && !cg_arbiter_logs_to_file(a) &&
           !cg_log_routes_errors(a->log) && cg_log_enabled(a->log, CG_ERROR);
}

static int
fail_to_start(struct cg_arbiter *a, const struct cg_error *err)
{
    int status = a->exiting || a->status != 0 ? a->status : EXIT_ERROR;
    if (a->start->ready_fd >= 0) {
        cg_ready_fail(&a->start->ready_fd, status, err->text);
    } else if (!a->exiting && !was_seen(a)) {
        fprintf(stderr, "\nError: %s\n\n", err->text);
    }
    if (a->log != NULL && a->plan.parent_pid != 0) {
        /* nobody watches the terminal of an upgrade */
        cg_log_line(a->log, CG_ERROR, "The new master does not start: %s",
                    err->text);
    }
    if (a->pidfile != NULL) {
        cg_pidfile_remove(a->pidfile, a->master_pid);
    }
    tear_down(a);
    return status;
}

static int
run(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    if (cg_arbiter_boot(a, &err) < 0) {
        return fail_to_start(a, &err);
    }
    a->started_us = cg_now_us();
    cg_arbiter_sample(a);
    cg_arbiter_count_oom(a);
    a->watchdog_ms = cg_notify_watchdog_ms();
    cg_plan_start(&a->plan, cg_arbiter_now_ms());
    cg_arbiter_carry_out(a);
    cg_arbiter_report(a);
    while (!a->done) {
        turn(a);
    }
    if (a->pidfile != NULL) {
        cg_pidfile_remove(a->pidfile, a->master_pid);
    }
    cg_arbiter_hook(a, CG_on_exit, NULL);
    int status = a->status;
    tear_down(a);
    return status;
}

int
cg_arbiter_run(struct cg_arbiter_start *start)
{
    /* on the heap: hooks reach it from greenlets, see worker.c */
    struct cg_arbiter *a = cg_calloc(1, sizeof *a);
    *a = (struct cg_arbiter){.start = start,
                             .settings = start->settings,
                             .master_pid = (int)getpid(),
                             .handover = CG_HANDOVER_NONE,
                             .old_handover = CG_HANDOVER_NONE,
                             .tickets = CG_TICKETS_NONE,
                             .signal_fd = -1,
                             .core_filter = -1,
                             .alive_read = -1,
                             .alive_write = -1,
                             .wanted_workers = -1};
    start->settings = NULL;
    int status = run(a);
    free(a);
    return status;
}
