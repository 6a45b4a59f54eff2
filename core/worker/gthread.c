/* SPDX-License-Identifier: MIT */
/*
 * The gthread class: up to `threads` executors, made when calls overlap. One of
 * them turns the loop and runs requests inline, as in the sync class; relief
 * lets another go on when its call is long. The main thread runs no requests:
 * it makes threads and takes signals. Of a range, `threads = "2-16"`, the least
 * are there from the start, and the others leave when they are idle for long.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"
#include "core/py/runtime/thread.h"
#include "core/worker/host.h"
#include "core/worker/wsgi_host.h"

enum {
    SPARE = 2,      /* threads at the start: one that serves, one that waits;
                       or as many as can compute at the same time */
    LEAVE_MS = 100, /* for threads to leave after a forced end */
    GRAIN_MS = 10,
    IDLE_US = 5 * 1000 * 1000 /* of a thread that is more than the least */
};

struct gthread;

/* What a thread gets. */
struct seat {
    struct gthread *g;
    _Atomic(struct cg_executor *) executor; /* NULL: free */
};

struct gthread {
    struct cg_wsgi_host h; /* first: its address is the host's self */
    int least, most;       /* threads */
    _Atomic int running;   /* those that are not done with the engine */
    struct seat seats[CG_BOARD_EXECUTORS];
    int look_fd;       /* eventfd: a thread is wanted, or the end has come */
    _Atomic int want;  /* a thread */
    _Atomic int prove; /* that the GIL can be had */
    _Atomic int late;  /* a request is to be interrupted */
};

static void
look(struct gthread *g)
{
    uint64_t one = 1;
    ssize_t ignored = write(g->look_fd, &one, sizeof one);
    (void)ignored;
}

static bool
want_executor(void *self)
{
    struct gthread *g = self;
    if (!atomic_exchange(&g->want, 1)) {
        look(g);
    }
    return true;
}

static void
prove(void *self)
{
    struct gthread *g = self;
    atomic_store(&g->prove, 1);
    look(g);
}

static void
over(void *self)
{
    look(self);
}

static void
interrupt(void *self)
{
    struct gthread *g = self;
    atomic_store(&g->late, 1);
    look(g);
}

/* ---- threads ---- */

/* The last thing that a thread does to g is to say that it is done: it may be
 * gone then. Who waits for that looks again and again. */
static void
thread_main(void *arg)
{
    struct seat *seat = arg;
    struct gthread *g = seat->g;
    if (!cg_engine_join(g->h.engine, seat->executor)) {
        cg_executor_free(atomic_exchange(&seat->executor, NULL));
    }
    atomic_fetch_sub(&g->running, 1);
}

static int
free_seat(const struct gthread *g)
{
    int i = 0;
    while (i < g->most && g->seats[i].executor != NULL) {
        i++;
    }
    return i;
}

static int
make_thread(struct gthread *g, struct cg_error *err)
{
    int i = free_seat(g);
    cg_auto(free) char *name = cg_strf("ThreadPoolExecutor-0_%d", i);
    struct seat *seat = &g->seats[i];
    seat->g = g;
    atomic_store(&seat->executor, cg_executor_new(g->h.engine, i + 1));
    atomic_fetch_add(&g->running, 1);
    int status = -1;
    int r = cg_py_thread_start(name, thread_main, seat, &status, err);
    if (r < 0 && r != -EINTR) {
        cg_executor_free(atomic_exchange(&seat->executor, NULL));
        atomic_fetch_sub(&g->running, 1);
        return r;
    }
    if (r == -EINTR) {
        cg_wsgi_host_interrupted(&g->h, status, err);
    }
    return 0;
}

/* Those that there are go on. */
static void
make_another(struct gthread *g)
{
    struct cg_error err = {0};
    if (free_seat(g) < g->most && make_thread(g, &err) < 0) {
        int n = atomic_load(&g->running);
        cg_log_line(g->h.run->start->log, CG_ERROR, "%s (%d of %d threads run)",
                    err.text, n, g->most);
        g->most = n; /* no use to try at every long call */
    }
}

static int
threads_at_start(const struct gthread *g)
{
    cpu_set_t cpus;
    bool known = sched_getaffinity(0, sizeof cpus, &cpus) == 0;
    int n = known && g->h.policy.engine.parallel ? CPU_COUNT(&cpus) : SPARE;
    n = n > SPARE ? n : SPARE;
    n = n > g->least ? n : g->least;
    return n < g->most ? n : g->most;
}

static int
make_first(struct gthread *g, struct cg_error *err)
{
    int r = make_thread(g, err);
    for (int i = 1; r == 0 && i < threads_at_start(g); i++) {
        make_another(g);
    }
    return r;
}

/* ---- the main thread ---- */

static void
wait_for_look(struct gthread *g, int ms)
{
    struct pollfd p[2] = {{.fd = g->look_fd, .events = POLLIN},
                          {.fd = g->h.run->wakeup_fd, .events = POLLIN}};
    char bytes[64];
    cg_gil_drop();
    poll(p, 2, ms);
    for (int i = 0; i < 2; i++) {
        while ((p[i].revents & POLLIN) &&
               read(p[i].fd, bytes, sizeof bytes) == sizeof bytes) {
        }
    }
    cg_gil_take();
}

static void
attend(struct gthread *g)
{
    while (!cg_engine_is_over(g->h.engine)) {
        wait_for_look(g, -1);
        cg_wsgi_host_signals(&g->h);
        if (atomic_exchange(&g->prove, 0)) {
            cg_engine_proved(g->h.engine);
        }
        if (atomic_exchange(&g->late, 0)) {
            cg_wsgi_interrupt(g->h.wsgi);
        }
        if (atomic_exchange(&g->want, 0)) {
            make_another(g);
        }
    }
}

/* Whether every thread has left; after a forced end some may never. */
static bool
wait_for_threads(struct gthread *g)
{
    int patience = cg_engine_end(g->h.engine) == CG_END_STOPPED ? -1 : LEAVE_MS;
    for (int ms = 0; atomic_load(&g->running) > 0; ms += GRAIN_MS) {
        if (patience >= 0 && ms >= patience) {
            return false;
        }
        wait_for_look(g, GRAIN_MS);
    }
    return true;
}

static int
serve(struct gthread *g, struct cg_error *err)
{
    int r = cg_wsgi_host_start(&g->h, err);
    if (r < 0) {
        return r;
    }
    r = make_first(g, err);
    if (r < 0) {
        cg_engine_abort(g->h.engine);
        return r;
    }
    attend(g);
    cg_wsgi_host_end(&g->h);
    return 0;
}

static void
release(struct gthread *g)
{
    cg_wsgi_host_release(&g->h);
    for (int i = 0; i < CG_BOARD_EXECUTORS; i++) {
        cg_executor_free(g->seats[i].executor);
    }
    cg_fd_close(&g->look_fd);
    free(g);
}

static struct cg_range
threads_of(struct cg_host_run *run)
{
    struct cg_range n = cg_settings_range(run->start->settings, CG_threads);
    if (n.most >= CG_BOARD_EXECUTORS) {
        cg_log_line(run->start->log, CG_WARNING,
                    "threads: a worker has %d at most, not %d: more workers "
                    "serve more at once",
                    CG_BOARD_EXECUTORS - 1, n.most);
        n.most = CG_BOARD_EXECUTORS - 1;
        n.least = n.least < n.most ? n.least : n.most;
    }
    return n.most < 1 ? (struct cg_range){1, 1} : n;
}

int
cg_host_gthread(struct cg_host_run *run, struct cg_error *err)
{
    struct gthread *g = cg_calloc(1, sizeof *g);
    struct cg_range threads = threads_of(run);
    bool follows = threads.least < threads.most;
    g->least = follows ? threads.least : 1;
    g->most = threads.most;
    g->look_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const struct cg_wsgi_host_class class = {.executors = g->most,
                                             .least_executors =
                                                 follows ? g->least : 0,
                                             .idle_us = follows ? IDLE_US : 0,
                                             .keeps_limit = true,
                                             .calls_may_last = true,
                                             .spools = true,
                                             .multithread = g->most > 1,
                                             .want_executor = want_executor,
                                             .prove = prove,
                                             .over = over,
                                             .interrupt = interrupt};
    int r = cg_wsgi_host_init(&g->h, run, &class, err);
    if (r < 0) {
        cg_fd_close(&g->look_fd);
        free(g);
        return r;
    }
    r = serve(g, err);
    if (wait_for_threads(g)) {
        release(g);
    } else {
        run->leave_at_once = true; /* the stuck threads use all of it */
    }
    return r;
}
