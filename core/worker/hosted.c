/* SPDX-License-Identifier: MIT */
/*
 * Worker classes whose loop is written in Python (or uvloop's): it watches the
 * engine, and requests share its thread. What they have in common is here, and
 * the WSGI ones: gevent, eventlet, tornado. asgi.c has the other one.
 */
#include "core/worker/hosted.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"
#include "core/worker/class.h"
#include "core/worker/warmup.h"

enum { LOOP_HIGH_WATER = 16 << 20 };

struct hosted {
    struct cg_wsgi_host h; /* first: its address is the host's self */
    struct cg_py_loop *loop;
    struct cg_executor *executor;
    uint64_t stop_us; /* the runner was told of a graceful stop then */
};

static bool
poll_engine(void *self)
{
    struct hosted *o = self;
    bool goes_on = cg_engine_poll(o->h.engine, o->executor);
    if (o->stop_us == 0 && cg_engine_is_stopping(o->h.engine)) {
        o->stop_us = cg_now_us();
        o->h.runner.ops->stop(o->h.runner.self, o->h.graceful_us);
    }
    return goes_on;
}

static bool
is_child(void *self)
{
    struct hosted *o = self;
    return !cg_engine_is_over(o->h.engine);
}

static void
run_in_greenlet(void *self, struct cg_exchange *ex)
{
    cg_wsgi_run(((struct hosted *)self)->h.wsgi, ex);
}

/* The application's start; false: it says that it cannot, or is told to end
 * in the middle of it. */
static bool
start_up(struct hosted *o)
{
    struct cg_host_run *r = o->h.run;
    struct cg_error err = {0};
    cg_auto(buf) struct cg_buf traceback = {0};
    cg_auto(buf) struct cg_buf text = {0};
    if (o->h.runner.ops->start(o->h.runner.self, &err, &traceback) == 0) {
        return true;
    }
    if (!r->abort_wanted) {
        r->exit_status = CG_EXIT_BOOT;
        cg_worker_tell(r->start, CG_NEWS_FAILED, err.text);
        cg_buf_puts(&text, "Exception in worker process\n");
        cg_error_put_traceback(
            &text, (struct cg_slice){traceback.p, traceback.n}, err.text);
        cg_log_text(r->start->log, CG_ERROR, (struct cg_slice){text.p, text.n});
    }
    return false;
}

/* What is left of the graceful time. */
static uint64_t
patience(const struct hosted *o)
{
    uint64_t gone = o->stop_us != 0 ? cg_now_us() - o->stop_us : 0;
    return o->h.run->abort_wanted || gone >= o->h.graceful_us
               ? 0
               : o->h.graceful_us - gone;
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
    return o->h.runner.ops->end(o->h.runner.self, patience(o)) &&
           cg_engine_in_flight(o->h.engine) == 0;
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
    if (!start_up(o)) {
        return 0;
    }
    int end = cg_wsgi_host_start(&o->h, err);
    if (end < 0) {
        return end;
    }
    if (r->start->trace_fd >= 0 &&
        cg_py_loop_listen(CG_WAITING_SIGNAL, r->start->trace_fd, err) < 0) {
        cg_log_line(r->start->log, CG_DEBUG,
                    "no stacks of what waits in this worker: %s", err->text);
    }
    end = cg_py_loop_serve(o->loop, fds, 2, &r->exit_status, err);
    cg_wsgi_host_end(&o->h);
    return end_of_loop(r, end, err);
}

static int
init(struct hosted *o, struct cg_host_run *r, cg_hosted_describe *describe,
     struct cg_error *err)
{
    const struct cg_py_loop_calls calls = {
        .poll = poll_engine,
        .is_child = is_child,
        .run = run_in_greenlet,
        .done = cg_engine_done,
        .self = o,
    };
    int e = cg_py_loop_new(r->class->module, &calls, &o->loop, err);
    if (e < 0) {
        return e;
    }
    struct cg_wsgi_host_class class = {
        .executors = 1, .keeps_limit = true, .loop = o->loop};
    describe(&class, r->start->settings);
    e = cg_wsgi_host_init(&o->h, r, &class, err);
    if (e < 0) {
        return e;
    }
    leave_time_to_end(&o->h);
    o->executor = cg_executor_new(o->h.engine, 1);
    cg_engine_watch_wakeup(o->h.engine, r->wakeup_fd);
    return 0;
}

int
cg_hosted_serve(struct cg_host_run *r, cg_hosted_describe *describe,
                struct cg_error *err)
{
    struct hosted *o = cg_calloc(1, sizeof *o);
    int e = init(o, r, describe, err);
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

/* ---- WSGI, in greenlets or on the loop itself, as a runner ---- */

static void
run(void *self, struct cg_exchange *ex)
{
    cg_py_loop_run(((struct cg_wsgi_host *)self)->options.loop, ex);
}

static void
drained(void *self, struct cg_exchange *ex)
{
    cg_py_loop_drained(((struct cg_wsgi_host *)self)->options.loop, ex);
}

static void
interrupt(void *self, struct cg_exchange *ex)
{
    cg_wsgi_throw(((struct cg_wsgi_host *)self)->wsgi, ex);
}

static void
show(void *self, struct cg_exchange *ex, struct cg_buf *out)
{
    cg_wsgi_show(((struct cg_wsgi_host *)self)->wsgi, ex, out);
}

static void
replied(void *self, void *line, uint64_t unsent)
{
    cg_wsgi_replied(((struct cg_wsgi_host *)self)->wsgi, line, unsent);
}

static int
start(void *self, struct cg_error *err, struct cg_buf *traceback)
{
    return 0;
}

static void
stop(void *self, uint64_t graceful_us)
{
}

/* GreenletExit is raised in them; a moment for it is enough. */
static bool
end(void *self, uint64_t patience_us)
{
    return cg_py_loop_kill(((struct cg_wsgi_host *)self)->options.loop);
}

static void
free_bridge(void *self)
{
    cg_wsgi_free(((struct cg_wsgi_host *)self)->wsgi);
}

static const struct cg_app_ops ops = {
    .enter = cg_gil_enter,
    .leave = cg_gil_leave,
    .run = run,
    .awaited = drained,
    .interrupt = interrupt,
    .show = show,
    .hold = cg_wsgi_hold,
    .drop = cg_wsgi_drop,
    .replied = replied,
    .start = start,
    .stop = stop,
    .end = end,
    .free = free_bridge,
};

static int
make_runner(struct cg_wsgi_host *h, struct cg_error *err)
{
    h->runner = (struct cg_runner){&ops, h};
    return 0;
}

/* A wait on the loop itself stops everybody: tornado keeps all, we much. */
static void
describe(struct cg_wsgi_host_class *class, const struct cg_settings *s)
{
    bool parks = cg_py_loop_parks(class->loop);
    class->high_water = parks ? 0 : LOOP_HIGH_WATER;
    class->buffers = !parks;
    class->multithread = parks;
    class->make_runner = make_runner;
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
    cg_warmup_say_none(r);
    atomic_store(&r->start->slot->booted, 1);
    cg_worker_tell(r->start, CG_NEWS_READY, "");
    int end = cg_py_loop_serve_own(r->class->module, r->start->worker, r->app,
                                   beat, r, &r->exit_status, err);
    return end_of_loop(r, end, err);
}

int
cg_host_hosted(struct cg_host_run *r, struct cg_error *err)
{
    if (cg_py_loop_is_own(r->class->module, r->app)) {
        cg_keeper_end(&r->keeper); /* it knows nothing of its connections */
        atomic_store(&r->start->slot->keeper, 0);
        return serve_own(r, err);
    }
    return cg_hosted_serve(r, describe, err);
}
