/* SPDX-License-Identifier: MIT */
#include "core/engine/http2/pipe.h"

#include <stdlib.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/engine/http2/http2.h"
#include "core/engine/state.h"

static struct cg_h2_pipe *
pipe_of(const struct cg_transport *t)
{
    return (struct cg_h2_pipe *)(void *)t->state;
}

static void
lock(struct cg_h2_pipe *p)
{
    pthread_mutex_lock(&p->engine->http2.lock);
}

static void
unlock(struct cg_h2_pipe *p)
{
    pthread_mutex_unlock(&p->engine->http2.lock);
}

/* ---- whoever turns the loop hears of it ---- */

/* Who is in the application comes back, or is relieved, and then the pump runs
 * before anybody waits; who waits has to be woken. Sequentially consistent, as
 * is the word of who begins to wait: one of the two sees the other. */
static bool
must_kick(const struct cg_engine *e)
{
    enum cg_baton_state state = cg_baton_state(atomic_load(&e->baton.word));
    return state != BATON_APP ||
           (e->kind->rests_in_app && !atomic_load(&e->hosted.polling));
}

/* With the lock. True: it is news. */
static bool
mark(struct cg_h2_pipe *p)
{
    struct cg_http2 *h = &p->engine->http2;
    if (p->dirty) {
        return false;
    }
    p->dirty = true;
    p->dirty_next = h->dirty;
    h->dirty = p;
    return !atomic_exchange(&h->owes, true);
}

static void
unlock_and_tell(struct cg_h2_pipe *p, bool news)
{
    struct cg_engine *e = p->engine; /* p may be gone when others run */
    unlock(p);
    if (news && must_kick(e)) {
        cg_engine_kick(e);
    }
}

/* ---- the connection's end ---- */

static ssize_t
receive(struct cg_transport *t, void *to, size_t room)
{
    struct cg_h2_pipe *p = pipe_of(t);
    bool news = false;
    lock(p);
    size_t n = p->in.n < room ? p->in.n : room;
    ssize_t r = (ssize_t)n;
    if (p->gone) {
        r = -ECONNRESET;
    } else if (n == 0) {
        r = p->in_end ? 0 : -EAGAIN;
    } else {
        memcpy(to, p->in.p, n);
        cg_buf_drop(&p->in, n);
        size_t taken = p->in.n == 0     ? p->in_data
                       : n < p->in_data ? n
                                        : p->in_data;
        p->in_data -= taken;
        p->credit += taken;
        news = taken > 0 && !p->in_end && mark(p);
    }
    unlock_and_tell(p, news);
    return r;
}

/* How much of a reply it may hold now. */
static size_t
most(const struct cg_h2_pipe *p)
{
    const struct cg_engine *e = p->engine;
    size_t all = atomic_load_explicit(&e->hoard.bytes, memory_order_relaxed);
    return all > e->config->response_memory ? CG_H2_PIPE_LEAST : CG_H2_PIPE_MAX;
}

/* What goes into it at once; the rest is offered again. */
static size_t
take(struct cg_h2_pipe *p, const struct iovec *parts, int count)
{
    size_t there = p->out.n + p->unsent, sum = 0;
    size_t limit = most(p), room = there < limit ? limit - there : 0;
    for (int i = 0; i < count && room > 0; i++) {
        size_t n = parts[i].iov_len < room ? parts[i].iov_len : room;
        cg_buf_put(&p->out, parts[i].iov_base, n);
        room -= n;
        sum += n;
    }
    p->full = room == 0;
    return sum;
}

static ssize_t
send_parts(struct cg_transport *t, const struct iovec *parts, int count,
           bool more)
{
    struct cg_h2_pipe *p = pipe_of(t);
    lock(p);
    bool broken = p->gone || p->out_cut;
    bool done = p->done; /* what still comes is beyond the reply */
    ssize_t n = broken ? -EPIPE : (ssize_t)take(p, parts, count);
    if (done) {
        cg_buf_reset(&p->out);
    }
    unlock_and_tell(p, !done && n > 0 && mark(p));
    return n;
}

static void
say_end(struct cg_transport *t)
{
    struct cg_h2_pipe *p = pipe_of(t);
    lock(p);
    bool news = !p->out_end && !p->out_cut;
    p->out_end = p->out_end || news;
    unlock_and_tell(p, news && mark(p));
}

static void
shut(struct cg_transport *t, int how)
{
    struct cg_h2_pipe *p = pipe_of(t);
    bool news = false;
    lock(p);
    p->in_end = true;
    if (how != SHUT_RD && !p->out_end) {
        p->out_cut = true;
        news = mark(p);
    }
    pthread_cond_broadcast(&p->changed);
    unlock_and_tell(p, news);
}

static bool
is_ready(const struct cg_h2_pipe *p, bool in, bool out)
{
    bool room = p->out.n + p->unsent <= most(p) / 2;
    return p->gone || (in && (p->in.n > 0 || p->in_end)) || (out && room);
}

static bool
wait_for(const struct cg_transport *t, short events, int ms)
{
    struct cg_h2_pipe *p = pipe_of(t);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    bool in = (events & POLLIN) != 0, out = (events & POLLOUT) != 0;
    int r = 0;
    lock(p);
    while (!is_ready(p, in, out) && r == 0 && ms > 0) {
        r = pthread_cond_timedwait(&p->changed, &p->engine->http2.lock, &until);
    }
    bool ready = is_ready(p, in, out);
    unlock(p);
    return ready;
}

static uint32_t
held(const struct cg_transport *t)
{
    struct cg_h2_pipe *p = pipe_of(t);
    lock(p);
    uint32_t n = (uint32_t)(p->out.n + p->unsent);
    unlock(p);
    return n;
}

static bool
has_left(const struct cg_transport *t)
{
    return cg_h2_pipe_is_gone(pipe_of(t));
}

/* With the baton: its connection goes. What is in the pipe still leaves when
 * the end was said; else it is cut. */
static void
release(struct cg_transport *t)
{
    struct cg_h2_pipe *p = pipe_of(t);
    p->conn = NULL;
    lock(p);
    p->out_cut = p->out_cut || !p->out_end;
    unlock_and_tell(p, mark(p));
}

static const struct cg_transport_kind pipe_kind = {
    .receive = receive,
    .send = send_parts,
    .say_end = say_end,
    .release = release,
    .wait = wait_for,
    .held = held,
    .shut = shut,
    .has_left = has_left,
};

/* ---- the session's end ---- */

struct cg_h2_pipe *
cg_h2_pipe_new(struct cg_engine *e)
{
    struct cg_h2_pipe *p = cg_calloc(1, sizeof *p);
    pthread_condattr_t attr;
    p->state.kind = &pipe_kind;
    p->engine = e;
    p->moved_us = e->now_us;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);
    return p;
}

void
cg_h2_pipe_drop(struct cg_h2_pipe *p)
{
    if (p->conn != NULL || p->stream != NULL || p->session != NULL ||
        p->asked || p->dirty) {
        return;
    }
    lock(p);
    cg_h2_pipe_count(p); /* it has no stream: nothing */
    unlock(p);
    pthread_cond_destroy(&p->changed);
    cg_buf_release(&p->in);
    cg_buf_release(&p->out);
    free(p);
}

void
cg_h2_pipe_put(struct cg_h2_pipe *p, const char *bytes, size_t n, size_t data,
               bool end)
{
    lock(p);
    cg_buf_put(&p->in, bytes, n);
    p->in_data += data;
    p->in_end = p->in_end || end;
    pthread_cond_broadcast(&p->changed);
    unlock(p);
}

void
cg_h2_pipe_finish(struct cg_h2_pipe *p)
{
    lock(p);
    p->done = p->in_end = true;
    pthread_cond_broadcast(&p->changed);
    unlock(p);
}

void
cg_h2_pipe_count(struct cg_h2_pipe *p)
{
    struct cg_hoard *h = &p->engine->hoard;
    size_t held = p->stream != NULL ? p->out.n + p->unsent : 0;
    CG_HAS_BATON(p->engine);
    atomic_store_explicit(
        &h->bytes,
        atomic_load_explicit(&h->bytes, memory_order_relaxed) - p->counted +
            held,
        memory_order_relaxed);
    p->counted = held;
}

void
cg_h2_pipe_break(struct cg_h2_pipe *p)
{
    lock(p);
    p->gone = true;
    pthread_cond_broadcast(&p->changed);
    unlock(p);
}

bool
cg_h2_pipe_is_gone(struct cg_h2_pipe *p)
{
    lock(p);
    bool gone = p->gone;
    unlock(p);
    return gone;
}

bool
cg_h2_pipe_was_full(struct cg_h2_pipe *p)
{
    lock(p);
    bool full = p->full;
    unlock(p);
    return full;
}

void
cg_h2_pipe_ask(struct cg_h2_pipe *p)
{
    struct cg_http2 *h = &p->engine->http2;
    const struct cg_conn *c = p->conn;
    CG_HAS_BATON(p->engine);
    if (c == NULL || p->asked ||
        (!c->armed && c->stream.state != STREAM_FRESH)) {
        return;
    }
    bool first = c->stream.state == STREAM_FRESH;
    lock(p);
    bool ready = is_ready(p, first || (c->interest & CG_LOOP_READ) != 0,
                          (c->interest & CG_LOOP_WRITE) != 0);
    unlock(p);
    if (ready) {
        p->asked = true;
        p->event_next = NULL;
        *h->last = p;
        h->last = &p->event_next;
    }
}
