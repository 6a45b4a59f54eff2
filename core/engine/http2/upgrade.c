/* SPDX-License-Identifier: MIT */
#include "core/engine/http2/upgrade.h"

#include "core/base/memory.h"
#include "core/engine/http2/session.h"
#include "core/engine/state.h"
#include "core/http/h2/upgrade.h"

static bool
has_body(const struct cg_arrival *a)
{
    return a->req->chunked || a->req->content_length > 0;
}

/* What came behind the request, which is used up. */
static struct cg_buf
take_rest(struct cg_conn *c)
{
    struct cg_buf rest = c->rest;
    cg_buf_drop(&rest, c->rest_at);
    c->rest = (struct cg_buf){0};
    c->rest_at = 0;
    return rest;
}

static void
agree(struct cg_engine *e, struct cg_conn *c)
{
    static char text[] = "HTTP/1.1 101 Switching Protocols\r\n"
                         "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    cg_outbox_put(&c->stream.outbox, text, sizeof text - 1);
    cg_outbox_flush(&c->stream.outbox, &c->transport, &e->dropped);
}

/* Where the request lies is used up with its text. */
static enum cg_step
look(struct cg_executor *x, struct cg_conn *c, const struct cg_arrival *a,
     enum cg_step step)
{
    struct cg_engine *e = x->engine;
    struct cg_h2_settings settings;
    if (step != CG_STEP_REQUEST || !a->req->upgrade || has_body(a) ||
        !cg_h2_upgrade_read(a->req, a->base, settings.bytes, &settings.n)) {
        return step;
    }
    cg_auto(buf) struct cg_buf text = {0};
    bool is_head = a->req->method_is_head;
    cg_h2_upgrade_head(a->req, a->base, &text);
    cg_stream_drop_intake(&c->stream);
    struct cg_buf rest = take_rest(c);
    agree(e, c);
    cg_conn_arm(e, c, CG_LOOP_READ);
    cg_http2_begin_with(e, c, &settings, (struct cg_slice){text.p, text.n},
                        is_head);
    if (rest.n > 0) {
        cg_http2_feed(e, c, rest.p, rest.n);
    }
    cg_buf_release(&rest);
    return CG_STEP_MORE;
}

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    return look(x, c, a, x->engine->protocol->on_event(x, c, a));
}

static enum cg_step
on_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return look(x, s->conn, a, x->engine->protocol->on_queued(x, s, a));
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *s)
{
    e->protocol->on_deadline(e, s);
}

static void
on_answered(struct cg_engine *e, struct cg_stream *s)
{
    e->protocol->on_answered(e, s);
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    e->protocol->close(e, c);
}

const struct cg_protocol cg_http2_upgrade = {
    .name = "HTTP/1 or an upgrade",
    .on_event = on_event,
    .on_queued = on_queued,
    .on_deadline = on_deadline,
    .on_answered = on_answered,
    .close = close_stream,
};
