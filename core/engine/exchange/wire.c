/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/slow.h"
#include "core/engine/state.h"

/* Bytes from which an unsent rest is referenced in place of copied. */
enum { HOLD_MIN = 32 * 1024 };

#define RELAXED memory_order_relaxed

static struct cg_call *
call_of(struct cg_exchange *ex)
{
    return (struct cg_call *)(void *)ex;
}

/* Keeps what is left of the parts after `sent` bytes. */
static void
store_rest(struct cg_call *call, const struct iovec *parts, int count,
           size_t sent, void *owner)
{
    const struct cg_runner *r = &call->executor->engine->runner;
    for (int i = 0; i < count; i++) {
        size_t n = parts[i].iov_len;
        const char *p = parts[i].iov_base;
        if (sent >= n) {
            sent -= n;
            continue;
        }
        p += sent;
        n -= sent;
        sent = 0;
        if (owner != NULL && i == count - 1 && n >= HOLD_MIN) {
            r->ops->hold(r->self, owner);
            cg_outbox_hold(&call->stream->outbox, p, n, parts[i].iov_len,
                           owner);
        } else {
            cg_outbox_put(&call->stream->outbox, p, n);
        }
    }
}

static size_t
total(const struct iovec *parts, int count)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        n += parts[i].iov_len;
    }
    return n;
}

/* Objects whose bytes went out meanwhile: no other thread adds to them now, and
 * they are dropped when we are out of the wire. */
static void
take_dropped(struct cg_call *call)
{
    if (__builtin_expect(call->dropped != NULL, 0) && call->spent == NULL) {
        call->spent = call->dropped;
        call->dropped = NULL;
    }
}

static void
drop_spent(struct cg_call *call)
{
    struct cg_segment *spent = call->spent;
    if (__builtin_expect(spent != NULL, 0)) {
        call->spent = NULL;
        cg_drop_list(&call->executor->engine->runner, spent);
    }
}

static int
send_parts(struct cg_exchange *ex, const struct iovec *parts, int count,
           void *owner, bool more)
{
    struct cg_call *call = call_of(ex);
    struct cg_outbox *outbox = &call->stream->outbox;
    int r = call->corked.used ? cg_cork_take(call) : 0;
    take_dropped(call);
    if (r < 0) {
        return cg_wire_fail(ex, r);
    }
    /* the reader may have caught up with what waits */
    ssize_t n = cg_outbox_send(outbox, call->stream->transport, parts, count,
                               more, &call->dropped);
    if (n < 0) {
        return cg_wire_fail(ex, (int)n);
    }
    if ((size_t)n < total(parts, count)) {
        store_rest(call, parts, count, (size_t)n, owner);
    }
    return 0;
}

int
cg_wire_send(struct cg_exchange *ex, const struct iovec *parts, int count,
             void *owner)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = send_parts(ex, parts, count, owner, false);
    cg_limit_leave(call_of(ex));
    drop_spent(call_of(ex));
    return r;
}

static int
post_parts(struct cg_exchange *ex, const struct iovec *parts, int count,
           void *owner)
{
    struct cg_call *call = call_of(ex);
    if (cg_cork_put(call, parts, count, total(parts, count))) {
        return 0;
    }
    int r = send_parts(ex, parts, count, owner, false);
    if (r == 0 && !cg_outbox_is_empty(&call->stream->outbox) &&
        call->executor->engine->kind->may_wait) {
        cg_cork_leave(call);
    }
    return r;
}

int
cg_wire_send_more(struct cg_exchange *ex, const struct iovec *parts, int count,
                  void *owner)
{
    if (!cg_wire_enter(ex)) {
        return -EPIPE;
    }
    int r = post_parts(ex, parts, count, owner);
    cg_limit_leave(call_of(ex));
    drop_spent(call_of(ex));
    return r;
}

/* A peer that is as fast as the disk does not keep the thread from everybody
 * else: what is left leaves as what a full socket did not take. */
enum { FILE_SHARE = 4 << 20 };

static int
send_file_now(struct cg_exchange *ex, int fd, off_t *offset, size_t *n)
{
    size_t last = *n > FILE_SHARE ? *n - FILE_SHARE : 0;
    while (*n > last) {
        ssize_t sent = cg_transport_send_file(call_of(ex)->stream->transport,
                                              fd, offset, *n);
        if (sent <= 0) {
            return sent == 0 ? 0 : cg_wire_fail(ex, (int)sent);
        }
        *n -= (size_t)sent;
    }
    return 0;
}

static int
send_file(struct cg_exchange *ex, const struct iovec *parts, int count, int fd,
          off_t offset, size_t n)
{
    struct cg_outbox *outbox = &call_of(ex)->stream->outbox;
    int r = send_parts(ex, parts, count, NULL, n > 0);
    if (r == 0 && cg_outbox_is_empty(outbox) && !ex->blocking) {
        r = send_file_now(ex, fd, &offset, &n);
    }
    if (r == 0 && n > 0) {
        r = cg_outbox_put_file(outbox, fd, offset, n);
    }
    if (r < 0) {
        call_of(ex)->lost += n;
        return cg_wire_fail(ex, r);
    }
    return 0;
}

int
cg_wire_send_file(struct cg_exchange *ex, const struct iovec *parts, int count,
                  int fd, off_t offset, size_t n)
{
    if (!cg_wire_enter(ex)) {
        call_of(ex)->lost += n;
        return -EPIPE;
    }
    int r = send_file(ex, parts, count, fd, offset, n);
    cg_limit_leave(call_of(ex));
    return r;
}

size_t
cg_wire_pending(const struct cg_exchange *ex)
{
    const struct cg_call *call = (const void *)ex;
    /* what the thread has sent meanwhile is not known yet */
    return call->corked.shared ? call->corked.waits
                               : call->stream->outbox.bytes;
}

void
cg_wire_upgrade(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    struct cg_conn *c = call_of(ex)->stream->conn;
    *ret_unread = (struct cg_slice){NULL, 0};
    cg_limit_taken(ex);
    cg_slow_taken(ex);
    ex->taken = true;
    ex->may_keep = false;
    if (__builtin_expect(c->rest_lost, 0)) {
        cg_transport_deafen(&c->transport); /* a hole is worse than an end */
    }
    if (c->rest.p != NULL) {
        *ret_unread =
            (struct cg_slice){c->rest.p + c->rest_at, c->rest.n - c->rest_at};
        c->rest_at = (uint32_t)c->rest.n;
    }
}

/* Only a peer that asked for another protocol means the bytes behind its head
 * for who takes the socket. */
int
cg_wire_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread)
{
    const struct cg_transport *t = call_of(ex)->stream->transport;
    if (!cg_transport_is_plain(t)) {
        return -EPROTO; /* the descriptor is not what the peer speaks */
    }
    if (ex->req->upgrade && call_of(ex)->stream->conn->rest_lost) {
        return -ENOMEM;
    }
    int fd = fcntl(t->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        return -errno;
    }
    *ret_unread = (struct cg_slice){NULL, 0};
    bool ours = cg_limit_enter(call_of(ex));
    if (ours && !cg_call_is_closed(call_of(ex))) {
        send_parts(ex, NULL, 0, NULL, false); /* what waits comes first */
    }
    ex->blocking = true;
    if (ours) {
        cg_limit_leave(call_of(ex));
    }
    if (ex->req->upgrade) {
        cg_wire_upgrade(ex, ret_unread);
    }
    return fd;
}
