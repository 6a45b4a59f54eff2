/* SPDX-License-Identifier: MIT */
/*
 * A transport that is not plain: each byte is changed by its place in the
 * stream. What a full socket does not take stays with it, changed already, so
 * it insists, as TLS does, on being offered the same bytes again.
 */
#ifndef TESTS_UNIT_NET_MASK_H
#define TESTS_UNIT_NET_MASK_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/net/transport.h"

enum { MASK_SEALED = 16 * 1024 };

struct mask {
    struct cg_transport_state state; /* first */
    uint64_t in, out;                /* bytes so far */
    char plain[MASK_SEALED], sealed[MASK_SEALED];
    size_t sealed_n, sealed_at; /* what a full socket holds up */
};

static _Atomic int mask_made, mask_released, mask_ended;

static inline void
mask_bytes(char *p, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)(p[i] ^ (char)((at + i) * 37 + 11));
    }
}

static inline ssize_t
mask_receive(struct cg_transport *t, void *p, size_t room)
{
    struct mask *m = (struct mask *)(void *)t->state;
    if (room < CG_TRANSPORT_ROOM) {
        abort();
    }
    ssize_t n = recv(t->fd, p, room, MSG_DONTWAIT);
    if (n < 0) {
        return cg_transport_not_now();
    }
    mask_bytes(p, (size_t)n, m->in);
    m->in += (uint64_t)n;
    return n;
}

/* Up to as many bytes of the parts as can be sealed at once. */
static inline size_t
mask_gather(const struct iovec *parts, int count, char *to)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        size_t left = MASK_SEALED - n;
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        if (part > 0) {
            memcpy(to + n, parts[i].iov_base, part);
        }
        n += part;
    }
    return n;
}

static inline ssize_t
mask_send(struct cg_transport *t, const struct iovec *parts, int count,
          bool more)
{
    struct mask *m = (struct mask *)(void *)t->state;
    static _Thread_local char offered[MASK_SEALED];
    size_t n = mask_gather(parts, count, offered);
    if (m->sealed_n > 0) {
        if (n < m->sealed_n || memcmp(offered, m->plain, m->sealed_n) != 0) {
            abort(); /* not what it began to send */
        }
    } else {
        memcpy(m->plain, offered, n);
        memcpy(m->sealed, offered, n);
        mask_bytes(m->sealed, n, m->out);
        m->out += n;
        m->sealed_n = n;
        m->sealed_at = 0;
    }
    while (m->sealed_at < m->sealed_n) {
        ssize_t sent =
            send(t->fd, m->sealed + m->sealed_at, m->sealed_n - m->sealed_at,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return cg_transport_not_now() == -EAGAIN ? 0 : -errno;
        }
        m->sealed_at += (size_t)sent;
    }
    n = m->sealed_n;
    m->sealed_n = 0;
    return (ssize_t)n;
}

static inline void
mask_say_end(struct cg_transport *t)
{
    atomic_fetch_add(&mask_ended, 1);
}

static inline void
mask_release(struct cg_transport *t)
{
    atomic_fetch_add(&mask_released, 1);
    free(t->state);
}

static inline struct cg_transport_state *
mask_make(const struct cg_transport_maker *maker, int listener)
{
    static const struct cg_transport_kind kind = {
        .receive = mask_receive,
        .send = mask_send,
        .say_end = mask_say_end,
        .release = mask_release,
    };
    struct mask *m = cg_calloc(1, sizeof *m);
    m->state.kind = &kind;
    atomic_fetch_add(&mask_made, 1);
    return &m->state;
}

static const struct cg_transport_maker mask_maker = {.make = mask_make};

#endif
