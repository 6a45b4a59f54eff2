/* SPDX-License-Identifier: MIT */
/*
 * Status: what an operator wants to know of the server, as one JSON text. Reads
 * the plan, the scoreboard, whose words are bounded first, and /proc. Also
 * keeps samples of the counters, for rates and quantiles of the last minute.
 */
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/share/flights.h"
#include "core/worker/class.h"

enum {
    REQUESTS_MOST = 1000,
    SAMPLE_MS = 10 * 1000,
    CURRENT_MOST = 32,     /* requests told of one worker */
    PSS_BUDGET_US = 20000, /* for all workers together */
    EVENTS_TOLD = 5
};

/* ---- counters ---- */

/* What was counted since; a broken worker's counter may have gone back. */
static uint64_t
since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

void
cg_arbiter_totals(const struct cg_arbiter *a, struct cg_totals *ret)
{
    *ret = a->past;
    for (int i = 0; i < a->nchildren; i++) {
        cg_totals_add(ret, a->children[i].slot);
    }
}

/* A worker with executors of its own works while they are in the application;
 * a loop while it computes. */
static struct cg_effort
effort_of(const struct cg_arbiter *a, const struct cg_child *c)
{
    uint64_t now = cg_now_us();
    bool loops = cg_worker_class_of(a->settings)->module != NULL;
    return (struct cg_effort){.at_us = now,
                              .worked_us = loops
                                               ? cg_process_costs(c->pid).cpu_us
                                               : cg_slot_app_us(c->slot, now),
                              .most = loops ? 1 : cg_arbiter_executors(a)};
}

void
cg_arbiter_sample(struct cg_arbiter *a)
{
    uint64_t now = cg_now_us() / 1000;
    struct cg_sample *newest = &a->samples[a->nsamples % SAMPLES];
    if (now < a->sampled_ms + SAMPLE_MS) {
        return;
    }
    a->sampled_ms = newest->at_ms = now;
    cg_arbiter_totals(a, &newest->totals);
    a->nsamples++;
    for (int i = 0; i < a->nchildren; i++) {
        struct cg_child *c = &a->children[i];
        c->effort[0] = c->effort[1];
        c->effort[1] = effort_of(a, c);
    }
}

/* How much of its time it worked since ten to twenty seconds, or its start; 0
 * to 1. */
static double
busy_share(const struct cg_arbiter *a, const struct cg_child *c)
{
    const struct cg_effort *then =
        c->effort[0].at_us != 0 ? &c->effort[0] : &c->effort[1];
    struct cg_effort now = effort_of(a, c);
    uint64_t from =
        then->at_us != 0 ? then->at_us : atomic_load(&c->slot->started_us);
    double whole = (double)since(now.at_us, from) * now.most;
    double share =
        whole > 0 ? (double)since(now.worked_us, then->worked_us) / whole : 0;
    return share < 1 ? share : 1;
}

/* The oldest sample that is kept: about a minute ago, or the start. */
static const struct cg_sample *
oldest(const struct cg_arbiter *a)
{
    return &a->samples[a->nsamples > SAMPLES ? a->nsamples % SAMPLES : 0];
}

/* Of all classes of status, since then. */
static void
collect_since(const struct cg_totals *now, const struct cg_totals *then,
              bool app, uint64_t ret[CG_BOARD_HIST])
{
    memset(ret, 0, CG_BOARD_HIST * sizeof *ret);
    for (int k = 0; k < CG_BOARD_CLASSES; k++) {
        const struct cg_class_totals *a = &now->by_class[k];
        const struct cg_class_totals *b = &then->by_class[k];
        for (int i = 0; i < CG_BOARD_HIST; i++) {
            ret[i] += app ? since(a->app_hist[i], b->app_hist[i])
                          : since(a->wait_hist[i], b->wait_hist[i]);
        }
    }
}

static void
put_quantiles(struct cg_json *j, const char *key, const struct cg_totals *now,
              const struct cg_totals *then, bool app)
{
    static const struct {
        const char *key;
        double q;
    } told[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    uint64_t recent[CG_BOARD_HIST];
    collect_since(now, then, app, recent);
    cg_json_key(j, key);
    cg_json_open(j, '{');
    for (size_t i = 0; i < CG_COUNT(told); i++) {
        cg_json_put_seconds(j, told[i].key,
                            cg_hist_quantile_us(recent, told[i].q));
    }
    cg_json_close(j, '}');
}

static void
put_counters(const struct cg_arbiter *a, struct cg_json *j)
{
    static const char *const classes[] = {"other", "1xx", "2xx",
                                          "3xx",   "4xx", "5xx"};
    const struct cg_sample *then = oldest(a);
    struct cg_totals now;
    uint64_t ms = since(cg_now_us() / 1000, then->at_ms);
    cg_arbiter_totals(a, &now);
    cg_json_put_int(j, "requests_total", (int64_t)now.requests);
    cg_json_put_int(j, "refused_total", (int64_t)now.refused);
    cg_json_put_int(j, "abandoned_total", (int64_t)now.abandoned);
    cg_json_put_int(j, "shed_total", (int64_t)now.shed);
    cg_json_put_int(j, "handed_over_total", (int64_t)now.given);
    cg_json_put_int(j, "connections_total", (int64_t)now.accepted);
    cg_json_put_int(j, "tls_handshakes_total", (int64_t)now.shakes);
    cg_json_put_int(j, "tls_handshakes_failed_total",
                    (int64_t)now.shakes_failed);
    cg_json_put_int(j, "bytes_sent_total", (int64_t)now.bytes_out);
    cg_json_key(j, "responses");
    cg_json_open(j, '{');
    for (size_t i = 1; i <= CG_COUNT(classes); i++) {
        size_t class = i % CG_COUNT(classes);
        cg_json_put_int(j, classes[class],
                        (int64_t)now.by_class[class].requests);
    }
    cg_json_close(j, '}');
    cg_json_put_seconds(j, "window_s", ms * 1000);
    cg_json_key(j, "requests_per_s");
    cg_json_real(j, ms > 0
                        ? (double)since(now.requests, then->totals.requests) *
                              1000.0 / (double)ms
                        : 0);
    put_quantiles(j, "queue_wait_s", &now, &then->totals, false);
    put_quantiles(j, "app_time_s", &now, &then->totals, true);
}

/* ---- listeners ---- */

void
cg_arbiter_look_at_listener(const struct cg_listener *l,
                            struct cg_listener_look *ret)
{
    struct tcp_info info;
    uint32_t memory[SK_MEMINFO_DROPS + 1];
    socklen_t n = sizeof info, size = sizeof memory;
    *ret = (struct cg_listener_look){-1, -1, -1};
    if (l->family == AF_UNIX) {
        cg_unix_queue(l->fd, &ret->backlog, &ret->backlog_max);
    } else if (getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0) {
        ret->backlog = (int64_t)info.tcpi_unacked; /* of a listener */
        ret->backlog_max = (int64_t)info.tcpi_sacked;
    }
    if (getsockopt(l->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0 &&
        size == sizeof memory && l->family != AF_UNIX) {
        ret->overflows = memory[SK_MEMINFO_DROPS];
    }
}

static void
put_known(struct cg_json *j, const char *key, int64_t n)
{
    cg_json_key(j, key);
    if (n >= 0) {
        cg_json_int(j, n);
    } else {
        cg_json_null(j);
    }
}

static void
put_listeners(const struct cg_arbiter *a, struct cg_json *j)
{
    cg_json_key(j, "listeners");
    cg_json_open(j, '[');
    for (int i = 0; i < a->sockets.n; i++) {
        struct cg_listener_look look;
        cg_arbiter_look_at_listener(&a->sockets.items[i], &look);
        cg_json_open(j, '{');
        cg_json_put_text(j, "address", a->sockets.items[i].text);
        put_known(j, "backlog", look.backlog);
        put_known(j, "backlog_max", look.backlog_max);
        put_known(j, "overflows", look.overflows);
        cg_json_close(j, '}');
    }
    cg_json_close(j, ']');
}

/* ---- workers ---- */

int
cg_arbiter_executors(const struct cg_arbiter *a)
{
    const char *name = cg_worker_class_of(a->settings)->name;
    return strcmp(name, "sync") == 0 ? 1
           : strcmp(name, "gthread") == 0
               ? cg_settings_range(a->settings, CG_threads).most
               : (int)cg_settings_int(a->settings, CG_worker_connections);
}

/* Fewer than that where threads come with need. */
static int
least_executors(const struct cg_arbiter *a)
{
    const char *name = cg_worker_class_of(a->settings)->name;
    return strcmp(name, "gthread") == 0
               ? cg_settings_range(a->settings, CG_threads).least
               : cg_arbiter_executors(a);
}

static void
put_flight(const struct cg_flight_look *f, uint64_t now_us, struct cg_json *j)
{
    cg_json_put_text(j, "method", f->method);
    cg_json_put_text(j, "path", f->path);
    cg_json_put_seconds(j, "age_s", since(now_us, f->since_us));
    cg_json_put_text(j, "peer", f->peer[0] != '\0' ? f->peer : "unix");
    if (f->id[0] != '\0') {
        cg_json_put_text(j, "request_id", f->id);
    }
    cg_json_put_text(j, "phase", "application");
}

static void
put_current(const struct cg_slot *slot, uint64_t now_us, struct cg_json *j)
{
    int told = 0, used = cg_slot_look(slot).executors;
    cg_json_key(j, "current");
    cg_json_open(j, '[');
    for (int i = 0; i < used && told < CURRENT_MOST; i++) {
        struct cg_flight_look f;
        if (cg_flight_read(&slot->flight[i], &f)) {
            cg_json_open(j, '{');
            put_flight(&f, now_us, j);
            cg_json_close(j, '}');
            told++;
        }
    }
    cg_json_close(j, ']');
}

static const char *
state_word(const struct cg_plan_worker *w, const struct cg_slot_look *look,
           int busy)
{
    if (w == NULL || look->state == CG_WORKER_ENDING) {
        return "ending";
    }
    if (w->state == ROSTER_READY && look->overloaded) {
        return "overloaded";
    }
    return w->state == ROSTER_READY ? busy > 0 ? "busy" : "idle"
                                    : cg_roster_word(w->state);
}

static void
put_memory(struct cg_json *j, int pid, const struct cg_process_costs *costs,
           uint64_t pss_until_us)
{
    uint64_t pss = cg_now_us() < pss_until_us ? cg_process_pss(pid) : 0;
    cg_json_put_int(j, "rss_bytes", (int64_t)costs->rss_bytes);
    put_known(j, "pss_bytes", pss != 0 ? (int64_t)pss : -1);
    cg_json_put_seconds(j, "cpu_s", costs->cpu_us);
}

static void
put_last_error(const struct cg_slot *slot, uint64_t now_us, struct cg_json *j)
{
    char text[200];
    uint64_t at;
    cg_json_key(j, "last_error");
    if (!cg_slot_last_error(slot, text, &at)) {
        cg_json_null(j);
        return;
    }
    cg_json_open(j, '{');
    cg_json_put_seconds(j, "age_s", since(now_us, at));
    cg_json_put_text(j, "text", text);
    cg_json_close(j, '}');
}

static void
put_worker(const struct cg_arbiter *a, const struct cg_child *c,
           uint64_t pss_until_us, struct cg_json *j)
{
    const struct cg_plan_worker *w = cg_plan_worker(&a->plan, c->pid);
    struct cg_slot_look look = cg_slot_look(c->slot);
    struct cg_process_costs costs = cg_process_costs(c->pid);
    uint64_t now = cg_now_us();
    int busy = cg_flights_count(c->slot);
    cg_json_open(j, '{');
    cg_json_put_int(j, "pid", c->pid);
    cg_json_put_text(j, "state", state_word(w, &look, busy));
    cg_json_put_int(j, "number", w != NULL ? (int64_t)w->age : 0);
    cg_json_put_int(j, "generation", w != NULL ? (int64_t)w->generation : 0);
    cg_json_put_seconds(j, "age_s",
                        w != NULL ? since(now / 1000, w->born_ms) * 1000 : 0);
    cg_json_put_int(j, "requests", (int64_t)cg_slot_requests(c->slot));
    cg_json_put_int(j, "busy", busy);
    cg_json_put_int(j, "executors", cg_arbiter_executors(a));
    cg_json_put_int(j, "executors_least", least_executors(a));
    cg_json_put_int(j, "executors_now", look.executors_now);
    cg_json_key(j, "busy_share");
    cg_json_real(j, busy_share(a, c));
    cg_json_put_int(j, "connections", look.connections);
    cg_json_put_int(j, "waiting", look.waiting);
    put_memory(j, c->pid, &costs, pss_until_us);
    cg_json_put_seconds(j, "silent_s", cg_slot_silent_us(&look, now));
    put_current(c->slot, now, j);
    put_last_error(c->slot, now, j);
    cg_json_close(j, '}');
}

static void
put_workers(const struct cg_arbiter *a, struct cg_json *j)
{
    uint64_t pss_until_us = cg_now_us() + PSS_BUDGET_US;
    cg_json_key(j, "workers");
    cg_json_open(j, '[');
    for (int i = 0; i < a->nchildren; i++) {
        put_worker(a, &a->children[i], pss_until_us, j);
    }
    cg_json_close(j, ']');
}

/* ---- the server ---- */

/* RUNNING, but with readiness withdrawn by hand, is draining as well. */
const char *
cg_arbiter_state(const struct cg_arbiter *a)
{
    return a->drained && a->plan.phase <= PLAN_RELOADING
               ? "draining"
               : cg_plan_phase_word(a->plan.phase);
}

static void
put_config_file(const struct cg_arbiter *a, struct cg_json *j)
{
    const char *path = cg_settings_str(a->settings, CG_config);
    cg_auto(free) char *full =
        path != NULL && path[0] != '/' && strchr(path, ':') == NULL
            ? cg_strf("%s/%s", a->start->start_dir, path)
            : NULL;
    bool is_there =
        path != NULL && (strchr(path, ':') != NULL ||
                         access(full != NULL ? full : path, F_OK) == 0);
    cg_json_put_text(j, "config_file",
                     !is_there      ? NULL
                     : full != NULL ? full
                                    : path);
}

static void
put_server(const struct cg_arbiter *a, struct cg_json *j)
{
    struct cg_process_costs costs = cg_process_costs(a->master_pid);
    cg_json_put_text(j, "version", CG_VERSION);
    cg_json_put_int(j, "pid", a->master_pid);
    cg_json_put_text(j, "name", cg_settings_proc_name(a->settings));
    cg_json_put_text(j, "state", cg_arbiter_state(a));
    cg_json_put_bool(j, "serving", a->plan.serving);
    cg_json_put_seconds(j, "uptime_s", since(cg_now_us(), a->started_us));
    cg_json_put_int(j, "generation", a->plan.generation);
    cg_json_put_text(j, "worker_class", cg_settings_worker_class(a->settings));
    put_config_file(a, j);
    cg_json_put_text(j, "pidfile", a->pidfile);
    cg_json_put_int(j, "old_master_pid", a->plan.parent_pid);
    cg_json_put_int(j, "new_master_pid", a->plan.reexec_pid);
    cg_json_put_int(j, "workers_wanted", a->plan.o.target);
    cg_json_put_int(j, "reloads_begun", a->reloads_begun);
    cg_json_put_int(j, "reloads_ended", a->reloads_ended);
    cg_json_put_bool(j, "reload_good", a->reload_good);
    cg_json_put_text(j, "reload_reason", a->reload_reason);
    cg_json_put_int(j, "rss_bytes", (int64_t)costs.rss_bytes);
    cg_json_put_seconds(j, "cpu_s", costs.cpu_us);
}

void
cg_arbiter_put_status(const struct cg_arbiter *a, struct cg_buf *out)
{
    struct cg_json j = {.out = out};
    cg_json_open(&j, '{');
    put_server(a, &j);
    put_listeners(a, &j);
    put_counters(a, &j);
    put_workers(a, &j);
    cg_companions_put(a, &j);
    cg_json_key(&j, "events");
    cg_events_put(&a->events, EVENTS_TOLD, &j);
    cg_json_close(&j, '}');
}

/* ---- requests in flight ---- */

struct flight {
    int pid;
    struct cg_flight_look look;
};

static int
by_start(const void *a, const void *b)
{
    const struct flight *x = a, *y = b;
    return (x->look.since_us > y->look.since_us) -
           (x->look.since_us < y->look.since_us);
}

static size_t
collect(const struct cg_arbiter *a, struct flight *out)
{
    size_t n = 0;
    for (int i = 0; i < a->nchildren; i++) {
        const struct cg_child *c = &a->children[i];
        int used = cg_slot_look(c->slot).executors;
        for (int k = 0; k < used && n < REQUESTS_MOST; k++) {
            out[n].pid = c->pid;
            n += cg_flight_read(&c->slot->flight[k], &out[n].look);
        }
    }
    return n;
}

void
cg_arbiter_put_requests(const struct cg_arbiter *a, struct cg_buf *out)
{
    struct cg_json j = {.out = out};
    cg_auto(free) struct flight *all = cg_calloc(REQUESTS_MOST, sizeof *all);
    size_t n = collect(a, all);
    qsort(all, n, sizeof *all, by_start);
    cg_json_open(&j, '{');
    cg_json_key(&j, "requests");
    cg_json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        cg_json_open(&j, '{');
        cg_json_put_int(&j, "pid", all[i].pid);
        put_flight(&all[i].look, cg_now_us(), &j);
        cg_json_close(&j, '}');
    }
    cg_json_close(&j, ']');
    cg_json_close(&j, '}');
}
