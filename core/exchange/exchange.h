/* SPDX-License-Identifier: MIT */
/*
 * Exchange: one complete request and the way to answer it. The engine fills the
 * upper part and lends it to a host for the time of one call; the host answers
 * through the functions of `wire` and leaves the outcome in the lower part.
 * While it is lent, the engine touches neither the connection nor the bytes.
 */
#ifndef CG_HTTP_EXCHANGE_H
#define CG_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/http/proxy.h"
#include "core/http/request.h"

struct cg_exchange;

/* What became of the reply to a request that took longer than it may. */
enum cg_late {
    CG_LATE_NO,       /* nothing: it is in time */
    CG_LATE_ANSWERED, /* a 504 page was sent in its place */
    CG_LATE_CUT,      /* a part of it was out: the connection was cut */
    CG_LATE_SENT      /* it was complete already; the call goes on */
};

/*
 * What a host may do with the connection. Bytes that the socket does not take
 * are kept (copied, or referenced through `keep`) and flushed by the engine
 * later, so none of these blocks. Each returns 0, or a negative errno once the
 * peer is gone; the host then stops producing.
 */
struct cg_wire {
    /* Sends head and body parts, in order. `keep` (may be NULL): the object
     * that owns the bytes of the last part; if not all of it is taken, the
     * engine calls hold(keep) and later, from a thread that may run Python,
     * drop(keep), instead of copying. */
    int (*send)(struct cg_exchange *ex, const struct iovec *parts, int count,
                void *keep);
    /* The same for parts that more will follow: they may wait for it, but not
     * for longer than a millisecond, whatever the host does meanwhile. Any
     * other call sends them first; a count of 0 in `send` does only that. */
    int (*post)(struct cg_exchange *ex, const struct iovec *parts, int count,
                void *keep);
    /* Sends a part (may be empty) and then n bytes of an open file from offset.
     * The descriptor is duplicated when the rest has to wait. A file that turns
     * out to be shorter cuts the reply: ex->broken. */
    int (*send_file)(struct cg_exchange *ex, struct iovec first, int fd,
                     off_t offset, size_t n);
    /* Bytes that wait for the peer in memory or files, and when it is gone
     * those that its socket holds, too. */
    uint64_t (*unsent)(const struct cg_exchange *ex);
    /* Bytes that wait for the peer in memory. */
    size_t (*pending)(const struct cg_exchange *ex);
    /* Blocks until no more than `low` bytes wait in memory: the peer took them,
     * or a file did; or until the write deadline is over (-ETIMEDOUT). The
     * caller has given up the GIL. */
    int (*drain)(struct cg_exchange *ex, size_t low);
    /* While ex->streaming: appends the next bytes of the body to `to`, and
     * waits for them. 1: some came; 0: that was the end; -ECONNRESET: it ended
     * early, -ETIMEDOUT, -EBADMSG: it breaks a rule or a limit; then also
     * ex->input_status and input_fault, and every later call fails likewise.
     * One caller at a time, who has given up the GIL. Where await_input is
     * there it does not wait: -EAGAIN. */
    int (*receive)(struct cg_exchange *ex, struct cg_buf *to);
    /* Only where several requests share a thread (NULL elsewhere), after that
     * -EAGAIN: 0 when the host will be told, as by await_drain, once it is
     * worth asking again; a negative errno when that will never be. */
    int (*await_input)(struct cg_exchange *ex);
    /* While ex->streaming: the input ends here, for a `receive` that waits in
     * another thread, too. */
    void (*end_input)(struct cg_exchange *ex);
    /* While ex->streaming: what is left of the body can be read away after the
     * response, so that the connection may stay. */
    bool (*can_skip)(const struct cg_exchange *ex);
    /* Only where several requests share a thread (NULL elsewhere), in place of
     * drain: 1 when no more than `low` bytes wait, 0 when the host will be told
     * once that is so or the peer is gone (then ask again), a negative errno
     * when the peer is gone. Any other call ends the waiting. */
    int (*await_drain)(struct cg_exchange *ex, size_t low);
    /* Bytes that the peer sent behind this request and that nobody read yet:
     * taken from the connection, which the host talks to itself from now on and
     * which is closed after the reply. Valid until the reply is done. */
    struct cg_slice (*take_over)(struct cg_exchange *ex);
    /* Whether its time is over; nothing more is sent then, every send fails.
     * page_n (may be NULL): bytes of the page. Any thread. */
    enum cg_late (*late)(const struct cg_exchange *ex, size_t *page_n);
    /* All of the reply was given to `send`. */
    void (*sent)(struct cg_exchange *ex);
    /* Whether the caller is still the one that turns the engine's loop, once
     * the host's run returns: else another does, and cares for what is due at
     * the end of a pass. */
    bool (*leads)(const struct cg_exchange *ex);
};

/* The whole request body: in memory (p, n) or in an unlinked file (fd, n). */
struct cg_body {
    const char *p; /* NULL when it is in the file */
    uint64_t n;
    int fd;                   /* -1 when in memory; positioned by pread only */
    struct cg_slice trailers; /* checked field lines, each with LF */
};

/* Who is at the other end, as text; written at accept, and once more when a
 * proxy tells (PROXY protocol). */
struct cg_peer {
    char addr[46];   /* "" for unix peers */
    uint16_t port;   /* 0 for unix peers */
    uint8_t family;  /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t trusted; /* in forwarded_allow_ips */
    /* CG_PROXY_TCP4 or 6: a proxy told addr and port, and what the client
     * connected to; 0: they are the socket's */
    uint8_t proxied;
    uint16_t proxy_port;
    char proxy_addr[46];
};

struct cg_exchange {
    /* filled by the engine */
    const struct cg_request *req;
    const char *base; /* what req's offsets count from */
    struct cg_body body;
    const struct cg_peer *peer;
    const struct cg_wire *wire;
    struct cg_buf *out; /* scratch for head and small bodies, kept for reuse */
    const char *date;   /* CG_HTTP_DATE_SIZE bytes, of this second */
    uint64_t since_us;  /* when the request was complete (monotonic) */
    uint64_t start_us;  /* when the host was called (monotonic) */
    int fd;             /* the client's socket; borrowed, do not close */
    int listener;       /* number of the listener it came through */
    bool may_keep;      /* the connection may stay open after this */
    bool secure;        /* TLS */
    bool streaming;     /* the body comes through wire->receive, not in body */
    bool taken;         /* by take_over: it is closed after the reply */

    void *host; /* the host's own */

    /* filled by wire->receive when it fails */
    int input_status;        /* what to answer, if that is still possible */
    const char *input_fault; /* why; lives as long as the exchange */

    /* filled by the host */
    bool keep;     /* the reply said that the connection stays */
    bool broken;   /* reply cut short: close at once, no reuse */
    bool blocking; /* fd was made a blocking one, as applications expect it */
    int status;    /* 0: nothing was sent */
    uint64_t sent; /* body bytes handed over */
    void *line; /* what is told when all of it is sent; given to host.settle */
};

#endif
