/* SPDX-License-Identifier: MIT */
/* Workers from the master's side: forked, heard from, watched, buried. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/signals.h"
#include "core/arbiter/title.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/interp.h"

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
    if (r < 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text, "Exception in the hook %s\n%s",
                    cg_setting_name(hook), err.text);
        cg_log_text(a->log, CG_ERROR, (struct cg_slice){text.p, text.n});
    }
    return r;
}

/* ---- forking ---- */

static struct cg_slot *
free_slot(struct cg_arbiter *a)
{
    for (uint32_t i = 0; i < a->board->nslots; i++) {
        if (atomic_load(&a->board->slot[i].state) == CG_WORKER_FREE) {
            return &a->board->slot[i];
        }
    }
    return NULL;
}

static void
in_child(void *self)
{
    struct cg_arbiter *a = self;
    cg_signals_reset_in_child();
    cg_fd_close(&a->alive_write);
    cg_fd_close(&a->news_read);
    cg_fd_close(&a->start->ready_fd);
    cg_title_set("worker", cg_settings_proc_name(a->settings));
}

static _Noreturn void
run_child(struct cg_arbiter *a, struct cg_slot *slot, struct cg_py_worker *w)
{
    const struct cg_worker_start start = {
        .settings = a->settings,
        .log = a->log,
        .listeners = a->sockets.items,
        .nlisteners = a->sockets.n,
        .board = a->board,
        .slot = slot,
        .handover = &a->handover,
        .age = a->plan.age + 1,
        .master_pid = a->master_pid,
        .alive_fd = a->alive_read,
        .news_fd = a->news_write,
        .server = a->server,
        .worker = w,
        .app = a->app,
        .app_spec = cg_settings_str(a->settings, CG_wsgi_app),
    };
    int status = cg_worker_main(&start);
    _exit(status);
}

static void
keep(struct cg_arbiter *a, int pid, struct cg_slot *slot,
     struct cg_py_worker *w)
{
    a->children = cg_realloc(a->children,
                             (size_t)(a->nchildren + 1) * sizeof *a->children);
    a->children[a->nchildren++] =
        (struct cg_child){.pid = pid, .slot = slot, .object = w};
    atomic_store(&slot->pid, pid);
    cg_py_worker_set_pid(w, pid);
    cg_py_server_add_worker(a->server, pid, w);
}

static int
fork_worker(struct cg_arbiter *a, struct cg_slot *slot)
{
    struct cg_error err = {0};
    uint32_t age = a->plan.age + 1;
    struct cg_py_worker *w = cg_py_worker_new(
        a->server, (int)age, (int)cg_settings_int(a->settings, CG_max_requests),
        &err);
    if (w == NULL) {
        cg_log_line(a->log, CG_ERROR, "cannot make a worker: %s", err.text);
        return -ENOMEM;
    }
    cg_arbiter_hook(a, CG_pre_fork, w);
    cg_slot_claim(a->board, slot, age, a->plan.generation);
    atomic_store(&slot->started_us, cg_now_us());
    pid_t pid = cg_python_fork(in_child, a);
    if (pid == 0) {
        run_child(a, slot, w);
    }
    if (pid < 0) {
        cg_log_line(a->log, CG_ERROR,
                    "cannot fork a worker: %s (a limit on processes or "
                    "memory?); trying again",
                    strerror(-pid));
        cg_slot_clear(slot);
        cg_py_worker_free(w);
        return (int)pid;
    }
    keep(a, (int)pid, slot, w);
    return (int)pid;
}

void
cg_arbiter_spawn(struct cg_arbiter *a)
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
}

/* ---- their ends ---- */

static struct cg_child *
find(struct cg_arbiter *a, int pid)
{
    for (int i = 0; i < a->nchildren; i++) {
        if (a->children[i].pid == pid) {
            return &a->children[i];
        }
    }
    return NULL;
}

static void
bury(struct cg_arbiter *a, int pid, int status)
{
    struct cg_child *c = find(a, pid);
    if (c == NULL) {
        cg_log_line(a->log, CG_DEBUG,
                    "Reaped unknown child process (pid:%d, status:%d)", pid,
                    status);
        return;
    }
    struct cg_child child = *c;
    *c = a->children[--a->nchildren];
    cg_slot_clear(child.slot);
    /* a wake-up may have died with it */
    cg_handover_poke(&a->handover);
    cg_handover_poke(&a->old_handover);
    cg_plan_exited(&a->plan, pid, status, cg_arbiter_now_ms());
    cg_py_server_del_worker(a->server, pid);
    cg_arbiter_hook(a, CG_child_exit, child.object);
    cg_py_worker_free(child.object);
}

void
cg_arbiter_reap(struct cg_arbiter *a)
{
    int status;
    pid_t pid;
    cg_arbiter_read_news(a); /* what it said last, before it is gone */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bury(a, (int)pid, status);
    }
}

/* ---- their news ---- */

void
cg_arbiter_read_news(struct cg_arbiter *a)
{
    struct cg_worker_news news;
    while (read(a->news_read, &news, sizeof news) == sizeof news) {
        news.text[sizeof news.text - 1] = '\0';
        if (news.ready) {
            cg_plan_ready(&a->plan, news.pid, cg_arbiter_now_ms());
        } else {
            memcpy(a->failure, news.text, sizeof a->failure);
        }
    }
}

/* ---- signs of life ---- */

void
cg_arbiter_watch(struct cg_arbiter *a)
{
    uint64_t now = cg_now_us();
    for (int i = 0; i < a->nchildren; i++) {
        uint64_t silent = cg_slot_silent_us(a->children[i].slot, now);
        cg_plan_silent(&a->plan, a->children[i].pid, silent / 1000, now / 1000);
    }
}
