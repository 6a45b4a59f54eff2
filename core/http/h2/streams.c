/* SPDX-License-Identifier: MIT */
/* Streams that come and go: what nghttp2 tells of a peer's frames. */
#include "core/http/h2/internal.h"

#ifdef CG_HTTP2

#include <stdlib.h>

#include "core/base/memory.h"

enum {
    SMALL = 16, /* bytes of DATA that are hardly worth their frame */
};

static void
end_for(struct cg_h2 *h, uint32_t code, const char *why)
{
    if (!h->over) {
        h->fault = why;
        cg_h2_terminate(h, code);
    }
}

static void
keep_closed(struct cg_h2 *h, int32_t id)
{
    h->closed.id[h->closed.next++ % CG_H2_CLOSED_KEPT] = id;
}

static bool
was_closed(const struct cg_h2 *h, int32_t id)
{
    for (int i = 0; i < CG_H2_CLOSED_KEPT; i++) {
        if (h->closed.id[i] == id && id != 0) {
            return true;
        }
    }
    return false;
}

void
cg_h2_look_at_data(struct cg_h2 *h, int32_t id)
{
    if (was_closed(h, id)) {
        end_for(h, CG_H2_STREAM_CLOSED, "a frame of a closed stream");
    }
}

/* What nghttp2 does not look at, since it keeps neither priorities (RFC 7540)
 * nor, without them, streams that are closed (RFC 9113, 5.1). */
static void
look_at_state(struct cg_h2 *h, const nghttp2_frame_hd *hd)
{
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) {
        end_for(h, CG_H2_PROTOCOL_ERROR, "a priority of no stream");
    } else if (hd->type == NGHTTP2_HEADERS && was_closed(h, hd->stream_id)) {
        end_for(h, CG_H2_STREAM_CLOSED, "a frame of a closed stream");
    }
}

static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
               void *user_data)
{
    struct cg_h2 *h = user_data;
    look_at_state(h, hd);
    bool lost = hd->type == NGHTTP2_DATA &&
                cg_h2_stream_of(session, hd->stream_id) == NULL;
    if (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION) {
        h->useful += hd->length;
    }
    if (lost ||
        (hd->type != NGHTTP2_DATA && hd->type != NGHTTP2_HEADERS &&
         hd->type != NGHTTP2_CONTINUATION && hd->type != NGHTTP2_RST_STREAM)) {
        cg_h2_count_control(h);
    }
    return 0;
}

/* ---- streams that come ---- */

struct cg_h2_stream *
cg_h2_new_stream(struct cg_h2 *h, int32_t id)
{
    struct cg_h2_stream *s = cg_calloc(1, sizeof *s);
    s->h = h;
    s->id = id;
    s->next = h->streams;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    h->streams = s;
    return s;
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                 void *user_data)
{
    if (frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct cg_h2_stream *s = cg_h2_new_stream(user_data, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

static void
put_trailer(struct cg_buf *to, struct cg_slice name, struct cg_slice value)
{
    cg_buf_put(to, name.p, name.n);
    cg_buf_put(to, ": ", 2);
    cg_buf_put(to, value.p, value.n);
    cg_buf_put(to, "\r\n", 2);
}

/* False: the stream is reset. */
static bool
take_field(struct cg_h2_stream *s, struct cg_slice name, struct cg_slice value)
{
    size_t most = s->h->policy->max_list;
    if (s->bad) {
        return false;
    }
    if (!s->told) {
        s->bad = !cg_h2_head_add(&s->head, name, value) || s->head.size > most;
    } else {
        s->bad = s->trailers.n + name.n + value.n > most;
        if (!s->bad) {
            put_trailer(&s->trailers, name, value);
        }
    }
    return !s->bad;
}

static void
refuse(struct cg_h2_stream *s, uint32_t code)
{
    s->done = true;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
          const uint8_t *name, size_t name_n, const uint8_t *value,
          size_t value_n, uint8_t flags, void *user_data)
{
    struct cg_h2_stream *s = cg_h2_stream_of(session, frame->hd.stream_id);
    if (s == NULL) {
        return 0;
    }
    bool good = take_field(s, (struct cg_slice){(const char *)name, name_n},
                           (struct cg_slice){(const char *)value, value_n});
    if (good) {
        return 0;
    }
    cg_h2_count_malformed(s->h);
    refuse(s, CG_H2_PROTOCOL_ERROR); /* before nghttp2 has one of its own */
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                  const uint8_t *name, size_t name_n, const uint8_t *value,
                  size_t value_n, uint8_t flags, void *user_data)
{
    struct cg_h2_stream *s = cg_h2_stream_of(session, frame->hd.stream_id);
    if (s != NULL) {
        s->bad = true;
    }
    cg_h2_count_malformed(user_data);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* 501: a tunnel of a protocol that nobody knows here (RFC 9220, 3). */
static void
decline(struct cg_h2_stream *s)
{
    static const char name[] = ":status", value[] = "501";
    const nghttp2_nv status = {(uint8_t *)(uintptr_t)name,
                               (uint8_t *)(uintptr_t)value, sizeof name - 1,
                               sizeof value - 1, NGHTTP2_NV_FLAG_NONE};
    s->done = true;
    nghttp2_submit_response(s->h->session, s->id, &status, 1, NULL);
}

static void
tell_head(struct cg_h2_stream *s, bool ends)
{
    struct cg_h2 *h = s->h;
    cg_auto(buf) struct cg_buf text = {0};
    if (!s->bad && cg_h2_head_is_foreign(&s->head)) {
        decline(s);
        return;
    }
    if (s->bad || !cg_h2_head_text(&s->head, ends, &text)) {
        cg_h2_count_malformed(h);
        refuse(s, CG_H2_PROTOCOL_ERROR);
        return;
    }
    s->told = true;
    s->chunked = !ends && !s->head.has_length && !s->head.has_protocol;
    s->reply.head_request =
        s->head.method.n == 4 && memcmp(s->head.method.p, "HEAD", 4) == 0;
    cg_h2_head_release(&s->head);
    s->owner =
        h->events->on_head(h->self, s, (struct cg_slice){text.p, text.n}, ends);
    s->ended = ends;
    if (s->owner == NULL) {
        refuse(s, CG_H2_REFUSED_STREAM);
    }
}

int
cg_h2_upgrade(struct cg_h2 *h, const uint8_t *settings, size_t n,
              struct cg_slice text, bool head_request)
{
    struct cg_h2_stream *s = cg_h2_new_stream(h, 1);
    if (nghttp2_session_upgrade2(h->session, settings, n, head_request, s) !=
        0) {
        cg_h2_free_stream(s);
        return -1;
    }
    s->told = s->ended = true;
    s->reply.head_request = head_request;
    s->owner = h->events->on_head(h->self, s, text, true);
    return 0;
}

static void
tell_end(struct cg_h2_stream *s)
{
    if (s->owner != NULL && !s->ended) {
        s->ended = true;
        s->h->events->on_end(s->h->self, s->owner, s->chunked,
                             (struct cg_slice){s->trailers.p, s->trailers.n});
    }
}

/* Frames that carry next to nothing, or nothing but padding. */
static void
weigh_data(struct cg_h2 *h, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 &&
        frame->hd.length - frame->data.padlen < SMALL) {
        cg_h2_count_control(h);
    }
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct cg_h2_stream *s = cg_h2_stream_of(session, frame->hd.stream_id);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA) {
        weigh_data(user_data, frame);
    }
    if (s == NULL || s->h->over) {
        return 0;
    }
    s->left = s->left || frame->hd.type == NGHTTP2_RST_STREAM ||
              (ends && (frame->hd.type == NGHTTP2_HEADERS ||
                        frame->hd.type == NGHTTP2_DATA));
    if (frame->hd.type == NGHTTP2_HEADERS && !s->told) {
        tell_head(s, ends);
    } else if (ends && (frame->hd.type == NGHTTP2_HEADERS ||
                        frame->hd.type == NGHTTP2_DATA)) {
        tell_end(s);
    }
    return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
        size_t n, void *user_data)
{
    struct cg_h2 *h = user_data;
    struct cg_h2_stream *s = cg_h2_stream_of(session, id);
    nghttp2_session_consume_connection(session, n);
    h->useful += n;
    if (s != NULL && s->owner != NULL && !s->done && n > 0) {
        h->events->on_body(h->self, s->owner, (const char *)p, n, s->chunked);
    } else {
        nghttp2_session_consume_stream(session, id, n);
    }
    return 0;
}

/* ---- and go ---- */

void
cg_h2_free_stream(struct cg_h2_stream *s)
{
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        s->h->streams = s->next;
    }
    cg_h2_head_release(&s->head);
    cg_h2_reply_release(&s->reply);
    cg_buf_release(&s->body);
    cg_buf_release(&s->trailers);
    cg_buf_release(&s->last);
    free(s);
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct cg_h2 *h = user_data;
    struct cg_h2_stream *s = cg_h2_stream_of(session, id);
    if (s == NULL) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (s->left) {
        keep_closed(h, id);
    }
    if (s->owner != NULL) {
        h->events->on_gone(h->self, s->owner, code);
    }
    /* by the peer, or for its fault: what was begun was for nothing */
    if (code != NGHTTP2_NO_ERROR && !s->done) {
        cg_h2_count_reset(h);
    }
    cg_h2_free_stream(s);
    return 0;
}

static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct cg_h2 *h = user_data;
    if (frame->hd.type == NGHTTP2_DATA) {
        h->sent++;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM &&
        cg_h2_stream_of(session, frame->hd.stream_id) == NULL) {
        cg_h2_count_reset(h); /* one that was refused before it was told of */
    }
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct cg_h2_stream *s = cg_h2_stream_of(session, frame->hd.stream_id);
        if (s != NULL && !s->ended) { /* the rest of the body is not wanted */
            refuse(s, CG_H2_NO_ERROR);
        }
    }
    return 0;
}

/* ---- all of it ---- */

nghttp2_session_callbacks *
cg_h2_make_callbacks(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c,
                                                             on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
    return c;
}

#endif
