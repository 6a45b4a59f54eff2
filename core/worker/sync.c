/* SPDX-License-Identifier: MIT */
/*
 * The sync class: the main thread turns the loop and runs requests inline, one
 * at a time. The engine reads and flushes for all clients meanwhile, so that a
 * slow one costs no executor.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/engine/engine.h"
#include "core/py/interp.h"
#include "core/py/wsgi.h"
#include "core/worker/host.h"
#include "core/worker/policy.h"

struct sync {
    struct cg_host_run *run;
    struct cg_policy policy;
    struct cg_engine *engine;
    struct cg_executor *executor;
    struct cg_access_format *access;
    struct cg_wsgi_listener *listeners;
    struct cg_wsgi_options options;
    struct cg_wsgi *wsgi;
    uint64_t request_limit; /* 0: none */
    uint64_t graceful_us;
};

/* pthread_atfork handlers take no argument: the one engine of this process. */
static struct cg_engine *forking_engine;

static void
on_fork_in_child(void)
{
    if (forking_engine != NULL) {
        cg_engine_forked(forking_engine);
    }
}

/* ---- what the engine calls ---- */

static void
enter(void *self)
{
    cg_gil_take();
}

static void
leave(void *self)
{
    cg_gil_drop();
}

static void
run_request(void *self, struct cg_exchange *ex)
{
    struct sync *h = self;
    if (h->request_limit != 0 &&
        cg_engine_requests(h->engine) >= h->request_limit) {
        ex->may_keep = false;
        cg_worker_retire(h->run);
    }
    cg_wsgi_run(h->wsgi, ex);
}

static void
hold(void *self, void *keep)
{
    cg_wsgi_hold(keep);
}

static void
drop(void *self, void *keep)
{
    cg_wsgi_drop(keep);
}

static void
run_signals(void *self)
{
    struct sync *h = self;
    struct cg_error err = {0};
    int status = 0;
    int r = cg_python_signals(&status, &err);
    if (r == -1) {
        h->run->exit_status = status;
        cg_engine_abort(h->engine);
    } else if (r < 0) {
        cg_log_line(h->run->start->log, CG_ERROR,
                    "Exception in a signal handler: %s", err.text);
    }
}

static void
log_refused_access(struct sync *h, const struct cg_refused *why)
{
    struct cg_log *log = h->run->start->log;
    if (h->access == NULL || !cg_log_has_access(log) || why->status == 0) {
        return;
    }
    const struct cg_access_record record = {
        .remote_addr = cg_slice_of(why->peer->addr),
        .method = why->method,
        .uri = why->target,
        .protocol =
            why->minor == 0 ? CG_SLICE("HTTP/1.0") : CG_SLICE("HTTP/1.1"),
        .status = why->status,
        .body_bytes = why->body_bytes,
        .pid = (int)getpid(),
    };
    cg_auto(buf) struct cg_buf line = {0};
    cg_access_format(h->access, &record, &line);
    cg_log_access(log, (struct cg_slice){line.p, line.n});
}

static void
refused(void *self, const struct cg_refused *why)
{
    struct sync *h = self;
    cg_log_line(h->run->start->log, CG_WARNING,
                "Invalid request from ip=%s: %.*s", why->peer->addr,
                (int)why->message.n, why->message.p);
    log_refused_access(h, why);
}

/* ---- making it ---- */

static void
init_options(struct sync *h)
{
    const struct cg_worker_start *start = h->run->start;
    const struct cg_settings *s = start->settings;
    h->listeners = cg_calloc((size_t)start->nlisteners, sizeof *h->listeners);
    for (int i = 0; i < start->nlisteners; i++) {
        h->listeners[i] = (struct cg_wsgi_listener){
            .name = start->listeners[i].host,
            .port = start->listeners[i].port,
            .is_unix = start->listeners[i].family == AF_UNIX,
        };
    }
    const char *script = getenv("SCRIPT_NAME");
    h->options = (struct cg_wsgi_options){
        .app = h->run->app,
        .log = start->log,
        .access = h->access,
        .listeners = h->listeners,
        .nlisteners = start->nlisteners,
        .server = cg_py_server_field(),
        .software = cg_py_server_software(),
        .script_name = script != NULL ? script : "",
        .multithread = false,
        .multiprocess = cg_settings_int(s, CG_workers) > 1,
        .sendfile = cg_settings_sendfile(s),
        .hook_server = start->server,
        .hook_worker = start->worker,
        .pre_request = cg_hook_is_set(s, CG_pre_request),
        .post_request = cg_hook_is_set(s, CG_post_request),
    };
}

static uint64_t
request_limit(const struct cg_settings *s)
{
    uint64_t most = (uint64_t)cg_settings_int(s, CG_max_requests);
    uint64_t jitter = (uint64_t)cg_settings_int(s, CG_max_requests_jitter);
    uint64_t random = 0;
    if (most == 0) {
        return 0;
    }
    if (jitter > 0 && getrandom(&random, sizeof random, 0) < 0) {
        random = (uint64_t)getpid();
    }
    return most + (jitter > 0 ? random % (jitter + 1) : 0);
}

static void
stop(struct cg_host_run *run)
{
    struct sync *h = run->host;
    cg_engine_stop(h->engine, h->graceful_us);
}

static void
abort_now(struct cg_host_run *run)
{
    cg_engine_abort(((struct sync *)run->host)->engine);
}

static void
release(struct sync *h)
{
    forking_engine = NULL;
    h->run->on_stop = h->run->on_abort = NULL;
    cg_engine_free(h->engine);
    cg_executor_free(h->executor);
    cg_wsgi_free(h->wsgi);
    cg_access_free(h->access);
    free(h->listeners);
    cg_policy_release(&h->policy);
}

static int
init(struct sync *h, const struct cg_host *host, struct cg_error *err)
{
    const struct cg_worker_start *start = h->run->start;
    const struct cg_settings *s = start->settings;
    int r = cg_policy_init(&h->policy, s, cg_py_server_field(), err);
    if (r < 0) {
        return r;
    }
    if (cg_log_has_access(start->log)) {
        h->access = cg_access_compile(cg_settings_str(s, CG_access_log_format),
                                      NULL, NULL);
    }
    h->request_limit = request_limit(s);
    h->graceful_us =
        (uint64_t)cg_settings_int(s, CG_graceful_timeout) * 1000000u;
    init_options(h);
    r = cg_wsgi_new(&h->options, &h->wsgi, err);
    if (r < 0) {
        return r;
    }
    r = cg_engine_new(&h->policy.engine, host, start->listeners,
                      start->nlisteners, start->board, start->slot, &h->engine,
                      err);
    if (r < 0) {
        return r;
    }
    cg_engine_watch_wakeup(h->engine, h->run->wakeup_fd);
    if (start->alive_fd >= 0) {
        cg_engine_watch_master(h->engine, start->alive_fd);
    }
    h->executor = cg_executor_new(h->engine, 1);
    return 0;
}

static void
serve(struct sync *h)
{
    struct cg_host_run *run = h->run;
    forking_engine = h->engine;
    pthread_atfork(NULL, NULL, on_fork_in_child);
    run->on_stop = stop;
    run->on_abort = abort_now;
    if (run->stop_wanted) { /* told while the application was loading */
        stop(run);
    }
    atomic_store(&run->start->slot->booted, 1);
    cg_worker_tell(run->start, CG_NEWS_READY, "");
    if (cg_engine_run(h->engine, h->executor) == CG_END_ORPHANED) {
        cg_log_line(run->start->log, CG_INFO,
                    "Parent changed, shutting down: <Worker %d>",
                    (int)getpid());
    }
    cg_py_worker_set_nr(run->start->worker, cg_engine_requests(h->engine));
}

int
cg_host_sync(struct cg_host_run *run, struct cg_error *err)
{
    struct sync h = {.run = run};
    const struct cg_host host = {
        .enter = enter,
        .leave = leave,
        .run = run_request,
        .hold = hold,
        .drop = drop,
        .signals = run_signals,
        .refused = refused,
        .self = &h,
    };
    run->host = &h;
    int r = init(&h, &host, err);
    if (r == 0) {
        serve(&h);
    }
    release(&h);
    return r;
}
