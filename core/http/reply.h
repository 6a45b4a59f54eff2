/* SPDX-License-Identifier: MIT */
/*
 * Reply head: status and fields in, validated bytes out (RFC 9110, 9112, PEP
 * 3333; gunicorn's header policy). Built in place in the caller's buffer: room
 * is left in front for what is known last (status line, Server, Date,
 * Connection, framing), so that a body that follows directly in the same buffer
 * leaves with one send. Performs no I/O; the caller passes the Date.
 */
#ifndef CG_HTTP_REPLY_H
#define CG_HTTP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/clock.h"

enum cg_framing {
    CG_FRAME_NONE,    /* no body bytes: HEAD, 204, 304, 1xx */
    CG_FRAME_LENGTH,  /* Content-Length */
    CG_FRAME_CHUNKED, /* Transfer-Encoding: chunked */
    CG_FRAME_CLOSE    /* ends with the connection */
};

/* Whether a file is to be sent in place of the body. */
enum cg_offload {
    CG_OFFLOAD_NONE,
    CG_OFFLOAD_ASKED, /* by X-Sendfile or X-Accel-Redirect */
    CG_OFFLOAD_DONE   /* it was: nothing may follow */
};

struct cg_reply {
    struct cg_buf *out; /* borrowed: the caller's buffer */
    uint32_t begin;     /* head is out->p[begin .. end) after finish */
    uint32_t fields;    /* the application's fields begin there */
    uint32_t end;
    int status;              /* 200 */
    struct cg_buf line;      /* "200 OK"; owned, kept over reset */
    bool has_length;         /* the application gave Content-Length */
    uint64_t length;         /* valid with has_length, or set at finish */
    bool app_close;          /* the application sent Connection: close */
    uint8_t offload;         /* enum cg_offload */
    bool app_upgrade;        /* Connection: upgrade with Upgrade: websocket */
    enum cg_framing framing; /* after finish */
    const char *fault;       /* after a negative return: what is wrong */
};

/* What the connection and the request allow. */
struct cg_reply_context {
    const char *server; /* value of Server, NULL = no field */
    const char *date;   /* CG_HTTP_DATE_SIZE bytes */
    uint8_t minor;      /* of the request: 0 or 1 */
    bool head_request;
    bool keep_alive; /* in: the connection may stay */
    /* fields will follow the body: it comes in chunks, also when its length is
     * told. For HTTP/2, which has no such framing on the wire. */
    bool trailers;
};

/* Starts a head in `out` (emptied). Memory of r->line is reused. */
void cg_reply_start(struct cg_reply *r, struct cg_buf *out);
void cg_reply_release(struct cg_reply *r);

/* "200 OK" or "200" (a reason is added). 0, or -EINVAL with r->fault. */
int cg_reply_status(struct cg_reply *r, struct cg_slice status);

/* One field. Validates name and value; drops hop-by-hop, Server, Date;
 * remembers Content-Length. 0, or -EINVAL with r->fault. */
int cg_reply_field(struct cg_reply *r, struct cg_slice name,
                   struct cg_slice value);

/* The fields so far, each a line with CRLF; before finish, borrowed. */
struct cg_slice cg_reply_lines(const struct cg_reply *r);

/*
 * Decides framing and persistence and completes the head. known_length is the
 * body's size when the caller knows it (one item) and the application gave no
 * Content-Length, else -1. Returns whether the connection stays open.
 */
bool cg_reply_finish(struct cg_reply *r, const struct cg_reply_context *c,
                     int64_t known_length);

/* Whether the application gave such a field. Before finish. */
bool cg_reply_has_field(const struct cg_reply *r, struct cg_slice name);

/* The application's fields as they are sent, one after the other: *at is 0 at
 * first. False: there are no more. After finish; borrowed from r->out. */
bool cg_reply_next_field(const struct cg_reply *r, size_t *at,
                         struct cg_slice *name, struct cg_slice *value);

/*
 * Fields that are sent without a head of their own: those of an interim
 * response, and those behind the body (RFC 9110, 15.2 and 6.5). Zeroed memory
 * is an empty list.
 */
struct cg_fields {
    struct cg_buf text; /* lines with CRLF; owned */
    const char *fault;  /* after a negative return: what is wrong */
};

/* Validates as cg_reply_field; drops what is the server's business there.
 * trailer: also what may not stand behind a body (RFC 9110, 6.5.1). 0, or
 * -EINVAL with f->fault. */
int cg_fields_add(struct cg_fields *f, struct cg_slice name,
                  struct cg_slice value, bool trailer);
void cg_fields_release(struct cg_fields *f);

/* Reason phrase of a status ("Not Found"), or "Unknown". */
const char *cg_reason(int status);

/*
 * A complete error response (RS38: escaped HTML page, Date, Server,
 * Connection: close, Content-Length) appended to out; returns its body size.
 * `message` may be empty. head_request: no body.
 */
size_t cg_error_page(struct cg_buf *out, int status, struct cg_slice message,
                     const char *server, const char *date, uint8_t minor,
                     bool head_request);

#endif
