/* SPDX-License-Identifier: MIT */
#include "core/arbiter/arbiter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "core/base/process.h"
#include "core/base/title.h"
#include "core/py/compat/written.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"
#include "core/worker/privilege.h"
#include "logging/spool.h"

enum { EXIT_ERROR = 1, SIGNALS_A_TURN = 64, EXTEND_US = 30 * 1000 * 1000 };

/* ---- what `server` may ask for, from any Python thread ---- */

static void
set_num_workers(void *self, int n)
{
    struct cg_arbiter *a = self;
    a->wanted_workers = n; /* under the GIL; the loop takes it */
    cg_signals_raise(SIGCHLD);
}

static int
num_workers(void *self)
{
    struct cg_arbiter *a = self;
    return a->wanted_workers >= 0 ? a->wanted_workers : a->plan.o.target;
}

static int
signal_self(void *self, int sig)
{
    cg_signals_raise(sig);
    return 0;
}

static void
set_timeout(void *self, uint64_t ms)
{
    ((struct cg_arbiter *)self)->plan.o.timeout_ms = ms;
}

static void
handle_signal(void *self, int sig)
{
    struct cg_arbiter *a = self;
    cg_plan_handle(&a->plan, sig, cg_arbiter_now_ms());
}

void
cg_arbiter_follow_settings(struct cg_arbiter *a)
{
    if (cg_py_settings_follow(a->server, a->settings, a->log) > 0) {
        const struct cg_plan_options o = cg_arbiter_plan_options(a);
        a->plan.o.graceful_ms = o.graceful_ms;
        a->plan.o.delay_ms = o.delay_ms;
    }
}

/* ---- start ---- */

static int
open_pipe(struct cg_arbiter *a, struct cg_error *err)
{
    int alive[2];
    if (pipe2(alive, O_CLOEXEC) < 0) {
        return cg_error_set(err, errno, "cannot make a pipe: %s",
                            strerror(errno));
    }
    a->alive_read = alive[0];
    a->alive_write = alive[1];
    return 0;
}

struct cg_plan_options
cg_arbiter_plan_options(const struct cg_arbiter *a)
{
    const struct cg_settings *s = a->settings;
    enum { MS = 1000 };
    return (struct cg_plan_options){
        .target = (int)cg_settings_int(s, CG_workers),
        .most = a->board != NULL ? (int)a->board->nslots / 2 : 0,
        .daemon = cg_settings_bool(s, CG_daemon),
        .graceful_ms = (uint64_t)cg_settings_int(s, CG_graceful_timeout) * MS,
        .delay_ms = (uint64_t)cg_settings_int(s, CG_shutdown_delay) * MS,
        .timeout_ms = (uint64_t)cg_settings_int(s, CG_timeout) * MS,
        .lifetime_ms =
            (uint64_t)cg_settings_int(s, CG_max_worker_lifetime) * MS,
        .lifetime_jitter_ms =
            (uint64_t)cg_settings_int(s, CG_max_worker_lifetime_jitter) * MS,
        .rss_limit = (uint64_t)cg_settings_int(s, CG_max_worker_rss) << 20,
        .share = (int)cg_settings_int(s, CG_recycle_share),
        .before = strcmp(cg_settings_str(s, CG_replace), "before") == 0,
    };
}

/* The file that argv[0] names; a newer one may be there when USR2 comes, which
 * is why it is not /proc/self/exe. */
static char *
find_program(const char *name, const char *start_dir)
{
    const char *path = getenv("PATH");
    if (name[0] == '/') {
        return cg_strdup(name);
    }
    if (strchr(name, '/') != NULL) {
        return cg_strf("%s/%s", start_dir, name);
    }
    while (path != NULL && *path != '\0') {
        size_t n = strcspn(path, ":");
        cg_auto(free) char *file = cg_strf("%.*s/%s", (int)n, path, name);
        if (n > 0 && access(file, X_OK) == 0) {
            char *found = file;
            file = NULL;
            return found;
        }
        path += n + (path[n] == ':');
    }
    return cg_strdup("/proc/self/exe");
}

static void
set_start(struct cg_arbiter *a)
{
    const struct cg_arbiter_start *start = a->start;
    const char *name =
        start->restart != NULL ? start->restart[0] : start->argv[0];
    cg_auto(free) char *exe = find_program(name, start->start_dir);
    cg_py_server_set_start(a->server, start->start_dir, exe, start->restart);
}

/* What a hook did before there is a server: an exception ends it with a text,
 * sys.exit() without one. */
static int
told(struct cg_arbiter *a, enum cg_setting_id hook, int r, struct cg_error *err)
{
    if (r == CG_HOOK_EXIT) {
        a->exiting = true;
        a->status = err->code;
        return cg_error_set(err, ECANCELED, "the hook %s called sys.exit(%d)",
                            cg_setting_name(hook), a->status);
    }
    return r < 0 ? cg_error_prefix(err, "the hook %s raised",
                                   cg_setting_name(hook))
                 : 0;
}

static int
make_board(struct cg_arbiter *a, uint64_t slots, struct cg_error *err)
{
    slots = slots > SLOTS_MIN ? slots : SLOTS_MIN;
    a->board = slots <= UINT32_MAX
                   ? cg_scoreboard_new((uint32_t)slots, sizeof(struct cg_spool))
                   : NULL;
    if (a->board != NULL && !a->board->sealed) {
        cg_log_line(a->log, CG_WARNING,
                    "this kernel cannot keep a worker from writing what others "
                    "say of themselves on the scoreboard");
    }
    return a->board != NULL
               ? 0
               : cg_error_set(err, ENOMEM,
                              "workers: %" PRIu64 ": there is no memory for "
                              "the scoreboard of so many; write a lower number",
                              slots / SLOTS_SPARE);
}

/* The master's construction: log, environment, application, server object. */
static int
construct(struct cg_arbiter *a, struct cg_error *err)
{
    const struct cg_settings *s = a->settings;
    const struct cg_server_calls calls = {
        .set_num_workers = set_num_workers,
        .num_workers = num_workers,
        .signal_self = signal_self,
        .set_timeout = set_timeout,
        .handle_signal = handle_signal,
        .spawn_worker = cg_arbiter_spawn_one,
        .kill_worker = cg_arbiter_kill_one,
        .cull = cg_arbiter_cull,
        .self = a,
    };
    int workers = (int)cg_settings_int(s, CG_workers);
    int r = cg_arbiter_open_log(a, err);
    if (r < 0) {
        return r;
    }
    if ((r = cg_settings_check_features(s, err)) < 0 ||
        (r = cg_worker_class_check(s, err)) < 0) {
        return r;
    }
    a->server = cg_py_server_new(s, a->log, &calls, err);
    if (a->server == NULL) {
        return err->code;
    }
    cg_arbiter_check_log(a);
    cg_arbiter_hear_trouble(a);
    cg_events_add(&a->events, CG_HAPPENED_START, 0, "cgunicorn %s starts",
                  CG_VERSION);
    cg_py_server_set_pid(a->server, a->master_pid);
    r = make_board(a, (uint64_t)workers * SLOTS_SPARE, err);
    if (r < 0) {
        return r;
    }
    cg_log_follow_level(a->log, &a->board->head->level);
    const struct cg_plan_options o = cg_arbiter_plan_options(a);
    cg_plan_init(&a->plan, &o, cg_arbiter_parent(),
                 cg_now_us() ^ (uint64_t)a->master_pid << 32);
    cg_arbiter_find_methods(a);
    cg_arbiter_publish_masters(a);
    set_start(a);
    if (cg_hook_is_set(s, CG_nworkers_changed)) {
        r = told(a, CG_nworkers_changed,
                 cg_hook_nworkers(a->server, workers, -1, err), err);
    }
    if (r < 0 || (r = cg_arbiter_apply_env(a, err)) < 0) {
        return r;
    }
    return cg_companions_check(s, err);
}

static void
warn_of_certificate(void *self, const char *text)
{
    cg_log_line(((struct cg_arbiter *)self)->log, CG_WARNING, "%s", text);
}

/* Before there are keys in memory. */
static void
keep_keys_from_core_files(struct cg_arbiter *a)
{
    if (a->core_filter >= 0) {
        return;
    }
    int before = cg_process_core_filter();
    int r = cg_process_no_core();
    if (r < 0) {
        cg_log_line(a->log, CG_WARNING,
                    "core files of this server will have its TLS keys: the "
                    "kernel does not let them be left out: %s",
                    strerror(-r));
    }
    a->core_filter = r == 0 && before >= 0 ? before : -1;
}

int
cg_arbiter_secure(struct cg_arbiter *a, const struct cg_settings *s,
                  struct cg_security **ret, struct cg_error *err)
{
    *ret = NULL;
    if (!cg_settings_are_secure(s)) {
        return 0;
    }
    keep_keys_from_core_files(a);
    if (a->tickets.board == NULL) {
        int r = cg_tickets_open(a->tickets.fd, &a->tickets, err);
        if (r < 0) {
            return r;
        }
    }
    int r = cg_security_new(s, a->tickets.board, ret, err);
    cg_security_warn(*ret, warn_of_certificate, a);
    return r;
}

static bool
is_interrupted(void *self)
{
    struct pollfd p = {.fd = ((struct cg_arbiter *)self)->signal_fd,
                       .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* Of a Python that can run without one. */
static void
log_gil(struct cg_arbiter *a)
{
    cg_auto(buf) struct cg_buf names = {0};
    if (!cg_python_is_free_threaded()) {
        return;
    }
    if (!cg_python_gil_is_on()) {
        cg_log_line(a->log, CG_INFO,
                    "The GIL is off: the threads of a worker run Python at the "
                    "same time");
        return;
    }
    cg_python_gil_names(&names);
    cg_log_line(a->log, CG_INFO, "The GIL is on%s%s: workers use the cores",
                names.n > 0 ? ", turned on by " : "", cg_buf_str(&names));
}

static int
open_sockets(struct cg_arbiter *a, struct cg_error *err)
{
    const struct cg_sockets none = {0};
    enum cg_inherited from;
    int r = cg_sockets_inherit(a->settings, &a->sockets, &from, err);
    if (r == 0 && from == INHERITED_NOTHING) {
        r = cg_sockets_open(a->settings, NULL, &none, a->log, is_interrupted, a,
                            &a->sockets, err);
    }
    if (r < 0) {
        return r;
    }
    a->systemd = from == INHERITED_SYSTEMD;
    cg_sockets_secure(&a->sockets, a->settings);
    cg_arbiter_publish_masters(a);
    cg_python_setenv("GUNICORN_FD", NULL, NULL);
    cg_python_setenv("LISTEN_PID", NULL, NULL);
    cg_python_setenv("LISTEN_FDS", NULL, NULL);
    cg_auto(buf) struct cg_buf text = {0};
    cg_sockets_text(&a->sockets, &text);
    cg_log_line(a->log, CG_DEBUG, "Arbiter booted");
    cg_log_line(a->log, CG_INFO, "Listening at: %s (%d)", cg_buf_str(&text),
                a->master_pid);
    cg_auto(buf) struct cg_buf names = {0};
    cg_sockets_names(&a->sockets, &names);
    if (names.n > 0) {
        cg_log_line(a->log, CG_INFO, "Sockets of systemd: %s",
                    cg_buf_str(&names));
    }
    cg_log_line(a->log, CG_INFO, "Using worker: %s",
                cg_settings_worker_class(a->settings));
    log_gil(a);
    if (cg_worker_class_is_replaced(a->settings)) {
        cg_log_line(a->log, CG_INFO,
                    "%s: the class asgi serves in its place (native_asgi)",
                    cg_settings_worker_class(a->settings));
    }
    cg_arbiter_log_workers(a);
    cg_arbiter_publish_listeners(a);
    return 0;
}

static int
hook_or_fail(struct cg_arbiter *a, enum cg_setting_id hook,
             struct cg_error *err)
{
    if (!cg_hook_is_set(a->settings, hook)) {
        return 0;
    }
    int r = told(a, hook, cg_hook_server(a->server, hook, err), err);
    cg_arbiter_follow_settings(a);
    return r;
}

/* An application that is broken into owns the machine then. */
static void
advise_of_root(struct cg_arbiter *a)
{
    if (geteuid() == 0 && cg_settings_int(a->settings, CG_user) == 0) {
        cg_arbiter_log_apart(a, CG_WARNING,
                             CG_SLICE("Workers run as root: name a user for "
                                      "them with `user` (--user)"));
    }
    if (cg_privilege_keeps_roots_group(a->settings)) {
        cg_arbiter_log_apart(a, CG_WARNING,
                             CG_SLICE("Workers stay in root's group (0): name "
                                      "another one with `group` (--group)"));
    }
}

static int
boot(struct cg_arbiter *a, struct cg_error *err)
{
    a->loaded = cg_now_of_files();
    int r = construct(a, err);
    if (r < 0 || (r = cg_arbiter_preload(a, err)) < 0) {
        return r;
    }
    cg_arbiter_log_settings(a);
    cg_log_line(a->log, CG_INFO, "Starting cgunicorn %s", CG_VERSION);
    advise_of_root(a);
    /* signals before there is something that a stop has to remove */
    if ((r = cg_signals_init(&a->signal_fd, err)) < 0 ||
        (r = cg_arbiter_write_pidfile(a, err)) < 0 ||
        (r = hook_or_fail(a, CG_on_starting, err)) < 0) {
        return r;
    }
    cg_signals_install();
    a->tickets.fd = cg_arbiter_inherited_tickets(a);
    if ((r = open_pipe(a, err)) < 0 ||
        (r = cg_arbiter_secure(a, a->settings, &a->security, err)) < 0 ||
        (r = cg_arbiter_make_handover(a, err)) < 0 ||
        (r = open_sockets(a, err)) < 0 ||
        (r = cg_arbiter_open_web(a, err)) < 0 ||
        (r = hook_or_fail(a, CG_when_ready, err)) < 0) {
        return r;
    }
    cg_companions_follow(a);
    cg_arbiter_open_channel(a);
    cg_arbiter_set_title(a, "master");
    if (a->app != NULL) {
        cg_app_freeze();
    }
    return 0;
}

/* ---- effects ---- */

static bool
logs_to_file(const struct cg_arbiter *a)
{
    const char *errorlog = cg_settings_str(a->settings, CG_errorlog);
    return errorlog != NULL && strcmp(errorlog, "-") != 0;
}

/* Who waits for the start at a shell hears why it failed: there where the log
 * goes to a file, else it has been seen. */
static void
tell_shell(struct cg_arbiter *a, int status, const char *reason)
{
    const char *errorlog = cg_settings_str(a->settings, CG_errorlog);
    if (a->start->ready_fd >= 0) {
        cg_ready_fail(&a->start->ready_fd, status != 0 ? status : EXIT_ERROR,
                      reason);
    } else if (status != 0 && !a->plan.serving && logs_to_file(a) &&
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

static void
carry_out_all(struct cg_arbiter *a)
{
    struct cg_effect e;
    while (cg_plan_next(&a->plan, &e)) {
        carry_out(a, &e);
    }
}

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
    carry_out_all(a);
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
        if (!cg_py_server_handles(a->server, sig)) {
            cg_plan_signal(&a->plan, sig, cg_arbiter_now_ms());
        }
        carry_out_all(a);
    }
    cg_arbiter_reap(a); /* each second too: a SIGCHLD may have been merged */
    carry_out_all(a);
    serve_desks(a);
    take_wishes(a);
    cg_arbiter_check_parent(a);
    cg_tickets_turn(&a->tickets, (int64_t)time(NULL));
    cg_arbiter_watch(a);
    cg_arbiter_mend_listeners(a);
    cg_plan_tick(&a->plan, cg_arbiter_now_ms());
    carry_out_all(a);
    cg_companions_turn(a);
    cg_arbiter_pass(a);
    carry_out_all(a);
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
    return a->failure_logged && !logs_to_file(a) &&
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
    if (boot(a, &err) < 0) {
        return fail_to_start(a, &err);
    }
    a->started_us = cg_now_us();
    cg_arbiter_sample(a);
    cg_arbiter_count_oom(a);
    a->watchdog_ms = cg_notify_watchdog_ms();
    cg_plan_start(&a->plan, cg_arbiter_now_ms());
    carry_out_all(a);
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
