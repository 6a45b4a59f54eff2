/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/preamble.h"

#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/rest.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"

static void
wait_for_first(struct cg_engine *e, struct cg_conn *c)
{
    if (c->stream.state !=
        STREAM_HEAD) { /* the head's time counts from here on */
        c->stream.state = STREAM_HEAD;
        cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_HEAD,
                        e->now_us);
    }
    cg_conn_arm(e, c, CG_LOOP_READ);
}

/* A packet that is whole is a head in c->rest from here on, before what came of
 * its body. */
static enum cg_proxy_status
feed_packet(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n)
{
    cg_auto(buf) struct cg_buf all = cg_rest_take(x->engine, c);
    cg_auto(buf) struct cg_buf head = {0};
    struct cg_uwsgi packet;
    enum cg_refusal why = CG_REFUSE_UWSGI_FORBIDDEN;
    struct cg_span at = {0, 0};
    cg_buf_put(&all, p, n);
    enum cg_uwsgi_status st =
        c->may_announce ? cg_uwsgi_read(all.p, all.n, &head, &packet, &why, &at)
                        : CG_UWSGI_REFUSED;
    switch (st) {
    case CG_UWSGI_MORE:
        c->rest = all;
        all = (struct cg_buf){0};
        cg_rest_count(x->engine, c);
        wait_for_first(x->engine, c);
        return CG_PROXY_MORE;
    case CG_UWSGI_REFUSED:
        cg_request_reset(&x->req);
        x->req.refusal = why;
        x->req.refused_at = at;
        cg_refuse(x->engine, c, &x->req, all.p);
        return CG_PROXY_REFUSED;
    case CG_UWSGI_DONE: break;
    }
    c->preamble = false;
    c->told_https = packet.https;
    c->transport.movable = false; /* what the packet told is known here only */
    cg_buf_put(&head, all.p + packet.n, all.n - packet.n);
    c->rest = head;
    cg_rest_count(x->engine, c);
    head = (struct cg_buf){0};
    return CG_PROXY_DONE;
}

static void
take_peer(struct cg_conn *c, const struct cg_proxy *p)
{
    c->preamble = false;
    if (p->kind == CG_PROXY_LOCAL) {
        return;
    }
    memcpy(c->peer.addr, p->client, sizeof c->peer.addr);
    memcpy(c->peer.proxy_addr, p->server, sizeof c->peer.proxy_addr);
    c->peer.port = p->client_port;
    c->peer.proxy_port = p->server_port;
    c->peer.proxied = (uint8_t)p->kind;
    c->transport.movable = false; /* these addresses are known here only */
}

static void
refuse_preamble(struct cg_executor *x, struct cg_conn *c, enum cg_refusal why,
                const char *p, size_t n)
{
    enum { LINE_MOST = 107 };
    const char *end = memchr(p, '\r', n);
    size_t shown = end != NULL ? (size_t)(end - p) : n;
    cg_request_reset(&x->req);
    x->req.refusal = why;
    x->req.refused_at.n = (uint32_t)(shown < LINE_MOST ? shown : LINE_MOST);
    cg_refuse(x->engine, c, &x->req, p);
}

static enum cg_proxy_status
read_preamble(struct cg_executor *x, struct cg_conn *c, const char *p, size_t n,
              size_t *used)
{
    struct cg_proxy proxy = {.kind = CG_PROXY_LOCAL};
    enum cg_refusal why = CG_REFUSE_PROXY_FORBIDDEN;
    enum cg_proxy_mode mode = x->engine->config->proxy_mode;
    enum cg_proxy_status st = CG_PROXY_REFUSED;
    if (c->may_announce || !cg_proxy_begins(mode, p, n)) {
        st = cg_proxy_read(mode, p, n, &proxy, &why);
    }
    if (st == CG_PROXY_REFUSED) {
        refuse_preamble(x, c, why, p, n);
    } else if (st != CG_PROXY_MORE) {
        take_peer(c, &proxy);
    }
    *used = proxy.n;
    return st;
}

enum cg_proxy_status
cg_preamble_feed(struct cg_executor *x, struct cg_conn *c, const char *p,
                 size_t n, size_t *ret_used)
{
    if (x->engine->config->uwsgi_trust != NULL) {
        *ret_used = n;
        return feed_packet(x, c, p, n);
    }
    cg_auto(buf) struct cg_buf all = cg_rest_take(x->engine, c);
    size_t used = 0;
    if (all.n > 0) {
        cg_buf_put(&all, p, n);
        p = all.p;
        n = all.n;
    }
    enum cg_proxy_status st = read_preamble(x, c, p, n, &used);
    if (st == CG_PROXY_MORE) {
        cg_buf_put(&c->rest, p, n);
        cg_rest_count(x->engine, c);
        wait_for_first(x->engine, c);
    } else if (st != CG_PROXY_REFUSED && used == n) {
        wait_for_first(x->engine, c);
    } else if (st != CG_PROXY_REFUSED && all.n > 0) {
        c->rest = all;
        c->rest_at = (uint32_t)used;
        cg_rest_count(x->engine, c);
        all = (struct cg_buf){0};
    }
    *ret_used = used;
    return st;
}
