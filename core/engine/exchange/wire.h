/* SPDX-License-Identifier: MIT */
/*
 * Wire: bytes of a reply on their way to the client's socket, as they are. What
 * HTTP makes of a reply is written above it (reply.c). Two sorts: inline, for
 * executors that run requests themselves (inline.c), and detached, for hosts
 * with a loop of their own (lent.h).
 */
#ifndef CG_ENGINE_WIRE_H
#define CG_ENGINE_WIRE_H

#include <sys/uio.h>

#include "core/exchange/exchange.h"

/*
 * Bytes that the socket does not take are kept (copied, or referenced through
 * `owner`) and flushed later, so none of these blocks. Each returns 0, or a
 * negative errno once the peer is gone.
 */
struct cg_wire {
    /* Sends parts, in order. `owner` (may be NULL): the object that owns the
     * bytes of the last part; if not all of it is taken, the engine calls
     * hold(owner) and later, from a thread that may run Python, drop(owner),
     * instead of copying. */
    int (*send)(struct cg_exchange *ex, const struct iovec *parts, int count,
                void *owner);
    /* The same for parts that more will follow: they may wait for it, but not
     * for longer than a millisecond, whatever the host does meanwhile. Any
     * other call sends them first; a count of 0 in `send` does only that. */
    int (*send_more)(struct cg_exchange *ex, const struct iovec *parts,
                     int count, void *owner);
    /* Sends some parts and then n bytes of an open file from offset. The
     * descriptor is duplicated when the rest has to wait. A file that turns out
     * to be shorter cuts the reply: ex->broken. */
    int (*send_file)(struct cg_exchange *ex, const struct iovec *parts,
                     int count, int fd, off_t offset, size_t n);
};

/* What both sorts are made of; in the executor, without the baton. */
int cg_wire_send(struct cg_exchange *ex, const struct iovec *parts, int count,
                 void *owner);
int cg_wire_send_more(struct cg_exchange *ex, const struct iovec *parts,
                      int count, void *owner);
int cg_wire_send_file(struct cg_exchange *ex, const struct iovec *parts,
                      int count, int fd, off_t offset, size_t n);
size_t cg_wire_pending(const struct cg_exchange *ex);
int cg_wire_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread);
/* The connection speaks another protocol from now on: no limit of time, and it
 * ends with the request. *ret_unread: bytes of it that came already. */
void cg_wire_upgrade(struct cg_exchange *ex, struct cg_slice *ret_unread);

#endif
