/* SPDX-License-Identifier: MIT */
#include "core/engine/queue.h"

#include <poll.h>
#include <string.h>

#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"

enum {
    /* who waited for less is not looked at, which is a system call: as long as
     * a full batch of short requests takes */
    WAITED_US = 10 * 1000,
    SWEEP_US = 50 * 1000,
    AT_ONCE = 64 /* of one poll(2), and of those that are dropped in a row */
};

/* ---- who is gone ---- */

static uint64_t
waited_us(const struct cg_engine *e, const struct cg_stream *s)
{
    return e->now_us > s->ready_us ? e->now_us - s->ready_us : 0;
}

/* A handshake has no request yet. */
static bool
may_be_dropped(const struct cg_stream *s)
{
    return s == &s->conn->stream && !cg_transport_shakes(s->transport);
}

static struct pollfd
look_of(const struct cg_stream *s)
{
    return cg_transport_poll(s->transport, POLLRDHUP);
}

/* A stream of HTTP/2: its peer has reset it, or closed the connection. */
static bool
is_cut(const struct cg_stream *s)
{
    return s->transport->fd < 0 && cg_transport_has_left(s->transport);
}

static bool
is_gone(const struct cg_engine *e, const struct cg_stream *s, short seen)
{
    uint64_t after = e->config->abandoned_us;
    if ((seen & (POLLHUP | POLLERR)) != 0 || is_cut(s)) {
        return true;
    }
    return (seen & POLLRDHUP) != 0 && after != 0 && waited_us(e, s) >= after;
}

static bool
is_too_late(const struct cg_engine *e, const struct cg_stream *s)
{
    uint64_t most = e->config->max_queue_us;
    return __builtin_expect(most != 0, 0) && !s->exempt &&
           waited_us(e, s) > most;
}

/* True: it is not to be run, and out of here. */
static bool
is_dropped(struct cg_engine *e, struct cg_stream *s, short seen,
           const struct cg_arrival *a)
{
    if (is_gone(e, s, seen)) {
        e->overload.tale.abandoned++;
        cg_abandon(e, s->conn, a);
        return true;
    }
    if (is_too_late(e, s)) {
        e->overload.tale.refused++;
        cg_refuse_busy(e, s->conn, a);
        return true;
    }
    return false;
}

static bool
is_dropped_now(struct cg_engine *e, struct cg_stream *s,
               const struct cg_arrival *a)
{
    struct pollfd p = look_of(s);
    if (waited_us(e, s) < WAITED_US || !may_be_dropped(s)) {
        return false;
    }
    return is_dropped(e, s, poll(&p, 1, 0) > 0 ? p.revents : 0, a);
}

/* ---- the next one ---- */

static void
count_run(struct cg_engine *e, const struct cg_stream *s)
{
    struct cg_overload_tale *t = &e->overload.tale;
    uint64_t us = waited_us(e, s);
    t->run++;
    if (us > t->longest_us) {
        t->longest_us = us;
    }
}

static struct cg_stream *
take_next(struct cg_engine *e)
{
    const struct cg_stream *oldest = e->ready.first;
    if (oldest != NULL) {
        cg_overload_observe(e, oldest->ready_us);
    }
    bool exempt = e->ready.exempt_first != NULL;
    bool newest = cg_overload_newest_first(e);
    e->overload.oldest = !exempt && !newest;
    return newest && !exempt ? cg_ready_pop_newest(e) : cg_ready_pop(e);
}

struct cg_stream *
cg_queue_next(struct cg_engine *e)
{
    struct cg_stream *s;
    CG_HAS_BATON(e);
    for (int i = 0; i < AT_ONCE && (s = take_next(e)) != NULL; i++) {
        if (!is_dropped_now(e, s, NULL)) {
            count_run(e, s);
            return s;
        }
    }
    return NULL;
}

bool
cg_queue_admits(struct cg_engine *e, struct cg_stream *s,
                const struct cg_arrival *a)
{
    CG_HAS_BATON(e);
    if (is_dropped_now(e, s, a)) {
        return false;
    }
    cg_overload_observe(e, s->ready_us);
    return true;
}

/* ---- all of them ---- */

uint64_t
cg_queue_sweep_us(const struct cg_engine *e)
{
    return e->ready.n > 0 ? e->overload.swept_us + SWEEP_US : UINT64_MAX;
}

static void
sweep_some(struct cg_engine *e, struct cg_stream *const *some, int n)
{
    struct pollfd look[AT_ONCE];
    for (int i = 0; i < n; i++) {
        look[i] = look_of(some[i]);
    }
    int seen = poll(look, (nfds_t)n, 0);
    for (int i = 0; i < n; i++) {
        struct cg_stream *s = some[i];
        short what = seen > 0 ? look[i].revents : 0;
        if (is_gone(e, s, what) || is_too_late(e, s)) {
            cg_ready_take(e, s);
            is_dropped(e, s, what, NULL);
        }
    }
}

void
cg_queue_sweep(struct cg_engine *e)
{
    struct cg_stream *some[AT_ONCE];
    int n = 0;
    CG_HAS_BATON(e);
    e->overload.swept_us = e->now_us;
    for (struct cg_stream *s = e->ready.first, *next; s != NULL; s = next) {
        next = s->qnext;
        if (may_be_dropped(s)) {
            some[n++] = s;
        }
        if (n == AT_ONCE || (next == NULL && n > 0)) {
            sweep_some(e, some, n);
            n = 0;
        }
    }
}

/* ---- those that are served first ---- */

bool
cg_queue_is_exempt(const struct cg_engine *e, const struct cg_arrival *a)
{
    struct cg_slice path = cg_span_of(a->base, a->req->path);
    for (int i = 0; i < e->config->exempt_n; i++) {
        struct cg_slice p = e->config->exempt[i];
        if (p.n == path.n && memcmp(p.p, path.p, p.n) == 0) {
            return true;
        }
    }
    return false;
}
