/* SPDX-License-Identifier: MIT */
/*
 * Text of HTTP/2: a request's fields as the head that HTTP/1.1 would have, so
 * that one reader knows all rules of heads; and the other way round, the bytes
 * of a reply that our writer made for HTTP/1.1, taken apart into what HTTP/2
 * sends as frames. Performs no I/O, knows no frames.
 */
#ifndef CG_HTTP_H2_TEXT_H
#define CG_HTTP_H2_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* ---- a request's head ---- */

/* Zeroed memory is a head without fields. */
struct cg_h2_head {
    struct cg_buf method, path, authority, host, cookie, fields; /* owned */
    struct cg_buf protocol; /* of an extended CONNECT (RFC 8441); owned */
    size_t size;            /* as RFC 9113, 6.5.2 counts the list */
    bool has_length;        /* a Content-Length came */
    bool has_method, has_path, has_authority, has_host, has_protocol;
};

/* One field, names in lower case as HTTP/2 has them. False: the request is
 * malformed (RFC 9113, 8.2 and 8.3). */
bool cg_h2_head_add(struct cg_h2_head *h, struct cg_slice name,
                    struct cg_slice value);
/* The head as text, appended to out; `ends`: no body follows. A body without a
 * Content-Length comes in chunks. An extended CONNECT for a WebSocket is the
 * handshake that HTTP/1.1 would have, what follows it are the tunnel's bytes.
 * False: malformed. */
bool cg_h2_head_text(const struct cg_h2_head *h, bool ends, struct cg_buf *out);
/* Whether it asks for a tunnel of a protocol that nobody knows here. */
bool cg_h2_head_is_foreign(const struct cg_h2_head *h);
void cg_h2_head_release(struct cg_h2_head *h);

/* ---- a reply ---- */

enum cg_h2_piece {
    CG_H2_NOTHING,  /* more bytes are needed */
    CG_H2_HEAD,     /* status and fields: cg_h2_reply_field */
    CG_H2_DATA,     /* bytes of the body, borrowed from what was fed */
    CG_H2_TRAILERS, /* fields behind it, likewise */
    CG_H2_END,      /* all of it was there */
    CG_H2_BAD       /* no reply: no status, or lines without an end */
};

/* Zeroed memory begins a reply; `head_request` is the caller's to set. It may
 * be another worker's, who may say anything. */
struct cg_h2_reply {
    struct cg_buf text; /* lines that are not complete; owned */
    uint64_t left;      /* of a chunk, or of all of the body */
    size_t heads;       /* bytes of heads so far, the interim ones too */
    uint8_t phase;
    bool head_request;
    bool final; /* the last head was not an interim one */
    bool drop;  /* text is used up */
    int status; /* of the last head */
};

/* What the next of the n bytes are; *used of them are used up. *ret: of DATA;
 * of HEAD and TRAILERS the lines, valid until the next call. */
enum cg_h2_piece cg_h2_reply_next(struct cg_h2_reply *r, const char *p,
                                  size_t n, size_t *used, struct cg_slice *ret);
/* The next field of HEAD or TRAILERS, its name in lower case; fields that are
 * HTTP/1's own are left out. *at is 0 at first. False: there are no more. */
bool cg_h2_reply_field(struct cg_slice lines, size_t *at, struct cg_slice *name,
                       struct cg_slice *value);
/* Whether nothing can follow. */
bool cg_h2_reply_has_ended(const struct cg_h2_reply *r);
/* Whether the end of the bytes is the end of the reply. */
bool cg_h2_reply_is_whole(const struct cg_h2_reply *r);
void cg_h2_reply_release(struct cg_h2_reply *r);

#endif
