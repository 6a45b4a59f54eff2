/* SPDX-License-Identifier: MIT */
#include "core/worker/wsgi_host.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/exchange/named.h"
#include "core/exchange/queue.h"
#include "core/py/compat/written.h"
#include "core/py/runtime/interp.h"
#include "core/worker/warmup.h"

/* Lines about bad peers per second and worker; the rest is counted. */
enum { BAD_PEERS = 10 };

/* pthread_atfork handlers take no argument: the one host of this process. */
static const struct cg_wsgi_host *forking_host;

static void
on_fork_in_parent(void)
{
    if (forking_host != NULL) {
        cg_engine_forked(forking_host->engine, false);
    }
}

static void
on_fork_in_child(void)
{
    if (forking_host != NULL) {
        cg_engine_forked(forking_host->engine, true);
        cg_log_forked(forking_host->run->start->log);
    }
}

/* ---- what the engine calls ---- */

/* Executors ask again and again; it is told once. */
static void
retire(void *self)
{
    cg_worker_retire(((struct cg_wsgi_host *)self)->run);
}

void
cg_wsgi_host_interrupted(struct cg_wsgi_host *h, int status,
                         const struct cg_error *err)
{
    if (status >= 0) {
        h->run->exit_status = status;
        cg_engine_abort(h->engine);
    } else {
        cg_log_line(h->run->start->log, CG_ERROR,
                    "Exception in a signal handler: %s", err->text);
    }
}

void
cg_wsgi_host_signals(struct cg_wsgi_host *h)
{
    struct cg_error err = {0};
    int status = -1;
    cg_worker_replace_keeper(h->run);
    cg_worker_renew_security(h->run);
    if (cg_python_signals(&status, &err) < 0) {
        cg_wsgi_host_interrupted(h, status, &err);
    }
}

static void
run_signals(void *self)
{
    cg_wsgi_host_signals(self);
}

static bool
has_lines(void *self)
{
    return cg_log_has_spooled(((struct cg_wsgi_host *)self)->run->start->log);
}

static void
write_lines(void *self)
{
    cg_log_write_spool(((struct cg_wsgi_host *)self)->run->start->log);
}

static const char *
peer_name(const struct cg_peer *peer)
{
    return peer->addr[0] != '\0' ? peer->addr : "a unix socket";
}

static void
log_refused_access(struct cg_wsgi_host *h, const struct cg_refused *why)
{
    struct cg_log *log = h->run->start->log;
    if (!cg_log_wants_requests(log) || why->status == 0) {
        return;
    }
    const struct cg_access_record record = {
        .remote_addr = cg_slice_of(why->peer->addr),
        .method = why->method,
        .uri = why->target,
        .line = why->line,
        .protocol = why->is_h2        ? CG_SLICE("HTTP/2.0")
                    : why->minor == 0 ? CG_SLICE("HTTP/1.0")
                                      : CG_SLICE("HTTP/1.1"),
        .referer = why->referer,
        .user_agent = why->user_agent,
        .status = why->status,
        .body_bytes = why->body_bytes,
        .pid = (int)getpid(),
    };
    cg_log_request(log, h->access, &record);
}

static void
refused(void *self, const struct cg_refused *why)
{
    struct cg_wsgi_host *h = self;
    /* a redirection is no fault: a line of the access log alone */
    if (why->message.n > 0 &&
        cg_log_limit_pass(&h->bad_peers, cg_now_us(), BAD_PEERS)) {
        cg_log_line(h->run->start->log, why->ours ? CG_ERROR : CG_WARNING,
                    why->ours ? "Cannot receive a request from ip=%s: %.*s"
                              : "Invalid request from ip=%s: %.*s",
                    why->peer->addr, (int)why->message.n, why->message.p);
    }
    log_refused_access(h, why);
}

/* Nobody's trouble but the client's: scanners, certificates that it does not
 * trust, clients that are too old. */
static void
unshaken(void *self, const struct cg_peer *peer, const char *why)
{
    struct cg_wsgi_host *h = self;
    if (cg_log_enabled(h->run->start->log, CG_DEBUG)) {
        cg_log_line(h->run->start->log, CG_DEBUG,
                    "TLS handshake with %s failed: %s", peer_name(peer), why);
    }
}

static void
stalled(void *self, const struct cg_stalled *what)
{
    struct cg_wsgi_host *h = self;
    if (!cg_log_limit_pass(&h->stalled, cg_now_us(), BAD_PEERS)) {
        return;
    }
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_put_escaped(&text, what->method, what->method.n);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, what->target, what->target.n);
    cg_log_line(h->run->start->log, CG_WARNING,
                "Client takes nothing for %llu.%llu s, its reply is cut: %s "
                "(from %s, %llu of %llu bytes sent)",
                (unsigned long long)(what->since_us / 1000000),
                (unsigned long long)(what->since_us / 100000 % 10),
                cg_buf_str(&text), peer_name(what->peer),
                (unsigned long long)what->sent, (unsigned long long)what->of);
}

static void
overloaded(void *self, const struct cg_overload_tale *t, bool begins,
           int waiting)
{
    const struct cg_wsgi_host *h = self;
    uint64_t until = begins ? cg_now_us() : t->ended_us;
    uint64_t came = t->run + t->abandoned + t->refused + (uint64_t)waiting;
    cg_log_line(
        h->run->start->log, begins ? CG_WARNING : CG_INFO,
        "%s (pid:%d): in %llu.%llu s %llu requests had to wait: %llu "
        "run, %llu abandoned by their clients, %llu refused, %d wait; "
        "longest wait of one that was run %llu ms",
        begins ? "Overloaded, the newest requests are run first"
               : "No longer overloaded",
        (int)getpid(), (unsigned long long)((until - t->begun_us) / 1000000),
        (unsigned long long)((until - t->begun_us) / 100000 % 10),
        (unsigned long long)came, (unsigned long long)t->run,
        (unsigned long long)t->abandoned, (unsigned long long)t->refused,
        waiting, (unsigned long long)(t->longest_us / 1000));
}

static void
trouble(void *self, const char *text)
{
    struct cg_wsgi_host *h = self;
    if (cg_log_limit_pass(&h->trouble, cg_now_us(), 1)) {
        cg_log_line(h->run->start->log, CG_ERROR, "%s", text);
    }
}

static void
report(void *self)
{
    struct cg_wsgi_host *h = self;
    uint64_t held = cg_log_limit_take(&h->bad_peers);
    cg_log_limit_take(&h->trouble); /* a state: once a second says it */
    uint64_t late = cg_log_limit_take(&h->late);
    uint64_t silent = cg_log_limit_take(&h->stalled);
    cg_slow_report(&h->slow);
    if (silent > 0) {
        cg_log_line(h->run->start->log, CG_WARNING,
                    "Client takes nothing ... and %llu more like this",
                    (unsigned long long)silent);
    }
    if (late > 0) {
        cg_log_line(h->run->start->log, CG_ERROR,
                    "REQUEST TIMEOUT (pid:%d): and %llu more like this",
                    (int)getpid(), (unsigned long long)late);
    }
    if (held > 0) {
        cg_log_line(h->run->start->log, CG_WARNING,
                    "Invalid request from ... and %llu more like this",
                    (unsigned long long)held);
    }
}

/* ---- requests that take too long ---- */

static struct cg_slice
field(const struct cg_exchange *ex, enum cg_field_id id)
{
    const struct cg_field *f = cg_request_field(ex->req, id);
    return f != NULL ? (struct cg_slice){ex->base + f->value, f->value_n}
                     : (struct cg_slice){NULL, 0};
}

static void
put_late(struct cg_buf *out, const struct cg_exchange *ex)
{
    uint64_t ms = (cg_now_us() - ex->start_us) / 1000;
    cg_buf_put_escaped(out, cg_span_of(ex->base, ex->req->method), 32);
    cg_buf_putc(out, ' ');
    cg_buf_put_escaped(out, cg_span_of(ex->base, ex->req->target), 1024);
    cg_buf_putf(out, " (for %llu.%llu s, from %s",
                (unsigned long long)(ms / 1000),
                (unsigned long long)(ms % 1000 / 100), peer_name(ex->peer));
    if (ex->id.n > 0) {
        cg_buf_puts(out, ", request ");
        cg_buf_put(out, ex->id.p, ex->id.n);
    }
    cg_buf_putc(out, ')');
}

static const char *
late_text(enum cg_late late)
{
    switch (late) {
    case CG_LATE_ANSWERED: return "answered 504";
    case CG_LATE_CUT: return "its reply had begun, the connection was cut";
    case CG_LATE_SENT: return "its reply was complete";
    case CG_LATE_NO: break;
    }
    return "in time";
}

/* A request that the application does not see has no environ. */
static struct cg_slice
look_up_request(void *ex, char kind, struct cg_slice name)
{
    return kind == 'i' ? cg_named_field(ex, name) : (struct cg_slice){NULL, 0};
}

static struct cg_slice
look_up(void *ex, char kind, struct cg_slice name)
{
    return kind == 'o' ? cg_named_reply_field(ex, name)
                       : look_up_request(ex, kind, name);
}

/* What is known of a request that is answered without Python; borrowed from
 * ex. The head of a stream of HTTP/2 looks like one of 1.1, so ex is asked. */
static struct cg_access_record
record_of(const struct cg_exchange *ex, int status, uint64_t body_bytes)
{
    const struct cg_request *r = ex->req;
    return (struct cg_access_record){
        .remote_addr = cg_slice_of(ex->peer->addr),
        .authorization = field(ex, CG_FIELD_AUTHORIZATION),
        .method = cg_span_of(ex->base, r->method),
        .uri = cg_span_of(ex->base, r->target),
        .protocol = ex->is_h2       ? CG_SLICE("HTTP/2.0")
                    : r->minor == 0 ? CG_SLICE("HTTP/1.0")
                                    : CG_SLICE("HTTP/1.1"),
        .path = cg_span_of(ex->base, r->path),
        .query = cg_span_of(ex->base, r->query),
        .referer = field(ex, CG_FIELD_REFERER),
        .user_agent = field(ex, CG_FIELD_USER_AGENT),
        .request_id = ex->id,
        .traceparent = field(ex, CG_FIELD_TRACEPARENT),
        .queue_us = cg_exchange_queue_us(ex),
        .status = status,
        .body_bytes = body_bytes,
        .duration_us = cg_now_us() - ex->start_us,
        .pid = (int)getpid(),
        .lookup = look_up_request,
        .self = (void *)(size_t)ex,
    };
}

/* Its reply is the application's, who may be about to begin one. */
static void
log_late_access(struct cg_wsgi_host *h, const struct cg_exchange *ex,
                size_t page_n)
{
    const struct cg_access_record record = record_of(ex, 504, page_n);
    cg_log_request(h->run->start->log, h->access, &record);
}

static void
overdue(void *self, const struct cg_exchange *ex, size_t page_n)
{
    struct cg_wsgi_host *h = self;
    struct cg_log *log = h->run->start->log;
    enum cg_late late = cg_exchange_late(ex);
    if (cg_log_limit_pass(&h->late, cg_now_us(), BAD_PEERS)) {
        cg_auto(buf) struct cg_buf text = {0};
        put_late(&text, ex);
        cg_log_line(log, CG_ERROR, "REQUEST TIMEOUT (pid:%d): %s: %s",
                    (int)getpid(), cg_buf_str(&text), late_text(late));
    }
    if (late == CG_LATE_ANSWERED && cg_log_wants_requests(log) &&
        !cg_wsgi_logs_in_python(h->wsgi)) {
        log_late_access(h, ex, page_n);
    }
    if (h->interrupt != NULL) {
        h->interrupt(h);
    } else {
        pthread_kill(h->main, CG_LATE_SIGNAL);
    }
}

static void
stuck(void *self, const struct cg_exchange *ex)
{
    struct cg_wsgi_host *h = self;
    if (!h->stuck) {
        h->stuck = true;
        cg_worker_tell(h->run->start, CG_NEWS_STUCK, "");
    }
}

/* ---- slow requests ---- */

static bool
slow(void *self, const struct cg_exchange *ex, pthread_t thread,
     uint64_t waited_us)
{
    return cg_slow_ask(&((struct cg_wsgi_host *)self)->slow, ex, thread,
                       waited_us);
}

static void
slow_waits(void *self, struct cg_exchange *ex, uint64_t waited_us)
{
    struct cg_wsgi_host *h = self;
    cg_slow_show(&h->slow, &h->runner, ex, waited_us);
}

static void
slow_over(void *self, const struct cg_exchange *ex)
{
    cg_slow_forget(&((struct cg_wsgi_host *)self)->slow, ex);
}

static void
slow_ended(void *self, const struct cg_slow_tale *tale)
{
    cg_slow_tell(&((struct cg_wsgi_host *)self)->slow, tale);
}

/* ---- files, which the engine sends by itself ---- */

static void
answered(void *self, const struct cg_exchange *ex)
{
    struct cg_wsgi_host *h = self;
    struct cg_log *log = h->run->start->log;
    if (!cg_log_wants_requests(log)) {
        return;
    }
    struct cg_access_record record = record_of(ex, ex->status, ex->sent);
    record.lookup = look_up;
    cg_log_request(log, h->access, &record);
    if (cg_log_has_spooled(log) && !cg_exchange_leads(ex)) {
        cg_log_write_spool(log);
    }
}

/* ---- making it ---- */

static void
init_options(struct cg_wsgi_host *h, bool multithread)
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
        .software = cg_py_server_software(),
        .script_name = script != NULL ? script : "",
        .multithread = multithread,
        .multiprocess = cg_settings_int(s, CG_workers) > 1,
        .sendfile = cg_settings_sendfile(s),
        .hook_server = start->server,
        .hook_worker = start->worker,
        .pre_request = cg_hook_is_set(s, CG_pre_request),
        .post_request = cg_hook_is_set(s, CG_post_request),
        .names_requests = cg_log_enabled(start->log, CG_DEBUG) &&
                          !cg_hook_is_set(s, CG_pre_request),
    };
}

void
cg_wsgi_host_release(struct cg_wsgi_host *h)
{
    forking_host = NULL;
    h->run->engine = NULL;
    h->run->wsgi = NULL;
    cg_engine_free(h->engine);
    if (h->runner.ops != NULL) {
        h->runner.ops->free(h->runner.self);
    } else {
        cg_wsgi_free(h->wsgi);
    }
    cg_slow_release(&h->slow);
    cg_access_free(h->access);
    free(h->listeners);
    cg_policy_release(&h->policy);
}

/* What descriptors allow; some are left for the application. */
static int
most_open(void)
{
    enum { SPARE = 64 };
    struct rlimit files;
    bool bounds = getrlimit(RLIMIT_NOFILE, &files) == 0 &&
                  files.rlim_cur > (rlim_t)2 * SPARE &&
                  files.rlim_cur < (rlim_t)INT_MAX;
    return bounds ? (int)files.rlim_cur - SPARE : INT_MAX;
}

/* gunicorn's sync class knows no limit of connections; descriptors do. */
static int
most_connections(const struct cg_policy *p, bool keeps_limit)
{
    int most = keeps_limit ? p->engine.max_connections : INT_MAX;
    return most < most_open() ? most : most_open();
}

static void
leave_out(struct cg_access_format *f, const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_access_log_skip);
    size_t n = v->kind == CG_VALUE_LIST ? v->list.n : 0;
    const char **items = cg_calloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        items[i] = v->list.items[i].s;
    }
    cg_access_leave_out(f, items);
    free(items);
}

static int
init_bridge(struct cg_wsgi_host *h, const struct cg_wsgi_host_class *class,
            struct cg_error *err)
{
    const struct cg_worker_start *start = h->run->start;
    const struct cg_settings *s = start->settings;
    if (cg_log_has_access(start->log)) {
        h->access = cg_access_compile(cg_settings_str(s, CG_access_log_format),
                                      NULL, NULL);
        leave_out(h->access, s);
    }
    h->graceful_us =
        (uint64_t)cg_settings_int(s, CG_graceful_timeout) * 1000000u;
    init_options(h, class->multithread);
    h->options.loop = class->loop;
    h->options.high_water = class->high_water;
    /* greenlets are known by their limits, which slow ones are shown by */
    h->options.limited =
        cg_settings_int(s, CG_request_timeout) != 0 ||
        (cg_settings_us(s, CG_slow_request) != 0 && class->loop != NULL &&
         class->make_runner != NULL && cg_py_loop_parks(class->loop));
    int r = cg_wsgi_new(&h->options, &h->wsgi, err);
    if (r < 0 || class->make_runner != NULL) {
        return r < 0 ? r : class->make_runner(h, err);
    }
    h->runner = cg_wsgi_runner(h->wsgi);
    return 0;
}

/* Where https is, for those who come by http. */
static uint16_t
secure_port(const struct cg_worker_start *start)
{
    for (int i = 0; i < start->nlisteners; i++) {
        if (start->listeners[i].secure && start->listeners[i].port[0] != '\0') {
            return (uint16_t)atoi(start->listeners[i].port);
        }
    }
    return 443;
}

static int
init_engine(struct cg_wsgi_host *h, const struct cg_wsgi_host_class *class,
            struct cg_error *err)
{
    const struct cg_worker_start *start = h->run->start;
    struct cg_engine_config *config = &h->policy.engine;
    config->max_executors = class->executors;
    config->min_executors = class->least_executors;
    config->executor_idle_us = class->idle_us;
    config->calls_may_last = class->calls_may_last;
    config->parallel = class->executors > 1 && !cg_python_gil_is_on();
    config->max_connections = most_connections(&h->policy, class->keeps_limit);
    config->max_open = most_open();
    config->handover = start->handover;
    config->keeper = &h->run->keeper;
    config->hosted = class->loop != NULL;
    if (start->security != NULL) {
        cg_security_enter(start->security, start->listeners, start->nlisteners);
        config->transports = cg_security_maker(start->security);
        config->shakes_ask = cg_security_asks(start->security);
        if (cg_settings_bool(start->settings, CG_redirect_https)) {
            config->redirect_port = secure_port(start);
        }
    }
    if (class->streams) {
        config->streaming = true;
    } else if (class->buffers && config->streaming) {
        cg_log_line(start->log, CG_WARNING,
                    "request_buffering: this worker class always buffers "
                    "request bodies");
        config->streaming = false;
    }
    config->intake.streams = config->streaming;
    config->max_in_flight = h->policy.max_in_flight;
    h->policy.http2.websockets = class->websockets;
    h->host = (struct cg_host){
        .signals = run_signals,
        .retire = retire,
        .refused = refused,
        .stalled = stalled,
        .unshaken = unshaken,
        .overloaded = overloaded,
        .trouble = trouble,
        .report = report,
        .has_lines = has_lines,
        .write_lines = write_lines,
        .want_executor = class->want_executor,
        .prove = class->prove,
        .over = class->over,
        .overdue = overdue,
        .stuck = stuck,
        .slow = slow,
        .slow_waits = slow_waits,
        .slow_over = slow_over,
        .slow_ended = slow_ended,
        .answered = answered,
        .self = h,
    };
    int r = cg_engine_new(config, &h->host, &h->runner, start->listeners,
                          start->nlisteners, start->board, start->slot,
                          &h->engine, err);
    if (r == 0) {
        cg_engine_limit_requests(h->engine, cg_py_worker_limit(start->worker));
    }
    return r;
}

int
cg_wsgi_host_init(struct cg_wsgi_host *h, struct cg_host_run *run,
                  const struct cg_wsgi_host_class *class, struct cg_error *err)
{
    *h = (struct cg_wsgi_host){.run = run,
                               .main = pthread_self(),
                               .interrupt = class->interrupt,
                               .slow = {.log = run->start->log,
                                        .fd = -1,
                                        .lock = PTHREAD_MUTEX_INITIALIZER},
                               .spools = class->spools};
    int r = cg_policy_init(&h->policy, run->start->settings,
                           cg_py_server_field(), err);
    if (r == 0) {
        r = init_bridge(h, class, err);
    }
    if (r == 0) {
        r = init_engine(h, class, err);
    }
    if (r < 0) {
        cg_wsgi_host_release(h);
        return r;
    }
    if (run->start->alive_fd >= 0) {
        cg_engine_watch_master(h->engine, run->start->alive_fd);
    }
    run->wsgi = h;
    return 0;
}

/* Also by another thread, without the GIL. */
static void
warmed_up(void *self, const char *wrong)
{
    struct cg_wsgi_host *h = self;
    const struct cg_worker_start *start = h->run->start;
    if (wrong == NULL) {
        atomic_store(&start->slot->booted, 1);
        cg_worker_tell(start, CG_NEWS_READY, "");
        return;
    }
    cg_worker_tell(start, CG_NEWS_FAILED, wrong);
    cg_log_line(start->log, CG_ERROR, "%s: this worker does not serve", wrong);
    h->run->exit_status = CG_EXIT_BOOT;
    cg_engine_abort(h->engine);
}

int
cg_wsgi_host_start(struct cg_wsgi_host *h, struct cg_error *err)
{
    struct cg_host_run *run = h->run;
    int r = cg_engine_start_relief(h->engine, err);
    if (r < 0) {
        return r;
    }
    if (h->options.limited && h->interrupt == NULL) {
        r = cg_wsgi_listen(CG_LATE_SIGNAL, err);
        if (r < 0) {
            return r;
        }
    }
    if (cg_settings_us(run->start->settings, CG_slow_request) != 0) {
        cg_slow_start(&h->slow);
    }
    forking_host = h;
    pthread_atfork(NULL, on_fork_in_parent, on_fork_in_child);
    if (h->spools) {
        cg_log_set_spool(run->start->log, run->start->spool);
    }
    run->graceful_us = h->graceful_us;
    run->engine = h->engine;
    if (run->abort_wanted) { /* its exception may have been swallowed */
        cg_engine_abort(run->engine);
    }
    if (run->stop_wanted) { /* told while the application was loading */
        cg_engine_stop(run->engine, run->graceful_us);
    }
    return cg_warmup_start(run, h->engine, warmed_up, h, &h->warmup, err);
}

void
cg_wsgi_host_end(struct cg_wsgi_host *h)
{
    struct cg_host_run *run = h->run;
    cg_warmup_end(h->warmup);
    h->warmup = NULL;
    cg_log_set_spool(run->start->log, NULL); /* no pass ends from here on */
    report(h);
    if (cg_engine_end(h->engine) == CG_END_ORPHANED) {
        cg_log_line(run->start->log, CG_INFO,
                    "Parent changed, shutting down: <Worker %d>",
                    (int)getpid());
    }
    cg_py_worker_freeze(run->start->worker);
    run->wsgi = NULL;
}
