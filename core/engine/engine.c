/* SPDX-License-Identifier: MIT */
/* The loop: who turns it, in which order things are done, how it ends. */
#include "core/engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/engine/internal.h"

enum {
    LINGER_US = 2 * 1000 * 1000,
    /* gunicorn 27: an announced keep-alive still gets this long at a stop */
    STOP_IDLE_US = 2 * 1000 * 1000,
    /* how long queued requests may run before the next look at the sockets */
    QUEUE_US = 1000,
    ORPHAN_US = 1000 * 1000
};

#define RELAXED memory_order_relaxed

/* ---- making and freeing ---- */

static void
init_deadlines(struct cg_engine *e)
{
    const struct cg_engine_config *c = e->config;
    cg_deadlines_init(&e->deadlines);
    uint64_t *length = e->deadlines.length_us;
    length[DEADLINE_FIRST] = c->first_timeout_us;
    length[DEADLINE_HEAD] = c->header_timeout_us;
    length[DEADLINE_BODY] = c->body_timeout_us;
    length[DEADLINE_WRITE] = c->write_timeout_us;
    length[DEADLINE_KEEP] = c->keepalive_us;
    length[DEADLINE_LINGER] = LINGER_US;
}

int
cg_engine_new(const struct cg_engine_config *config, const struct cg_host *host,
              const struct cg_listener *listeners, int nlisteners,
              struct cg_scoreboard *board, struct cg_slot *slot,
              struct cg_engine **ret_engine, struct cg_error *err)
{
    struct cg_engine *e = aligned_alloc(64, (sizeof *e + 63) / 64 * 64);
    if (e == NULL) {
        cg_die("out of memory");
    }
    memset(e, 0, sizeof *e);
    e->config = config;
    e->host = host;
    e->board = board;
    e->slot = slot;
    e->listeners = listeners;
    e->nlisteners = nlisteners;
    e->wakeup.fd = e->master.fd = -1;
    e->ready_last = &e->ready_first;
    e->date_s = -1;
    atomic_store(&e->baton.word, cg_baton_make(BATON_FREE, 0, 1));
    init_deadlines(e);
    int r = cg_loop_init(&e->loop);
    if (r < 0) {
        free(e);
        return cg_error_set(err, -r, "cannot make an event loop: %s",
                            strerror(-r));
    }
    e->listener_watch = cg_calloc((size_t)nlisteners, sizeof(struct cg_watch));
    cg_engine_tick(e);
    *ret_engine = e;
    return 0;
}

static void
drop_held(struct cg_engine *e)
{
    while (e->dropped != NULL) {
        struct cg_segment *s = e->dropped;
        e->dropped = s->next;
        e->host->drop(e->host->self, s->keep);
        free(s);
    }
}

static void
close_list(struct cg_engine *e, enum cg_deadline_list list)
{
    struct cg_deadline *d;
    while ((d = cg_deadlines_oldest(&e->deadlines, list)) != NULL) {
        cg_conn_close(e, cg_conn_of(d));
    }
}

void
cg_engine_free(struct cg_engine *e)
{
    if (e == NULL) {
        return;
    }
    struct cg_conn *c;
    while ((c = cg_ready_pop(e)) != NULL) {
        cg_conn_close(e, c);
    }
    for (int list = 0; list < DEADLINE_LISTS; list++) {
        close_list(e, (enum cg_deadline_list)list);
    }
    drop_held(e);
    cg_conn_bury(e);
    while ((c = e->freelist) != NULL) {
        e->freelist = c->qnext;
        free(c);
    }
    cg_loop_release(&e->loop);
    free(e->listener_watch);
    free(e);
}

struct cg_executor *
cg_executor_new(struct cg_engine *e, int id)
{
    CG_ASSERT(id >= 0 && id < CG_BOARD_EXECUTORS);
    struct cg_executor *x = cg_malloc(sizeof *x);
    memset(x, 0, offsetof(struct cg_executor, events));
    x->engine = e;
    x->id = id;
    x->flight = &e->slot->flight[id];
    return x;
}

void
cg_executor_free(struct cg_executor *x)
{
    if (x != NULL) {
        cg_request_release(&x->req);
        cg_buf_release(&x->out);
        free(x);
    }
}

int
cg_engine_watch_wakeup(struct cg_engine *e, int fd)
{
    e->wakeup.fd = fd;
    return cg_loop_add(&e->loop, fd, CG_LOOP_READ, &e->wakeup);
}

int
cg_engine_watch_master(struct cg_engine *e, int fd)
{
    e->master.fd = fd;
    return cg_loop_add(&e->loop, fd, CG_LOOP_READ, &e->master);
}

/* ---- asking it to stop ---- */

void
cg_engine_stop(struct cg_engine *e, uint64_t graceful_us)
{
    atomic_store(&e->graceful_us, graceful_us);
    atomic_store(&e->stop_wanted, 1);
}

void
cg_engine_abort(struct cg_engine *e)
{
    atomic_store(&e->abort_wanted, 1);
}

bool
cg_engine_is_stopping(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->stop_wanted, RELAXED) != 0;
}

uint64_t
cg_engine_requests(const struct cg_engine *e)
{
    return e->requests;
}

void
cg_engine_forked(struct cg_engine *e)
{
    atomic_store(&e->forked, 1);
}

/* ---- the host's lock ---- */

void
cg_engine_enter(struct cg_executor *x)
{
    x->engine->host->enter(x->engine->host->self);
    x->entered = true;
}

void
cg_engine_leave(struct cg_executor *x)
{
    if (x->entered) {
        x->entered = false;
        x->engine->host->leave(x->engine->host->self);
    }
}

/* ---- time ---- */

void
cg_engine_tick(struct cg_engine *e)
{
    struct timespec wall;
    e->now_us = cg_now_us();
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    if (wall.tv_sec != e->date_s) {
        e->date_s = wall.tv_sec;
        cg_http_date(wall.tv_sec, e->date);
    }
}

static void
expire(struct cg_engine *e, struct cg_conn *c)
{
    switch ((enum cg_conn_state)c->state) {
    case CONN_HEAD:
        cg_refuse_status(e, c, 408, "Request head timed out");
        break;
    case CONN_BODY:
        cg_refuse_status(e, c, 408, "Request body timed out");
        break;
    case CONN_FRESH:
    case CONN_FLUSH:
    case CONN_IDLE:
    case CONN_LINGER: cg_conn_close(e, c); break;
    case CONN_READY: /* gets a new deadline when it comes back */
    case CONN_RUN:
    case CONN_DEAD: break;
    }
}

/* Milliseconds until something is due, -1 for never. */
static int
run_timers(struct cg_engine *e)
{
    struct cg_deadline *d;
    uint64_t next;
    while ((d = cg_deadlines_expired(&e->deadlines, e->now_us, &next)) !=
           NULL) {
        expire(e, cg_conn_of(d));
    }
    if (e->accept_pause_us > e->now_us &&
        e->accept_pause_us - e->now_us < next) {
        next = e->accept_pause_us - e->now_us;
    }
    if (e->stopping) {
        uint64_t left =
            e->stop_at_us > e->now_us ? e->stop_at_us - e->now_us : 0;
        next = left < next ? left : next;
    }
    if (next == UINT64_MAX) {
        return -1;
    }
    return next > 60 * 1000000u ? 60 * 1000 : (int)(next / 1000) + 1;
}

/* ---- events ---- */

static void
on_wakeup(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    char bytes[64];
    while (read(e->wakeup.fd, bytes, sizeof bytes) > 0) {
    }
    if (!x->entered) {
        cg_engine_enter(x);
    }
    e->host->signals(e->host->self);
}

static void
on_master_gone(struct cg_engine *e)
{
    e->orphaned = true;
    cg_loop_remove(&e->loop, e->master.fd);
    cg_engine_stop(e, ORPHAN_US);
}

static bool
on_special(struct cg_executor *x, void *ptr)
{
    struct cg_engine *e = x->engine;
    struct cg_watch *w = ptr;
    if (w >= e->listener_watch && w < e->listener_watch + e->nlisteners) {
        cg_accept_one(x, (int)(w - e->listener_watch));
    } else if (w == &e->wakeup) {
        on_wakeup(x);
    } else if (w == &e->master) {
        on_master_gone(e);
    } else {
        return false;
    }
    return true;
}

static void
on_conn(struct cg_executor *x, struct cg_conn *c)
{
    switch ((enum cg_conn_state)c->state) {
    case CONN_FRESH:
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_IDLE: cg_receive(x, c); break;
    case CONN_FLUSH: cg_flush(x->engine, c); break;
    case CONN_LINGER: cg_linger(x, c); break;
    case CONN_READY:
    case CONN_RUN: /* not ours now: silence it, it is armed again later */
        cg_conn_disarm(x->engine, c);
        break;
    case CONN_DEAD: break;
    }
}

static void
handle(struct cg_executor *x, const cg_loop_event *event)
{
    if (!on_special(x, event->data.ptr)) {
        on_conn(x, event->data.ptr);
    }
}

/* ---- one turn ---- */

static void
set_state(struct cg_engine *e, enum cg_worker_state s)
{
    atomic_store_explicit(&e->slot->beat_us, e->now_us, RELAXED);
    atomic_store_explicit(&e->slot->state, e->stopping ? CG_WORKER_STOPPING : s,
                          RELAXED);
}

static void
harvest(struct cg_executor *x, int n)
{
    struct cg_engine *e = x->engine;
    e->events = x->events;
    e->nevents = n;
    e->event_at = 0;
    e->harvested_us = e->now_us;
    e->quota = e->nready;
}

static void
begin_stop(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint64_t keep = e->config->keepalive_us;
    e->stopping = true;
    e->stop_at_us = e->now_us + atomic_load(&e->graceful_us);
    set_state(e, CG_WORKER_STOPPING);
    cg_accept_rest(x);
    cg_accept_listen(e, false);
    cg_deadlines_shorten(&e->deadlines, DEADLINE_KEEP,
                         keep != 0 && keep < STOP_IDLE_US ? keep : STOP_IDLE_US,
                         e->now_us);
    cg_deadlines_shorten(&e->deadlines, DEADLINE_FIRST, STOP_IDLE_US,
                         e->now_us);
}

static bool
is_over(struct cg_engine *e)
{
    if (atomic_load_explicit(&e->abort_wanted, RELAXED)) {
        return true;
    }
    return e->stopping && (e->nconns == 0 || e->now_us >= e->stop_at_us);
}

static void
run_queued(struct cg_executor *x)
{
    struct cg_conn *c = cg_ready_pop(x->engine);
    cg_receive_ready(x, c);
}

static bool
queued_is_due(const struct cg_executor *x)
{
    const struct cg_engine *e = x->engine;
    return x->id != RELIEF && e->nready > 0 && e->quota > 0 &&
           e->now_us - e->harvested_us < QUEUE_US;
}

static void
before_look(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    cg_conn_bury(e);
    if (x->entered && e->dropped != NULL) {
        drop_held(e);
    }
    if (!e->listening && x->id != RELIEF && !e->stopping &&
        e->now_us >= e->accept_pause_us &&
        e->nconns < e->config->max_connections) {
        cg_accept_listen(e, true);
    }
}

/* Blocks until something happens. False when the baton was stolen meanwhile:
 * the events are level-triggered, so dropping them loses nothing. */
static bool
wait_for_events(struct cg_executor *x, int timeout_ms)
{
    struct cg_engine *e = x->engine;
    if (e->dropped != NULL) {
        if (!x->entered) {
            cg_engine_enter(x);
        }
        drop_held(e);
    }
    cg_engine_leave(x);
    set_state(e, CG_WORKER_IDLE);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_WAIT);
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, timeout_ms);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        return false;
    }
    cg_engine_tick(e);
    set_state(e, CG_WORKER_BUSY);
    harvest(x, n);
    return true;
}

/* One step with the baton; false when it was lost. */
static bool
turn(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (e->event_at < e->nevents) {
        handle(x, &e->events[e->event_at++]);
        return true;
    }
    if (queued_is_due(x)) {
        e->quota--;
        run_queued(x);
        return true;
    }
    before_look(x);
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, 0);
    cg_engine_tick(e);
    harvest(x, n);
    int ms = run_timers(e);
    if (n > 0) {
        set_state(e, CG_WORKER_BUSY);
        return true;
    }
    if (e->nready > 0) {
        run_queued(x);
        return true;
    }
    if (is_over(e)) {
        return true;
    }
    return wait_for_events(x, ms);
}

enum cg_engine_end
cg_engine_run(struct cg_engine *e, struct cg_executor *x)
{
    x->entered = true;
    cg_baton_take(&e->baton, (unsigned)x->id);
    for (;;) {
        if (__builtin_expect(
                atomic_load_explicit(&e->stop_wanted, RELAXED) != 0, 0) &&
            !e->stopping) {
            begin_stop(x);
        }
        if (__builtin_expect(is_over(e), 0)) {
            break;
        }
        if (!turn(x)) {
            cg_baton_take(&e->baton, (unsigned)x->id);
        }
    }
    if (!x->entered) {
        cg_engine_enter(x);
    }
    cg_baton_free(&e->baton);
    if (e->orphaned) {
        return CG_END_ORPHANED;
    }
    return atomic_load(&e->abort_wanted) || e->nconns > 0 ? CG_END_FORCED
                                                          : CG_END_STOPPED;
}
