/* SPDX-License-Identifier: MIT */
/*
 * Exchange: one complete request and the way to answer it. It is the contract
 * between whoever speaks to clients (the engine: HTTP/1 now) and whoever runs
 * applications (runners: app.h). What passes here is HTTP's meaning: a status,
 * fields, bytes of a body. How that looks on the wire is nobody's business
 * above it.
 *
 * WHO OWNS IT. The engine makes an exchange when a request is complete (or its
 * head is, when `streaming`), fills the upper part, and lends it to the runner
 * for one call. Until the runner gives it back (its run returns; hosted
 * engines: cg_engine_done) the engine touches neither the connection nor the
 * request's bytes; afterwards the exchange and everything it points to is gone.
 *
 * THREADS. The functions below are called by one thread at a time, without any
 * lock of the engine's. Those that may block say so; the caller gives up what
 * others need (the GIL) first. No other one waits for the peer, ever: what it
 * does not take is kept and sent later, while the application goes on.
 *
 * A REPLY, in the order of calls:
 *
 *   cg_exchange_start   status; then cg_exchange_field for each field. Nothing
 *                       leaves yet: until the first `body` or `file` it may be
 *                       started anew.
 *   cg_exchange_inform  any number of interim responses (103), before the body
 *   cg_exchange_body    the bytes, each call with CG_MORE but the last, which
 *                       says CG_LAST. The head leaves with the first of them,
 *                       in one packet if that fits.
 *
 *   or cg_exchange_file, all of the body from a file;
 *   or cg_exchange_trailers in place of CG_LAST;
 *   or cg_exchange_abort, at any time.
 *
 * A body whose first part is the last gets a Content-Length; one in parts is
 * framed as the protocol has it. Whether the connection stays is decided with
 * the head: `keep`.
 *
 * BACK-PRESSURE. A runner that makes a body in parts looks at
 * cg_exchange_pending after each and stops above a mark of its own: by
 * cg_exchange_drain, which blocks, where a thread is the request's own; by
 * cg_exchange_await_room where requests share a thread, which returns at once
 * and tells the runner later. Reading a body that is still coming goes the same
 * two ways.
 *
 * ERRORS. 0, or a negative errno. -EPIPE and -ECONNRESET mean that nothing
 * reaches the peer any more: stop making the reply, nothing has to be undone.
 */
#ifndef CG_EXCHANGE_EXCHANGE_H
#define CG_EXCHANGE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/peer.h"
#include "core/base/secure.h"
#include "core/http/request.h"
#include "core/http/writer.h"

struct cg_exchange;

/* Whether more of the body follows. */
enum cg_more { CG_MORE, CG_LAST };

/* What a runner may wait for, where requests share a thread. */
enum {
    CG_AWAIT_ROOM = 1,  /* no more than `low` bytes wait for the peer */
    CG_AWAIT_INPUT = 2, /* more of a body that is still coming */
    CG_AWAIT_END = 4    /* the peer closed its side; what it sent is left */
};

/* What became of the reply to a request that took longer than it may. */
enum cg_late {
    CG_LATE_NO,       /* nothing: it is in time */
    CG_LATE_ANSWERED, /* a 504 page was sent in its place */
    CG_LATE_CUT,      /* a part of it was out: the connection was cut */
    CG_LATE_SENT      /* it was complete already; the call goes on */
};

/*
 * What differs between protocols and between ways to run requests. Runners call
 * the functions of the same names below, which say what each one does.
 */
struct cg_exchange_ops {
    int (*body)(struct cg_exchange *ex, const char *p, size_t n,
                enum cg_more more, void *owner);
    int (*file)(struct cg_exchange *ex, int fd, off_t offset, size_t n);
    int (*inform)(struct cg_exchange *ex, int status,
                  const struct cg_fields *fields);
    int (*trailers)(struct cg_exchange *ex, const struct cg_fields *fields);
    void (*abort)(struct cg_exchange *ex, int status, const char *message);
    uint64_t (*unsent)(const struct cg_exchange *ex);
    size_t (*pending)(const struct cg_exchange *ex);
    int (*drain)(struct cg_exchange *ex, size_t low);
    int (*await_room)(struct cg_exchange *ex, size_t low); /* or NULL */
    int (*read)(struct cg_exchange *ex, struct cg_buf *to);
    int (*await_input)(struct cg_exchange *ex); /* or NULL */
    int (*await)(struct cg_exchange *ex, unsigned what, size_t low); /* too */
    void (*end_input)(struct cg_exchange *ex);
    int (*take_over)(struct cg_exchange *ex, struct cg_slice *ret_unread);
    int (*tunnel)(struct cg_exchange *ex, struct cg_slice *ret_unread);
    ssize_t (*tunnel_read)(struct cg_exchange *ex, char *p, size_t n);
    int (*tunnel_write)(struct cg_exchange *ex, const char *p, size_t n);
    enum cg_late (*late)(const struct cg_exchange *ex);
    enum cg_late (*conclude)(struct cg_exchange *ex);
    bool (*leads)(const struct cg_exchange *ex);
    bool (*offload)(struct cg_exchange *ex); /* or NULL */
};

/* The whole request body: in memory (p, n) or in an unlinked file (fd, n). */
struct cg_body {
    const char *p; /* NULL when it is in the file */
    uint64_t n;
    int fd;                   /* -1 when in memory; positioned by pread only */
    struct cg_slice trailers; /* checked field lines, each with LF */
};

struct cg_exchange {
    /* filled by the engine */
    const struct cg_request *req;
    const char *base; /* what req's offsets count from */
    struct cg_body body;
    const struct cg_peer *peer;
    const struct cg_secure *secure; /* TLS; NULL: none */
    struct cg_slice
        id; /* names the request (request_id); n = 0: nothing does */
    const struct cg_exchange_ops *ops;
    struct cg_writer *writer; /* the reply; runners read it, see writer.h */
    uint64_t since_us;        /* when the request was complete (monotonic) */
    uint64_t start_us;        /* when the runner was called (monotonic) */
    int listener;             /* number of the listener it came through */
    bool may_keep;  /* the connection may stay open after this; the runner may
                       say no before the head is out */
    bool streaming; /* the body comes through cg_exchange_read, not in body */
    bool is_h2;     /* it came over HTTP/2: where req says otherwise */
    bool taken;     /* by take_over of an upgrade: it ends with the request */
    bool trails;    /* the runner says it before the head is out: trailers will
                       follow, so HTTP/2 keeps the end of a body open that has a
                       Content-Length */

    void *host; /* the runner's own */

    /* filled when cg_exchange_read fails */
    int input_status;        /* what to answer, if that is still possible */
    const char *input_fault; /* why; lives as long as the exchange */

    /* the outcome, filled by the functions below; the runner may correct it */
    bool keep;     /* the reply said that the connection stays */
    bool broken;   /* reply cut short: close at once, no reuse */
    bool blocking; /* the application has the socket, which blocks now */
    int status;    /* 0: nothing was sent */
    uint64_t sent; /* body bytes handed over */
    void *line;    /* what is told when all of it is sent; given to replied */
};

/* ---- the reply ---- */

/* Whether a file was, or is now, sent in place of the body, since a field said
 * so (X-Sendfile, X-Accel-Redirect): nothing that follows is of any use. */
static inline bool
cg_exchange_is_offloaded(struct cg_exchange *ex)
{
    return __builtin_expect(ex->writer->reply.offload, 0) &&
           ex->ops->offload != NULL && ex->ops->offload(ex);
}

/* Begins the reply: "200 OK" or "200", as an application says it. Forgets what
 * was started before. 0, or -EINVAL with writer->reply.fault. */
static inline int
cg_exchange_start(struct cg_exchange *ex, struct cg_slice status)
{
    return cg_writer_start(ex->writer, status);
}

/* One field of a started reply, in any order. Hop-by-hop fields, Server and
 * Date are the server's and are dropped. Likewise; after a fault the reply is
 * to be started anew, or cg_writer_forget says that there is none. */
static inline int
cg_exchange_field(struct cg_exchange *ex, struct cg_slice name,
                  struct cg_slice value)
{
    return cg_writer_field(ex->writer, name, value);
}

/*
 * The next n bytes of the body (may be 0), of a reply that was started.
 *
 * CG_MORE: the bytes may wait for those that follow, so that many leave with
 * one system call; but for a millisecond at most, whatever the runner does
 * next. Without bytes: all that waits leaves now, the head included. CG_LAST:
 * nothing follows; everything leaves now. Bytes that are missing then
 * (writer->misfit) end the connection.
 *
 * owner (may be NULL): the object that the bytes belong to. If not all of them
 * are taken the engine may refer to them in place of copying: it calls the
 * runner's hold(owner), and later drop(owner).
 *
 * 0; 1: no byte that may follow would be sent, since the head allows none
 * (writer->misfit tells whether some came); or a negative errno.
 */
static inline int
cg_exchange_body(struct cg_exchange *ex, const char *p, size_t n,
                 enum cg_more more, void *owner)
{
    return cg_exchange_is_offloaded(ex) ? 1
                                        : ex->ops->body(ex, p, n, more, owner);
}

/* All of the body: n bytes of an open file from offset, which is left where it
 * is. The descriptor is duplicated when some of it has to wait. A file that
 * turns out to be shorter cuts the reply: `broken`. In place of body. */
static inline int
cg_exchange_file(struct cg_exchange *ex, int fd, off_t offset, size_t n)
{
    return cg_exchange_is_offloaded(ex) ? 0 : ex->ops->file(ex, fd, offset, n);
}

/* An interim response (RFC 9110, 15.2), at once. Nothing happens where it has
 * no place: behind the head, and for HTTP/1.0. */
static inline int
cg_exchange_inform(struct cg_exchange *ex, int status,
                   const struct cg_fields *fields)
{
    return ex->ops->inform(ex, status, fields);
}

/* The end of a body of which every part said CG_MORE, with fields behind it.
 * They are left out where the framing has no place for them (a Content-Length,
 * HTTP/1.0). Only for clients that asked (TE: trailers): the runner looks. */
static inline int
cg_exchange_trailers(struct cg_exchange *ex, const struct cg_fields *fields)
{
    return cg_exchange_is_offloaded(ex) ? 0 : ex->ops->trailers(ex, fields);
}

/* Ends the reply by force. While no byte of its head is out: an error page of
 * that status, whose text is `message` (may be ""), in place of it. Else, and
 * with status 0, a cut: the client sees that it is not complete. */
static inline void
cg_exchange_abort(struct cg_exchange *ex, int status, const char *message)
{
    ex->ops->abort(ex, status, message);
}

/* ---- back-pressure ---- */

/* Bytes of the reply that wait for the peer, in memory or files; when it is
 * gone, those that its socket holds, too. */
static inline uint64_t
cg_exchange_unsent(const struct cg_exchange *ex)
{
    return ex->ops->unsent(ex);
}

/* Those that wait in memory. */
static inline size_t
cg_exchange_pending(const struct cg_exchange *ex)
{
    return ex->ops->pending(ex);
}

/* Blocks until no more than `low` bytes wait in memory: the peer took them, or
 * a file did; or until the write deadline is over (-ETIMEDOUT). */
static inline int
cg_exchange_drain(struct cg_exchange *ex, size_t low)
{
    return ex->ops->drain(ex, low);
}

/* Whether requests share a thread, so that nothing may block in it: then ask
 * await_room in place of drain, and read says -EAGAIN. */
static inline bool
cg_exchange_is_shared(const struct cg_exchange *ex)
{
    return ex->ops->await_room != NULL;
}

/* 1: no more than `low` bytes wait. 0: the runner will be told (`awaited` of
 * its table) once that is so or the peer is gone, and asks again. Any other
 * call ends the waiting. */
static inline int
cg_exchange_await_room(struct cg_exchange *ex, size_t low)
{
    return ex->ops->await_room(ex, low);
}

/* ---- a body that is still coming: ex->streaming ---- */

/*
 * Appends the next bytes of it to `to`, and blocks for them (not where requests
 * share a thread: -EAGAIN). 1: some came; 0: that was the end; -ECONNRESET: it
 * ended early, -ETIMEDOUT, -EBADMSG: it breaks a rule or a limit. Then also
 * ex->input_status and input_fault are set, and every later call fails
 * likewise. One caller at a time.
 */
static inline int
cg_exchange_read(struct cg_exchange *ex, struct cg_buf *to)
{
    return ex->ops->read(ex, to);
}

/* After -EAGAIN: 0 when the runner will be told, as by await_room, once it is
 * worth asking again; a negative errno when that will never be. */
static inline int
cg_exchange_await_input(struct cg_exchange *ex)
{
    return ex->ops->await_input(ex);
}

/* For any of several at once: CG_AWAIT_ROOM and so on. 1: there is room. 0: the
 * runner will be told, as by await_room, and asks again. A negative errno when
 * the peer is gone, which `broken` says too once the runner is told. */
static inline int
cg_exchange_await(struct cg_exchange *ex, unsigned what, size_t low)
{
    return ex->ops->await(ex, what, low);
}

/* The input ends here, also for a thread that blocks in read: it is woken, and
 * the connection does not stay. */
static inline void
cg_exchange_end_input(struct cg_exchange *ex)
{
    ex->ops->end_input(ex);
}

/* ---- the rest ---- */

/*
 * The connection becomes the application's: a descriptor of its own, which the
 * caller closes, and which blocks; or a negative errno: -EPROTO, it speaks TLS
 * and cannot be taken. What waits is sent
 * first. After an upgrade (RFC 9110, 7.8) *ret_unread are the bytes that the
 * peer sent behind the request and nobody read yet, valid until the end of the
 * exchange, and nothing but the application talks to the peer from now on.
 */
static inline int
cg_exchange_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    return ex->ops->take_over(ex, ret_unread);
}

/*
 * After a complete reply of 101, only where requests share a thread: the runner
 * speaks another protocol with the peer, by the two functions below, and waits
 * by cg_exchange_await. *ret_unread: as in take_over. No limit of time holds
 * any more but write_timeout. The connection ends with the exchange, once what
 * was written is out. 0 or a negative errno.
 */
static inline int
cg_exchange_tunnel(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    return ex->ops->tunnel(ex, ret_unread);
}

/* At most n bytes; 0: the peer sends no more; -EAGAIN: there are none now, wait
 * for CG_AWAIT_INPUT; another negative errno: it is gone. */
static inline ssize_t
cg_exchange_tunnel_read(struct cg_exchange *ex, char *p, size_t n)
{
    return ex->ops->tunnel_read(ex, p, n);
}

/* All of it is taken, cg_exchange_pending says how much waits. 0 or -errno. */
static inline int
cg_exchange_tunnel_write(struct cg_exchange *ex, const char *p, size_t n)
{
    return ex->ops->tunnel_write(ex, p, n);
}

/* Whether its time is over; nothing more is sent then. Any thread. */
static inline enum cg_late
cg_exchange_late(const struct cg_exchange *ex)
{
    return ex->ops->late(ex);
}

/* After the reply, before it is logged: the outcome of one that took too long
 * becomes what was really sent. As late; only with a limit of time. */
static inline enum cg_late
cg_exchange_conclude(struct cg_exchange *ex)
{
    return ex->ops->conclude(ex);
}

/* Whether the caller is still the one that turns the engine's loop, once the
 * runner's run returns: else another does, and cares for what is due at the end
 * of a pass. */
static inline bool
cg_exchange_leads(const struct cg_exchange *ex)
{
    return ex->ops->leads(ex);
}

#endif
