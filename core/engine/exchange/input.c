/* SPDX-License-Identifier: MIT */
/*
 * Input: the body of a request that runs while it is still coming. The executor
 * reads the socket itself, through the same decoder and limits as an intake
 * that is filled first; what the application leaves is read away by the engine.
 * In a hosted engine it does not wait: the stream is lent (lent.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/rest.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/http1/body.h"
#include "core/engine/http1/ending.h"
#include "core/engine/state.h"

enum { POLL_MS = 1000 };

/* ---- in the executor, without the baton ---- */

static int
fail(struct cg_call *call, int code, int status, const char *fault)
{
    call->input_error = code;
    snprintf(call->input->fault, sizeof call->input->fault, "%s", fault);
    call->ex.input_status = status;
    call->ex.input_fault = call->input->fault;
    call->ex.may_keep = false;
    return code;
}

static int
fail_refused(struct cg_call *call)
{
    const struct cg_request *req = &call->input->req;
    cg_auto(buf) struct cg_buf text = {0};
    cg_refusal_text(req, call->input->head.p, &text);
    return fail(call, -EBADMSG, cg_refusal_status(req->refusal),
                cg_buf_str(&text));
}

static int
check_rate(struct cg_call *call)
{
    if (cg_body_is_slow(call->executor->engine->config, call->input,
                        cg_now_us())) {
        return fail(call, -ETIMEDOUT, 408, "Request body comes too slowly");
    }
    return 0;
}

/* In the wire: what nobody else sends; the flusher has the rest. */
static bool
is_ours_to_send(const struct cg_call *call)
{
    return !call->corked.shared && !cg_outbox_is_empty(&call->stream->outbox);
}

static bool
has_unsent(struct cg_call *call)
{
    if (!cg_wire_enter(&call->ex)) {
        return false;
    }
    bool yes = is_ours_to_send(call);
    cg_limit_leave(call);
    return yes;
}

/* Another thread of the application may have written meanwhile. */
static void
send_unsent(struct cg_call *call)
{
    struct cg_stream *s = call->stream;
    if (cg_wire_enter(&call->ex)) {
        int r = is_ours_to_send(call)
                    ? cg_outbox_flush(&s->outbox, s->transport, &call->dropped)
                    : 0;
        cg_limit_leave(call);
        if (r < 0) {
            cg_wire_fail(&call->ex, r);
        }
    }
}

/* False: none came within POLL_MS, or only what waited for the peer went. */
static bool
wait_for_bytes(struct cg_call *call)
{
    struct cg_transport *t = call->stream->transport;
    if (!has_unsent(call)) {
        return cg_transport_wait(t, POLLIN, POLL_MS);
    }
    if (cg_transport_wait(t, POLLIN | POLLOUT, POLL_MS)) {
        send_unsent(call);
    }
    return cg_transport_wait(t, POLLIN, 0);
}

/* Waits until the socket is readable; a worker that waits for a peer, within
 * the peer's own limits, is alive. */
static int
wait_for_peer(struct cg_call *call)
{
    struct cg_engine *e = call->executor->engine;
    uint64_t limit = e->config->body_timeout_us, now = cg_now_us();
    uint64_t end = limit != 0 ? now + limit : UINT64_MAX;
    while (!wait_for_bytes(call)) {
        now = cg_now_us();
        if (cg_limit_is_late(call)) {
            return fail(call, -ETIMEDOUT, 504, "Request took too long");
        }
        atomic_store_explicit(&e->slot->beat_us, now, memory_order_relaxed);
        if (atomic_load_explicit(&e->stop.abort_wanted, memory_order_relaxed) ||
            atomic_load_explicit(&e->stop.over, memory_order_relaxed)) {
            return fail(call, -ECANCELED, 503, "The worker was stopped");
        }
        if (now >= end) {
            return fail(call, -ETIMEDOUT, 408, "Request body timed out");
        }
    }
    return check_rate(call);
}

static int
feed(struct cg_call *call, const char *p, size_t n)
{
    const struct cg_intake_policy policy =
        cg_intake_in_memory(&call->executor->engine->config->intake);
    size_t used = 0;
    enum cg_intake_status st =
        cg_intake_feed(call->input, &policy, call->stream->conn->peer.trusted,
                       p, n, &used, NULL);
    if (st == CG_INTAKE_REFUSED) {
        return fail_refused(call);
    }
    if (st == CG_INTAKE_FAILED) {
        return fail(call, -ENOMEM, 503, "No memory for a request body");
    }
    if (st == CG_INTAKE_COMPLETE) {
        cg_rest_put(call->executor->engine, call->stream->conn, p + used,
                    n - used);
        call->ex.body.trailers = cg_intake_body(call->input).trailers;
    }
    return 0;
}

/* Not into the middle of a reply that has begun (RFC 9110, 10.1.1). */
static void
send_continue(struct cg_call *call)
{
    if (!call->ex.writer->headed) {
        cg_send_continue(call->stream, call->input, &call->dropped);
    }
}

/* False: the client has to send more first. */
static bool
receive_more(struct cg_call *call)
{
    char *p = call->executor->rbuf;
    ssize_t n = cg_transport_receive(call->stream->transport, p, READ_BUFFER);
    if (n == -EAGAIN) {
        if (!cg_limit_enter(call)) {
            fail(call, -ETIMEDOUT, 504, "Request took too long");
            return true;
        }
        send_continue(call);
        cg_limit_leave(call);
        return false;
    }
    if (n <= 0) {
        fail(call, -ECONNRESET, 400, "Request body ended early");
    } else {
        feed(call, p, (size_t)n);
    }
    return true;
}

static bool
is_wanting(const struct cg_call *call)
{
    const struct cg_intake *i = call->input;
    return i->body.n == 0 && !i->done && call->input_error == 0;
}

/* Also what came before a fault. */
static int
take_body(struct cg_call *call, struct cg_buf *to)
{
    struct cg_buf *body = &call->input->body;
    if (body->n == 0) {
        return call->input_error;
    }
    cg_buf_put(to, body->p, body->n);
    cg_buf_reset(body);
    return 1;
}

int
cg_input_receive(struct cg_exchange *ex, struct cg_buf *to)
{
    struct cg_call *call = (struct cg_call *)(void *)ex;
    while (is_wanting(call)) {
        if (!receive_more(call)) {
            wait_for_peer(call);
        }
    }
    return take_body(call, to);
}

int
cg_input_receive_now(struct cg_exchange *ex, struct cg_buf *to)
{
    struct cg_call *call = (struct cg_call *)(void *)ex;
    while (is_wanting(call)) {
        if (receive_more(call)) {
            continue;
        }
        if (check_rate(call) == 0) {
            return -EAGAIN;
        }
    }
    return take_body(call, to);
}

void
cg_input_time_out(struct cg_call *call)
{
    fail(call, -ETIMEDOUT, 408, "Request body timed out");
}

void
cg_input_cut(struct cg_exchange *ex)
{
    struct cg_call *call = (struct cg_call *)(void *)ex;
    ex->keep = false;
    cg_transport_deafen(call->stream->transport);
}

bool
cg_input_can_skip(const struct cg_exchange *ex)
{
    const struct cg_call *call = (const struct cg_call *)(const void *)ex;
    const struct cg_intake *i = call->input;
    if (i->done) {
        return true;
    }
    /* a client that still waits for 100 may send the body or not */
    return call->input_error == 0 &&
           (i->continued || !i->req.expect_continue || i->body_n > 0) &&
           i->body_left <= CG_SKIP_MAX;
}

/* ---- after the response, with the baton ---- */

/* The application may have left some of the body, or seen what is wrong with
 * it; s->intake stays only if there is a rest to be read away. */
void
cg_input_end(struct cg_engine *e, struct cg_stream *s,
             const struct cg_call *call)
{
    if (call->input_error != 0) {
        s->keep = false;
    }
    if (call->input_error != 0 && !cg_limit_is_late(call)) {
        cg_tell_refused(e, (struct cg_refused){
                               .peer = &s->conn->peer,
                               .message = cg_slice_of(call->input->fault),
                           });
    }
    if (!s->keep || s->intake->done) {
        cg_stream_drop_intake(s);
    }
}
