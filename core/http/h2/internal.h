/* SPDX-License-Identifier: MIT */
/* What the files of a session of HTTP/2 share. Nobody else includes this. */
#ifndef CG_HTTP_H2_INTERNAL_H
#define CG_HTTP_H2_INTERNAL_H

#include "core/http/h2/h2.h"

#ifdef CG_HTTP2

#include <nghttp2/nghttp2.h>

#include "core/http/h2/text.h"

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
    bool left;              /* the peer may say no more: it ended or reset it */
    bool headed;            /* the final head was submitted */
    bool whole;             /* cg_h2_end was called */
    bool done;              /* END_STREAM is said, or a reset of ours */
};

enum { CG_H2_CLOSED_KEPT = 8, CG_H2_FRAME_HEAD = 9, CG_H2_PREFACE = 24 };

/* Where the frames begin in the bytes that come. */
struct cg_h2_frames {
    uint8_t head[CG_H2_FRAME_HEAD];
    unsigned n;  /* bytes of it that have come */
    size_t left; /* of the payload, at first of the preface */
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
    struct {
        int32_t id[CG_H2_CLOSED_KEPT]; /* of streams that the peer has left */
        unsigned next;
    } closed;
    struct cg_h2_frames frames;
    bool over; /* terminated */
};

/* NULL: it is not known, or not any more. */
static inline struct cg_h2_stream *
cg_h2_stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* calm.c: what a peer costs; each ends the session when it is too much. */
void cg_h2_look_at_clock(struct cg_h2 *h, uint64_t now_us);
void cg_h2_count_control(struct cg_h2 *h);
void cg_h2_count_reset(struct cg_h2 *h);
void cg_h2_count_malformed(struct cg_h2 *h);
/* n bytes came. */
void cg_h2_weigh_bytes(struct cg_h2 *h, size_t n);

/* frames.c: the stream of the next frame of DATA that begins in the bytes from
 * *at on, which then is behind its head; 0: none. *cut is where the head
 * begins, or 0 when that was in the bytes before. */
int32_t cg_h2_next_data(struct cg_h2_frames *f, const char *p, size_t n,
                        size_t *at, size_t *cut);
/* streams.c: ends the session if the peer has left the stream before. */
void cg_h2_look_at_data(struct cg_h2 *h, int32_t id);

/* streams.c: what nghttp2 tells; NULL: memory is out. */
nghttp2_session_callbacks *cg_h2_make_callbacks(void);
/* Linked to its session. */
struct cg_h2_stream *cg_h2_new_stream(struct cg_h2 *h, int32_t id);
void cg_h2_free_stream(struct cg_h2_stream *s);

#endif
#endif
