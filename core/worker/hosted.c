/* SPDX-License-Identifier: MIT */
/*
 * The gevent, eventlet, tornado and asgi classes: a loop written in Python (or
 * uvloop's) watches the engine; a request runs in a greenlet, on the loop
 * itself, or in a task.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/asgi/asgi.h"
#include "core/py/loops/host_loop.h"
#include "core/worker/class.h"
#include "core/worker/host.h"
#include "core/worker/wsgi_host.h"

enum { LOOP_HIGH_WATER = 16 << 20, BAD_FRAMES = 10 };

struct hosted {
    struct cg_wsgi_host h; /* first: its address is the host's self */
    struct cg_py_loop *loop;
    struct cg_executor *executor;
    struct cg_asgi *asgi; /* requests run in its tasks; or NULL */
    struct cg_log_limit bad_frames;
    uint64_t stop_us; /* it was told of a graceful stop then */
};

static bool
poll_engine(void *self)
{
    struct hosted *o = self;
    bool goes_on = cg_engine_poll(o->h.engine, o->executor);
    if (o->asgi != NULL && o->stop_us == 0 &&
        cg_engine_is_stopping(o->h.engine)) {
        o->stop_us = cg_now_us();
        cg_asgi_stop(o->asgi, o->h.graceful_us);
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
run(void *self, struct cg_exchange *ex)
{
    cg_py_loop_run(((struct hosted *)self)->loop, ex);
}

static void
drained(void *self, struct cg_exchange *ex)
{
    cg_py_loop_drained(((struct hosted *)self)->loop, ex);
}

/* ---- asgi ---- */

static void
run_asgi(void *self, struct cg_exchange *ex)
{
    struct hosted *o = self;
    cg_wsgi_host_count(&o->h, ex);
    cg_asgi_run(o->asgi, ex);
}

static void
drained_asgi(void *self, struct cg_exchange *ex)
{
    cg_asgi_drained(((struct hosted *)self)->asgi, ex);
}

static void
interrupt_asgi(void *self, struct cg_exchange *ex)
{
    cg_asgi_interrupt(((struct hosted *)self)->asgi, ex);
}

static void
bad_frame(void *self, struct cg_exchange *ex, const char *fault)
{
    struct hosted *o = self;
    const struct cg_worker_start *start = o->h.run->start;
    atomic_fetch_add_explicit(&start->slot->refused, 1, memory_order_relaxed);
    if (cg_log_limit_pass(&o->bad_frames, cg_now_us(), BAD_FRAMES)) {
        cg_log_line(start->log, CG_WARNING,
                    "Invalid WebSocket frame from ip=%s: %s", ex->peer->addr,
                    fault);
    }
}

static void
report_frames(void *self)
{
    struct hosted *o = self;
    uint64_t held = cg_log_limit_take(&o->bad_frames);
    if (held > 0) {
        cg_log_line(o->h.run->start->log, CG_WARNING,
                    "Invalid WebSocket frame from ... and %llu more like this",
                    (unsigned long long)held);
    }
}

/* A late request is cancelled by the loop; no thread is interrupted. */
static void
interrupt_nobody(void *self)
{
}

static uint64_t
seconds(const struct cg_settings *s, enum cg_setting_id id)
{
    return (uint64_t)cg_settings_int(s, id) * 1000000u;
}

static int
init_asgi(struct hosted *o, struct cg_error *err)
{
    const struct cg_settings *s = o->h.run->start->settings;
    const struct cg_asgi_options options = {
        .wsgi = o->h.wsgi,
        .module = o->h.run->module,
        .root_path = cg_settings_str(s, CG_root_path),
        .lifespan = cg_settings_str(s, CG_asgi_lifespan),
        .grace_us = seconds(s, CG_asgi_disconnect_grace_period),
        .ws_max = (uint64_t)cg_settings_int(s, CG_websocket_max_message_size),
        .ws_ping_us = seconds(s, CG_websocket_ping_interval),
        .ws_patience_us = seconds(s, CG_websocket_ping_timeout),
        .ws_compression = cg_settings_bool(s, CG_websocket_compression),
        .done = cg_engine_done,
        .bad_peer = bad_frame,
        .report = report_frames,
        .self = o,
    };
    int e = cg_asgi_new(&options, &o->asgi, err);
    o->h.host.run = run_asgi;
    o->h.host.drained = drained_asgi;
    o->h.host.interrupt = interrupt_asgi;
    return e;
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
    if (cg_asgi_startup(o->asgi, &err, &traceback) == 0) {
        return true;
    }
    if (!r->abort_wanted) {
        r->exit_status = CG_EXIT_BOOT;
        cg_worker_tell(r->start, CG_NEWS_FAILED, err.text);
        cg_buf_puts(&text, "Exception in worker process\n");
        cg_buf_put(&text, traceback.p, traceback.n);
        cg_buf_puts(&text, traceback.n > 0 ? "\n" : "");
        cg_buf_puts(&text, err.text);
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
    if (o->asgi != NULL) {
        cg_asgi_shutdown(o->asgi, patience(o));
        return cg_asgi_running(o->asgi) == 0 &&
               cg_engine_in_flight(o->h.engine) == 0;
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
    if (o->asgi != NULL && !start_up(o)) {
        return 0;
    }
    int end = cg_wsgi_host_start(&o->h, err);
    if (end < 0) {
        return end;
    }
    end = cg_py_loop_serve(o->loop, fds, 2, &r->exit_status, err);
    cg_wsgi_host_end(&o->h);
    return end_of_loop(r, end, err);
}

/* asgi buffers bodies only when somebody says so. */
static bool
is_buffering(const struct cg_settings *s)
{
    return s->source[CG_request_buffering].layer != CG_LAYER_DEFAULT &&
           cg_settings_bool(s, CG_request_buffering);
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
    bool asgi = strcmp(r->module, CG_WORKER_ASGI_MODULE) == 0;
    const struct cg_wsgi_host_class class = {
        .high_water = parks ? 0 : LOOP_HIGH_WATER,
        .executors = 1,
        .keeps_limit = true,
        .streams = asgi && !is_buffering(r->start->settings),
        .multithread = parks,
        .loop = o->loop,
        .interrupt = asgi ? interrupt_nobody : NULL,
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
    return asgi ? init_asgi(o, err) : 0;
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
        cg_asgi_free(o->asgi);
        cg_wsgi_host_release(&o->h);
        cg_executor_free(o->executor);
    }
    cg_py_loop_free(o->loop);
    free(o);
    return e;
}

int
cg_host_auto(struct cg_host_run *r, struct cg_error *err)
{
    if (r->module != NULL) {
        return cg_host_hosted(r, err);
    }
    return cg_settings_int(r->start->settings, CG_threads) > 1
               ? cg_host_gthread(r, err)
               : cg_host_sync(r, err);
}
