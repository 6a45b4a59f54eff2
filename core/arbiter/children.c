/* SPDX-License-Identifier: MIT */
/* Workers from the master's side: forked, heard from, watched, buried. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/oom.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/py/compat/python_worker.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/interp.h"
#include "logging/spool.h"

enum {
    WEIGH_MS = 1000,
    STRANGER_MS = 1000,
    ORPHAN_MS = 1000,
    NEWS_A_TURN = 16
};

uint64_t
cg_arbiter_now_ms(void)
{
    return cg_now_us() / 1000;
}

int
cg_arbiter_hook(struct cg_arbiter *a, enum cg_setting_id hook,
                struct cg_py_worker *w)
{
    struct cg_error err = {0};
    if (!cg_hook_is_set(a->settings, hook)) {
        return 0;
    }
    int r = w != NULL ? cg_hook_server_worker(a->server, hook, w, &err)
                      : cg_hook_server(a->server, hook, &err);
    cg_arbiter_follow_settings(a);
    if (!cg_arbiter_exits(a, hook, r, &err) && r < 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text, "Exception in the hook %s\n%s",
                    cg_setting_name(hook), err.text);
        cg_log_text(a->log, CG_ERROR, (struct cg_slice){text.p, text.n});
    }
    return r;
}

/* ---- forking ---- */

/* The lines of the access log that its worker has not written yet. */
static struct cg_spool *
spool_of(const struct cg_arbiter *a, struct cg_slot *slot)
{
    return cg_slot_extra(a->board, slot);
}

static bool
is_taken(const struct cg_arbiter *a, const struct cg_slot *slot)
{
    for (int i = 0; i < a->nchildren; i++) {
        if (a->children[i].slot == slot) {
            return true;
        }
    }
    return false;
}

/* By our own books: what is written on the slot is its worker's word. */
static struct cg_slot *
free_slot(struct cg_arbiter *a)
{
    for (uint32_t i = 0; i < a->board->nslots; i++) {
        struct cg_slot *slot = cg_board_slot(a->board, i);
        if (!is_taken(a, slot)) {
            return slot;
        }
    }
    return NULL;
}

static void
in_child(void *self)
{
    struct cg_arbiter *a = self;
    cg_signals_reset_in_child();
    cg_worker_early_signals();
    cg_fd_close(&a->alive_write);
    cg_fd_close(&a->start->ready_fd);
    cg_arbiter_let_go(a);
}

/* Who waits for orphans may take a moment. One that is still there is a child
 * of somebody who does not: there keepers are ours, or the table of processes
 * would fill. */
static void
look_at_dead_keeper(struct cg_arbiter *a)
{
    if (a->dead_keeper == 0 ||
        cg_arbiter_now_ms() - a->dead_keeper_ms < ORPHAN_MS) {
        return;
    }
    if (cg_process_state(a->dead_keeper) == 'Z') {
        a->nobody_reaps = true;
        cg_log_line(a->log, CG_DEBUG,
                    "Nobody waits for orphans here: keepers of connections "
                    "become children of the master");
    }
    a->dead_keeper = 0;
}

static void
remember_keeper(struct cg_arbiter *a, const struct cg_slot *slot)
{
    int pid = atomic_load(&slot->keeper);
    if (a->dead_keeper == 0 && !a->nobody_reaps && pid > 0) {
        a->dead_keeper = pid;
        a->dead_keeper_ms = cg_arbiter_now_ms();
    }
}

/* The lowest that no other worker of its generation has which stays: so the
 * successor of one that dies or leaves has its number. */
static bool
has_number(const struct cg_arbiter *a, int number)
{
    for (int i = 0; i < a->nchildren; i++) {
        const struct cg_child *c = &a->children[i];
        const struct cg_plan_worker *w = cg_plan_worker(&a->plan, c->pid);
        if (c->number == number && w != NULL &&
            w->generation == a->plan.generation &&
            (w->state == ROSTER_BOOTING || w->state == ROSTER_READY)) {
            return true;
        }
    }
    return false;
}

static int
free_number(const struct cg_arbiter *a)
{
    int number = 1;
    while (has_number(a, number)) {
        number++;
    }
    return number;
}

static void
publish_number(const struct cg_child *c)
{
    char text[16];
    snprintf(text, sizeof text, "%d", c->number);
    cg_python_setenv("CGUNICORN_WORKER_ID", text, NULL);
}

static _Noreturn void
run_child(struct cg_arbiter *a, struct cg_child *c, int news_fd)
{
    publish_number(c);
    cg_fd_close(&c->news_fd); /* the master's end */
    cg_fd_close(&c->beat_fd);
    cg_log_part(a->log);
    cg_scoreboard_enter(a->board, c->slot);
    const struct cg_worker_start start = {
        .settings = a->settings,
        .log = a->log,
        .listeners = a->sockets.items,
        .nlisteners = a->sockets.n,
        .board = a->board,
        .slot = c->slot,
        .spool = spool_of(a, c->slot),
        .handover = &a->handover,
        .security = a->security,
        .age = a->plan.age + 1,
        .master_pid = a->master_pid,
        .alive_fd = a->alive_read,
        .news_fd = news_fd,
        .server = a->server,
        .worker = c->object,
        .trace_fd = c->trace_fd,
        .loaded = a->loaded,
        .keeper_parent =
            a->nobody_reaps ? CG_KEEPER_OF_MASTER : CG_KEEPER_ORPHAN,
        .name = cg_settings_proc_name(a->settings),
    };
    cg_arbiter_set_title(a, "worker");
    int status = cg_worker_main(&start);
    _exit(status);
}

static void
keep(struct cg_arbiter *a, int pid, struct cg_child c)
{
    a->children = cg_realloc(a->children,
                             (size_t)(a->nchildren + 1) * sizeof *a->children);
    c.pid = pid;
    a->children[a->nchildren++] = c;
    atomic_store(&c.slot->pid, pid);
    cg_py_worker_set_pid(c.object, pid);
    cg_py_server_add_worker(a->server, pid, c.object);
}

/* worker.max_requests, with the jitter as in gunicorn. */
static int
request_limit(const struct cg_settings *s)
{
    int64_t most = cg_settings_int(s, CG_max_requests);
    uint64_t jitter = (uint64_t)cg_settings_int(s, CG_max_requests_jitter);
    uint64_t random = 0;
    if (most == 0) {
        return 0;
    }
    if (jitter > 0 && getrandom(&random, sizeof random, 0) < 0) {
        random = cg_now_us();
    }
    most += jitter > 0 ? (int64_t)(random % (jitter + 1)) : 0;
    return most < INT32_MAX ? (int)most : INT32_MAX;
}

/* A pipe for what one worker says: the other end, or -errno. What comes is that
 * worker's word, and no other can say it. */
static int
open_news(int *ret_write)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    int r = cg_fd_set_nonblock(fds[0]);
    if (r < 0) {
        close(fds[0]);
        close(fds[1]);
        return r;
    }
    *ret_write = fds[1];
    return fds[0];
}

/* Its object; NULL: that was not to be, and is logged. */
static struct cg_py_worker *
make_object(struct cg_arbiter *a, uint32_t age)
{
    struct cg_error err = {0};
    struct cg_py_worker *w =
        cg_worker_class_is_python(a->settings)
            ? cg_python_worker_new(a->server, (int)age, &err)
            : cg_py_worker_new(a->server, (int)age, request_limit(a->settings),
                               &err);
    if (w == NULL) {
        cg_log_line(a->log, CG_ERROR, "cannot make a worker: %s", err.text);
    }
    if (w == NULL && !a->plan.serving && a->nchildren == 0) {
        /* at the start, as a worker that does not boot: it would not be made
         * the next time either */
        cg_plan_exit(&a->plan, 1, "The first worker cannot be made.",
                     cg_arbiter_now_ms());
    }
    return w;
}

static void
init_beat(const struct cg_arbiter *a, struct cg_child *c)
{
    struct stat st;
    c->beat_fd = cg_worker_class_is_python(a->settings)
                     ? cg_python_worker_beat_fd(c->object)
                     : -1;
    if (c->beat_fd >= 0 && fstat(c->beat_fd, &st) == 0) {
        c->beat_seen = st.st_ctim;
    }
}

static void
release_child(struct cg_child *c)
{
    cg_fd_close(&c->trace_fd);
    cg_fd_close(&c->news_fd);
    if (c->beat_fd >= 0) {
        cg_python_worker_bury(c->object);
        cg_fd_close(&c->beat_fd);
    }
}

static int
fork_worker(struct cg_arbiter *a, struct cg_slot *slot)
{
    uint32_t age = a->plan.age + 1;
    struct cg_py_worker *w = make_object(a, age);
    if (w == NULL) {
        return -ENOMEM;
    }
    int number = free_number(a);
    cg_py_worker_set_number(w, number);
    int r = cg_arbiter_hook(a, CG_pre_fork, w);
    if (r == CG_HOOK_EXIT || r == CG_HOOK_HALT) {
        cg_py_worker_free(w);
        return -ECANCELED;
    }
    cg_slot_claim(a->board, slot, age, a->plan.generation);
    cg_spool_reset(spool_of(a, slot));
    atomic_store(&slot->started_us, cg_now_us());
    cg_auto(fd_close) int news_fd = -1; /* its end */
    struct cg_child c = {.slot = slot,
                         .number = number,
                         .trace_fd = cg_arbiter_trace_file(),
                         .news_fd = open_news(&news_fd),
                         .object = w};
    init_beat(a, &c);
    pid_t pid = c.news_fd >= 0 ? cg_python_fork(in_child, a) : (pid_t)c.news_fd;
    if (pid == 0) {
        run_child(a, &c, news_fd);
    }
    if (pid < 0) {
        cg_log_line(a->log, CG_ERROR,
                    "cannot fork a worker: %s (a limit on processes or "
                    "memory?); trying again",
                    strerror(-pid));
        cg_slot_clear(slot);
        release_child(&c);
        cg_py_worker_free(w);
        return (int)pid;
    }
    keep(a, (int)pid, c);
    return (int)pid;
}

int
cg_arbiter_fork(struct cg_arbiter *a)
{
    struct cg_slot *slot = free_slot(a);
    int pid = -EAGAIN;
    if (slot == NULL) {
        cg_log_line(a->log, CG_ERROR,
                    "no more than %u workers fit on the scoreboard",
                    a->board->nslots);
    } else {
        pid = fork_worker(a, slot);
    }
    cg_plan_spawned(&a->plan, pid, cg_arbiter_now_ms());
    return pid;
}

void
cg_arbiter_spawn(struct cg_arbiter *a)
{
    if (!cg_arbiter_asks_to_spawn(a)) {
        cg_arbiter_fork(a);
    }
}

/* ---- their ends ---- */

struct cg_child *
cg_arbiter_child(struct cg_arbiter *a, int pid)
{
    for (int i = 0; i < a->nchildren; i++) {
        if (a->children[i].pid == pid) {
            return &a->children[i];
        }
    }
    return NULL;
}

/* The end of a process that is no worker: the new master, or, as PID 1, an
 * orphan of somebody's. */
static void
bury_stranger(struct cg_arbiter *a, int pid, int status)
{
    if (cg_plan_exited(&a->plan, pid, status, OOM_UNKNOWN,
                       cg_arbiter_now_ms())) {
        cg_arbiter_new_master_ended(a, pid);
    } else {
        cg_log_line(a->log, CG_DEBUG,
                    "Reaped unknown child process (pid:%d, status:%d)", pid,
                    status);
    }
}

static void
report(struct cg_arbiter *a, struct cg_child *c, const struct cg_plan_worker *w)
{
    struct cg_report r = {
        .pid = c->pid,
        .age = w->age,
        .generation = w->generation,
        .lived_us = (cg_arbiter_now_ms() - w->born_ms) * 1000,
        .requests = cg_slot_requests(c->slot),
        .rss_bytes = c->rss_bytes,
        .story = c->story,
    };
    c->story = (struct cg_buf){0};
    cg_events_bury(&a->events, &r);
}

/* What it left in its trace, and what it had under way. */
static void
hold_inquest(struct cg_arbiter *a, struct cg_child *c, int status,
             const struct cg_plan_worker *w)
{
    bool killed = WIFSIGNALED(status);
    if (cg_plan_was_stopped(w, status)) {
        return;
    }
    if (killed) {
        cg_arbiter_tell_trace(a, c, "Stacks of worker at its end");
    }
    if (killed || WEXITSTATUS(status) != 0) {
        cg_arbiter_tell_losses(a, c);
        report(a, c, w);
    } else if (w->aborted_ms != 0) { /* it heeded ABRT, and ended well */
        report(a, c, w);
        cg_auto(free) char *text =
            cg_strf("Worker (pid:%d) was silent for longer than timeout and "
                    "ended when it was told to.",
                    c->pid);
        cg_events_judge(&a->events, c->pid, CG_DEATH_TIMEOUT, text);
    } else if (w->state == ROSTER_READY && !cg_plan_is_ending(&a->plan)) {
        cg_arbiter_tell_losses(a, c); /* if any: a good end has none */
        report(a, c, w);
        cg_auto(free) char *text =
            cg_strf("Worker (pid:%d) ended by itself with code 0: it was sent "
                    "TERM, or the application ended it.",
                    c->pid);
        cg_events_judge(&a->events, c->pid, CG_DEATH_EXIT, text);
    }
}

static void
bury(struct cg_arbiter *a, int pid, int status)
{
    struct cg_child *c = cg_arbiter_child(a, pid);
    if (c == NULL) {
        bury_stranger(a, pid, status);
        return;
    }
    struct cg_child child = *c;
    const struct cg_plan_worker *known = cg_plan_worker(&a->plan, pid);
    const struct cg_plan_worker w =
        known != NULL ? *known : (struct cg_plan_worker){.pid = pid};
    *c = a->children[--a->nchildren];
    cg_log_rescue(a->log, spool_of(a, child.slot));
    bool by_kill = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    cg_plan_exited(&a->plan, pid, status,
                   by_kill ? cg_arbiter_was_oom(a) : OOM_UNKNOWN,
                   cg_arbiter_now_ms());
    hold_inquest(a, &child, status, &w);
    remember_keeper(a, child.slot);
    cg_totals_add(&a->past, child.slot);
    cg_slot_clear(child.slot);
    cg_buf_release(&child.story);
    release_child(&child);
    cg_arbiter_poke(a); /* a wake-up may have died with it */
    cg_py_server_del_worker(a->server, pid);
    cg_arbiter_hook(a, CG_child_exit, child.object);
    cg_py_worker_free(child.object);
}

/* Whether that child has ended. One whose status somebody else took counts as
 * ended well: nobody knows better. */
static bool
has_ended(struct cg_arbiter *a, int pid, int *ret_status)
{
    pid_t r = waitpid(pid, ret_status, WNOHANG);
    if (r < 0 && errno == ECHILD) {
        *ret_status = 0;
        cg_log_line(a->log, CG_WARNING,
                    "Process (pid:%d) has ended, and its exit status went to "
                    "somebody else: a hook that waits for any child?",
                    pid);
        return true;
    }
    return r == pid;
}

/* Children of ours, one by one: waiting for any child would take the status
 * from a thread of a hook that runs a command. */
static void
reap_ours(struct cg_arbiter *a)
{
    int status;
    for (int i = a->nchildren - 1; i >= 0; i--) {
        int pid = a->children[i].pid;
        if (has_ended(a, pid, &status)) {
            bury(a, pid, status);
        }
    }
    int reexec = a->plan.reexec_pid;
    if (reexec != 0 && has_ended(a, reexec, &status)) {
        bury_stranger(a, reexec, status);
    }
}

/* Orphans that a PID 1 inherits. Whose they are cannot be seen, so they get a
 * second in which somebody else may wait for them. */
static void
reap_strangers(struct cg_arbiter *a)
{
    siginfo_t dead = {.si_pid = 0};
    uint64_t now = cg_arbiter_now_ms();
    int status;
    pid_t pid;
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        dead.si_pid == 0) {
        a->stranger = 0;
        return;
    }
    if (a->stranger != dead.si_pid) {
        a->stranger = dead.si_pid;
        a->stranger_ms = now;
    } else if (now - a->stranger_ms >= STRANGER_MS) {
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            bury(a, (int)pid, status);
        }
        a->stranger = 0;
    }
}

void
cg_arbiter_reap(struct cg_arbiter *a)
{
    cg_arbiter_read_news(a); /* what it said last, before it is gone */
    reap_ours(a);
    reap_strangers(a);
}

/* ---- their news ---- */

/* For a terminal: a worker's words must not steer it. */
static void
keep_failure(struct cg_arbiter *a, const char *text)
{
    size_t n = strnlen(text, sizeof a->failure - 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        a->failure[i] =
            (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : text[i];
    }
    a->failure[n] = '\0';
    cg_plan_explain_failure(&a->plan, a->failure);
}

/* All workers see a change; the first one that tells it is heard until what
 * follows from it is over. */
static void
on_change(struct cg_arbiter *a, const char *text)
{
    cg_auto(buf) struct cg_buf path = {0};
    if (a->change_heard || !cg_settings_bool(a->settings, CG_reload)) {
        return;
    }
    a->change_heard = true;
    cg_buf_put_escaped(
        &path, (struct cg_slice){text, strnlen(text, sizeof a->failure)}, 900);
    cg_log_line(a->log, CG_INFO, "Worker reloading: %s modified",
                cg_buf_str(&path));
    kill(getpid(), SIGHUP);
}

/* For the report on its end: the log has it from the worker. */
static void
tell_failure(struct cg_arbiter *a, int pid)
{
    const char *text = a->failure; /* bounded, and made harmless */
    struct cg_child *c = cg_arbiter_child(a, pid);
    if (c != NULL && c->story.n + strlen(text) + 1 < CG_REPORT_SIZE) {
        cg_buf_puts(&c->story, text);
        cg_buf_putc(&c->story, '\n');
    }
}

static void
on_news(struct cg_arbiter *a, int pid, const struct cg_worker_news *news)
{
    switch (news->kind) {
    case CG_NEWS_READY:
        cg_plan_ready(&a->plan, pid, cg_arbiter_now_ms());
        break;
    case CG_NEWS_RETIRE:
        cg_plan_retire(&a->plan, pid, "", cg_arbiter_now_ms());
        break;
    case CG_NEWS_STUCK:
        cg_plan_stuck(&a->plan, pid, cg_arbiter_now_ms());
        break;
    case CG_NEWS_CHANGED: on_change(a, news->text); break;
    case CG_NEWS_OVER: cg_plan_over(&a->plan, pid); break;
    case CG_NEWS_FAILED:
        keep_failure(a, news->text);
        tell_failure(a, pid);
        break;
    }
}

/* Not without an end: one that talks all the time must not keep us from the
 * others. One that closes its end, or talks nonsense, is not heard any more. */
static void
hear(struct cg_arbiter *a, struct cg_child *c)
{
    struct cg_worker_news news;
    for (int i = 0; c->news_fd >= 0 && i < NEWS_A_TURN; i++) {
        ssize_t n = read(c->news_fd, &news, sizeof news);
        if (n == sizeof news) {
            on_news(a, c->pid, &news);
        } else if (n >= 0) {
            cg_fd_close(&c->news_fd);
        } else {
            return;
        }
    }
}

void
cg_arbiter_read_news(struct cg_arbiter *a)
{
    for (int i = 0; i < a->nchildren; i++) {
        hear(a, &a->children[i]);
    }
}

/* ---- signs of life ---- */

/* Once a second: it costs an open, a read and a close for each worker. */
static void
weigh(struct cg_arbiter *a, uint64_t now_ms)
{
    if (a->plan.o.rss_limit == 0 || now_ms < a->weighed_ms + WEIGH_MS) {
        return;
    }
    a->weighed_ms = now_ms;
    for (int i = 0; i < a->nchildren; i++) {
        struct cg_child *c = &a->children[i];
        c->rss_bytes = cg_process_costs(c->pid).rss_bytes;
        cg_plan_weighed(&a->plan, c->pid, c->rss_bytes, now_ms);
    }
}

/* How long it has been silent for no good reason. Hooks and Python's end show
 * no sign of life; if it was told to stop, graceful_timeout bounds them. */
static uint64_t
silent_us(const struct cg_arbiter *a, const struct cg_child *c, uint64_t now_us)
{
    struct cg_slot_look look = cg_slot_look(c->slot);
    if (look.state == CG_WORKER_ENDING &&
        cg_plan_is_stopping(&a->plan, c->pid)) {
        return 0;
    }
    if (c->beat_fd >= 0) {
        return c->beat_us != 0 ? now_us - c->beat_us : 0;
    }
    return cg_slot_silent_us(&look, now_us);
}

/* gunicorn's workers set the times of their file, older ones its mode: both
 * change its ctime, of whatever clock. The first one says that it serves, to
 * whom says so in no other way. */
static void
feel_beat(struct cg_arbiter *a, struct cg_child *c, uint64_t now_us)
{
    struct stat st;
    if (c->beat_fd < 0 || fstat(c->beat_fd, &st) < 0 ||
        (st.st_ctim.tv_sec == c->beat_seen.tv_sec &&
         st.st_ctim.tv_nsec == c->beat_seen.tv_nsec)) {
        return;
    }
    c->beat_seen = st.st_ctim;
    if (c->beat_us == 0) {
        cg_plan_ready(&a->plan, c->pid, now_us / 1000);
    }
    c->beat_us = now_us;
}

/* Keepers that somebody has killed; once a second. */
static void
watch_keepers(struct cg_arbiter *a, uint64_t now_ms)
{
    if (now_ms < a->keepers_ms + ORPHAN_MS) {
        return;
    }
    a->keepers_ms = now_ms;
    for (int i = 0; i < a->nchildren; i++) {
        const struct cg_child *c = &a->children[i];
        int pid = atomic_load(&c->slot->keeper);
        if (pid > 0 && atomic_load(&c->slot->booted) &&
            !cg_process_is_alive(pid)) {
            kill(c->pid, CG_KEEPER_SIGNAL);
        }
    }
}

void
cg_arbiter_watch(struct cg_arbiter *a)
{
    uint64_t now = cg_now_us();
    for (int i = 0; i < a->nchildren; i++) {
        struct cg_child *c = &a->children[i];
        feel_beat(a, c, now);
        cg_plan_silent(&a->plan, c->pid, silent_us(a, c, now) / 1000,
                       now / 1000);
    }
    weigh(a, now / 1000);
    watch_keepers(a, now / 1000);
    look_at_dead_keeper(a);
}
