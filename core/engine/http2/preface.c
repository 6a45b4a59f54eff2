/* SPDX-License-Identifier: MIT */
#include "core/engine/http2/preface.h"

#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/rest.h"
#include "core/engine/http1/ending.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/http2/session.h"
#include "core/engine/http2/upgrade.h"
#include "core/engine/protocol.h"
#include "core/engine/state.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum { PREFACE_N = sizeof preface - 1 };

static const struct cg_protocol protocol;

void
cg_preface_begin(struct cg_engine *e, struct cg_conn *c)
{
    if (e->config->cleartext != CG_CLEARTEXT_OFF && c->peer.trusted &&
        !c->preamble && cg_transport_is_plain(&c->transport)) {
        if (e->config->cleartext == CG_CLEARTEXT_UPGRADE) {
            c->protocol = &cg_http2_upgrade;
            return;
        }
        c->protocol = &protocol;
        c->transport.movable = false;
    }
}

static enum cg_step
refuse(struct cg_engine *e, struct cg_conn *c)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_puts(&text, "Expected HTTP/2 connection preface, got b'");
    cg_buf_put_escaped(&text, (struct cg_slice){c->rest.p, c->rest.n},
                       PREFACE_N);
    cg_buf_putc(&text, '\'');
    cg_refuse_status(e, c, 400, cg_buf_str(&text));
    return CG_STEP_REFUSED;
}

/* HTTP/1, whose first bytes are in c->rest. */
static enum cg_step
go_on_with_http1(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    c->protocol = e->protocol;
    c->transport.movable = true;
    c->stream.state = STREAM_FRESH;
    if (e->config->cleartext == CG_CLEARTEXT_PRIOR) {
        return refuse(e, c);
    }
    c->protocol = &cg_http2_upgrade;
    return c->protocol->on_queued(x, &c->stream, a);
}

static enum cg_step
go_on_with_http2(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_buf first = cg_rest_take(e, c);
    cg_conn_arm(e, c, CG_LOOP_READ);
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_FIRST,
                    e->now_us);
    cg_http2_begin(e, c);
    cg_http2_feed(e, c, first.p, first.n);
    cg_buf_release(&first);
    return CG_STEP_MORE;
}

static enum cg_step
wait_for_more(struct cg_engine *e, struct cg_conn *c, bool silent)
{
    if (c->stream.deadline.next == NULL) {
        cg_deadline_set(&e->deadlines, &c->stream.deadline,
                        silent ? DEADLINE_FIRST : DEADLINE_HEAD, e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ);
    return CG_STEP_MORE;
}

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    struct cg_engine *e = x->engine;
    ssize_t n = cg_transport_receive(&c->transport, x->rbuf, sizeof x->rbuf);
    if (n <= 0) {
        return n == -EAGAIN ? wait_for_more(e, c, c->rest.n == 0)
                            : CG_STEP_CLOSE;
    }
    cg_buf_put(&c->rest, x->rbuf, (size_t)n);
    cg_rest_count(e, c);
    size_t seen = c->rest.n < PREFACE_N ? c->rest.n : PREFACE_N;
    if (memcmp(c->rest.p, preface, seen) != 0) {
        return go_on_with_http1(x, c, a);
    }
    return seen < PREFACE_N ? wait_for_more(e, c, false)
                            : go_on_with_http2(e, c);
}

static enum cg_step
on_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return CG_STEP_MORE;
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *s)
{
    struct cg_conn *c = s->conn;
    if (c->rest.n == 0) {
        cg_conn_close(e, c);
        return;
    }
    c->protocol = e->protocol;
    refuse(e, c);
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_close(e, &c->stream);
}

static const struct cg_protocol protocol = {
    .name = "preface",
    .on_event = on_event,
    .on_queued = on_queued,
    .on_deadline = on_deadline,
    .on_answered = cg_ending_begin,
    .close = close_stream,
};
