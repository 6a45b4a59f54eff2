/* SPDX-License-Identifier: MIT */
/*
 * Event loop: the seam between the engine and the kernel's readiness
 * interface. Level-triggered. Here it is epoll; another system gives the same
 * five functions. A pointer is registered with each descriptor and comes back
 * with its events.
 */
#ifndef CG_NET_LOOP_H
#define CG_NET_LOOP_H

#include <sys/epoll.h>

enum {
    CG_LOOP_READ = EPOLLIN,
    CG_LOOP_WRITE = EPOLLOUT,
    CG_LOOP_END = EPOLLRDHUP, /* the peer closed its side */
    /* one waiter of many is woken; add and remove only, no change */
    CG_LOOP_EXCLUSIVE = EPOLLEXCLUSIVE
};

struct cg_loop {
    int fd; /* pollable: readable when an event waits */
};

typedef struct epoll_event cg_loop_event; /* .events, .data.ptr */

/* 0 or -errno. */
int cg_loop_init(struct cg_loop *l);
void cg_loop_release(struct cg_loop *l);
int cg_loop_add(struct cg_loop *l, int fd, unsigned events, void *ptr);
int cg_loop_change(struct cg_loop *l, int fd, unsigned events, void *ptr);
/* Before every close: a duplicate of the descriptor (a message in flight, a
 * forked child) would keep the registration alive. */
void cg_loop_remove(struct cg_loop *l, int fd);

/* Number of events, 0 on timeout or signal. timeout_ms < 0 waits for ever. */
static inline int
cg_loop_wait(struct cg_loop *l, cg_loop_event *events, int max, int timeout_ms)
{
    int n = epoll_wait(l->fd, events, max, timeout_ms);
    return n < 0 ? 0 : n;
}

#endif
