/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/turn.h"

#include <limits.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/conn/give.h"
#include "core/engine/dispatch.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/queue.h"
#include "core/engine/state.h"

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
    /* relief of a queue that stands looks no oftener */
    GATHER_US = 5000,
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
        e->wall_us = cg_wall_us() - e->now_us;
        cg_http_date(wall.tv_sec, e->date);
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
    if (e->accept.pause_us > e->now_us) {
        next = earlier(e, next, e->accept.pause_us);
    }
    if (e->watches.queue_pause_us > e->now_us) {
        next = earlier(e, next, e->watches.queue_pause_us);
    }
    if (e->accept.full_us > e->now_us) {
        next = earlier(e, next, e->accept.full_us);
    }
    if (e->tell.report_us != 0) {
        next = earlier(e, next, e->tell.report_us);
    }
    if (e->hoard.trim_us != 0) {
        next = earlier(e, next, e->hoard.trim_us);
    }
    if (__builtin_expect(e->ready.n > 0, 0)) {
        next = earlier(e, next, cg_queue_sweep_us(e));
    }
    if (__builtin_expect(e->overload.tell_us != 0, 0)) {
        next = earlier(e, next, e->overload.tell_us);
    }
    return e->stop.begun ? earlier(e, next, e->stop.at_us) : next;
}

/* Milliseconds until something is due, -1 for never. */
int
cg_run_timers(struct cg_engine *e)
{
    struct cg_deadline *d;
    uint64_t next;
    CG_HAS_BATON(e);
    while ((d = cg_deadlines_expired(&e->deadlines, e->now_us, &next)) !=
           NULL) {
        if (d->list < DEADLINE_STREAM_LISTS) {
            cg_dispatch_expired(e, cg_stream_of(d));
        } else if (d->list < DEADLINE_SLOW) {
            cg_limit_expire(e, d);
        } else {
            cg_slow_expire(e, d);
        }
    }
    if (e->tell.report_us != 0 && e->now_us >= e->tell.report_us) {
        e->tell.report_us = 0;
        e->host->report(e->host->self);
    }
    if (e->hoard.trim_us != 0 && e->now_us >= e->hoard.trim_us) {
        e->hoard.trim_us = 0;
        e->hoard.trims = true;
    }
    if (e->overload.tell_us != 0 && e->now_us >= e->overload.tell_us) {
        cg_overload_tell(e);
    }
    if (__builtin_expect(e->ready.n > 0, 0) &&
        e->now_us >= cg_queue_sweep_us(e)) {
        cg_queue_sweep(e);
    }
    uint64_t other = next_of_others(e);
    next = other < next ? other : next;
    if (next == UINT64_MAX) {
        return -1;
    }
    return next > 60 * 1000000u ? 60 * 1000 : (int)(next / 1000) + 1;
}

/* ---- what others see of it ---- */

/* A call keeps the host's lock: the host was asked to show that it can be had,
 * and has not for a while. */
static bool
is_unproven(const struct cg_engine *e)
{
    enum { PROOF_US = 300 * 1000 };
    uint64_t asked = atomic_load_explicit(&e->proof_us, RELAXED);
    return __builtin_expect(asked != 0, 0) && e->now_us > asked + PROOF_US;
}

/* While calls last, before a wait, but not each of them: whoever shows it has
 * to wake for that, and to take the host's lock from those who run. */
static void
ask_for_proof(struct cg_engine *e)
{
    enum { AGAIN_US = 250 * 1000 };
    uint64_t none = 0;
    if (e->host->prove != NULL && e->now_us >= e->prove_us + AGAIN_US &&
        atomic_compare_exchange_strong(&e->proof_us, &none, e->now_us)) {
        e->prove_us = e->now_us;
        e->host->prove(e->host->self);
    }
}

void
cg_show_state(const struct cg_executor *x, enum cg_worker_state s)
{
    struct cg_engine *e = x->engine;
    /* relief shows nothing: the call that it relieves may be stuck */
    if (x->id == RELIEF) {
        return;
    }
    if (__builtin_expect(is_unproven(e), 0)) {
        /* alive is who can run a request; nobody counts on us meanwhile */
        atomic_store_explicit(
            &e->slot->state,
            e->stop.begun ? CG_WORKER_STOPPING : CG_WORKER_BUSY, RELAXED);
        return;
    }
    atomic_store_explicit(&e->slot->beat_us, e->now_us, RELAXED);
    atomic_store_explicit(&e->slot->state,
                          e->stop.begun ? CG_WORKER_STOPPING : s, RELAXED);
}

/* Relief of a class whose calls may last: the worker lives, unless executors
 * wait for the host's lock in vain. */
static void
show_relieved(struct cg_engine *e)
{
    ask_for_proof(e);
    if (e->config->calls_may_last && !is_unproven(e) &&
        atomic_load_explicit(&e->entering, RELAXED) == 0) {
        atomic_store_explicit(&e->slot->beat_us, e->now_us, RELAXED);
    }
}

/* ---- into the host, other than for a request ---- */

/* The baton is open and the host's lock ours, which may take long: relief sees
 * to it that nobody waits for that. */
static uint32_t
go_in(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    cg_alarm_expect(&e->relief.alarm, e->now_us);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    if (!x->entered) {
        cg_engine_enter(x);
    }
    return mine;
}

static void
come_back(struct cg_executor *x, uint32_t mine)
{
    struct cg_baton *b = &x->engine->baton;
    if (!cg_baton_back(b, (unsigned)x->id, mine)) {
        cg_baton_take(b, (unsigned)x->id);
    }
}

/* ---- events ---- */

static void
hear_signals(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint32_t mine = go_in(x);
    e->host->signals(e->host->self);
    come_back(x, mine);
}

static void
on_wakeup(struct cg_executor *x)
{
    cg_fd_empty(x->engine->watches.wakeup.fd);
    if (x->id != RELIEF) { /* else a leftover event of the leader's */
        hear_signals(x);
    }
}

static void
on_master_gone(struct cg_engine *e)
{
    e->stop.orphaned = true;
    cg_loop_remove(&e->loop, e->watches.master.fd);
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
    cg_fd_empty(e->watches.poke.fd);
    if (cg_dispatch_adopt(x)) {
        cg_watch_pass_on(e);
    }
}

static void
on_bell(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    bool useful = false;
    if (x->id == RELIEF && !e->watches.listeners_on) {
        return; /* a leftover event of the leader's */
    }
    cg_fd_empty(e->watches.bell.fd);
    for (int i = 0; !useful && i < e->accept.n; i++) {
        useful = cg_dispatch_accept_one(x, i);
    }
    if (useful) {
        cg_watch_pass_on(e);
    }
}

static bool
on_special(struct cg_executor *x, void *ptr)
{
    struct cg_engine *e = x->engine;
    struct cg_watch *w = ptr;
    if (w >= e->watches.listener && w < e->watches.listener + e->accept.n) {
        cg_dispatch_accept(x, (int)(w - e->watches.listener));
    } else if (w == &e->watches.queue) {
        if (e->watches.queue_on && x->id != RELIEF) {
            cg_dispatch_adopt(x);
        }
    } else if (w == &e->watches.poke) {
        on_poke(x);
    } else if (w == &e->watches.bell) {
        on_bell(x);
    } else if (w == &e->watches.wakeup) {
        on_wakeup(x);
    } else if (w == &e->hosted.timer) {
        cg_fd_empty(e->hosted.timer.fd);
        e->hosted.timer_us = 0;
    } else if (w == &e->watches.kick) {
        cg_fd_empty(e->watches.kick.fd);
        cg_tell_noted(e);
        cg_dispatch_offered(x);
    } else if (w == &e->watches.master) {
        on_master_gone(e);
    } else {
        return false;
    }
    return true;
}

/* Streams of HTTP/2 come after the descriptors of the same harvest. */
static bool
next_stream(struct cg_executor *x)
{
    cg_http2_pump_late(x->engine);
    struct cg_conn *c = cg_http2_next(x->engine);
    if (c != NULL) {
        cg_dispatch_event(x, c);
    }
    return true;
}

/* The bytes of many clients may keep a loop busy for seconds: threads of the
 * application, and calls that come back, wait for the host's lock no longer
 * than for each other (the interpreter's switch interval). */
static void
let_others_in(struct cg_executor *x)
{
    enum { SHARE_US = 5 * 1000 };
    struct cg_engine *e = x->engine;
    if (x->entered && e->now_us - x->ran_us >= SHARE_US &&
        !e->kind->rests_in_app) {
        cg_engine_leave(x);
        x->ran_us = e->now_us;
    }
}

/* Others are in calls, and one may keep the host's lock for long: nothing is
 * read, accepted or adopted before we have it, or it would wait with us where
 * relief and the siblings cannot have it. */
static void
enter_first(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (x->entered || x->id == RELIEF || !cg_others_run(e)) {
        return;
    }
    come_back(x, go_in(x));
}

bool
cg_loop_next_event(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (e->harvest.at == e->harvest.n) {
        return e->http2.first != NULL && next_stream(x);
    }
    let_others_in(x);
    enter_first(x);
    if (e->harvest.at == e->harvest.n) {
        return true; /* relief went on with them meanwhile */
    }
    void *ptr = e->harvest.events[e->harvest.at++].data.ptr;
    if (!on_special(x, ptr)) {
        cg_dispatch_event(x, ptr);
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
        if (w >= e->watches.listener && w < e->watches.listener + e->accept.n) {
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
    CG_HAS_BATON(e);
    e->harvest.events = x->events;
    e->harvest.n = n;
    e->harvest.at = 0;
    e->harvest.us = e->now_us;
    e->harvest.waited = false;
    e->shaking.spent_us = 0;
    /* Relief looks while the leader runs: that must not spare the leader its
     * own look, which is the only one with the listeners in the set. And after
     * a long call all that has come stands in line before any of it runs, or
     * else the first connection would be served again and again. */
    e->harvest.quota = x->id == RELIEF ? 0
                       : e->overload.standing
                           ? INT_MAX
                           : e->ready.n + (e->harvest.relieved ? n : 0);
    if (x->id != RELIEF && e->harvest.relieved) {
        e->harvest.relieved = false;
        listeners_first(x, n);
    }
    e->harvest.giving = n >= CROWD && x->id != RELIEF && cg_sibling_idle(e);
}

/* ---- the end ---- */

static void
begin_stop(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    uint64_t keep = e->config->keepalive_us;
    cg_engine_tick(e); /* a hosted engine's last look may be long ago */
    e->stop.begun = true;
    e->stop.at_us = e->now_us + atomic_load(&e->stop.graceful_us);
    if (x->id != RELIEF) {
        atomic_store(&e->slot->beat_us, e->now_us);
    }
    /* by relief too: siblings rely on who does not stop */
    atomic_store(&e->slot->state, CG_WORKER_STOPPING);
    cg_dispatch_accept_rest(x);
    cg_watch_listeners(e, false);
    cg_http2_stop(e);
    if (cg_sibling_serves(e)) {
        cg_give_waiting(e);
    }
    cg_watch_pass_on(e);
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
    return e->conns.n == 0 && e->hosted.in_flight == 0 &&
           (cg_sibling_serves(e) ||
            ((x->id == RELIEF || !cg_dispatch_adopt(x)) && !cg_queue_waits(e)));
}

static bool
is_over(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (atomic_load_explicit(&e->stop.over, RELAXED) ||
        atomic_load_explicit(&e->stop.abort_wanted, RELAXED)) {
        return true;
    }
    return e->stop.begun && (e->now_us >= e->stop.at_us || is_done(x));
}

bool
cg_loop_goes_on(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(
            !atomic_load_explicit(&e->stop.wanted, RELAXED) &&
                !atomic_load_explicit(&e->stop.abort_wanted, RELAXED) &&
                !atomic_load_explicit(&e->stop.over, RELAXED),
            1)) {
        return true;
    }
    if (!e->stop.begun &&
        !atomic_load_explicit(&e->stop.abort_wanted, RELAXED)) {
        begin_stop(x);
    }
    if (is_over(x)) {
        cg_engine_end_now(e);
        return false;
    }
    return true;
}

/* ---- one turn ---- */

bool
cg_has_lines(const struct cg_engine *e)
{
    return e->host->has_lines != NULL && e->host->has_lines(e->host->self);
}

static void
run_queued(struct cg_executor *x)
{
    enter_first(x);
    x->engine->harvest.local_due = false;
    cg_dispatch_next(x);
}

static bool
queued_is_due(const struct cg_engine *e)
{
    return e->ready.n > 0 &&
           (e->harvest.local_due ||
            (e->harvest.quota > 0 && e->now_us - e->harvest.us < QUEUE_US));
}

static int
patience(const struct cg_executor *x, int ms)
{
    const struct cg_engine *e = x->engine;
    bool retry = x->id == RELIEF && e->ready.n > 0 && cg_sibling_serves(e);
    bool grows = x->id == RELIEF && cg_relief_may_grow(e);
    int most = retry   ? RETRY_MS
               : grows ? CG_DEMAND_WINDOW_US / 1000
               : x->id == RELIEF || e->stop.begun || cg_others_run(e) ? BEAT_MS
                                                                      : -1;
    return most >= 0 && (ms < 0 || ms > most) ? most : ms;
}

/* While the queue stands nobody can be run sooner than the others allow, but
 * each look takes the CPU from the call that runs: what comes is gathered, with
 * the baton open. */
static bool
is_gathering(const struct cg_executor *x)
{
    return x->id == RELIEF &&
           __builtin_expect(x->engine->overload.standing, false);
}

static void
gather(void)
{
    static const struct timespec t = {.tv_nsec = GATHER_US * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Blocks until something happens. False when the baton was stolen meanwhile:
 * the events are level-triggered, so dropping them loses nothing. */
static bool
wait_for_events(struct cg_executor *x, int ms)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF) {
        cg_engine_leave(x);
        e->overload.drained_us = e->now_us;
        cg_alarm_calm(&e->relief.alarm);
        if (cg_others_run(e)) {
            ask_for_proof(e);
        }
        cg_show_state(x, CG_WORKER_IDLE);
    } else {
        show_relieved(e);
    }
    ms = patience(x, ms);
    bool gathers = is_gathering(x);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_WAIT);
    if (gathers) {
        gather();
    }
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, ms);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        return false;
    }
    cg_engine_tick(e);
    cg_show_state(x, CG_WORKER_BUSY);
    cg_harvest(x, n);
    e->harvest.waited = true;
    /* a signal, perhaps, whose wake-up went to the application: asyncio takes
     * them for add_signal_handler, and gives none back */
    if (n == 0 && x->id != RELIEF && e->watches.wakeup.fd >= 0) {
        hear_signals(x);
    }
    return true;
}

bool
cg_loop_look(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(cg_http2_is_owed(e), 0) && cg_http2_pump(e)) {
        return true;
    }
    int n = cg_loop_wait(&e->loop, x->events, EVENTS, 0);
    cg_engine_tick(e);
    cg_harvest(x, n);
    if (__builtin_expect(e->overload.above_us != 0, 0) && n == 0 &&
        x->id != RELIEF && e->ready.n == 0) {
        cg_overload_drained(e); /* before the timers: that may be told */
    }
    int ms = cg_run_timers(e);
    if (__builtin_expect(cg_http2_is_owed(e), 0)) { /* by a deadline */
        cg_http2_pump(e);
        return true;
    }
    if (n > 0) {
        cg_show_state(x, CG_WORKER_BUSY);
        return true;
    }
    if (x->id != RELIEF && e->ready.n > 0) {
        run_queued(x);
        return true;
    }
    if (x->id != RELIEF && cg_owes(e)) {
        return true; /* a deadline left something behind */
    }
    return !cg_loop_goes_on(x) || wait_for_events(x, ms);
}

void
cg_pay(struct cg_engine *e)
{
    struct cg_segment *s = e->dropped;
    e->dropped = NULL;
    cg_receipts_tell(&e->runner, cg_receipts_take(e));
    cg_drop_list(&e->runner, s);
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
    uint32_t mine = go_in(x);
    cg_receipts_tell(&e->runner, settled);
    cg_drop_list(&e->runner, held);
    if (trims) {
        cg_memory_trim();
    }
    come_back(x, mine);
}

bool
cg_write_lines(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (x->id != RELIEF) {
        cg_alarm_expect(&e->relief.alarm, e->now_us);
    }
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    e->host->write_lines(e->host->self);
    return cg_baton_back(&e->baton, (unsigned)x->id, mine);
}

/* Who comes back from a call has a connection whose next bytes nobody looks at
 * until it has the baton: a loop that is busy with others' bytes gives way. */
static bool
gives_way(struct cg_engine *e)
{
    if (__builtin_expect(atomic_load_explicit(&e->baton.want, RELAXED) == 0,
                         1)) {
        return false;
    }
    cg_baton_free(&e->baton);
    return true;
}

/* One step of an executor with the baton; false when it was lost. */
static bool
turn(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    if (__builtin_expect(e->now_us - e->harvest.us >= PASS_US, 0) &&
        cg_has_lines(e)) {
        return cg_write_lines(x);
    }
    if (cg_loop_next_event(x)) {
        return !gives_way(e);
    }
    if (queued_is_due(e)) {
        run_queued(x);
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
    cg_watch_what_we_can(e);
    return cg_loop_look(x);
}

static void
leave_loop(struct cg_executor *x)
{
    if (!atomic_load(&x->engine->stop.over)) {
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

enum lead { LEAD_LOST, LEAD_TOO_MANY, LEAD_OVER };

/* Until the baton is lost, or is to be. */
static enum lead
lead(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    /* perhaps in place of one that is in a long call */
    bool leads = !cg_has_lines(e) || cg_write_lines(x);
    while (leads && cg_loop_goes_on(x)) {
        if (__builtin_expect(cg_concurrency_is_bound(&e->concurrency), 0) &&
            cg_concurrency_is_exceeded(e)) {
            return LEAD_TOO_MANY;
        }
        leads = turn(x);
    }
    return leads ? LEAD_OVER : LEAD_LOST;
}

static enum cg_pool_call
step_aside(struct cg_executor *x)
{
    cg_alarm_expect(&x->engine->relief.alarm, x->engine->now_us);
    return cg_pool_step_aside(x);
}

bool
cg_engine_join(struct cg_engine *e, struct cg_executor *x)
{
    _Atomic int *tid = &e->concurrency.tid[x->id];
    x->entered = true;
    atomic_store_explicit(tid, (int)gettid(), RELAXED);
    enum cg_pool_call call = cg_pool_park(x);
    while (call == POOL_LEAD) {
        enum lead how = lead(x);
        if (how == LEAD_OVER) {
            leave_loop(x);
            return true;
        }
        call = how == LEAD_LOST ? cg_pool_park(x) : step_aside(x);
    }
    atomic_store_explicit(tid, 0, RELAXED);
    cg_engine_enter(x);
    return call == POOL_END;
}
