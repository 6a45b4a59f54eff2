/* SPDX-License-Identifier: MIT */
/*
 * Refusing: one complete error response, no more of the peer's bytes parsed,
 * and an end that does not cut the response off (RFC 9112, 9.6).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/memory.h"
#include "core/engine/internal.h"
#include "core/http/reply.h"

static void
tell_host(struct cg_engine *e, struct cg_conn *c, const struct cg_request *req,
          const char *base, int status, struct cg_slice message, size_t body)
{
    struct cg_refused why = {.peer = &c->peer,
                             .status = status,
                             .message = message,
                             .minor = 1,
                             .body_bytes = body};
    if (req != NULL && base != NULL) {
        why.method = cg_span_of(base, req->method);
        why.target = cg_span_of(base, req->target);
        why.minor = req->minor;
    }
    atomic_fetch_add_explicit(&e->slot->refused, 1, memory_order_relaxed);
    e->host->refused(e->host->self, &why);
}

static void
answer(struct cg_engine *e, struct cg_conn *c, const struct cg_request *req,
       const char *base, int status, struct cg_slice message)
{
    cg_auto(buf) struct cg_buf page = {0};
    bool head = req != NULL && req->method_is_head;
    /* what went wrong inside is for the log, not for the peer */
    struct cg_slice shown = status < 500 ? message : (struct cg_slice){"", 0};
    size_t body = cg_error_page(&page, status, shown, e->config->server,
                                e->date, 1, head);
    struct iovec part = {page.p, page.n};
    ssize_t n = cg_socket_send(c->fd, &part, 1, false);
    tell_host(e, c, req, base, status, message, head || n <= 0 ? 0 : body);
    cg_linger_start(e, c);
}

void
cg_linger_start(struct cg_engine *e, struct cg_conn *c)
{
    cg_conn_drop_intake(c);
    cg_buf_release(&c->rest);
    c->rest_at = 0; /* counts what is read away from here on */
    shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGER;
    cg_deadline_set(&e->deadlines, &c->deadline, DEADLINE_LINGER, e->now_us);
    cg_conn_arm(e, c, CG_LOOP_READ);
}

void
cg_refuse(struct cg_engine *e, struct cg_conn *c, const struct cg_request *req,
          const char *base)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_refusal_text(req, base, &text);
    answer(e, c, req, base, cg_refusal_status(req->refusal),
           (struct cg_slice){text.p, text.n});
}

void
cg_refuse_status(struct cg_engine *e, struct cg_conn *c, int status,
                 const char *message)
{
    const struct cg_request *req = NULL;
    const char *base = NULL;
    if (c->intake != NULL && c->intake->head_done) {
        req = &c->intake->req;
        base = c->intake->head.p;
    }
    answer(e, c, req, base, status, cg_slice_of(message));
}

/* Reads away what a refused peer still sends; its deadline bounds the time, the
 * bytes are bounded here. */
void
cg_linger(struct cg_executor *x, struct cg_conn *c)
{
    enum { LIMIT = 64 * 1024 };
    ssize_t n = recv(c->fd, x->rbuf, sizeof x->rbuf, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        c->rest_at += (uint32_t)n;
    }
    if (n <= 0 || c->rest_at >= LIMIT) {
        cg_conn_close(x->engine, c);
    }
}
