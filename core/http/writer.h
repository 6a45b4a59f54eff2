/* SPDX-License-Identifier: MIT */
/*
 * Writer: one reply, from its head to its end, as HTTP/1.1 (RFC 9112) or 1.0
 * would have it. Performs no I/O: every step says which bytes are to be sent
 * next. Nobody else writes status lines, chunks or interim responses.
 *
 * The order of calls, of which those in brackets may be left out:
 *
 *   start, (field)*, (interim)*      nothing is decided; start begins anew
 *   head                             framing, persistence
 *   (body)*, body(last) or trailers  parts to be sent
 *
 * or `page` in place of all of it, as long as `head` was not called.
 */
#ifndef CG_HTTP_WRITER_H
#define CG_HTTP_WRITER_H

#include <sys/uio.h>

#include "core/http/reply.h"

/* Where the body is not what the head said. */
enum cg_misfit {
    CG_FITS,
    CG_TOO_LONG,  /* than its Content-Length: the rest was cut */
    CG_TOO_SHORT, /* the client waits for more: the connection has to end */
    CG_NOT_ASKED  /* there is a body where none may be: it was dropped */
};

/* Zeroed memory is a writer of which nothing was started. */
struct cg_writer {
    struct cg_reply reply;
    struct cg_buf out; /* the head, and a small body; owned, kept for reuse */
    bool started;      /* reply has a status and perhaps fields */
    bool headed;       /* the head is complete, at least asked for */
    bool head_waits;   /* it was not in any parts yet */
    bool full;         /* no byte of a body may follow */
    bool counted;      /* chunks, whose sum is the length that was told */
    bool ended;
    enum cg_misfit misfit;
    uint64_t sent;       /* bytes of the body in all parts so far */
    char chunk_size[20]; /* of the chunk in the last parts */
};

/* What is to be sent now, in order. The bytes are the writer's (until its next
 * call) or the caller's. */
struct cg_parts {
    struct iovec v[4];
    int n;
    bool whole; /* the last of them is (the end of) the caller's bytes, as is */
    /* they leave now, with what waited for them (even when n is 0); else they
     * may wait for more */
    bool now;
};

/* For the next reply; the memory is kept. Release frees it. */
void cg_writer_reset(struct cg_writer *w);
void cg_writer_release(struct cg_writer *w);
/* Gives back the memory that its bytes do not need; they move. */
void cg_writer_fit(struct cg_writer *w);

/* The status, "200 OK" or "200"; forgets an earlier head. 0, or -EINVAL with
 * reply.fault, also when the head is complete. */
int cg_writer_start(struct cg_writer *w, struct cg_slice status);
static inline int
cg_writer_field(struct cg_writer *w, struct cg_slice name,
                struct cg_slice value)
{
    return cg_reply_field(&w->reply, name, value);
}
/* What was started is void: a later one of its fields was bad. */
void cg_writer_forget(struct cg_writer *w);
/* So is everything: nothing more is written, somebody else answers. */
void cg_writer_close(struct cg_writer *w);

/* Completes the head of a started reply. known: as in cg_reply_finish. Whether
 * the connection stays open. */
bool cg_writer_head(struct cg_writer *w, const struct cg_reply_context *context,
                    int64_t known);
/*
 * The next n bytes of the body; n may be 0. last: nothing follows. With the
 * first call comes the head. Bytes that the head does not allow are left out:
 * see misfit. Returns whether more bytes are of any use.
 */
bool cg_writer_body(struct cg_writer *w, const char *p, size_t n, bool last,
                    struct cg_parts *ret);
/* The head of a body of n bytes that the caller sends by itself, all of it;
 * *ret_n: that many of them. */
void cg_writer_file(struct cg_writer *w, size_t n, size_t *ret_n,
                    struct cg_parts *ret);
/* The end of the body, with fields behind it, which are left out where the
 * framing has no place for them. */
void cg_writer_trailers(struct cg_writer *w, const struct cg_fields *fields,
                        struct cg_parts *ret);
/* A whole interim response, appended to out. */
void cg_writer_interim(struct cg_buf *out, int status,
                       const struct cg_fields *fields);
/* A whole error page in place of a reply, whatever was started. */
void cg_writer_page(struct cg_writer *w, const struct cg_reply_context *context,
                    int status, struct cg_slice message, struct cg_parts *ret);

/* A whole reply that the server itself makes: no caching, and Connection as
 * the context says; appended to out. */
void cg_small_reply(struct cg_buf *out, int status, const char *type,
                    struct cg_slice body,
                    const struct cg_reply_context *context);

#endif
