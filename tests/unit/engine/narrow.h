/* SPDX-License-Identifier: MIT */
/*
 * A transport that takes little: five bytes of a send, and none of every second
 * one, as a socket does that is nearly full.
 */
#ifndef TESTS_UNIT_ENGINE_NARROW_H
#define TESTS_UNIT_ENGINE_NARROW_H

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/net/transport.h"

struct narrow {
    struct cg_transport_state state; /* first */
    bool full;
};

static inline ssize_t
narrow_receive(struct cg_transport *t, void *p, size_t room)
{
    ssize_t n = recv(t->fd, p, room, MSG_DONTWAIT);
    return n >= 0 ? n : cg_transport_not_now();
}

static inline ssize_t
narrow_send(struct cg_transport *t, const struct iovec *parts, int count,
            bool more)
{
    enum { MOST = 5 };
    struct narrow *m = (struct narrow *)(void *)t->state;
    m->full = !m->full;
    while (count > 0 && parts->iov_len == 0) {
        parts++;
        count--;
    }
    if (m->full || count == 0) {
        return 0;
    }
    ssize_t n =
        send(t->fd, parts->iov_base,
             parts->iov_len < MOST ? parts->iov_len : MOST, MSG_NOSIGNAL);
    return n >= 0 ? n : cg_transport_not_now();
}

static inline void
narrow_say_end(struct cg_transport *t)
{
}

static inline void
narrow_release(struct cg_transport *t)
{
    free(t->state);
}

static inline struct cg_transport_state *
narrow_make(const struct cg_transport_maker *maker, int listener)
{
    static const struct cg_transport_kind kind = {
        .receive = narrow_receive,
        .send = narrow_send,
        .say_end = narrow_say_end,
        .release = narrow_release,
    };
    struct narrow *m = cg_calloc(1, sizeof *m);
    m->state.kind = &kind;
    return &m->state;
}

static const struct cg_transport_maker narrow_maker = {.make = narrow_make};

#endif
