/* SPDX-License-Identifier: MIT */
/*
 * Metrics: the master's small HTTP server (metrics_bind) and the numbers that
 * it tells. During an upgrade the old master has the address until it ends;
 * the new one tries again each second.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/share/flights.h"

enum { RETRY_MS = 1000, BACKLOG = 64 };

#define GAUGE CG_METRIC_GAUGE
#define COUNTER CG_METRIC_COUNTER

/* ---- readiness ---- */

bool
cg_arbiter_is_ready(const struct cg_arbiter *a)
{
    uint64_t now = cg_now_us(), timeout_us = a->plan.o.timeout_ms * 1000;
    if (a->drained || !a->plan.serving || a->plan.phase > PLAN_RELOADING) {
        return false;
    }
    for (int i = 0; i < a->nchildren; i++) {
        const struct cg_child *c = &a->children[i];
        const struct cg_plan_worker *w = cg_plan_worker(&a->plan, c->pid);
        struct cg_slot_look look = cg_slot_look(c->slot);
        bool serves = w != NULL &&
                      (w->state == ROSTER_READY || w->state == ROSTER_LEAVING);
        if (serves &&
            (timeout_us == 0 || cg_slot_silent_us(&look, now) <= timeout_us)) {
            return true;
        }
    }
    return false;
}

/* ---- families ---- */

static void
put_server(const struct cg_arbiter *a, struct cg_metrics *m)
{
    uint64_t up_s = (cg_now_us() - a->started_us) / 1000000;
    cg_metrics_family(m, GAUGE, "cgunicorn_build", "",
                      "Always 1; which program serves.");
    cg_metrics_put(m, "version", CG_VERSION, 1);
    cg_metrics_one(m, GAUGE, "cgunicorn_start_time_seconds", "seconds",
                   "When the master was started, since the epoch.",
                   (uint64_t)time(NULL) - up_s);
    cg_metrics_one(m, GAUGE, "cgunicorn_ready", "",
                   "1 while new requests are welcome (as /readyz).",
                   cg_arbiter_is_ready(a));
    cg_metrics_one(m, GAUGE, "cgunicorn_generation", "",
                   "The configuration that serves: grows with each reload.",
                   a->plan.generation);
}

static const char *const classes[CG_BOARD_CLASSES] = {"other", "1xx", "2xx",
                                                      "3xx",   "4xx", "5xx"};

/* Of all classes always: series that come and go are of no use. */
static void
put_times(const struct cg_totals *t, struct cg_metrics *m)
{
    cg_metrics_family(m, CG_METRIC_HISTOGRAM, "cgunicorn_queue_wait_seconds",
                      "seconds",
                      "From the complete request to the start of the "
                      "application, by the class of the status.");
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        const struct cg_class_totals *c = &t->by_class[i];
        cg_metrics_histogram(m, "class", classes[i], c->wait_hist, c->wait_us);
    }
    cg_metrics_family(m, CG_METRIC_HISTOGRAM, "cgunicorn_application_seconds",
                      "seconds",
                      "What the application took, its reply included, by the "
                      "class of the status.");
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        const struct cg_class_totals *c = &t->by_class[i];
        cg_metrics_histogram(m, "class", classes[i], c->app_hist, c->app_us);
    }
}

static void
put_requests(const struct cg_totals *t, struct cg_metrics *m)
{
    cg_metrics_family(m, COUNTER, "cgunicorn_requests", "",
                      "Requests that the application answered, by the class "
                      "of the status.");
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        cg_metrics_put(m, "class", classes[i], t->by_class[i].requests);
    }
    cg_metrics_one(m, COUNTER, "cgunicorn_refused_requests", "",
                   "Requests that were refused before they ran.", t->refused);
    cg_metrics_one(m, COUNTER, "cgunicorn_abandoned_requests", "",
                   "Requests that were not run: their clients left while they "
                   "waited.",
                   t->abandoned);
    cg_metrics_one(m, COUNTER, "cgunicorn_shed_requests", "",
                   "Requests that were answered 503: they waited longer than "
                   "max_queue_time.",
                   t->shed);
    cg_metrics_one(m, COUNTER, "cgunicorn_overloads", "",
                   "Times that the requests of a worker began to pile up.",
                   t->overloads);
    cg_metrics_one(m, COUNTER, "cgunicorn_sent_bytes", "bytes",
                   "Bytes of reply bodies.", t->bytes_out);
    cg_metrics_one(m, COUNTER, "cgunicorn_accepted_connections", "",
                   "Connections that were accepted.", t->accepted);
    cg_metrics_family(m, COUNTER, "cgunicorn_tls_handshakes", "",
                      "Handshakes of TLS that ended, by their result.");
    cg_metrics_put(m, "result", "good", t->shakes);
    cg_metrics_put(m, "result", "failed", t->shakes_failed);
    cg_metrics_one(m, COUNTER, "cgunicorn_handed_over_requests", "",
                   "Requests that a busy worker gave to the others.", t->given);
}

static void
put_states(const struct cg_arbiter *a, struct cg_metrics *m)
{
    uint64_t n[ROSTER_STOPPING + 1] = {0};
    for (int i = 0; i < a->plan.nworkers; i++) {
        n[a->plan.workers[i].state]++;
    }
    cg_metrics_family(m, GAUGE, "cgunicorn_workers", "",
                      "Worker processes, by their state.");
    for (int i = 0; i <= ROSTER_STOPPING; i++) {
        cg_metrics_put(m, "state", cg_roster_word((enum cg_plan_worker_state)i),
                       n[i]);
    }
    cg_metrics_one(m, GAUGE, "cgunicorn_wanted_workers", "",
                   "Worker processes that there are to be.",
                   (uint64_t)a->plan.o.target);
}

static void
put_load(const struct cg_arbiter *a, struct cg_metrics *m)
{
    uint64_t busy = 0, connections = 0, rss = 0, waiting = 0, overloaded = 0;
    for (int i = 0; i < a->nchildren; i++) {
        const struct cg_child *c = &a->children[i];
        busy += (uint64_t)cg_flights_count(c->slot);
        struct cg_slot_look look = cg_slot_look(c->slot);
        connections += (uint64_t)look.connections;
        waiting += (uint64_t)look.waiting;
        overloaded += look.overloaded;
        rss += cg_process_costs(c->pid).rss_bytes;
    }
    cg_metrics_one(m, GAUGE, "cgunicorn_busy_executors", "",
                   "Executors (threads of workers) that run a request.", busy);
    cg_metrics_one(m, GAUGE, "cgunicorn_executors", "",
                   "Requests that can run at the same time.",
                   (uint64_t)cg_arbiter_executors(a) *
                       (uint64_t)a->plan.o.target);
    cg_metrics_one(m, GAUGE, "cgunicorn_waiting_requests", "",
                   "Requests that wait for their turn in workers.", waiting);
    cg_metrics_one(m, GAUGE, "cgunicorn_overloaded_workers", "",
                   "Workers whose requests pile up.", overloaded);
    cg_metrics_one(m, GAUGE, "cgunicorn_connections", "",
                   "Open connections of clients.", connections);
    cg_metrics_family(m, GAUGE, "cgunicorn_resident_memory_bytes", "bytes",
                      "Resident memory, shared pages counted for each.");
    cg_metrics_put(m, "process", "master",
                   cg_process_costs(a->master_pid).rss_bytes);
    cg_metrics_put(m, "process", "workers", rss);
}

static void
put_history(const struct cg_arbiter *a, struct cg_metrics *m)
{
    cg_metrics_family(m, COUNTER, "cgunicorn_worker_deaths", "",
                      "Workers that ended and were not to, by the cause.");
    for (int i = CG_DEATH_NONE + 1; i < CG_DEATH_COUNT; i++) {
        cg_metrics_put(m, "cause", cg_death_word((enum cg_death_cause)i),
                       a->events.deaths[i]);
    }
    cg_metrics_family(m, COUNTER, "cgunicorn_reloads", "",
                      "Reloads that ended, by their result.");
    cg_metrics_put(m, "result", "good", a->events.count[CG_HAPPENED_RELOADED]);
    cg_metrics_put(
        m, "result", "rolled-back",
        (uint64_t)a->reloads_ended > a->events.count[CG_HAPPENED_RELOADED]
            ? (uint64_t)a->reloads_ended - a->events.count[CG_HAPPENED_RELOADED]
            : 0);
}

/* One of what is known of each listener. */
static void
put_listeners(const struct cg_arbiter *a, struct cg_metrics *m, size_t offset)
{
    for (int i = 0; i < a->sockets.n; i++) {
        struct cg_listener_look look;
        int64_t n;
        cg_arbiter_look_at_listener(&a->sockets.items[i], &look);
        memcpy(&n, (const char *)&look + offset, sizeof n);
        if (n >= 0) {
            cg_metrics_put(m, "address", a->sockets.items[i].text, (uint64_t)n);
        }
    }
}

static void
put_queues(const struct cg_arbiter *a, struct cg_metrics *m)
{
    cg_metrics_family(m, GAUGE, "cgunicorn_backlog", "",
                      "Connections in the kernel's listen queue.");
    put_listeners(a, m, offsetof(struct cg_listener_look, backlog));
    cg_metrics_family(m, GAUGE, "cgunicorn_backlog_limit", "",
                      "Connections that fit into it.");
    put_listeners(a, m, offsetof(struct cg_listener_look, backlog_max));
    cg_metrics_family(m, COUNTER, "cgunicorn_backlog_overflows", "",
                      "Connections that the kernel dropped at a full one.");
    put_listeners(a, m, offsetof(struct cg_listener_look, overflows));
}

/* ---- of each worker, when asked for: series that come and go ---- */

static uint64_t
requests_of(const struct cg_child *c)
{
    return cg_slot_requests(c->slot);
}

static uint64_t
busy_of(const struct cg_child *c)
{
    return (uint64_t)cg_flights_count(c->slot);
}

static uint64_t
connections_of(const struct cg_child *c)
{
    return (uint64_t)cg_slot_look(c->slot).connections;
}

static uint64_t
memory_of(const struct cg_child *c)
{
    return cg_process_costs(c->pid).rss_bytes;
}

static uint64_t
executors_of(const struct cg_child *c)
{
    return (uint64_t)cg_slot_look(c->slot).executors_now;
}

static void
put_workers(const struct cg_arbiter *a, struct cg_metrics *m)
{
    static const struct {
        enum cg_metric_type type;
        const char *name, *unit, *help;
        uint64_t (*of)(const struct cg_child *c);
    } rows[] = {
        {COUNTER, "cgunicorn_worker_requests", "", "Requests of a worker.",
         requests_of},
        {GAUGE, "cgunicorn_worker_busy_executors", "",
         "Executors of a worker that run a request.", busy_of},
        {GAUGE, "cgunicorn_worker_executors", "",
         "Executors that a worker has.", executors_of},
        {GAUGE, "cgunicorn_worker_connections", "",
         "Open connections of a worker.", connections_of},
        {GAUGE, "cgunicorn_worker_resident_memory_bytes", "bytes",
         "Resident memory of a worker.", memory_of},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_metrics_family(m, rows[i].type, rows[i].name, rows[i].unit,
                          rows[i].help);
        for (int k = 0; k < a->nchildren; k++) {
            char pid[16];
            snprintf(pid, sizeof pid, "%d", a->children[k].pid);
            cg_metrics_put(m, "pid", pid, rows[i].of(&a->children[k]));
        }
    }
}

static void
put_metrics(void *self, struct cg_metrics *m, bool workers)
{
    const struct cg_arbiter *a = self;
    struct cg_totals t;
    cg_arbiter_totals(a, &t);
    put_server(a, m);
    put_requests(&t, m);
    put_times(&t, m);
    put_states(a, m);
    put_load(a, m);
    put_history(a, m);
    put_queues(a, m);
    if (workers) {
        put_workers(a, m);
    }
}

/* ---- the server ---- */

static void
put_status(void *self, struct cg_buf *out)
{
    cg_arbiter_put_status(self, out);
}

static bool
is_ready(void *self)
{
    return cg_arbiter_is_ready(self);
}

static int
open_web(struct cg_arbiter *a, const char *bind, struct cg_error *err)
{
    struct cg_addr addr;
    const struct cg_listener_options o = {
        .backlog = BACKLOG,
        .umask = (unsigned)cg_settings_int(a->settings, CG_umask),
        .uid = -1,
        .gid = -1};
    int r = cg_addr_parse(bind, &addr, err);
    if (r == 0) {
        r = cg_listener_open(&addr, &o, &a->web_listener, err);
    }
    if (r < 0) {
        return cg_error_prefix(err, "metrics_bind");
    }
    a->web_calls = (struct cg_web_calls){.put_status = put_status,
                                         .put_metrics = put_metrics,
                                         .is_ready = is_ready,
                                         .self = a};
    a->web_told = false;
    a->web = cg_web_new(cg_fd_take(&a->web_listener.fd), &a->web_calls);
    a->web_bind = cg_strdup(bind);
    cg_log_line(a->log, CG_INFO, "Metrics and health at: %s",
                a->web_listener.text);
    return 0;
}

void
cg_arbiter_close_web(struct cg_arbiter *a)
{
    if (a->web != NULL) {
        cg_desk_free(a->web);
        cg_listener_close(&a->web_listener, true);
        free(a->web_bind);
        a->web = NULL;
        a->web_bind = NULL;
    }
}

int
cg_arbiter_open_web(struct cg_arbiter *a, struct cg_error *err)
{
    const char *bind = cg_settings_str(a->settings, CG_metrics_bind);
    int r = bind != NULL && *bind != '\0' ? open_web(a, bind, err) : 0;
    /* it is the old master's still */
    return r == -EADDRINUSE && a->plan.parent_pid != 0 ? 0 : r;
}

/* Each turn: as the settings are now. */
void
cg_arbiter_follow_web(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    const char *bind = cg_settings_str(a->settings, CG_metrics_bind);
    uint64_t now = cg_now_us() / 1000;
    bind = bind != NULL ? bind : "";
    if (strcmp(a->web_bind != NULL ? a->web_bind : "", bind) == 0 ||
        now < a->web_ms + RETRY_MS) {
        return;
    }
    a->web_ms = now;
    cg_arbiter_close_web(a);
    if (*bind != '\0' && open_web(a, bind, &err) < 0 && !a->web_told) {
        a->web_told = true;
        cg_log_line(a->log, CG_WARNING, "%s; trying again each second",
                    err.text);
    }
}
