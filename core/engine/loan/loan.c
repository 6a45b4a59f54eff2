/* SPDX-License-Identifier: MIT */
/*
 * A loan is one thing with two connections: the client's, which has a protocol
 * of this file's while its stream is AWAY, and the near end of the pair that
 * the sibling answers into, which has another one.
 */
#include "core/engine/loan/loan.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/loan/borrowed.h"
#include "core/engine/state.h"
#include "core/share/facts.h"

struct cg_loan {
    struct cg_loan *next, *prev; /* of the engine */
    struct cg_conn *client, *near;
    const struct cg_protocol *protocol; /* the client's own */
    struct cg_transport ear;            /* hears the word */
    enum cg_loan_word word;
    bool half; /* the client sends no more, and the sibling has heard */
};

/* ---- its end ---- */

static void
unlink_loan(struct cg_engine *e, const struct cg_loan *l)
{
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    if (l->prev != NULL) {
        l->prev->next = l->next;
    } else {
        e->loans.first = l->next;
    }
    e->loans.n--;
}

/* The client's connection is what it was before. */
static void
release(struct cg_engine *e, struct cg_loan *l)
{
    struct cg_conn *near = l->near;
    l->client->protocol = l->protocol;
    l->client->loan = near->loan = NULL;
    unlink_loan(e, l);
    cg_transport_close(&l->ear);
    cg_conn_close(e, near);
    free(l);
}

/* The client sees that its reply is not complete; the sibling, that nobody
 * reads it. */
static void
cut(struct cg_engine *e, struct cg_loan *l)
{
    l->client->stream.broken = true;
    cg_conn_close(e, l->client);
}

/* Whether the sibling has said that the reply is complete. */
static bool
has_word(struct cg_loan *l)
{
    char word;
    if (l->word == CG_LOAN_NO_WORD &&
        cg_transport_receive(&l->ear, &word, sizeof word) == 1 &&
        (word == CG_LOAN_KEEP || word == CG_LOAN_CLOSE)) {
        l->word = (enum cg_loan_word)word;
    }
    return l->word != CG_LOAN_NO_WORD;
}

/* All that comes of it was passed on. */
static void
end(struct cg_engine *e, struct cg_loan *l)
{
    struct cg_stream *s = &l->client->stream;
    if (!has_word(l)) {
        cut(e, l);
        return;
    }
    s->keep = l->word == CG_LOAN_KEEP;
    s->state = STREAM_RUN; /* as one that was answered here */
    release(e, l);
    s->conn->protocol->on_answered(e, s);
}

/* ---- the client's end ---- */

static void
arm_client(struct cg_engine *e, struct cg_loan *l)
{
    struct cg_conn *c = l->client;
    bool flushes = !cg_outbox_is_empty(&c->stream.outbox);
    bool ends = !l->half && !c->inner;
    cg_conn_arm(e, c,
                (flushes ? CG_LOOP_WRITE : 0u) | (ends ? CG_LOOP_END : 0u));
}

/* One that sends no more may read on: the sibling hears that, as it would of a
 * client of its own. */
static bool
has_left(struct cg_loan *l)
{
    const struct cg_transport *t = &l->client->transport;
    struct pollfd p = cg_transport_poll(t, POLLRDHUP);
    if (l->client->inner) {
        return cg_transport_has_left(t);
    }
    if (poll(&p, 1, 0) <= 0) {
        return false;
    }
    if (!l->half && (p.revents & POLLRDHUP) != 0) {
        l->half = true;
        cg_transport_end(&l->near->transport);
    }
    return (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* False: it is gone. */
static bool
flush(struct cg_engine *e, struct cg_loan *l)
{
    struct cg_stream *s = &l->client->stream;
    if (cg_outbox_is_empty(&s->outbox)) {
        return true;
    }
    int r = cg_outbox_flush(&s->outbox, s->transport, &e->dropped);
    cg_hoard_count(e, &s->outbox);
    if (r > 0) {
        cg_deadline_clear(&s->deadline);
        cg_conn_arm(e, l->near, CG_LOOP_READ);
    }
    return r >= 0;
}

static enum cg_step
on_client_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    struct cg_loan *l = c->loan;
    if (!flush(e, l) || has_left(l)) {
        cut(e, l);
    } else {
        arm_client(e, l);
    }
    return CG_STEP_MORE;
}

static enum cg_step
on_client_queued(struct cg_executor *x, struct cg_stream *s,
                 struct cg_arrival *a)
{
    return CG_STEP_MORE; /* its request is in another queue */
}

static void
on_client_deadline(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_loan *l = s->conn->loan;
    if (cg_outbox_is_empty(&s->outbox)) {
        return; /* the sibling has all the time that it takes */
    }
    uint64_t stalled_us = cg_stream_stalls(e, s);
    if (stalled_us == 0) {
        cg_stream_await_peer(e, s);
        return;
    }
    cg_receipt_stalled(e, s, stalled_us);
    cut(e, l);
}

static void
on_client_answered(struct cg_engine *e, struct cg_stream *s)
{
}

static void
close_client(struct cg_engine *e, struct cg_conn *c)
{
    release(e, c->loan);
    c->protocol->close(e, c);
}

static void
on_client_armed(struct cg_engine *e, struct cg_conn *c)
{
    c->loan->protocol->on_armed(e, c);
}

static const struct cg_protocol away = {
    .name = "lent",
    .on_event = on_client_event,
    .on_queued = on_client_queued,
    .on_deadline = on_client_deadline,
    .on_answered = on_client_answered,
    .close = close_client,
    .on_armed = on_client_armed,
};

/* ---- the near end ---- */

/* What it does not take at once waits, and meanwhile nothing more is read. */
static void
pass_on(struct cg_engine *e, struct cg_loan *l, const char *p, size_t n)
{
    struct cg_stream *s = &l->client->stream;
    struct iovec part = {(void *)(size_t)p, n};
    ssize_t sent =
        cg_outbox_send(&s->outbox, s->transport, &part, 1, false, &e->dropped);
    if (sent < 0) {
        cut(e, l);
        return;
    }
    s->receipt->sent += n;
    if ((size_t)sent == n) {
        return;
    }
    cg_outbox_put(&s->outbox, p + sent, n - (size_t)sent);
    cg_stream_await_peer(e, s);
    cg_hoard_count(e, &s->outbox);
    cg_hoard_bound(e);
    cg_conn_arm(e, l->near, 0);
    arm_client(e, l);
}

/* The sibling has closed while the client has not taken what came before. */
static void
on_hangup(struct cg_engine *e, struct cg_loan *l)
{
    if (has_word(l)) {
        cg_conn_disarm(e, l->near);
    } else {
        cut(e, l);
    }
}

static enum cg_step
on_near_event(struct cg_executor *x, struct cg_conn *near, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    struct cg_loan *l = near->loan;
    if (l == NULL) {
        return CG_STEP_MORE; /* it ended in the same harvest */
    }
    if (near->interest == 0) {
        on_hangup(e, l);
        return CG_STEP_MORE;
    }
    ssize_t n = cg_transport_receive(&near->transport, x->rbuf, CG_LOAN_SHARE);
    if (n > 0) {
        pass_on(e, l, x->rbuf, (size_t)n);
    } else if (n != -EAGAIN) {
        end(e, l);
    }
    return CG_STEP_MORE;
}

static enum cg_step
on_near_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return CG_STEP_MORE;
}

static void
on_near_other(struct cg_engine *e, struct cg_stream *s)
{
}

static void
close_near(struct cg_engine *e, struct cg_conn *near)
{
    cg_stream_close(e, &near->stream);
}

static const struct cg_protocol near_end = {
    .name = "loan",
    .on_event = on_near_event,
    .on_queued = on_near_queued,
    .on_deadline = on_near_other,
    .on_answered = on_near_other,
    .close = close_near,
};

/* ---- its begin ---- */

bool
cg_loan_may_begin(const struct cg_engine *e, const struct cg_stream *s,
                  const struct cg_request *req)
{
    if (cg_is_borrowed(s->conn)) {
        return true;
    }
    return !req->upgrade && !req->method_is_connect &&
           e->loans.n < CG_LOANS_MOST && e->conns.n + 1 < e->config->max_open &&
           e->loans.failed_us != e->now_us;
}

void
cg_loan_describe(const struct cg_conn *c, struct cg_buf *facts,
                 struct cg_message *m)
{
    const struct cg_secure *secure = cg_transport_secure(&c->transport);
    m->lent = true;
    m->is_h2 = c->is_h2;
    if (secure != NULL) {
        cg_facts_encode(secure, facts);
        m->facts = (struct cg_slice){facts->p, facts->n};
    }
}

/* Two pairs: [0] is ours, [1] the sibling's. */
static int
make_pairs(int reply[2], int word[2])
{
    enum { FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };
    if (socketpair(AF_UNIX, SOCK_STREAM | FLAGS, 0, reply) < 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM | FLAGS, 0, word) < 0) {
        return -errno;
    }
    reply[0] = cg_fd_above_stdio(reply[0]);
    word[0] = cg_fd_above_stdio(word[0]);
    return reply[0] < 0 || word[0] < 0 ? -EMFILE : 0;
}

/* The client may be sending its next request, or the rest of a line. */
static bool
may_be_sending(const struct cg_conn *c, const struct cg_request *req)
{
    return req->keep_alive || req->chunked || req->content_length > 0 ||
           c->rest_at < c->rest.n;
}

/* The descriptors move in. */
static void
begin(struct cg_engine *e, struct cg_stream *s, const struct cg_request *req,
      const char *base, int near_fd, int word_fd)
{
    struct cg_loan *l = cg_calloc(1, sizeof *l);
    struct cg_conn *c = s->conn;
    l->client = c;
    l->protocol = c->protocol;
    l->ear = cg_transport_plain(word_fd);
    l->near = cg_conn_new(e, cg_transport_plain(near_fd));
    l->near->protocol = &near_end;
    l->near->stream.state = s->state = STREAM_AWAY;
    l->near->loan = c->loan = l;
    c->protocol = &away;
    c->requests++;
    s->polite = may_be_sending(c, req);
    s->broken = false;
    cg_receipt_of(s, req, base);
    cg_deadline_clear(&s->deadline);
    cg_stream_drop_intake(s); /* req may have been in it */
    l->next = e->loans.first;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    e->loans.first = l;
    e->loans.n++;
    cg_conn_arm(e, l->near, CG_LOOP_READ);
    arm_client(e, l);
}

bool
cg_loan_begin(struct cg_engine *e, struct cg_stream *s,
              const struct cg_request *req, const struct cg_message *m,
              int file)
{
    int reply[2] = {-1, -1}, word[2] = {-1, -1};
    CG_HAS_BATON(e);
    if (cg_is_borrowed(s->conn)) {
        return cg_borrowed_pass_on(e, s->conn, m, file);
    }
    bool sent = false;
    if (make_pairs(reply, word) == 0) {
        int fds[CG_MESSAGE_FDS] = {reply[1], word[1], file};
        sent = cg_handover_send(e->config->handover, m, fds,
                                cg_message_fds(m)) == 0;
    }
    if (sent) {
        begin(e, s, req, m->head.p, cg_fd_take(&reply[0]),
              cg_fd_take(&word[0]));
        e->loans.last_us = e->now_us;
        atomic_fetch_add_explicit(&e->slot->lent, 1, memory_order_relaxed);
    } else {
        e->loans.failed_us = e->now_us;
    }
    for (int i = 0; i < 2; i++) {
        cg_fd_close(&reply[i]);
        cg_fd_close(&word[i]);
    }
    return sent;
}

void
cg_loans_release(struct cg_engine *e)
{
    while (e->loans.first != NULL) {
        cut(e, e->loans.first);
    }
}
