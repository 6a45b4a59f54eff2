/* SPDX-License-Identifier: MIT */
#include "core/http/writer.h"

enum { JOIN_MAX = 8 * 1024 }; /* bodies up to this ride in the head's buffer */

static const char last_chunk[] = "0\r\n\r\n";

void
cg_writer_reset(struct cg_writer *w)
{
    w->started = w->headed = w->head_waits = w->full = w->ended = false;
    w->misfit = CG_FITS;
    w->reply.offload = CG_OFFLOAD_NONE;
    w->sent = 0;
}

void
cg_writer_release(struct cg_writer *w)
{
    cg_reply_release(&w->reply);
    cg_buf_release(&w->out);
}

void
cg_writer_fit(struct cg_writer *w)
{
    cg_buf_fit(&w->out);
    cg_buf_fit(&w->reply.line);
}

/* ---- the head ---- */

int
cg_writer_start(struct cg_writer *w, struct cg_slice status)
{
    if (w->headed) {
        w->reply.fault = "The response has begun";
        return -22; /* -EINVAL */
    }
    cg_reply_start(&w->reply, &w->out);
    w->started = cg_reply_status(&w->reply, status) == 0;
    return w->started ? 0 : -22;
}

void
cg_writer_forget(struct cg_writer *w)
{
    w->started = false;
}

void
cg_writer_close(struct cg_writer *w)
{
    w->started = w->head_waits = false;
    w->headed = w->full = w->ended = true;
    w->misfit = CG_FITS;
}

bool
cg_writer_head(struct cg_writer *w, const struct cg_reply_context *context,
               int64_t known)
{
    const struct cg_reply *r = &w->reply;
    bool keep = cg_reply_finish(&w->reply, context, known);
    w->headed = w->head_waits = true;
    w->full = r->framing == CG_FRAME_NONE ||
              (r->framing == CG_FRAME_LENGTH && r->length == 0);
    w->counted = r->framing == CG_FRAME_CHUNKED && r->has_length;
    return keep;
}

/* ---- parts ---- */

static void
add(struct cg_parts *parts, const char *p, size_t n)
{
    parts->v[parts->n++] = (struct iovec){(void *)(size_t)p, n};
}

static void
begin(struct cg_writer *w, struct cg_parts *parts)
{
    parts->n = 0;
    parts->whole = false;
    if (w->head_waits) {
        w->head_waits = false;
        add(parts, w->out.p + w->reply.begin, w->reply.end - w->reply.begin);
    }
}

/* What of n bytes the head allows; counts it. */
static size_t
allow(struct cg_writer *w, size_t n)
{
    if (w->full) {
        if (n > 0) {
            w->misfit =
                w->reply.framing == CG_FRAME_NONE ? CG_NOT_ASKED : CG_TOO_LONG;
        }
        return 0;
    }
    if (w->reply.framing == CG_FRAME_LENGTH || w->counted) {
        uint64_t left = w->reply.length - w->sent;
        if (n >= left) {
            w->misfit = n > left ? CG_TOO_LONG : CG_FITS;
            n = (size_t)left;
            w->full = !w->counted; /* its end is still to be said */
        }
    }
    w->sent += n;
    return n;
}

/* A small body travels in the buffer of the head: one part, one send. */
static void
join(struct cg_writer *w, const char *p, size_t n, struct cg_parts *parts)
{
    w->out.n = w->reply.end;
    memcpy(cg_buf_reserve(&w->out, n), p, n);
    parts->v[0] = (struct iovec){w->out.p + w->reply.begin,
                                 w->reply.end - w->reply.begin + n};
}

/* "400\r\n" (RFC 9112, 7.1); returns its length. */
static size_t
put_chunk_size(char *to, size_t n)
{
    char *p = to;
    int digits = (64 - __builtin_clzll((unsigned long long)n) + 3) / 4;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        *p++ = "0123456789abcdef"[n >> shift & 15];
    }
    *p++ = '\r';
    *p++ = '\n';
    return (size_t)(p - to);
}

/* The terminator travels with the last chunk. */
static void
add_chunk(struct cg_writer *w, const char *p, size_t n, bool last,
          struct cg_parts *parts)
{
    add(parts, w->chunk_size, put_chunk_size(w->chunk_size, n));
    add(parts, p, n);
    if (last) {
        add(parts, "\r\n0\r\n\r\n", 7);
        w->full = true;
    } else {
        add(parts, "\r\n", 2);
    }
}

static void
add_bytes(struct cg_writer *w, const char *p, size_t n, bool last,
          struct cg_parts *parts)
{
    if (w->reply.framing == CG_FRAME_CHUNKED) {
        add_chunk(w, p, n, last, parts);
    } else if (parts->n > 0 && n <= JOIN_MAX) {
        join(w, p, n, parts);
    } else {
        add(parts, p, n);
        parts->whole = true;
    }
}

/* Whether the length that was told is not reached. */
static bool
is_short(const struct cg_writer *w)
{
    return w->counted ? w->sent < w->reply.length
                      : !w->full && w->reply.framing == CG_FRAME_LENGTH;
}

/* Marks the end; whether a chunked body still needs its terminator, without
 * which nobody takes it for whole. */
static bool
end(struct cg_writer *w)
{
    bool owes = !w->full && w->reply.framing == CG_FRAME_CHUNKED;
    if (is_short(w)) {
        w->misfit = CG_TOO_SHORT;
        owes = false;
    }
    w->ended = w->full = true;
    return owes;
}

bool
cg_writer_body(struct cg_writer *w, const char *p, size_t n, bool last,
               struct cg_parts *ret)
{
    bool was_full = w->full;
    begin(w, ret);
    n = allow(w, n);
    if (n > 0) {
        add_bytes(w, p, n, last && !is_short(w), ret);
    }
    if (last && end(w)) {
        add(ret, last_chunk, sizeof last_chunk - 1);
    }
    ret->now = (!was_full || ret->n > 0) && (w->full || n == 0);
    return w->misfit == CG_FITS && w->reply.framing != CG_FRAME_NONE;
}

void
cg_writer_file(struct cg_writer *w, size_t n, size_t *ret_n,
               struct cg_parts *ret)
{
    begin(w, ret);
    *ret_n = allow(w, n);
    ret->now = true;
    end(w);
}

void
cg_writer_trailers(struct cg_writer *w, const struct cg_fields *fields,
                   struct cg_parts *ret)
{
    begin(w, ret);
    ret->now = true;
    if (end(w)) {
        add(ret, last_chunk, 3);
        if (fields->text.n > 0) {
            add(ret, fields->text.p, fields->text.n);
        }
        add(ret, "\r\n", 2);
    }
}

/* ---- whole responses ---- */

void
cg_writer_interim(struct cg_buf *out, int status,
                  const struct cg_fields *fields)
{
    cg_buf_putf(out, "HTTP/1.1 %d %s\r\n", status, cg_reason(status));
    cg_buf_put(out, fields->text.p, fields->text.n);
    cg_buf_put(out, "\r\n", 2);
}

void
cg_writer_page(struct cg_writer *w, const struct cg_reply_context *context,
               int status, struct cg_slice message, struct cg_parts *ret)
{
    cg_buf_reset(&w->out);
    size_t n =
        cg_error_page(&w->out, status, message, context->server, context->date,
                      context->minor, context->head_request);
    cg_writer_close(w); /* what the application said is gone */
    w->reply.framing = CG_FRAME_LENGTH;
    w->sent = context->head_request ? 0 : n;
    ret->n = 0;
    add(ret, w->out.p, w->out.n);
    ret->whole = false;
    ret->now = true;
}
