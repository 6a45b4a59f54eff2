/* SPDX-License-Identifier: MIT */
/*
 * Receipts: what is remembered of a reply that its peer has not taken when its
 * request is done: how the host tells of it at its end, and its name for the
 * log if it is cut. How much of it was taken is known only then.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/outbox/receipt.h"
#include "core/engine/state.h"

enum { METHOD_MAX = 32, TARGET_MAX = 1024 };

static struct cg_slice
cut(struct cg_slice s, size_t most)
{
    return (struct cg_slice){s.p, s.n < most ? s.n : most};
}

static struct cg_slice
method_of(const struct cg_exchange *ex)
{
    return cut(cg_span_of(ex->base, ex->req->method), METHOD_MAX);
}

static struct cg_slice
target_of(const struct cg_exchange *ex)
{
    return cut(cg_span_of(ex->base, ex->req->target), TARGET_MAX);
}

static struct cg_receipt *
new_receipt(struct cg_slice method, struct cg_slice target, struct cg_slice id)
{
    struct cg_receipt *r = cg_malloc(sizeof *r + method.n + target.n + id.n);
    *r = (struct cg_receipt){
        .method_n = method.n, .target_n = target.n, .id_n = id.n};
    memcpy(r->text, method.p, method.n);
    memcpy(r->text + method.n, target.p, target.n);
    if (id.n > 0) {
        memcpy(r->text + method.n + target.n, id.p, id.n);
    }
    return r;
}

void
cg_receipt_make(struct cg_call *call)
{
    const struct cg_exchange *ex = &call->ex;
    struct cg_slice id = {ex->id.p, call->slow.on ? ex->id.n : 0};
    struct cg_receipt *r = new_receipt(method_of(ex), target_of(ex), id);
    r->line = ex->line;
    r->sent = ex->sent;
    call->stream->receipt = r;
}

void
cg_receipt_of(struct cg_stream *s, const struct cg_request *req,
              const char *base)
{
    s->receipt = new_receipt(cut(cg_span_of(base, req->method), METHOD_MAX),
                             cut(cg_span_of(base, req->target), TARGET_MAX),
                             (struct cg_slice){NULL, 0});
}

/* Bytes that the peer did not take; what the socket holds of a connection that
 * goes on is on its way. */
static uint64_t
lost(const struct cg_stream *s)
{
    return cg_outbox_waits(&s->outbox) + cg_transport_held(s->transport);
}

void
cg_receipt_end(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_receipt *r = s->receipt;
    s->receipt = NULL;
    if (r->line == NULL && !r->slow) {
        free(r);
        return;
    }
    if (r->unsent == 0 && (s->broken || !cg_outbox_is_empty(&s->outbox))) {
        r->unsent = lost(s);
    }
    if (r->slow) {
        cg_slow_sent(e, s, r);
    }
    if (r->line == NULL) {
        free(r);
        return;
    }
    r->next = NULL;
    *e->receipts.last = r;
    e->receipts.last = &r->next;
}

struct cg_receipt *
cg_receipts_take(struct cg_engine *e)
{
    struct cg_receipt *r = e->receipts.first;
    e->receipts.first = NULL;
    e->receipts.last = &e->receipts.first;
    return r;
}

void
cg_receipts_tell(const struct cg_runner *runner, struct cg_receipt *r)
{
    while (r != NULL) {
        struct cg_receipt *next = r->next;
        runner->ops->replied(runner->self, r->line, r->unsent);
        free(r);
        r = next;
    }
}

/* ---- what is cut ---- */

/* The reset leaves nothing in the kernel for who does not read it. */
static void
tell(struct cg_engine *e, struct cg_stalled what, struct cg_stream *s)
{
    uint64_t left = lost(s);
    if (s->receipt != NULL) {
        s->receipt->unsent = left;
    }
    cg_transport_reset(s->transport);
    what.peer = &s->conn->peer;
    what.sent = what.of > left ? what.of - left : 0;
    e->host->stalled(e->host->self, &what);
    cg_expect_report(e);
}

void
cg_receipt_stalled(struct cg_engine *e, struct cg_stream *s,
                   uint64_t stalled_us)
{
    const struct cg_receipt *r = s->receipt;
    if (r != NULL) { /* else it is an error page that nobody reads */
        tell(e,
             (struct cg_stalled){.method = {r->text, r->method_n},
                                 .target = {r->text + r->method_n, r->target_n},
                                 .of = r->sent,
                                 .since_us = stalled_us},
             s);
    }
}

void
cg_call_stalled(struct cg_engine *e, const struct cg_call *call)
{
    const struct cg_exchange *ex = &call->ex;
    tell(e,
         (struct cg_stalled){.method = method_of(ex),
                             .target = target_of(ex),
                             .of = ex->sent,
                             .since_us = call->stalled_us},
         call->stream);
}

uint64_t
cg_wire_unsent(const struct cg_exchange *ex)
{
    struct cg_call *call = (struct cg_call *)(void *)(size_t)ex;
    /* a thread of the application's may still read, and send what waits */
    bool ours = cg_limit_enter(call);
    if (call->corked.used) {
        cg_cork_take(call);
    }
    uint64_t n = ex->broken && !cg_limit_is_late(call)
                     ? lost(call->stream) + call->lost
                     : cg_outbox_waits(&call->stream->outbox);
    if (ours) {
        cg_limit_leave(call);
    }
    return n;
}
