/* SPDX-License-Identifier: MIT */
/*
 * A session of HTTP/2 (RFC 9113) without I/O: bytes of a peer in, what they
 * mean out by callbacks; replies in, bytes for the peer out. Frames and the
 * compression of heads are nghttp2's; what a peer may do to us is bounded here.
 *
 * What always holds: nothing of a body is credited before its owner says so
 * (cg_h2_consume), the connection's window aside; a peer that makes more work
 * than it lets be useful (resets, control frames, malformed heads) is told to
 * calm down and gets nothing more.
 *
 * A build without nghttp2 has no sessions: cg_h2_is_built.
 */
#ifndef CG_HTTP_H2_H
#define CG_HTTP_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/bytes.h"

/* What we say in SETTINGS; borrowed. */
struct cg_h2_policy {
    uint32_t max_streams;
    uint32_t window; /* initial, of a stream */
    uint32_t max_frame;
    uint32_t max_list; /* of a head, decoded (RFC 9113, 6.5.2) */
    bool websockets;   /* extended CONNECT is served (RFC 8441) */
};

/* Reasons of RST_STREAM and GOAWAY (RFC 9113, 7) that are used elsewhere. */
enum {
    CG_H2_NO_ERROR = 0,
    CG_H2_PROTOCOL_ERROR = 1,
    CG_H2_INTERNAL_ERROR = 2,
    CG_H2_STREAM_CLOSED = 5,
    CG_H2_REFUSED_STREAM = 7,
    CG_H2_CANCEL = 8,
    CG_H2_ENHANCE_YOUR_CALM = 11
};

struct cg_h2;
struct cg_h2_stream;

/* Called from cg_h2_feed and cg_h2_pull; they must not call back but by what
 * says so. `owner` is what on_head returned. */
struct cg_h2_events {
    /* A request's head as HTTP/1.1 text (h2_text.h); `ends`: no body. Returns
     * the owner of the stream, or NULL: it is refused, untouched. */
    void *(*on_head)(void *self, struct cg_h2_stream *s, struct cg_slice text,
                     bool ends);
    /* Bytes of a body, as HTTP/1.1 has them, n of which are credited. */
    void (*on_body)(void *self, void *owner, const char *p, size_t n,
                    bool chunked);
    /* The end of it; trailers: field lines with CRLF, perhaps none. */
    void (*on_end)(void *self, void *owner, bool chunked,
                   struct cg_slice trailers);
    /* Some of the reply left. */
    void (*on_moved)(void *self, void *owner);
    /* The stream is over: reset (code not 0), or both sides are done. s is
     * gone when it returns. */
    void (*on_gone)(void *self, void *owner, uint32_t code);
};

bool cg_h2_is_built(void);
/* "1.52.0", or "" */
const char *cg_h2_version(void);

/* NULL: memory is out. Borrows events and self. now_us: any clock. */
struct cg_h2 *cg_h2_new(const struct cg_h2_policy *policy,
                        const struct cg_h2_events *events, void *self);
void cg_h2_free(struct cg_h2 *h);
/* At once after it: the session goes on from a request of HTTP/1.1 that is
 * complete (h2_upgrade.h) and its first stream; on_head is called. -1: the
 * settings are invalid. */
int cg_h2_upgrade(struct cg_h2 *h, const uint8_t *settings, size_t n,
                  struct cg_slice text, bool head_request);

/* Negative: the connection is over, after what there is to pull. */
int cg_h2_feed(struct cg_h2 *h, const char *p, size_t n, uint64_t now_us);
/* The next bytes for the peer, valid until the next call. 0: there are none
 * now; negative: it is over. */
ssize_t cg_h2_pull(struct cg_h2 *h, const uint8_t **ret);
/* Whether there is anything to come or to send. */
bool cg_h2_is_alive(const struct cg_h2 *h);
/* Why it was ended by us, for the log; NULL: it was not. */
const char *cg_h2_fault(const struct cg_h2 *h);

/* ---- streams ---- */

/* Bytes of the reply, in HTTP/1.1's form. Negative: it cannot be understood. */
int cg_h2_reply(struct cg_h2_stream *s, const char *p, size_t n);
/* All of it was given; what is missing makes it a reset. */
void cg_h2_end(struct cg_h2_stream *s);
/* Bytes of its body that have not left. */
size_t cg_h2_unsent(const struct cg_h2_stream *s);
/* All of what was given has left, and more is to come. */
bool cg_h2_is_dry(const struct cg_h2_stream *s);
/* n bytes of the body found their place. */
void cg_h2_consume(struct cg_h2_stream *s, size_t n);
void cg_h2_reset(struct cg_h2_stream *s, uint32_t code);

/* ---- the end ---- */

/* New streams are unwelcome soon; those that come still are served. */
void cg_h2_notify(struct cg_h2 *h);
/* None is served any more that has not come by now. */
void cg_h2_goaway(struct cg_h2 *h);
/* Nothing is served any more. */
void cg_h2_terminate(struct cg_h2 *h, uint32_t code);

#endif
