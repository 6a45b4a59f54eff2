/* SPDX-License-Identifier: MIT */
/*
 * Serving: a complete request is lent to the host, its answer goes to the
 * socket, the connection comes back. The wire functions below run in the
 * executor without the baton; they touch only what belongs to it then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/internal.h"

/* Bytes from which an unsent rest is referenced in place of copied. */
enum { HOLD_MIN = 32 * 1024 };

#define RELAXED memory_order_relaxed

/* ---- the wire ---- */

static struct cg_call *
call_of(struct cg_exchange *ex)
{
    return (struct cg_call *)(void *)ex;
}

int
cg_wire_fail(struct cg_exchange *ex, int code)
{
    ex->broken = true;
    return code;
}

/* Also in a child that the application forked: the answer is its parent's. */
static bool
is_closed(const struct cg_call *call)
{
    const struct cg_engine *e = call->executor->engine;
    return call->ex.broken || atomic_load_explicit(&e->forked, RELAXED) != 0;
}

bool
cg_wire_enter(struct cg_exchange *ex)
{
    if (is_closed(call_of(ex))) {
        return false;
    }
    if (!cg_limit_enter(call_of(ex))) {
        cg_wire_fail(ex, -EPIPE);
        return false;
    }
    return true;
}

/* Keeps what is left of the parts after `sent` bytes. */
static void
keep_rest(struct cg_call *call, const struct iovec *parts, int count,
          size_t sent, void *keep)
{
    const struct cg_host *host = call->executor->engine->host;
    for (int i = 0; i < count; i++) {
        size_t n = parts[i].iov_len;
        const char *p = parts[i].iov_base;
        if (sent >= n) {
            sent -= n;
            continue;
        }
        p += sent;
        n -= sent;
        sent = 0;
        if (keep != NULL && i == count - 1 && n >= HOLD_MIN) {
            host->hold(host->self, keep);
            cg_outbox_hold(&call->conn->outbox, p, n, parts[i].iov_len, keep);
        } else {
            cg_outbox_put(&call->conn->outbox, p, n);
        }
    }
}

static size_t
total(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += parts[i].iov_len;
    }
    return n;
}

/* Objects whose bytes went out meanwhile: no other thread adds to them now, and
 * they are dropped when we are out of the wire. */
static void
take_dropped(struct cg_call *call)
{
    if (__builtin_expect(call->dropped != NULL, 0) && call->spent == NULL) {
        call->spent = call->dropped;
        call->dropped = NULL;
    }
}

static void
drop_spent(struct cg_call *call)
{
    struct cg_segment *spent = call->spent;
    if (__builtin_expect(spent != NULL, 0)) {
        call->spent = NULL;
        cg_drop_list(call->executor->engine->host, spent);
    }
}

static int
send_parts(struct cg_exchange *ex, const struct iovec *parts, int count,
           void *keep, bool more)
{
    struct cg_call *call = call_of(ex);
    struct cg_outbox *outbox = &call->conn->outbox;
    int r = call->parcel.used ? cg_post_take(call) : 0;
    take_dropped(call);
    if (r < 0) {
        return cg_wire_fail(ex, r);
    }
    /* the reader may have caught up with what waits */
    ssize_t n = cg_outbox_send(outbox, &call->conn->transport, parts, count,
                               more, &call->dropped);
    if (n < 0) {
        return cg_wire_fail(ex, (int)n);
    }
    if ((size_t)n < total(parts, count)) {
        keep_rest(call, parts, count, (size_t)n, keep);
    }
    return 0;
}

int
cg_wire_send(struct cg_exchange *ex, const struct iovec *parts, int count,
             void *keep)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = send_parts(ex, parts, count, keep, false);
    cg_limit_leave(call_of(ex));
    drop_spent(call_of(ex));
    return r;
}

static int
post_parts(struct cg_exchange *ex, const struct iovec *parts, int count,
           void *keep)
{
    struct cg_call *call = call_of(ex);
    if (cg_post_keep(call, parts, count, total(parts, count))) {
        return 0;
    }
    int r = send_parts(ex, parts, count, keep, false);
    if (r == 0 && !cg_outbox_is_empty(&call->conn->outbox) &&
        !call->executor->engine->config->hosted) {
        cg_post_entrust(call);
    }
    return r;
}

int
cg_wire_post(struct cg_exchange *ex, const struct iovec *parts, int count,
             void *keep)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = post_parts(ex, parts, count, keep);
    cg_limit_leave(call_of(ex));
    drop_spent(call_of(ex));
    return r;
}

static int
send_file_now(struct cg_exchange *ex, int fd, off_t *offset, size_t *n)
{
    while (*n > 0) {
        ssize_t sent = cg_transport_send_file(&call_of(ex)->conn->transport, fd,
                                              offset, *n);
        if (sent <= 0) {
            return sent == 0 ? 0 : cg_wire_fail(ex, (int)sent);
        }
        *n -= (size_t)sent;
    }
    return 0;
}

static int
send_file(struct cg_exchange *ex, const struct iovec *parts, int count, int fd,
          off_t offset, size_t n)
{
    struct cg_outbox *outbox = &call_of(ex)->conn->outbox;
    int r = send_parts(ex, parts, count, NULL, n > 0);
    if (r == 0 && cg_outbox_is_empty(outbox) && !ex->blocking) {
        r = send_file_now(ex, fd, &offset, &n);
    }
    if (r == 0 && n > 0) {
        r = cg_outbox_put_file(outbox, fd, offset, n);
    }
    return r < 0 ? cg_wire_fail(ex, r) : 0;
}

int
cg_wire_send_file(struct cg_exchange *ex, const struct iovec *parts, int count,
                  int fd, off_t offset, size_t n)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = send_file(ex, parts, count, fd, offset, n);
    cg_limit_leave(call_of(ex));
    return r;
}

size_t
cg_wire_pending(const struct cg_exchange *ex)
{
    const struct cg_call *call = (const void *)ex;
    /* what the thread has sent meanwhile is not known yet */
    return call->parcel.shared ? call->parcel.waits : call->conn->outbox.bytes;
}

void
cg_wire_upgrade(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    struct cg_conn *c = call_of(ex)->conn;
    *ret_unread = (struct cg_slice){NULL, 0};
    cg_limit_taken(ex);
    ex->taken = true;
    ex->may_keep = false;
    if (c->rest.p != NULL) {
        *ret_unread =
            (struct cg_slice){c->rest.p + c->rest_at, c->rest.n - c->rest_at};
        c->rest_at = (uint32_t)c->rest.n;
    }
}

/* Only a peer that asked for another protocol means the bytes behind its head
 * for who takes the socket. */
int
cg_wire_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    struct cg_conn *c = call_of(ex)->conn;
    int fd = fcntl(c->transport.fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return -errno;
    }
    *ret_unread = (struct cg_slice){NULL, 0};
    bool ours = cg_limit_enter(call_of(ex));
    if (ours && !is_closed(call_of(ex))) {
        send_parts(ex, NULL, 0, NULL, false); /* what waits comes first */
    }
    ex->blocking = true;
    if (ours) {
        cg_limit_leave(call_of(ex));
    }
    if (ex->req->upgrade) {
        cg_wire_upgrade(ex, ret_unread);
    }
    return fd;
}

/* The fence: who takes the baton first looks for lines then, and the caller
 * has put one just now. One of the two sees the other. */
static bool
wire_leads(const struct cg_exchange *ex)
{
    const struct cg_call *call = (const void *)ex;
    const struct cg_executor *x = call->executor;
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t word = atomic_load(&x->engine->baton.word);
    return cg_baton_owner(word) == (unsigned)x->id;
}

static const struct cg_wire inline_wire = {
    .send = cg_wire_send,
    .post = cg_wire_post,
    .send_file = cg_wire_send_file,
};

static const struct cg_exchange_ops inline_ops = {
    .body = cg_http1_body,
    .file = cg_http1_file,
    .inform = cg_http1_inform,
    .trailers = cg_http1_trailers,
    .abort = cg_http1_abort,
    .unsent = cg_wire_unsent,
    .pending = cg_wire_pending,
    .drain = cg_wire_drain,
    .read = cg_stream_receive,
    .end_input = cg_stream_end_input,
    .take_over = cg_wire_take_over,
    .late = cg_limit_late,
    .conclude = cg_limit_conclude,
    .leads = wire_leads,
};

/* ---- the scoreboard's part ---- */

static void
copy_text(char *to, size_t size, struct cg_slice from)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    memcpy(to, from.p, n);
    to[n] = '\0';
}

static void
flight_begin(struct cg_executor *x, const struct cg_call *call)
{
    struct cg_flight *f = x->flight;
    const struct cg_exchange *ex = &call->ex;
    uint32_t seq = atomic_load_explicit(&f->seq, RELAXED);
    atomic_store_explicit(&f->seq, seq + 1, RELAXED);
    atomic_thread_fence(memory_order_release);
    copy_text(f->method, sizeof f->method,
              cg_span_of(ex->base, ex->req->method));
    copy_text(f->path, sizeof f->path, cg_span_of(ex->base, ex->req->target));
    memcpy(f->peer, ex->peer->addr, sizeof f->peer);
    atomic_store_explicit(&f->since_us, ex->start_us, RELAXED);
    atomic_store_explicit(&f->seq, seq + 2, memory_order_release);
    atomic_store_explicit(&f->running, 1, RELAXED);
    atomic_store_explicit(&x->engine->slot->beat_us, ex->start_us, RELAXED);
}

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    /* one writer: no locked instruction needed */
    atomic_store_explicit(counter, atomic_load_explicit(counter, RELAXED) + n,
                          RELAXED);
}

static int
log2_of(uint64_t us)
{
    int bits = us != 0 ? 64 - __builtin_clzll(us) : 0;
    return bits < CG_BOARD_HIST ? bits : CG_BOARD_HIST - 1;
}

static void
flight_end(struct cg_executor *x, const struct cg_call *call, uint64_t end_us)
{
    struct cg_flight *f = x->flight;
    const struct cg_exchange *ex = &call->ex;
    int class = ex->status / 100;
    atomic_store_explicit(&f->running, x->engine->in_flight > 1, RELAXED);
    add(&f->requests, 1);
    add(&f->by_class[class >= 1 && class <= 5 ? class : 0], 1);
    add(&f->bytes_out, ex->sent);
    add(&f->app_hist[log2_of(end_us - ex->start_us)], 1);
    add(&f->wait_hist[log2_of(
            ex->start_us > ex->since_us ? ex->start_us - ex->since_us : 0)],
        1);
}

/* ---- running ---- */

/* Nobody is to come back here: this worker stops, or the server is about to
 * and clients shall find another one. */
static bool
is_leaving(const struct cg_engine *e)
{
    return e->stopping || atomic_load_explicit(&e->stop_wanted, RELAXED) ||
           atomic_load_explicit(&e->board->head->draining, RELAXED) != 0;
}

static bool
may_keep(const struct cg_engine *e, const struct cg_conn *c,
         const struct cg_request *req)
{
    bool more = c->rest_at < c->rest.n; /* pipelined: it is answered, too */
    return req->keep_alive && !req->force_close &&
           c->requests < e->config->max_keepalive_requests &&
           e->config->keepalive_us != 0 && (more || !is_leaving(e));
}

static const char *
own_date(struct cg_executor *x)
{
    const struct cg_engine *e = x->engine;
    if (x->date_s != e->date_s) {
        x->date_s = e->date_s;
        memcpy(x->date, e->date, sizeof x->date);
    }
    return x->date;
}

void
cg_call_begin(struct cg_call *call)
{
    call->conn->state = CONN_RUN;
    add(&call->executor->engine->requests, 1);
    flight_begin(call->executor, call);
    if (call->executor->engine->config->request_timeout_us != 0) {
        cg_limit_begin(call);
    }
}

uint64_t
cg_call_settle(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    if (__builtin_expect(atomic_load_explicit(&e->forked, RELAXED) != 0, 0)) {
        _exit(0); /* a child that returned from the application: not ours */
    }
    if (__builtin_expect(call->ex.blocking, 0)) {
        cg_transport_unblock(&call->conn->transport);
    }
    if (__builtin_expect(call->parcel.used, 0)) {
        cg_post_end(call);
    }
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_over(call);
    }
    if (__builtin_expect(call->ex.line != NULL ||
                             !cg_outbox_is_empty(&call->conn->outbox),
                         0)) {
        cg_receipt_keep(call);
        cg_hoard_spill_own(call);
    }
    cg_drop_list(e->host, call->dropped);
    cg_drop_list(e->host, call->spent);
    uint64_t end_us = cg_now_us();
    flight_end(call->executor, call, end_us);
    return end_us;
}

/* One that was promised no end; one with a body, which old clients put a CRLF
 * behind; one whose next bytes are here already. */
static bool
may_be_sending(const struct cg_call *call)
{
    const struct cg_request *req = call->ex.req;
    const struct cg_conn *c = call->conn;
    return req->keep_alive || req->chunked || req->content_length > 0 ||
           c->rest_at < c->rest.n;
}

void
cg_call_end(struct cg_call *call, uint64_t end_us)
{
    struct cg_engine *e = call->executor->engine;
    struct cg_conn *c = call->conn;
    if (end_us > e->now_us) {
        e->now_us = end_us;
    }
    c->keep = call->ex.keep && !call->ex.taken;
    c->broken = call->ex.broken;
    c->polite = may_be_sending(call);
    c->taken = call->ex.blocking && !c->keep;
    if (__builtin_expect(call->stalled_us != 0, 0)) {
        cg_call_stalled(e, call);
    }
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_end(call);
    }
}

/* All of it is sent, and only the baton is missing, which may take a while:
 * from here on the connection waits for its next request. */
static void
keep_early(const struct cg_call *call)
{
    const struct cg_conn *c = call->conn;
    if (call->ex.keep && !call->ex.taken && !call->ex.broken &&
        c->intake == NULL && c->rest_at == c->rest.n &&
        cg_outbox_is_empty(&c->outbox) && !cg_limit_is_on(&call->limit)) {
        cg_conn_kept(call->executor->engine, c);
    }
}

/* Runs the request; the baton is ours again afterwards. */
static void
run(struct cg_executor *x, struct cg_call *call)
{
    struct cg_engine *e = x->engine;
    cg_call_begin(call);
    cg_relief_expect(&e->relief, call->ex.start_us);
    uint32_t mine = cg_baton_open(&e->baton, (unsigned)x->id, BATON_APP);
    if (!x->entered) {
        cg_engine_enter(x);
    }
    e->host->run(e->host->self, &call->ex);
    uint64_t end_us = cg_call_settle(call);
    keep_early(call);
    if (!cg_baton_back(&e->baton, (unsigned)x->id, mine)) {
        cg_baton_take(&e->baton, (unsigned)x->id);
    }
    cg_call_end(call, end_us);
}

static struct cg_exchange
exchange_of(struct cg_executor *x, struct cg_conn *c,
            const struct cg_request *req, const char *base)
{
    c->requests++;
    return (struct cg_exchange){
        .req = req,
        .base = base,
        .peer = &c->peer,
        .ops = &inline_ops,
        .writer = &x->writer,
        .since_us = c->ready_us,
        .start_us = cg_now_us(),
        .listener = c->listener,
        .may_keep = may_keep(x->engine, c, req),
    };
}

void
cg_call_init(struct cg_call *call, struct cg_executor *x, struct cg_conn *c,
             const struct cg_request *req, const char *base)
{
    call->ex = exchange_of(x, c, req, base);
    call->conn = c;
    call->executor = x;
    call->wire = &inline_wire;
    call->date = own_date(x);
    cg_writer_reset(&x->writer);
    call->dropped = call->spent = NULL;
    call->parcel = (struct cg_parcel){0};
    call->stalled_us = 0;
    call->stream = NULL;
    call->stream_error = 0;
    atomic_store_explicit(&call->limit.gate, 0, RELAXED);
    call->limit.page_n = 0;
    call->limit.deadline.next = call->limit.deadline.prev = NULL;
}

void
cg_call_init_stream(struct cg_call *call, struct cg_executor *x,
                    struct cg_conn *c)
{
    struct cg_intake *i = c->intake;
    cg_call_init(call, x, c, &i->req, i->head.p);
    call->stream = i;
    call->ex.streaming = true;
    call->ex.body = (struct cg_body){.p = "", .fd = -1};
}

void
cg_serve(struct cg_executor *x, struct cg_conn *c, const struct cg_request *req,
         const char *base, struct cg_body body, struct cg_intake *intake)
{
    struct cg_call call;
    if (x->engine->config->hosted) {
        cg_serve_detached(x, c, base, body, intake);
        return;
    }
    cg_call_init(&call, x, c, req, base);
    call.ex.body = body;
    run(x, &call);
    cg_intake_free(intake);
    cg_finish(x->engine, c);
}

void
cg_serve_stream(struct cg_executor *x, struct cg_conn *c)
{
    struct cg_call call;
    if (x->engine->config->hosted) {
        cg_serve_stream_detached(x, c);
        return;
    }
    cg_call_init_stream(&call, x, c);
    run(x, &call);
    cg_stream_end(x->engine, c, &call);
    cg_finish(x->engine, c);
}

/* ---- after the answer ---- */

void
cg_after_response(struct cg_engine *e, struct cg_conn *c)
{
    if (__builtin_expect(c->receipt != NULL, 0)) {
        cg_receipt_end(e, c);
    }
    if (!c->keep) {
        /* a client that was promised no end may be writing: an abrupt close
         * could take the response's end from it (RFC 9112, 9.6) */
        if (c->polite) {
            cg_linger_start(e, c);
        } else {
            cg_conn_close(e, c);
        }
        return;
    }
    if (__builtin_expect(c->intake != NULL, 0)) {
        cg_stream_drain_start(e, c);
        return;
    }
    if (__builtin_expect(c->rest.p != NULL, 0)) {
        if (c->rest_at < c->rest.n) {
            c->ready_us = e->now_us;
            cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_KEEP,
                            e->now_us);
            cg_ready_push(e, c);
            return;
        }
        cg_buf_release(&c->rest);
        c->rest_at = 0;
    }
    cg_rest(e, c);
}

void
cg_rest(struct cg_engine *e, struct cg_conn *c)
{
    c->state = CONN_IDLE;
    cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_KEEP, e->now_us);
    cg_conn_kept(e, c);
    if (!c->armed || c->interest != CG_LOOP_READ) {
        cg_conn_arm(e, c, CG_LOOP_READ);
    }
}

void
cg_await_reader(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_outbox *o = &c->outbox;
    if (o->progress.since_us == 0) {
        cg_progress_look(&o->progress, o->gone, &c->transport, e->now_us);
    }
    cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_WRITE, e->now_us);
}

uint64_t
cg_reader_stalls(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_outbox *o = &c->outbox;
    uint64_t still =
        cg_progress_look(&o->progress, o->gone, &c->transport, e->now_us);
    return still >= e->config->write_timeout_us ? still : 0;
}

void
cg_finish(struct cg_engine *e, struct cg_conn *c)
{
    if (c->broken) {
        cg_conn_close(e, c);
    } else if (!cg_outbox_is_empty(&c->outbox)) {
        c->state = CONN_FLUSH;
        cg_await_reader(e, c);
        cg_hoard_count(e, &c->outbox);
        cg_hoard_bound(e);
        cg_conn_arm(e, c, CG_LOOP_WRITE);
    } else {
        cg_after_response(e, c);
    }
}

void
cg_flush(struct cg_engine *e, struct cg_conn *c)
{
    int r = cg_outbox_flush(&c->outbox, &c->transport, &e->dropped);
    cg_hoard_count(e, &c->outbox);
    if (r < 0) {
        cg_conn_close(e, c);
    } else if (r > 0) {
        cg_after_response(e, c);
    }
}

void
cg_flush_look(struct cg_engine *e, struct cg_conn *c)
{
    uint64_t stalled_us = cg_reader_stalls(e, c);
    if (stalled_us == 0) {
        cg_await_reader(e, c);
        return;
    }
    cg_receipt_stalled(e, c, stalled_us);
    cg_conn_close(e, c);
}
