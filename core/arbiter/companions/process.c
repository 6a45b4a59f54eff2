/* SPDX-License-Identifier: MIT */
/*
 * One companion's process: how it is started, what it says, how it ended. When
 * that is done companions.c decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arbiter/companions/internal.h"
#include "core/arbiter/internal.h"
#include "core/arbiter/oom.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/base/title.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/companion.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/trace.h"
#include "core/share/dirty_page.h"
#include "core/worker/privilege.h"

enum {
    LINE_MOST = 4096,        /* of what one says; a longer one is cut in two */
    READ_A_TURN = 64 * 1024, /* then the others have their turn */
    EXIT_NO_PROGRAM = 127    /* as shells have it */
};

static uint64_t
now_ms(void)
{
    return cg_now_us() / 1000;
}

/* ---- what they say ---- */

static void
log_line(struct cg_arbiter *a, struct cg_companion *c)
{
    cg_auto(buf) struct cg_buf text = {0};
    while (c->line.n > 0 && c->line.p[c->line.n - 1] == '\r') {
        c->line.n--;
    }
    /* its own words, but they do not steer a terminal or make a line of ours */
    cg_buf_put_harmless(&text, (struct cg_slice){c->line.p, c->line.n}, "\t");
    if (text.n > 0) {
        cg_log_line(a->log, CG_INFO, "Companion %s: %s", c->name,
                    cg_buf_str(&text));
    }
    c->line.n = 0;
}

static void
take(struct cg_arbiter *a, struct cg_companion *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            log_line(a, c);
        } else {
            cg_buf_putc(&c->line, p[i]);
        }
        if (c->line.n >= LINE_MOST) {
            log_line(a, c);
        }
    }
}

/* What somebody it has left behind holds open does not keep us. */
void
cg_companion_listen(struct cg_arbiter *a, struct cg_companion *c)
{
    char chunk[8192];
    for (size_t total = 0; c->out_fd >= 0 && total < READ_A_TURN;) {
        ssize_t n = read(c->out_fd, chunk, sizeof chunk);
        if (n > 0) {
            take(a, c, chunk, (size_t)n);
            total += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            if (n == 0) {
                log_line(a, c);
                cg_fd_close(&c->out_fd);
            }
            return;
        }
    }
}

/* ---- starting ---- */

static void
in_child(void *self)
{
    struct cg_arbiter *a = self;
    cg_signals_reset_in_child();
    signal(CG_TRACE_SIGNAL, SIG_IGN); /* until it has a handler */
    cg_fd_close(&a->alive_write);
    cg_fd_close(&a->start->ready_fd);
    cg_arbiter_let_go(a);
    cg_sockets_close(&a->sockets, NULL, false);
}

static void
set_stdio(int out_fd)
{
    cg_auto(fd_close) int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null_fd, STDIN_FILENO);
    dup2(out_fd, STDOUT_FILENO);
    dup2(out_fd, STDERR_FILENO);
}

/* A group of its own: a terminal's Ctrl-C is the master's to hear, and what it
 * has started can be ended with it. The privileges before the wish to end with
 * the master, which a change of user clears. */
static int
become(const struct cg_arbiter *a, struct cg_error *err)
{
    setpgid(0, 0);
    int r = cg_privilege_drop(a->settings, err);
    if (r == 0) {
        r = cg_privilege_bind(a->settings, err);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (r == 0 && getppid() != a->master_pid) {
        r = cg_error_set(err, ESRCH, "the master is gone");
    }
    return r;
}

/* Python ignores these two for itself; what is executed would inherit it. */
static void
restore_signals(void)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signal(CG_TRACE_SIGNAL, SIG_DFL);
}

static int
execute(const struct cg_companion *c)
{
    struct cg_value words = cg_value_list();
    cg_split_words(c->what, &words);
    char **argv = cg_calloc(words.list.n + 1, sizeof *argv);
    for (size_t i = 0; i < words.list.n; i++) {
        argv[i] = words.list.items[i].s;
    }
    cg_auto(free) char *program =
        argv[0] != NULL ? cg_companion_program(argv[0]) : NULL;
    restore_signals();
    execv(program != NULL ? program : "", argv);
    fprintf(stderr, "'%s' cannot be executed: %s\n",
            argv[0] != NULL ? argv[0] : "", strerror(errno));
    free(argv);
    cg_value_release(&words);
    return EXIT_NO_PROGRAM;
}

static int
call(const struct cg_companion *c)
{
    struct cg_error err = {0};
    if (c->trace_fd >= 0) {
        cg_py_trace_start(c->trace_fd, CG_TRACE_SIGNAL, &err);
    }
    int status = cg_py_companion_run(c->what, c->page, c->page_n);
    int finish = cg_python_finish();
    return status != 0 ? status : finish;
}

static _Noreturn void
run_child(struct cg_arbiter *a, struct cg_companion *c, int out_fd)
{
    struct cg_error err = {0};
    set_stdio(out_fd);
    if (become(a, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    cg_python_setenv("CGUNICORN_COMPANION", c->name, NULL);
    cg_auto(free) char *role = cg_strf("companion %s", c->name);
    cg_arbiter_set_title(a, c->kind == CG_COMPANION_USERS ? role
                            : c->kind == CG_COMPANION_DIRTY_ARBITER
                                ? "dirty-arbiter"
                                : "dirty-worker");
    _exit(cg_companion_is_callable(c->what) ? call(c) : execute(c));
}

static int
open_output(int *ret_write)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    if (cg_fd_set_nonblock(fds[0]) < 0) {
        close(fds[0]);
        close(fds[1]);
        return -EIO;
    }
    *ret_write = fds[1];
    return fds[0];
}

void
cg_companion_start(struct cg_arbiter *a, struct cg_companion *c)
{
    cg_auto(fd_close) int out_fd = -1;
    uint64_t now = now_ms();
    cg_fd_close(&c->out_fd); /* of the last one, if somebody holds it open */
    c->line.n = 0;
    c->out_fd = open_output(&out_fd);
    c->trace_fd = cg_companion_is_callable(c->what)
                      ? memfd_create("cgunicorn-trace", MFD_CLOEXEC)
                      : -1;
    cg_dirty_open_page(a, c);
    pid_t pid = c->out_fd >= 0 ? cg_python_fork(in_child, a) : c->out_fd;
    if (pid == 0) {
        run_child(a, c, out_fd);
    }
    cg_dirty_keep_page(c);
    if (pid < 0) {
        cg_fd_close(&c->out_fd);
        cg_fd_close(&c->trace_fd);
        uint64_t ms = cg_companion_ended(&c->life, now);
        cg_log_line(a->log, CG_ERROR,
                    "Companion %s: cannot fork: %s (a limit on processes or "
                    "memory?); trying again in %" PRIu64 " s",
                    c->name, strerror((int)-pid), ms / 1000);
        return;
    }
    c->pid = (int)pid;
    cg_companion_started(&c->life, now);
    cg_log_line(a->log, CG_INFO, "Companion %s started (pid:%d): %s", c->name,
                c->pid, c->what);
}

/* ---- ends ---- */

static enum cg_death_cause
cause_of(struct cg_arbiter *a, const struct cg_companion *c, int status)
{
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) != SIGKILL        ? CG_DEATH_SIGNAL
               : cg_arbiter_was_oom(a) == OOM_YES ? CG_DEATH_OOM
                                                  : CG_DEATH_KILLED;
    }
    bool loaded = c->page == NULL || cg_dirty_look(c->page, c->page_n).booted;
    return loaded ? CG_DEATH_EXIT : CG_DEATH_BOOT;
}

static void
say_end(struct cg_arbiter *a, const struct cg_companion *c, int status,
        bool told, uint64_t pause)
{
    char how[80], then[60] = "";
    if (WIFSIGNALED(status)) {
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    } else {
        snprintf(how, sizeof how, "exited with status %d", WEXITSTATUS(status));
    }
    if (!told && !c->life.dismissed) {
        snprintf(then, sizeof then,
                 "; the next one is started in %" PRIu64 " s", pause / 1000);
    }
    cg_auto(free) char *verdict =
        cg_strf("Companion %s (pid:%d) %s", c->name, c->pid, how);
    cg_auto(free) char *text = cg_strf("%s%s", verdict, then);
    cg_arbiter_log_apart(a, told ? CG_INFO : CG_WARNING, cg_slice_of(text));
    if (!told) {
        cg_events_judge(&a->events, c->pid, cause_of(a, c, status), verdict);
    }
}

/* What is known of an end that nobody asked for, before its verdict. */
static void
hold_inquest(struct cg_arbiter *a, const struct cg_companion *c)
{
    struct cg_dirty_look look = cg_dirty_look(c->page, c->page_n);
    cg_auto(buf) struct cg_buf ran = {0};
    struct cg_report report = {.pid = c->pid,
                               .age = (uint32_t)c->life.starts,
                               .generation = a->plan.generation,
                               .lived_us = (now_ms() - c->life.born_ms) * 1000,
                               .requests = look.calls};
    cg_dirty_put_losses(c, &ran);
    if (ran.n > 0) {
        cg_buf_putf(&report.story, "%s (pid:%d) took with it: %s", c->name,
                    c->pid, cg_buf_str(&ran));
        cg_auto(free) char *text =
            cg_strf("Companion %s", cg_buf_str(&report.story));
        cg_arbiter_log_apart(a, CG_ERROR, cg_slice_of(text));
    }
    cg_events_bury(&a->events, &report);
}

/* What it has started ends with it, or there would be two. */
static void
bury(struct cg_arbiter *a, struct cg_companion *c, int status)
{
    bool told = c->life.state == COMPANION_STOPPING;
    kill(-c->pid, SIGKILL);
    cg_companion_listen(a, c);
    log_line(a, c);
    uint64_t pause = cg_companion_ended(&c->life, now_ms());
    if (!told) {
        hold_inquest(a, c);
    }
    say_end(a, c, status, told, pause);
    cg_dirty_close_page(c);
    cg_fd_close(&c->out_fd);
    cg_fd_close(&c->trace_fd);
    c->pid = 0;
}

void
cg_companion_reap(struct cg_arbiter *a, struct cg_companion *c)
{
    int status = 0;
    if (c->pid == 0) {
        return;
    }
    pid_t r = waitpid(c->pid, &status, WNOHANG);
    if (r == c->pid || (r < 0 && errno == ECHILD)) {
        bury(a, c, r == c->pid ? status : 0);
    }
}
