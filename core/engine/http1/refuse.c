/* SPDX-License-Identifier: MIT */
#include "core/engine/http1/refuse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/rest.h"
#include "core/engine/http1/ending.h"
#include "core/engine/protocol.h"
#include "core/engine/state.h"
#include "core/http/reply.h"

/* What is known of the request, for page and log; either may be NULL. */
struct refused_request {
    const struct cg_request *req;
    const char *base;
};

static struct refused_request
request_of(const struct cg_conn *c)
{
    if (c->stream.intake != NULL && c->stream.intake->head_done) {
        return (struct refused_request){&c->stream.intake->req,
                                        c->stream.intake->head.p};
    }
    return (struct refused_request){NULL, NULL};
}

/* The first bytes of a request that goes no further, as far as the log shows
 * them. */
static struct cg_slice
first_line(struct cg_slice s)
{
    enum { SHOWN = 200 };
    size_t n = s.n < SHOWN ? s.n : SHOWN;
    const char *cr = memchr(s.p, '\r', n);
    return (struct cg_slice){s.p, cr != NULL ? (size_t)(cr - s.p) : n};
}

static struct cg_slice
known_field(struct refused_request r, enum cg_field_id id)
{
    const struct cg_field *f = cg_request_field(r.req, id);
    return f != NULL ? (struct cg_slice){r.base + f->value, f->value_n}
                     : (struct cg_slice){NULL, 0};
}

static void
show_request(const struct cg_conn *c, struct refused_request r,
             struct cg_refused *why)
{
    why->is_h2 = c->is_h2;
    if (r.req != NULL && r.base != NULL) {
        const struct cg_request *req = r.req;
        why->method = cg_span_of(r.base, req->method);
        why->target = cg_span_of(r.base, req->target);
        why->minor = req->minor;
        why->line = first_line(
            cg_span_of(r.base, req->line.n > 0 ? req->line : req->refused_at));
    } else if (c->stream.intake != NULL && c->stream.intake->head.n > 0) {
        why->line = first_line((struct cg_slice){c->stream.intake->head.p,
                                                 c->stream.intake->head.n});
    }
    if (why->target.n > 0) {
        why->line.n = 0;
    }
    if (r.req != NULL && r.base != NULL) {
        why->referer = known_field(r, CG_FIELD_REFERER);
        why->user_agent = known_field(r, CG_FIELD_USER_AGENT);
    }
}

/* What a full socket does not take waits as any reply's bytes do. */
static int
send_page(struct cg_engine *e, struct cg_stream *s, const struct cg_buf *page)
{
    struct iovec part = {page->p, page->n};
    ssize_t n =
        cg_outbox_send(&s->outbox, s->transport, &part, 1, false, &e->dropped);
    if (n >= 0) {
        cg_outbox_put(&s->outbox, page->p + n, page->n - (size_t)n);
    }
    return n < 0 ? (int)n : 0;
}

static void
end_with(struct cg_engine *e, struct cg_conn *c, int sent)
{
    cg_stream_drop_intake(&c->stream);
    cg_rest_release(e, c);
    c->stream.keep = false;
    c->stream.polite = true;
    c->stream.broken = sent < 0;
    cg_ending_begin(e, &c->stream);
}

static void
answer(struct cg_engine *e, struct cg_conn *c, struct refused_request r,
       struct cg_refused why)
{
    CG_HAS_BATON(e);
    cg_auto(buf) struct cg_buf page = {0};
    bool head = r.req != NULL && r.req->method_is_head;
    /* what went wrong inside is for the log, not for the peer */
    struct cg_slice shown = why.ours ? (struct cg_slice){"", 0} : why.message;
    size_t body = cg_error_page(&page, why.status, shown, e->config->server,
                                e->date, 1, head);
    int n = send_page(e, &c->stream, &page);
    why.peer = &c->peer;
    why.minor = 1;
    why.body_bytes = head || n < 0 ? 0 : body;
    show_request(c, r, &why);
    cg_tell_refused(e, why);
    end_with(e, c, n);
}

/* Without its port; an IPv6 address has brackets. */
static struct cg_slice
host_of(const struct cg_request *req, const char *base)
{
    const struct cg_field *f = cg_request_field(req, CG_FIELD_HOST);
    struct cg_slice host = f != NULL
                               ? (struct cg_slice){base + f->value, f->value_n}
                               : (struct cg_slice){NULL, 0};
    const char *colon = host.n > 0 ? memrchr(host.p, ':', host.n) : NULL;
    if (colon != NULL &&
        memchr(colon, ']', (size_t)(host.p + host.n - colon)) == NULL) {
        host.n = (size_t)(colon - host.p);
    }
    return host;
}

/* A request without a host, or of another form than a path, is refused. */
static bool
put_redirect(struct cg_engine *e, struct cg_buf *out,
             const struct cg_request *req, const char *base, uint16_t port)
{
    struct cg_slice host = host_of(req, base);
    struct cg_slice target = cg_span_of(base, req->target);
    char at[8] = "";
    if (host.n == 0 || target.n == 0 || target.p[0] != '/') {
        return false;
    }
    if (port != 443) {
        snprintf(at, sizeof at, ":%u", port);
    }
    cg_buf_putf(out,
                "HTTP/1.1 308 Permanent Redirect\r\nServer: %s\r\nDate: "
                "%s\r\nConnection: close\r\nLocation: https://%.*s%s%.*s\r\n"
                "Content-Length: 0\r\n\r\n",
                e->config->server, e->date, (int)host.n, host.p, at,
                (int)target.n, target.p);
    return true;
}

void
cg_redirect(struct cg_engine *e, struct cg_conn *c,
            const struct cg_request *req, const char *base, uint16_t port)
{
    cg_auto(buf) struct cg_buf page = {0};
    struct refused_request r = {req, base};
    CG_HAS_BATON(e);
    if (!put_redirect(e, &page, req, base, port)) {
        answer(e, c, r,
               (struct cg_refused){.status = 400,
                                   .message = CG_SLICE("Use https://")});
        return;
    }
    int n = send_page(e, &c->stream, &page);
    struct cg_refused why = {.status = 308, .peer = &c->peer, .minor = 1};
    show_request(c, r, &why);
    cg_tell_refused(e, why);
    end_with(e, c, n);
}

void
cg_refuse(struct cg_engine *e, struct cg_conn *c, const struct cg_request *req,
          const char *base)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_refusal_text(req, base, &text);
    answer(e, c, (struct refused_request){req, base},
           (struct cg_refused){.status = cg_refusal_status(req->refusal),
                               .message = {text.p, text.n}});
}

void
cg_refuse_status(struct cg_engine *e, struct cg_conn *c, int status,
                 const char *message)
{
    answer(
        e, c, request_of(c),
        (struct cg_refused){.status = status, .message = cg_slice_of(message)});
}

/* Full for now, or wrong until somebody mends it. */
static int
fault_status(int code)
{
    static const int full[] = {ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE, ENOMEM};
    for (size_t i = 0; i < CG_COUNT(full); i++) {
        if (code == -full[i]) {
            return 503;
        }
    }
    return 500;
}

void
cg_refuse_fault(struct cg_engine *e, struct cg_conn *c,
                const struct cg_error *err)
{
    answer(e, c, request_of(c),
           (struct cg_refused){.ours = true,
                               .status = fault_status(err->code),
                               .message = cg_slice_of(err->text)});
}

void
cg_answer_and_end(struct cg_engine *e, struct cg_conn *c,
                  const struct cg_buf *reply)
{
    CG_HAS_BATON(e);
    end_with(e, c, send_page(e, &c->stream, reply));
}

/* ---- requests that waited in vain ---- */

static struct refused_request
waiting_request(const struct cg_conn *c, const struct cg_arrival *a)
{
    return a != NULL ? (struct refused_request){a->req, a->base}
                     : request_of(c);
}

/* One that came behind another is not read yet. */
static void
show_waiting(const struct cg_conn *c, struct refused_request r,
             struct cg_refused *why)
{
    show_request(c, r, why);
    if (r.req == NULL && c->rest.n > c->rest_at) {
        why->line = first_line(
            (struct cg_slice){c->rest.p + c->rest_at, c->rest.n - c->rest_at});
    }
}

/* What nginx calls it: client closed request. No reply has this status. */
void
cg_abandon(struct cg_engine *e, struct cg_conn *c, const struct cg_arrival *a)
{
    enum { CLIENT_CLOSED_REQUEST = 499 };
    struct cg_refused why = {
        .status = CLIENT_CLOSED_REQUEST, .peer = &c->peer, .minor = 1};
    CG_HAS_BATON(e);
    show_waiting(c, waiting_request(c, a), &why);
    atomic_fetch_add_explicit(&e->slot->abandoned, 1, memory_order_relaxed);
    cg_tell_unserved(e, &why);
    c->stream.broken = true;
    cg_conn_close(e, c);
}

void
cg_refuse_busy(struct cg_engine *e, struct cg_conn *c,
               const struct cg_arrival *a)
{
    static const char body[] =
        "<html><head><title>Service Unavailable</title></head><body><h1>"
        "<p>Service Unavailable</p></h1>The server is overloaded</body>"
        "</html>\n";
    struct refused_request r = waiting_request(c, a);
    bool head = r.req != NULL && r.req->method_is_head;
    cg_auto(buf) struct cg_buf page = {0};
    CG_HAS_BATON(e);
    cg_buf_putf(&page,
                "HTTP/1.1 503 Service Unavailable\r\nServer: %s\r\nDate: "
                "%s\r\nConnection: close\r\nRetry-After: 1\r\n"
                "Content-Type: text/html\r\nContent-Length: %zu\r\n\r\n%s",
                e->config->server, e->date, sizeof body - 1, head ? "" : body);
    int n = send_page(e, &c->stream, &page);
    struct cg_refused why = {.status = 503,
                             .peer = &c->peer,
                             .minor = 1,
                             .body_bytes = head || n < 0 ? 0 : sizeof body - 1};
    show_waiting(c, r, &why);
    atomic_fetch_add_explicit(&e->slot->shed, 1, memory_order_relaxed);
    cg_tell_unserved(e, &why);
    end_with(e, c, n);
}
