/* SPDX-License-Identifier: MIT */
/*
 * The gevent, eventlet and tornado classes: a Python package's loop watches the
 * engine; a request runs in a greenlet, or on the loop itself.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/loops/host_loop.h"
#include "core/worker/host.h"
#include "core/worker/wsgi_host.h"

enum { LOOP_HIGH_WATER = 16 << 20 };

struct hosted {
    struct cg_wsgi_host h; /* first: its address is the host's self */
    struct cg_py_loop *loop;
    struct cg_executor *executor;
};

static bool
poll_engine(void *self)
{
    struct hosted *o = self;
    return cg_engine_poll(o->h.engine, o->executor);
}

static bool
is_child(void *self)
{
    struct hosted *o = self;
    return !cg_engine_is_over(o->h.engine);
}

static void
run(void *self, struct cg_exchange *ex)
{
    cg_py_loop_run(((struct hosted *)self)->loop, ex);
}

static void
drained(void *self, struct cg_exchange *ex)
{
    cg_py_loop_drained(((struct hosted *)self)->loop, ex);
}

/* Greenlets get a moment to end by themselves before the master's patience,
 * which is as long as graceful_timeout, is over. */
static void
leave_time_to_end(struct cg_wsgi_host *h)
{
    enum { MOST_US = 500 * 1000 };
    uint64_t part = h->graceful_us / 10;
    h->graceful_us -= part < MOST_US ? part : MOST_US;
}

/* Whether nothing of the requests is left. */
static bool
end_requests(struct hosted *o)
{
    const struct cg_worker_start *start = o->h.run->start;
    if (cg_engine_in_flight(o->h.engine) > 0 && !o->h.run->abort_wanted) {
        cg_log_line(start->log, CG_WARNING, "Worker graceful timeout (pid:%d)",
                    (int)getpid());
    }
    return cg_py_loop_kill(o->loop) && cg_engine_in_flight(o->h.engine) == 0;
}

/* Of a loop's end, what is the worker's: 0 or -errno. -2: an exception left the
 * loop; when INT or QUIT came it is of their hook, and they end the worker. */
static int
end_of_loop(const struct cg_host_run *r, int end, const struct cg_error *err)
{
    if (end == -2 && r->abort_wanted) {
        cg_log_line(r->start->log, CG_ERROR,
                    "Exception in a signal handler: %s", err->text);
        return 0;
    }
    return end == -2 ? err->code : 0;
}

static int
serve(struct hosted *o, struct cg_error *err)
{
    struct cg_host_run *r = o->h.run;
    const int fds[] = {cg_engine_fd(o->h.engine),
                       cg_engine_call_fd(o->h.engine)};
    int end = cg_wsgi_host_start(&o->h, err);
    if (end < 0) {
        return end;
    }
    end = cg_py_loop_serve(o->loop, fds, 2, &r->exit_status, err);
    cg_wsgi_host_end(&o->h);
    return end_of_loop(r, end, err);
}

static int
init(struct hosted *o, struct cg_host_run *r, struct cg_error *err)
{
    const struct cg_py_loop_calls calls = {
        .poll = poll_engine,
        .is_child = is_child,
        .run = cg_wsgi_host_run,
        .done = cg_engine_done,
        .self = o,
    };
    int e = cg_py_loop_new(r->module, &calls, &o->loop, err);
    if (e < 0) {
        return e;
    }
    /* a wait on the loop itself stops everybody: tornado keeps all, we much */
    bool parks = cg_py_loop_parks(o->loop);
    const struct cg_wsgi_host_class class = {
        .high_water = parks ? 0 : LOOP_HIGH_WATER,
        .executors = 1,
        .keeps_limit = true,
        .multithread = parks,
        .loop = o->loop,
    };
    e = cg_wsgi_host_init(&o->h, r, &class, err);
    if (e < 0) {
        return e;
    }
    leave_time_to_end(&o->h);
    o->h.host.run = run;
    o->h.host.drained = drained;
    o->executor = cg_executor_new(o->h.engine, 1);
    cg_engine_watch_wakeup(o->h.engine, r->wakeup_fd);
    return 0;
}

/* ---- the package's own server ---- */

static void
beat(void *self)
{
    const struct cg_host_run *r = self;
    struct cg_slot *slot = r->start->slot;
    atomic_store(&slot->beat_us, cg_now_us());
    atomic_store(&slot->state,
                 r->stop_wanted ? CG_WORKER_STOPPING : CG_WORKER_BUSY);
}

static int
serve_own(struct cg_host_run *r, struct cg_error *err)
{
    beat(r);
    atomic_store(&r->start->slot->booted, 1);
    cg_worker_tell(r->start, CG_NEWS_READY, "");
    int end = cg_py_loop_serve_own(r->module, r->start->worker, r->app, beat, r,
                                   &r->exit_status, err);
    return end_of_loop(r, end, err);
}

int
cg_host_hosted(struct cg_host_run *r, struct cg_error *err)
{
    if (cg_py_loop_is_own(r->module, r->app)) {
        cg_keeper_end(&r->keeper); /* it knows nothing of its connections */
        atomic_store(&r->start->slot->keeper, 0);
        return serve_own(r, err);
    }
    struct hosted *o = cg_calloc(1, sizeof *o);
    int e = init(o, r, err);
    if (e == 0) {
        e = serve(o, err);
        if (!end_requests(o)) {
            r->leave_at_once = true; /* what is stuck uses all of it */
            return e;
        }
        cg_wsgi_host_release(&o->h);
        cg_executor_free(o->executor);
    }
    cg_py_loop_free(o->loop);
    free(o);
    return e;
}
