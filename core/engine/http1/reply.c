/* SPDX-License-Identifier: MIT */
#include "core/engine/http1/reply.h"

#include <errno.h>

#include "core/base/memory.h"
#include "core/engine/exchange/input.h"
#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/request_id.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/state.h"

static struct cg_call *
call_of(struct cg_exchange *ex)
{
    return (struct cg_call *)(void *)ex;
}

static inline struct cg_reply_context
context_of(const struct cg_call *call)
{
    const struct cg_exchange *ex = &call->ex;
    return (struct cg_reply_context){
        .server = call->executor->engine->config->server,
        .date = call->date,
        .minor = ex->req->minor,
        .head_request = ex->req->method_is_head,
        .keep_alive = ex->may_keep && (!ex->streaming || cg_input_can_skip(ex)),
        .trailers = ex->trails && ex->is_h2,
    };
}

static void
complete_head(struct cg_exchange *ex, int64_t known)
{
    const struct cg_reply_context context = context_of(call_of(ex));
    CG_ASSERT(ex->writer->started);
    if (call_of(ex)->executor->engine->config->request_id.reply &&
        ex->id.n > 0) {
        cg_request_id_reply(call_of(ex));
    }
    ex->keep = cg_writer_head(ex->writer, &context, known);
    ex->status = ex->writer->reply.status;
}

/* What the writer knows now is known of the exchange. */
static void
account(struct cg_exchange *ex)
{
    const struct cg_writer *w = ex->writer;
    ex->sent = w->sent;
    if (w->misfit == CG_TOO_SHORT) {
        ex->keep = false; /* what follows would be read as this body */
    }
    if (w->ended) {
        cg_limit_sent(ex);
    }
}

static int
send_parts(struct cg_exchange *ex, const struct cg_parts *parts, void *owner)
{
    const struct cg_wire *wire = call_of(ex)->wire;
    owner = parts->whole ? owner : NULL;
    if (parts->now) {
        return wire->send(ex, parts->v, parts->n, owner);
    }
    return parts->n > 0 ? wire->send_more(ex, parts->v, parts->n, owner) : 0;
}

int
cg_http1_body(struct cg_exchange *ex, const char *p, size_t n,
              enum cg_more more, void *owner)
{
    struct cg_parts parts;
    bool last = more == CG_LAST;
    if (!ex->writer->headed) {
        complete_head(ex, last ? (int64_t)n : -1);
    }
    bool goes_on = cg_writer_body(ex->writer, p, n, last, &parts);
    uint64_t before = ex->sent;
    ex->sent = ex->writer->sent;
    int r = send_parts(ex, &parts, owner);
    if (r < 0) {
        call_of(ex)->lost += ex->sent - before;
    }
    if (last) {
        account(ex);
    }
    return r < 0 ? r : !goes_on;
}

int
cg_http1_file(struct cg_exchange *ex, int fd, off_t offset, size_t n)
{
    struct cg_parts parts;
    if (!ex->writer->headed) {
        ex->trails = false; /* it leaves as it is, by its length */
        complete_head(ex, (int64_t)n);
    }
    cg_writer_file(ex->writer, n, &n, &parts);
    ex->sent = ex->writer->sent;
    int r = n > 0 ? call_of(ex)->wire->send_file(ex, parts.v, parts.n, fd,
                                                 offset, n)
                  : send_parts(ex, &parts, NULL);
    account(ex);
    return r;
}

int
cg_http1_inform(struct cg_exchange *ex, int status,
                const struct cg_fields *fields)
{
    cg_auto(buf) struct cg_buf out = {0};
    if (ex->writer->headed || ex->req->minor == 0) {
        return 0;
    }
    cg_writer_interim(&out, status, fields);
    const struct iovec part = {out.p, out.n};
    return call_of(ex)->wire->send(ex, &part, 1, NULL);
}

int
cg_http1_trailers(struct cg_exchange *ex, const struct cg_fields *fields)
{
    struct cg_parts parts;
    if (!ex->writer->headed) {
        complete_head(ex, -1);
    }
    cg_writer_trailers(ex->writer, fields, &parts);
    int r = send_parts(ex, &parts, NULL);
    account(ex);
    return r;
}

void
cg_http1_abort(struct cg_exchange *ex, int status, const char *message)
{
    struct cg_parts parts = {.now = true};
    struct cg_writer *w = ex->writer;
    ex->keep = false;
    if (!w->headed && status != 0) {
        const struct cg_reply_context context = context_of(call_of(ex));
        cg_writer_page(w, &context, status, cg_slice_of(message), &parts);
        ex->status = status;
        ex->sent = w->sent;
    }
    if (w->headed) { /* a cut sends what waits: no terminator, no clean end */
        send_parts(ex, &parts, NULL);
    }
    cg_limit_sent(ex);
}
