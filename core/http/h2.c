/* SPDX-License-Identifier: MIT */
#include "core/http/h2.h"

#ifdef CG_HTTP2

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/http/h2_text.h"

enum {
    WINDOW_US = 10 * 1000 * 1000, /* what is counted decays in this time */
    RESETS_MAX = 200,             /* of streams whose reply was not out */
    CONTROL_MAX = 1000,
    MALFORMED_MAX = 10,
    SMALL = 16, /* bytes of DATA that are hardly worth their frame */
    CONNECTION_WINDOW = 1024 * 1024,
    FIELDS_MAX = 256 /* of a reply */
};

struct cg_h2_stream {
    struct cg_h2_stream *next, *prev; /* of the session */
    struct cg_h2 *h;
    int32_t id;
    void *owner;
    struct cg_h2_head head; /* until it is told */
    struct cg_h2_reply reply;
    struct cg_buf body; /* of the reply; the first bytes of `at` are out */
    size_t at;
    struct cg_buf trailers; /* of the request */
    struct cg_buf last;     /* of the reply */
    bool told;              /* on_head was called */
    bool chunked;           /* its body is told in chunks */
    bool ended;             /* on_end was called */
    bool bad;               /* its head or trailers are malformed */
    bool headed;            /* the final head was submitted */
    bool whole;             /* cg_h2_end was called */
    bool done;              /* END_STREAM is said, or a reset of ours */
};

struct cg_h2 {
    nghttp2_session *session;
    const struct cg_h2_policy *policy;
    const struct cg_h2_events *events;
    void *self;
    struct cg_h2_stream *streams;
    const char *fault;
    uint64_t window_us; /* when the counting began */
    unsigned resets, control, malformed;
    unsigned sent;        /* DATA frames of ours, which window updates answer */
    uint64_t fed, useful; /* bytes that came, and of them heads and bodies */
    bool over;            /* terminated */
};

/* NULL: it is not known, or not any more. */
static struct cg_h2_stream *
stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- what a peer costs ---- */

static void
calm_down(struct cg_h2 *h, const char *why)
{
    if (!h->over) {
        h->fault = why;
        cg_h2_terminate(h, CG_H2_ENHANCE_YOUR_CALM);
    }
}

static void
look_at_clock(struct cg_h2 *h, uint64_t now_us)
{
    if (now_us - h->window_us >= WINDOW_US) {
        h->window_us = now_us;
        h->resets = h->control = h->malformed = h->sent = 0;
        h->fed = h->useful = 0;
    }
}

static void
count_control(struct cg_h2 *h)
{
    enum { PER_DATA = 10 };
    if (++h->control > CONTROL_MAX + PER_DATA * h->sent) {
        calm_down(h, "too many control frames");
    }
}

static void
count_reset(struct cg_h2 *h)
{
    if (++h->resets > RESETS_MAX) {
        calm_down(h, "too many streams were reset");
    }
}

static void
count_malformed(struct cg_h2 *h)
{
    if (++h->malformed > MALFORMED_MAX) {
        calm_down(h, "too many malformed requests");
    }
}

/* Frames that nghttp2 ignores are told of by nobody: padding, DATA of streams
 * that are reset. */
static void
weigh_bytes(struct cg_h2 *h, size_t n)
{
    enum { SHARE = 8, FREE = 1 << 20 };
    h->fed += n;
    if (h->fed / SHARE > h->useful && h->fed > FREE) {
        calm_down(h, "too many bytes that mean nothing");
    }
}

static int
on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd,
               void *user_data)
{
    struct cg_h2 *h = user_data;
    bool lost =
        hd->type == NGHTTP2_DATA && stream_of(session, hd->stream_id) == NULL;
    if (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_CONTINUATION) {
        h->useful += hd->length;
    }
    if (lost ||
        (hd->type != NGHTTP2_DATA && hd->type != NGHTTP2_HEADERS &&
         hd->type != NGHTTP2_CONTINUATION && hd->type != NGHTTP2_RST_STREAM)) {
        count_control(h);
    }
    return 0;
}

/* ---- streams that come ---- */

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                 void *user_data)
{
    if (frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct cg_h2_stream *s = cg_calloc(1, sizeof *s);
    s->h = user_data;
    s->id = frame->hd.stream_id;
    s->next = s->h->streams;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    s->h->streams = s;
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

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame,
          const uint8_t *name, size_t name_n, const uint8_t *value,
          size_t value_n, uint8_t flags, void *user_data)
{
    struct cg_h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s == NULL) {
        return 0;
    }
    bool good = take_field(s, (struct cg_slice){(const char *)name, name_n},
                           (struct cg_slice){(const char *)value, value_n});
    if (good) {
        return 0;
    }
    count_malformed(s->h);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                  const uint8_t *name, size_t name_n, const uint8_t *value,
                  size_t value_n, uint8_t flags, void *user_data)
{
    struct cg_h2_stream *s = stream_of(session, frame->hd.stream_id);
    if (s != NULL) {
        s->bad = true;
    }
    count_malformed(user_data);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void
refuse(struct cg_h2_stream *s, uint32_t code)
{
    s->done = true;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
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
        count_malformed(h);
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
        count_control(h);
    }
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct cg_h2_stream *s = stream_of(session, frame->hd.stream_id);
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA) {
        weigh_data(user_data, frame);
    }
    if (s == NULL || s->h->over) {
        return 0;
    }
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
    struct cg_h2_stream *s = stream_of(session, id);
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

static void
free_stream(struct cg_h2_stream *s)
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
    struct cg_h2_stream *s = stream_of(session, id);
    if (s == NULL) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (s->owner != NULL) {
        h->events->on_gone(h->self, s->owner, code);
    }
    /* by the peer, or for its fault: what was begun was for nothing */
    if (code != NGHTTP2_NO_ERROR && !s->done) {
        count_reset(h);
    }
    free_stream(s);
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
        stream_of(session, frame->hd.stream_id) == NULL) {
        count_reset(h); /* one that was refused before it was told of */
    }
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct cg_h2_stream *s = stream_of(session, frame->hd.stream_id);
        if (s != NULL && !s->ended) { /* the rest of the body is not wanted */
            refuse(s, CG_H2_NO_ERROR);
        }
    }
    return 0;
}

/* ---- making and freeing ---- */

static nghttp2_session_callbacks *
make_callbacks(void)
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

static int
make_session(struct cg_h2 *h)
{
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option = NULL;
    int r = callbacks != NULL && nghttp2_option_new(&option) == 0 ? 0 : -1;
    if (r == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_server_fallback_rfc7540_priorities(option, 0);
        r = nghttp2_session_server_new2(&h->session, callbacks, h, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return r;
}

static int
say_hello(struct cg_h2 *h)
{
    const struct cg_h2_policy *p = h->policy;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, p->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, p->window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, p->max_frame},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, p->max_list},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* the last one */
    };
    int r = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries,
                                    CG_COUNT(entries) - !p->websockets);
    return r != 0 ? r
                  : nghttp2_session_set_local_window_size(
                        h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

struct cg_h2 *
cg_h2_new(const struct cg_h2_policy *policy, const struct cg_h2_events *events,
          void *self)
{
    struct cg_h2 *h = cg_calloc(1, sizeof *h);
    h->policy = policy;
    h->events = events;
    h->self = self;
    if (make_session(h) != 0 || say_hello(h) != 0) {
        cg_h2_free(h);
        return NULL;
    }
    return h;
}

void
cg_h2_free(struct cg_h2 *h)
{
    if (h->session != NULL) {
        while (h->streams != NULL) {
            free_stream(h->streams);
        }
        nghttp2_session_del(h->session);
    }
    free(h);
}

/* ---- bytes ---- */

int
cg_h2_feed(struct cg_h2 *h, const char *p, size_t n, uint64_t now_us)
{
    look_at_clock(h, now_us);
    if (h->over) {
        return -1;
    }
    ssize_t r = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
    if (r < 0) {
        h->fault = h->fault != NULL ? h->fault : nghttp2_strerror((int)r);
        cg_h2_terminate(h, r == NGHTTP2_ERR_FLOODED
                               ? (uint32_t)CG_H2_ENHANCE_YOUR_CALM
                               : (uint32_t)CG_H2_PROTOCOL_ERROR);
    }
    weigh_bytes(h, n);
    return h->over ? -1 : 0;
}

ssize_t
cg_h2_pull(struct cg_h2 *h, const uint8_t **ret)
{
    return nghttp2_session_mem_send(h->session, ret);
}

bool
cg_h2_is_alive(const struct cg_h2 *h)
{
    return nghttp2_session_want_read(h->session) != 0 ||
           nghttp2_session_want_write(h->session) != 0;
}

const char *
cg_h2_fault(const struct cg_h2 *h)
{
    return h->fault;
}

/* ---- replies ---- */

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

/* ---- the end ---- */

void
cg_h2_notify(struct cg_h2 *h)
{
    nghttp2_submit_shutdown_notice(h->session);
}

void
cg_h2_goaway(struct cg_h2 *h)
{
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_NO_ERROR, NULL, 0);
}

void
cg_h2_terminate(struct cg_h2 *h, uint32_t code)
{
    h->over = true;
    nghttp2_session_terminate_session2(
        h->session, nghttp2_session_get_last_proc_stream_id(h->session), code);
}

bool
cg_h2_is_built(void)
{
    return true;
}

const char *
cg_h2_version(void)
{
    return NGHTTP2_VERSION;
}

#else /* a build without nghttp2: the start refuses what asks for HTTP/2 */

bool
cg_h2_is_built(void)
{
    return false;
}

const char *
cg_h2_version(void)
{
    return "";
}

struct cg_h2 *
cg_h2_new(const struct cg_h2_policy *policy, const struct cg_h2_events *events,
          void *self)
{
    return NULL;
}

void
cg_h2_free(struct cg_h2 *h)
{
}

int
cg_h2_feed(struct cg_h2 *h, const char *p, size_t n, uint64_t now_us)
{
    return -1;
}

ssize_t
cg_h2_pull(struct cg_h2 *h, const uint8_t **ret)
{
    return -1;
}

bool
cg_h2_is_alive(const struct cg_h2 *h)
{
    return false;
}

const char *
cg_h2_fault(const struct cg_h2 *h)
{
    return NULL;
}

int
cg_h2_reply(struct cg_h2_stream *s, const char *p, size_t n)
{
    return -1;
}

void
cg_h2_end(struct cg_h2_stream *s)
{
}

size_t
cg_h2_unsent(const struct cg_h2_stream *s)
{
    return 0;
}

void
cg_h2_consume(struct cg_h2_stream *s, size_t n)
{
}

void
cg_h2_reset(struct cg_h2_stream *s, uint32_t code)
{
}

void
cg_h2_notify(struct cg_h2 *h)
{
}

void
cg_h2_goaway(struct cg_h2 *h)
{
}

void
cg_h2_terminate(struct cg_h2 *h, uint32_t code)
{
}

#endif
