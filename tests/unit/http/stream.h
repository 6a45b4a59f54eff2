/* SPDX-License-Identifier: MIT */
/*
 * Stream: a connection's bytes in, lines of text out ("request GET /g", "body
 * hello", "refused 400 HEADER", "end"). What the engine does with heads and
 * bodies, without a socket, for tests and fuzzers. Each call of a reader gets
 * exactly the bytes that are there, in memory of their own, so that a look
 * beyond them is seen by AddressSanitizer.
 */
#ifndef CG_TESTS_STREAM_H
#define CG_TESTS_STREAM_H

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/http/chunk.h"
#include "core/http/proxy/proxy.h"
#include "core/http/request.h"

/* A request that came whole. */
struct stream_request {
    char first; /* byte of the target behind its first one, '\0' if none */
    bool is_head;
    uint64_t body_n;
    uint32_t body_sum;
};

enum { STREAM_REQUESTS = 512 };

struct stream {
    const struct cg_head_policy *policy;
    bool trusted;
    enum cg_proxy_mode proxy; /* CG_PROXY_OFF once it was read */
    enum { INPUT_HEAD, INPUT_BODY, INPUT_END } state;
    struct cg_buf in; /* of the head under way */
    struct cg_request req;
    struct cg_chunks chunks;
    uint64_t left;
    struct cg_buf body;
    struct cg_buf events;
    int refused; /* status of the refusal at the end, 0: none */
    struct stream_request request; /* the one under way */
    struct stream_request done[STREAM_REQUESTS];
    int ndone;
};

static inline uint32_t
stream_sum(const char *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum = sum * 31 + (unsigned char)p[i];
    }
    return sum;
}

static inline void
stream_release(struct stream *s)
{
    cg_buf_release(&s->in);
    cg_request_release(&s->req);
    cg_chunks_release(&s->chunks);
    cg_buf_release(&s->body);
    cg_buf_release(&s->events);
}

static inline void
stream_refuse(struct stream *s, enum cg_refusal why)
{
    s->refused = cg_refusal_status(why);
    cg_buf_putf(&s->events, "refused %d\n", s->refused);
    s->state = INPUT_END;
}

static inline void
stream_on_head(struct stream *s, const char *p)
{
    cg_buf_puts(&s->events, "request ");
    cg_buf_put_escaped(&s->events, cg_span_of(p, s->req.method), 64);
    cg_buf_puts(&s->events, " ");
    cg_buf_put_escaped(&s->events, cg_span_of(p, s->req.target), 300);
    cg_buf_puts(&s->events, "\n");
    s->request.first = s->req.target.n > 1 ? p[s->req.target.at + 1] : '\0';
    s->request.is_head = s->req.method_is_head;
    s->left = s->req.has_length ? s->req.content_length : 0;
    s->state = INPUT_BODY;
}

static inline void
stream_on_end(struct stream *s)
{
    cg_buf_puts(&s->events, "body ");
    cg_buf_put_escaped(&s->events, (struct cg_slice){s->body.p, s->body.n},
                       100);
    cg_buf_puts(&s->events, "\n");
    s->request.body_n = s->body.n;
    s->request.body_sum = stream_sum(s->body.p, s->body.n);
    if (s->ndone < STREAM_REQUESTS) {
        s->done[s->ndone++] = s->request;
    }
    cg_buf_reset(&s->body);
    cg_chunks_release(&s->chunks);
    s->chunks = (struct cg_chunks){0};
    s->state = INPUT_HEAD;
    if (!s->req.keep_alive || s->req.force_close) {
        cg_buf_puts(&s->events, "end\n");
        s->state = INPUT_END;
    }
    cg_request_reset(&s->req);
}

/* The first bytes of a connection that may begin with a PROXY preamble. */
static inline size_t
stream_read_proxy(struct stream *s, const char *p, size_t n)
{
    struct cg_proxy proxy;
    enum cg_refusal why;
    size_t before = s->in.n;
    cg_buf_put(&s->in, p, n);
    char *exact = cg_malloc(s->in.n);
    memcpy(exact, s->in.p, s->in.n);
    switch (cg_proxy_read(s->proxy, exact, s->in.n, &proxy, &why)) {
    case CG_PROXY_MORE: break;
    case CG_PROXY_REFUSED: stream_refuse(s, why); break;
    case CG_PROXY_NONE: /* they are a request's */
        s->proxy = CG_PROXY_OFF;
        s->in.n = before;
        n = 0;
        break;
    case CG_PROXY_DONE:
        cg_buf_putf(&s->events, "proxy %s %u %s %u\n", proxy.client,
                    proxy.client_port, proxy.server, proxy.server_port);
        s->proxy = CG_PROXY_OFF;
        n = proxy.n - before;
        cg_buf_reset(&s->in);
        break;
    }
    free(exact);
    return n;
}

static inline size_t
stream_read_head(struct stream *s, const char *p, size_t n)
{
    size_t before = s->in.n;
    cg_buf_put(&s->in, p, n);
    char *exact = cg_malloc(s->in.n);
    memcpy(exact, s->in.p, s->in.n);
    switch (cg_head_read(&s->req, s->policy, s->trusted, exact, s->in.n)) {
    case CG_HEAD_MORE: memcpy(s->in.p, exact, s->in.n); break;
    case CG_HEAD_REFUSED: stream_refuse(s, s->req.refusal); break;
    case CG_HEAD_DONE:
        stream_on_head(s, exact);
        n = s->req.head_n - before;
        cg_buf_reset(&s->in);
        break;
    }
    free(exact);
    return n;
}

static inline size_t
stream_read_chunks(struct stream *s, const char *p, size_t n)
{
    struct cg_slice data = {NULL, 0};
    size_t used = 0;
    char *exact = cg_malloc(n);
    memcpy(exact, p, n);
    switch (cg_chunks_read(&s->chunks, s->policy, exact, n, &used, &data)) {
    case CG_CHUNK_MORE: break;
    case CG_CHUNK_DATA: cg_buf_put(&s->body, data.p, data.n); break;
    case CG_CHUNK_DONE: stream_on_end(s); break;
    case CG_CHUNK_REFUSED: stream_refuse(s, s->chunks.refusal); break;
    }
    free(exact);
    return used;
}

static inline size_t
stream_read_body(struct stream *s, const char *p, size_t n)
{
    if (s->req.chunked) {
        return n > 0 ? stream_read_chunks(s, p, n) : 0;
    }
    n = n < s->left ? n : (size_t)s->left;
    cg_buf_put(&s->body, p, n);
    s->left -= n;
    if (s->left == 0) {
        stream_on_end(s);
    }
    return n;
}

/* What comes after the end is ignored, as a server must. */
static inline void
stream_feed(struct stream *s, const char *p, size_t n)
{
    bool idle = false;
    while (s->state != INPUT_END && !(n == 0 && idle)) {
        bool head = s->state == INPUT_HEAD;
        size_t used = head && n == 0 ? 0
                      : s->proxy     ? stream_read_proxy(s, p, n)
                      : head         ? stream_read_head(s, p, n)
                                     : stream_read_body(s, p, n);
        p += used;
        n -= used;
        /* a request without a body ends without a byte */
        idle = s->state == INPUT_HEAD || s->req.chunked || s->left > 0;
    }
}

#endif
