/* SPDX-License-Identifier: MIT */
/* Replies: from HTTP/1.1's form into frames. */
#include "core/http/h2/internal.h"

#ifdef CG_HTTP2

#include "core/base/memory.h"

enum {
    FIELDS_MAX = 256 /* of a reply */
};

static nghttp2_nv
nv_of(struct cg_slice name, struct cg_slice value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                        (uint8_t *)(uintptr_t)value.p, name.n, value.n,
                        NGHTTP2_NV_FLAG_NONE};
}

/* -1: too many. */
static int
fields_of(struct cg_slice lines, nghttp2_nv *nv, int n)
{
    struct cg_slice name, value;
    for (size_t at = 0; cg_h2_reply_field(lines, &at, &name, &value); n++) {
        if (n == FIELDS_MAX) {
            return -1;
        }
        nv[n] = nv_of(name, value);
    }
    return n;
}

static int
end_with_trailers(struct cg_h2_stream *s, uint32_t *flags)
{
    nghttp2_nv nv[FIELDS_MAX];
    int n = fields_of((struct cg_slice){s->last.p, s->last.n}, nv, 0);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return n < 0 ? n
                 : nghttp2_submit_trailer(s->h->session, s->id, nv, (size_t)n);
}

static ssize_t
read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
          uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct cg_h2_stream *s = source->ptr;
    size_t there = s->body.n - s->at;
    size_t n = there < room ? there : room;
    if (n == 0 && !s->whole) {
        return NGHTTP2_ERR_DEFERRED;
    }
    memcpy(to, s->body.p + s->at, n);
    s->at += n;
    if (s->at == s->body.n) {
        cg_buf_reset(&s->body);
        s->at = 0;
        if (s->whole) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            s->done = true;
        }
    }
    if (s->done && s->last.n > 0 && end_with_trailers(s, flags) < 0) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (n > 0 && s->owner != NULL) {
        s->h->events->on_moved(s->h->self, s->owner);
    }
    return (ssize_t)n;
}

static void
put_status(char *to, int status)
{
    to[0] = (char)('0' + status / 100);
    to[1] = (char)('0' + status / 10 % 10);
    to[2] = (char)('0' + status % 10);
}

static int
submit_head(struct cg_h2_stream *s, struct cg_slice lines)
{
    nghttp2_nv nv[FIELDS_MAX];
    char status[3];
    /* 101 is HTTP/1's word for what is 200 here (RFC 8441, 5) */
    put_status(status, s->reply.status == 101 ? 200 : s->reply.status);
    nv[0] = nv_of(CG_SLICE(":status"), (struct cg_slice){status, 3});
    int n = fields_of(lines, nv, 1);
    if (n < 0) {
        return -1;
    }
    if (!s->reply.final) {
        return nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id,
                                      NULL, nv, (size_t)n, NULL) < 0
                   ? -1
                   : 0;
    }
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};
    bool none = cg_h2_reply_has_ended(&s->reply);
    s->headed = true;
    s->done = s->done || none;
    s->whole = s->whole || none;
    return nghttp2_submit_response(s->h->session, s->id, nv, (size_t)n,
                                   none ? NULL : &body);
}

static int
take_piece(struct cg_h2_stream *s, enum cg_h2_piece piece, struct cg_slice what)
{
    switch (piece) {
    case CG_H2_HEAD: return submit_head(s, what);
    case CG_H2_DATA: cg_buf_put(&s->body, what.p, what.n); return 0;
    case CG_H2_TRAILERS:
        cg_buf_reset(&s->last);
        cg_buf_put(&s->last, what.p, what.n);
        return 0;
    case CG_H2_BAD: return -1;
    case CG_H2_NOTHING:
    case CG_H2_END: break;
    }
    return 0;
}

int
cg_h2_reply(struct cg_h2_stream *s, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && !s->done) {
        struct cg_slice what = {NULL, 0};
        size_t used = 0;
        enum cg_h2_piece piece =
            cg_h2_reply_next(&s->reply, p + at, n - at, &used, &what);
        at += used;
        if (take_piece(s, piece, what) < 0) {
            cg_h2_reset(s, CG_H2_INTERNAL_ERROR);
            return -1;
        }
    }
    if (s->headed && cg_h2_reply_has_ended(&s->reply)) {
        s->whole = true; /* the end leaves with it, whatever its maker does */
    }
    if (s->headed && !s->done && (s->whole || s->body.n > s->at)) {
        nghttp2_session_resume_data(s->h->session, s->id);
    }
    return 0;
}

void
cg_h2_end(struct cg_h2_stream *s)
{
    if (s->done) {
        return;
    }
    if (!s->headed || !cg_h2_reply_is_whole(&s->reply)) {
        cg_h2_reset(s, CG_H2_INTERNAL_ERROR);
        return;
    }
    s->whole = true;
    nghttp2_session_resume_data(s->h->session, s->id);
}

size_t
cg_h2_unsent(const struct cg_h2_stream *s)
{
    return s->body.n - s->at;
}

bool
cg_h2_is_dry(const struct cg_h2_stream *s)
{
    return s->headed && !s->whole && s->body.n == s->at;
}

void
cg_h2_consume(struct cg_h2_stream *s, size_t n)
{
    nghttp2_session_consume_stream(s->h->session, s->id, n);
}

void
cg_h2_reset(struct cg_h2_stream *s, uint32_t code)
{
    s->done = true;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
}

#endif
