/* SPDX-License-Identifier: MIT */
/* The master's start: from settings to sockets on which clients wait; and what
 * `server` may ask the master for from then on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/py/compat/written.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"
#include "core/worker/privilege.h"
#include "logging/spool.h"

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

/* ---- a step each ---- */

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
    if (a->tickets.view == NULL) {
        int r = cg_tickets_open(a->tickets.fd, &a->tickets, err);
        if (r < 0) {
            return r;
        }
    }
    int r = cg_security_new(s, a->tickets.view, ret, err);
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

/* ---- all of it ---- */

int
cg_arbiter_boot(struct cg_arbiter *a, struct cg_error *err)
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
    cg_arbiter_set_own_title(a);
    if (a->app != NULL) {
        cg_app_freeze();
    }
    return 0;
}
