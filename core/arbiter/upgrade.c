/* SPDX-License-Identifier: MIT */
/*
 * Upgrade (USR2): a new master beside this one, in gunicorn's protocol: it
 * inherits the listening sockets, named by GUNICORN_FD (systemd's stay
 * systemd's), knows its parent from GUNICORN_PID, and takes the names
 * "Master.2" and "<pidfile>.2" until that parent is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/arbiter/pidfile.h"
#include "core/arbiter/signals.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/base/title.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"

int
cg_arbiter_parent(void)
{
    const char *text = getenv("GUNICORN_PID");
    long pid = text != NULL ? strtol(text, NULL, 10) : 0;
    return pid > 0 && pid < 1 << 30 ? (int)pid : 0;
}

/* One that another process was given, and that came to us by inheritance: the
 * old master is the parent of the new one, or has just ended. */
bool
cg_arbiter_check_environ(void)
{
    static const char *const names[] = {"GUNICORN_PID", "GUNICORN_FD",
                                        "CGUNICORN_BELL", "CGUNICORN_TICKETS"};
    int parent = cg_arbiter_parent();
    if (parent == 0 || parent == (int)getppid() ||
        !cg_process_is_alive(parent)) {
        return true;
    }
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        unsetenv(names[i]);
    }
    return false;
}

/* ---- the pidfile ---- */

static char *
pidfile_path(const struct cg_arbiter *a)
{
    const char *path = cg_settings_str(a->settings, CG_pidfile);
    const char *suffix = a->plan.parent_pid != 0 ? ".2" : "";
    cg_auto(free) char *dir = getcwd(NULL, 0);
    if (path == NULL) {
        return NULL;
    }
    return path[0] == '/'
               ? cg_strf("%s%s", path, suffix)
               : cg_strf("%s/%s%s", dir != NULL ? dir : "", path, suffix);
}

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

int
cg_arbiter_write_pidfile(struct cg_arbiter *a, struct cg_error *err)
{
    cg_auto(free) char *path = pidfile_path(a);
    if (path != NULL) {
        int r = cg_pidfile_write(path, a->master_pid, err);
        if (r < 0) {
            return r;
        }
    }
    if (a->pidfile != NULL && !same_text(a->pidfile, path)) {
        cg_pidfile_remove(a->pidfile, a->master_pid);
    }
    free(a->pidfile);
    a->pidfile = path;
    path = NULL;
    return 0;
}

void
cg_arbiter_follow_pidfile(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    if (cg_arbiter_write_pidfile(a, &err) < 0) {
        cg_log_line(a->log, CG_ERROR, "%s", err.text);
    }
}

/* One that the new master left behind because it was killed. */
static void
remove_its_pidfile(const struct cg_arbiter *a, int pid)
{
    if (a->pidfile != NULL) {
        cg_auto(free) char *path = cg_strf("%s.2", a->pidfile);
        cg_pidfile_remove(path, pid);
    }
}

/* ---- what the masters share ---- */

static bool
is_eventfd(int fd)
{
    static const char wanted[] = "anon_inode:[eventfd]";
    char target[sizeof wanted + 1];
    cg_auto(free) char *link = cg_strf("/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, target, sizeof target);
    return n == (ssize_t)sizeof wanted - 1 &&
           memcmp(target, wanted, (size_t)n) == 0;
}

/* Of an old master that is none of ours there is none. */
static int
inherited_bell(const struct cg_arbiter *a)
{
    const char *text = getenv("CGUNICORN_BELL");
    long fd =
        text != NULL && a->plan.parent_pid != 0 ? strtol(text, NULL, 10) : -1;
    return fd > STDERR_FILENO && fd < 1 << 30 && is_eventfd((int)fd) ? (int)fd
                                                                     : -1;
}

int
cg_arbiter_inherited_tickets(const struct cg_arbiter *a)
{
    const char *text = getenv("CGUNICORN_TICKETS");
    long fd =
        text != NULL && a->plan.parent_pid != 0 ? strtol(text, NULL, 10) : -1;
    cg_python_setenv("CGUNICORN_TICKETS", NULL, NULL);
    return fd > STDERR_FILENO && fd < 1 << 30 &&
                   cg_fd_set_cloexec((int)fd, 1) == 0
               ? (int)fd
               : -1;
}

int
cg_arbiter_make_handover(struct cg_arbiter *a, struct cg_error *err)
{
    cg_auto(fd_close) int bell_fd = inherited_bell(a);
    cg_python_setenv("CGUNICORN_BELL", NULL, NULL);
    return cg_handover_new(&a->handover, bell_fd, err);
}

/* A wake-up may have died with the other master's workers. */
static void
tell_workers_of_sharing(struct cg_arbiter *a)
{
    atomic_store(&a->board->master->shared, cg_plan_shares_sockets(&a->plan));
    cg_arbiter_ring(a);
}

/* ---- titles and names ---- */

void
cg_arbiter_set_title(const struct cg_arbiter *a, const char *role)
{
    cg_title_set(role, cg_settings_proc_name(a->settings));
    cg_py_title_follow();
}

/* A ".2" tells it from the old one until that has ended, as gunicorn has it.
 * What it forks meanwhile outlives that, and would keep it, so it has none. */
void
cg_arbiter_set_own_title(const struct cg_arbiter *a)
{
    cg_auto(free) char *name =
        cg_strf("%s%s", cg_settings_proc_name(a->settings),
                a->plan.parent_pid != 0 ? ".2" : "");
    cg_title_set("master", name);
    cg_py_title_follow();
}

void
cg_arbiter_publish_masters(struct cg_arbiter *a)
{
    cg_py_server_set_masters(a->server, a->plan.parent_pid, a->plan.reexec_pid,
                             cg_plan_name(&a->plan), a->systemd);
    tell_workers_of_sharing(a);
}

/* ---- the new master ---- */

static void
in_new_master(void *self)
{
    struct cg_arbiter *a = self;
    cg_signals_reset_in_child();
    /* or our workers would not notice that we end before it executes */
    cg_fd_close(&a->alive_write);
}

static _Noreturn void
become_new_master(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    int n = a->sockets.n;
    int *fds = cg_calloc((size_t)n + 1, sizeof *fds);
    for (int i = 0; i < n; i++) {
        fds[i] = a->sockets.items[i].fd;
    }
    if (a->core_filter >= 0) { /* the new program may want no TLS */
        cg_process_set_core_filter(a->core_filter);
    }
    if (cg_py_server_reexec(a->server, a->master_pid, fds, n,
                            a->handover.bell_fd, a->tickets.fd,
                            &err) == CG_HOOK_EXIT) {
        _exit(err.code);
    }
    cg_log_line(a->log, CG_ERROR, "the new master cannot be started: %s",
                err.text);
    _exit(1);
}

void
cg_arbiter_reexec(struct cg_arbiter *a)
{
    pid_t pid = cg_python_fork(in_new_master, a);
    if (pid == 0) {
        become_new_master(a);
    }
    if (pid < 0) {
        cg_log_line(a->log, CG_ERROR, "cannot fork a new master: %s",
                    strerror((int)-pid));
    } else {
        cg_log_line(a->log, CG_INFO, "New master started (pid:%d)", (int)pid);
        cg_events_add(&a->events, CG_HAPPENED_UPGRADE, 0,
                      "New master started (pid:%d)", (int)pid);
    }
    cg_plan_reexeced(&a->plan, (int)pid);
    cg_arbiter_publish_masters(a);
}

void
cg_arbiter_new_master_ended(struct cg_arbiter *a, int pid)
{
    remove_its_pidfile(a, pid);
    cg_arbiter_publish_masters(a);
}

/* ---- being the new master ---- */

void
cg_arbiter_check_parent(struct cg_arbiter *a)
{
    if (a->plan.parent_pid != 0 && getppid() != a->plan.parent_pid) {
        cg_plan_orphaned(&a->plan);
    }
}

void
cg_arbiter_promote(struct cg_arbiter *a)
{
    cg_events_add(&a->events, CG_HAPPENED_UPGRADE, 0,
                  "The old master has ended, this one has taken its place");
    cg_python_setenv("GUNICORN_PID", NULL, NULL);
    cg_arbiter_publish_masters(a);
    cg_arbiter_set_own_title(a);
    cg_arbiter_follow_pidfile(a);
    cg_notify("MAINPID=%d\nREADY=1\nSTATUS=Promoted", a->master_pid);
}
