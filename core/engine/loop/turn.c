/* SPDX-License-Identifier: MIT */
/* The loop: in which order things are done, and how it ends. */
#include <unistd.h>

#include "core/base/memory.h"
#include "core/engine/internal.h"

enum {
    /* gunicorn 27: an announced keep-alive still gets this long at a stop */
    STOP_IDLE_US = 2 * 1000 * 1000,
    /* how long queued requests may run before the next look at the sockets */
    QUEUE_US = 1000,
    /* a worker without a master finishes what it can in this time */
    ORPHAN_US = 1000 * 1000,
    /* relief: how often a full queue of the siblings is tried again */
    RETRY_MS = 2,
    /* lines of a pass that takes longer are written one by one */
    PASS_US = 2000,
    /* a busy worker with so many events lets an idle sibling have one */
    CROWD = 8,
    /* how often a loop that only waits shows that it lives */
    BEAT_MS = 250
};

#define RELAXED memory_order_relaxed

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
    case CONN_IDLE:
    case CONN_DRAIN:
    case CONN_LINGER: cg_conn_close(e, c); break;
    case CONN_FLUSH: cg_flush_look(e, c); break;
    case CONN_LENT: cg_lent_expired(e, c); break;
    case CONN_READY: /* gets a new deadline when it comes back */
    case CONN_RUN:
    case CONN_DEAD: break;
    }
}

static uint64_t
earlier(const struct cg_engine *e, uint64_t next, uint64_t at)
{
    uint64_t left = at > e->now_us ? at - e->now_us : 0;
    return left < next ? left : next;
}

/* Microseconds until something else than a deadline is due. */
static uint64_t
next_of_others(const struct cg_engine *e)
{
    uint64_t next = UINT64_MAX;
    if (e->accept_pause_us > e->now_us) {
        next = earlier(e, next, e->accept_pause_us);
    }
    if (e->adopt_pause_us > e->now_us) {
        next = earlier(e, next, e->adopt_pause_us);
    }
    if (e->full_us > e->now_us) {
        next = earlier(e, next, e->full_us);
    }
    if (e->report_us != 0) {
        next = earlier(e, next, e->report_us);
    }
    if (e->hoard.trim_us != 0) {
        next = earlier(e, next, e->hoard.trim_us);
    }
    return e->stopping ? earlier(e, next, e->stop_at_us) : next;
}

/* Milliseconds until something is due, -1 for never. */
int
cg_run_timers(struct cg_engine *e)
{
    struct cg_deadline *d;
    uint64_t next;
    while ((d = cg_deadlines_expired(&e->deadlines, e->now_us, &next)) !=
           NULL) {
        if (d->list < DEADLINE_CONN_LISTS) {
            expire(e, cg_conn_of(d));
        } else {
            cg_limit_expire(e, d);
        }
    }
    if (e->report_us != 0 && e->now_us >= e->report_us) {
        e->report_us = 0;
        e->host->report(e->host->self);
    }
    if (e->hoard.trim_us != 0 && e->now_us >= e->hoard.trim_us) {
        e->hoard.trim_us = 0;
        e->hoard.trims = true;
    }
    uint64_t other = next_of_others(e);
    next = other < next ? other : next;
    if (next == UINT64_MAX) {
        return -1;
    }
    return next > 60 * 1000000u ? 60 * 1000 : (int)(next / 1000) + 1;
}

/* ---- what others see of it ---- */

void
cg_show(const struct cg_executor *x, enum cg_worker_state s)
{
    struct cg_engine *e = x->engine;
    /* relief shows nothing: the call that it relieves may be stuck */
    if (x->id == RELIEF) {
        return;
    }
    atomic_store_explicit(&e->slot->beat_us, e->now_us, RELAXED);
    atomic_store_explicit(&e->slot->state, e->stopping ? CG_WORKER_STOPPING : s,
                          RELAXED);
}

/* Relief of a class whose calls may last: the worker lives, unless executors
 * wait for the host's lock in vain. */
static void
show_relieved(struct cg_engine *e)
{
    if (e->config->calls_may_last &&
        atomic_load_explicit(&e->entering, RELAXED) == 0) {
        atomic_store_explicit(&e->slot->beat_us, e->now_us, RELAXED);
    }
}

/* ---- events ---- */

void
cg_drain_fd(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) == sizeof bytes) {
    }
}

static void
hear_signals(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    if (!x->entered) {
        cg_engine_enter(x);
    }
    e->host->signals(e->host->self);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        cg_baton_take(&e->baton, (unsigned)x->id);
    }
}

static void
on_wakeup(struct cg_executor *x)
{
    cg_drain_fd(x->engine->wakeup.fd);
    if (x->id != RELIEF) { /* else a leftover event of the leader's */
        hear_signals(x);
    }
}

static void
on_master_gone(struct cg_engine *e)
{
    e->orphaned = true;
    cg_loop_remove(&e->loop, e->master.fd);
    cg_engine_stop(e, ORPHAN_US);
}

/* Somebody swallowed a wake-up: whatever it was for, here is a try. One poke
 * may stand for several, so what is still there goes on to the next one. */
static void
on_poke(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (x->id == RELIEF) {
        return; /* a leftover event of the leader's: passed on by withdraw() */
    }
    cg_drain_fd(e->poke.fd);
    if (cg_adopt(x)) {
        cg_pass_on(e);
    }
}

static void
on_bell(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    bool useful = false;
    if (x->id == RELIEF) {
        return;
    }
    cg_drain_fd(e->bell.fd);
    for (int i = 0; !useful && i < e->nlisteners; i++) {
        useful = cg_accept_one(x, i);
    }
    if (useful) {
        cg_pass_on(e);
    }
}

static bool
on_special(struct cg_executor *x, void *ptr)
{
    struct cg_engine *e = x->engine;
    struct cg_watch *w = ptr;
    if (w >= e->listener_watch && w < e->listener_watch + e->nlisteners) {
        cg_accept_some(x, (int)(w - e->listener_watch));
    } else if (w == &e->queue) {
        if (e->attending && x->id != RELIEF) {
            cg_adopt(x);
        }
    } else if (w == &e->poke) {
        on_poke(x);
    } else if (w == &e->bell) {
        on_bell(x);
    } else if (w == &e->wakeup) {
        on_wakeup(x);
    } else if (w == &e->timer) {
        cg_drain_fd(e->timer.fd);
        e->timer_us = 0;
    } else if (w == &e->kick) {
        cg_drain_fd(e->kick.fd);
        cg_tell_noted(e);
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
    case CONN_LENT: cg_lent_ready(x->engine, c); break;
    case CONN_DRAIN: cg_stream_drain(x, c); break;
    case CONN_LINGER: cg_linger(x, c); break;
    case CONN_READY:
    case CONN_RUN: /* not ours now: silence it, it is armed again later */
        cg_conn_disarm(x->engine, c);
        break;
    case CONN_DEAD: break;
    }
}

bool
cg_loop_next_event(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (e->event_at == e->nevents) {
        return false;
    }
    void *ptr = e->events[e->event_at++].data.ptr;
    if (!on_special(x, ptr)) {
        on_conn(x, ptr);
    }
    return true;
}

/* New connections before anything that runs a request: a long one would have
 * relief take the listeners out again before they had their turn. */
static void
listeners_first(struct cg_executor *x, int n)
{
    const struct cg_engine *e = x->engine;
    int first = 0;
    for (int i = 0; i < n; i++) {
        const struct cg_watch *w = x->events[i].data.ptr;
        if (w >= e->listener_watch && w < e->listener_watch + e->nlisteners) {
            cg_loop_event event = x->events[first];
            x->events[first++] = x->events[i];
            x->events[i] = event;
        }
    }
}

void
cg_harvest(struct cg_executor *x, int n)
{
    struct cg_engine *e = x->engine;
    e->events = x->events;
    e->nevents = n;
    e->event_at = 0;
    e->harvested_us = e->now_us;
    e->rested = false;
    /* Relief looks while the leader runs: that must not spare the leader its
     * own look, which is the only one with the listeners in the set. And after
     * a long call all that has come stands in line before any of it runs, or
     * else the first connection would be served again and again. */
    e->quota = x->id == RELIEF ? 0 : e->nready + (e->relieved ? n : 0);
    if (x->id != RELIEF && e->relieved) {
        e->relieved = false;
        listeners_first(x, n);
    }
    e->giving = n >= CROWD && x->id != RELIEF && cg_sibling_idle(e);
}

/* ---- the end ---- */

static void
begin_stop(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint64_t keep = e->config->keepalive_us;
    cg_engine_tick(e); /* a hosted engine's last look may be long ago */
    e->stopping = true;
    e->stop_at_us = e->now_us + atomic_load(&e->graceful_us);
    if (x->id != RELIEF) {
        atomic_store(&e->slot->beat_us, e->now_us);
    }
    /* by relief too: siblings rely on who does not stop */
    atomic_store(&e->slot->state, CG_WORKER_STOPPING);
    cg_accept_rest(x);
    cg_accept_listen(e, false);
    if (cg_sibling_serves(e)) {
        cg_give_waiting(e);
    }
    cg_pass_on(e);
    cg_deadlines_shorten(&e->deadlines, DEADLINE_KEEP,
                         keep != 0 && keep < STOP_IDLE_US ? keep : STOP_IDLE_US,
                         e->now_us);
    cg_deadlines_shorten(&e->deadlines, DEADLINE_FIRST, STOP_IDLE_US,
                         e->now_us);
}

/* The last of a generation to go answers what waits in the queue. */
static bool
is_done(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    return e->nconns == 0 && e->in_flight == 0 &&
           (cg_sibling_serves(e) ||
            ((x->id == RELIEF || !cg_adopt(x)) && !cg_queue_waits(e)));
}

void
cg_engine_end_now(struct cg_engine *e)
{
    enum cg_engine_end how = CG_END_STOPPED;
    if (atomic_exchange(&e->over, 1)) {
        return;
    }
    if (e->orphaned) {
        how = CG_END_ORPHANED;
    } else if (atomic_load(&e->abort_wanted) || e->nconns > 0) {
        how = CG_END_FORCED;
    }
    atomic_store(&e->end, how);
    cg_pool_dismiss(e);
    cg_engine_kick(e); /* who waits for events without the baton */
    if (e->host->over != NULL) {
        e->host->over(e->host->self);
    }
}

static bool
is_over(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (atomic_load_explicit(&e->over, RELAXED) ||
        atomic_load_explicit(&e->abort_wanted, RELAXED)) {
        return true;
    }
    return e->stopping && (e->now_us >= e->stop_at_us || is_done(x));
}

bool
cg_loop_goes_on(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(!atomic_load_explicit(&e->stop_wanted, RELAXED) &&
                             !atomic_load_explicit(&e->abort_wanted, RELAXED) &&
                             !atomic_load_explicit(&e->over, RELAXED),
                         1)) {
        return true;
    }
    if (!e->stopping && !atomic_load_explicit(&e->abort_wanted, RELAXED)) {
        begin_stop(x);
    }
    if (is_over(x)) {
        cg_engine_end_now(e);
        return false;
    }
    return true;
}

/* ---- one turn ---- */

void
cg_run_queued(struct cg_executor *x)
{
    x->engine->local_due = false;
    cg_receive_ready(x, cg_ready_pop(x->engine));
}

static bool
queued_is_due(const struct cg_engine *e)
{
    return e->nready > 0 &&
           (e->local_due ||
            (e->quota > 0 && e->now_us - e->harvested_us < QUEUE_US));
}

void
cg_take_part(struct cg_engine *e)
{
    bool room = cg_may_run(e);
    if (!e->hearing) {
        cg_hear(e, true);
    }
    /* who stops leaves the queue to those who go on: under load it is never
     * empty, and so it would never be done */
    bool queue = room && e->now_us >= e->adopt_pause_us &&
                 !(e->stopping && cg_sibling_serves(e));
    if (queue != e->attending) {
        cg_attend(e, queue);
    }
    if (!room) {
        cg_accept_listen(e, false);
    } else if (!e->listening && !e->stopping && cg_accept_is_due(e)) {
        cg_accept_listen(e, true);
    }
}

static int
patience(const struct cg_executor *x, int ms)
{
    const struct cg_engine *e = x->engine;
    bool retry = x->id == RELIEF && e->nready > 0 && cg_may_give(e);
    int most = retry ? RETRY_MS : x->id == RELIEF || e->stopping ? BEAT_MS : -1;
    return most >= 0 && (ms < 0 || ms > most) ? most : ms;
}

/* Blocks until something happens. False when the baton was stolen meanwhile:
 * the events are level-triggered, so dropping them loses nothing. */
static bool
wait_for_events(struct cg_executor *x, int ms)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF) {
        cg_engine_leave(x);
        cg_relief_calm(&e->relief);
        cg_show(x, CG_WORKER_IDLE);
    } else {
        show_relieved(e);
    }
    ms = patience(x, ms);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_WAIT);
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, ms);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        return false;
    }
    cg_engine_tick(e);
    cg_show(x, CG_WORKER_BUSY);
    cg_harvest(x, n);
    e->rested = true;
    /* a signal, perhaps, whose wake-up went to the application: asyncio takes
     * them for add_signal_handler, and gives none back */
    if (n == 0 && x->id != RELIEF && e->wakeup.fd >= 0) {
        hear_signals(x);
    }
    return true;
}

bool
cg_loop_look(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, 0);
    cg_engine_tick(e);
    cg_harvest(x, n);
    int ms = cg_run_timers(e);
    if (n > 0) {
        cg_show(x, CG_WORKER_BUSY);
        return true;
    }
    if (x->id != RELIEF && e->nready > 0) {
        cg_run_queued(x);
        return true;
    }
    if (x->id != RELIEF && cg_owes(e)) {
        return true; /* a deadline left something behind */
    }
    return !cg_loop_goes_on(x) || wait_for_events(x, ms);
}

/* Objects whose bytes are sent and lines of replies that are out need the
 * host's lock, and may run anything: so the baton is open meanwhile. */
void
cg_pay_now(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct cg_segment *held = e->dropped;
    struct cg_receipt *settled = cg_receipts_take(e);
    e->dropped = NULL;
    bool trims = e->hoard.trims;
    e->hoard.trims = false;
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    if (!x->entered) {
        cg_engine_enter(x);
    }
    cg_receipts_settle(e->host, settled);
    cg_drop_list(e->host, held);
    if (trims) {
        cg_memory_trim();
    }
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        cg_baton_take(&e->baton, (unsigned)x->id);
    }
}

bool
cg_write_lines(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF) {
        cg_relief_expect(&e->relief, e->now_us);
    }
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    e->host->write_lines(e->host->self);
    return cg_baton_back(&e->baton, (unsigned)x->id, mine);
}

/* One step of an executor with the baton; false when it was lost. */
static bool
turn(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(e->now_us - e->harvested_us >= PASS_US, 0) &&
        cg_has_lines(e)) {
        return cg_write_lines(x);
    }
    if (cg_loop_next_event(x)) {
        return true;
    }
    if (queued_is_due(e)) {
        cg_run_queued(x);
        return true;
    }
    cg_conn_bury(e);
    if (cg_owes(e)) {
        cg_pay_now(x);
        return true; /* events may have been harvested meanwhile */
    }
    if (cg_has_lines(e)) {
        return cg_write_lines(x);
    }
    cg_take_part(e);
    return cg_loop_look(x);
}

static void
leave_loop(struct cg_executor *x)
{
    if (!atomic_load(&x->engine->over)) {
        return;
    }
    cg_baton_free(&x->engine->baton);
    if (!x->entered) {
        cg_engine_enter(x);
    }
}

enum cg_engine_end
cg_engine_run(struct cg_engine *e, struct cg_executor *x)
{
    x->entered = true;
    cg_baton_take(&e->baton, (unsigned)x->id);
    while (cg_loop_goes_on(x)) {
        if (!turn(x)) {
            cg_baton_take(&e->baton, (unsigned)x->id);
        }
    }
    leave_loop(x);
    return cg_engine_end(e);
}

void
cg_engine_join(struct cg_engine *e, struct cg_executor *x)
{
    bool leads;
    x->entered = true;
    while ((leads = cg_pool_park(x))) {
        /* perhaps in place of one that is in a long call */
        leads = !cg_has_lines(e) || cg_write_lines(x);
        while (leads && cg_loop_goes_on(x)) {
            leads = turn(x);
        }
        if (leads) { /* the end */
            leave_loop(x);
            return;
        }
    }
    cg_engine_enter(x);
}
