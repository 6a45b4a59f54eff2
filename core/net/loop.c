/* SPDX-License-Identifier: MIT */
#include "core/net/loop.h"

#include <errno.h>
#include <stddef.h>

#include "core/base/fd.h"

int
cg_loop_init(struct cg_loop *l)
{
    l->fd = epoll_create1(EPOLL_CLOEXEC);
    return l->fd < 0 ? -errno : 0;
}

void
cg_loop_release(struct cg_loop *l)
{
    cg_fd_close(&l->fd);
}

static int
control(struct cg_loop *l, int op, int fd, unsigned events, void *ptr)
{
    struct epoll_event e = {.events = events, .data.ptr = ptr};
    return epoll_ctl(l->fd, op, fd, &e) < 0 ? -errno : 0;
}

int
cg_loop_add(struct cg_loop *l, int fd, unsigned events, void *ptr)
{
    return control(l, EPOLL_CTL_ADD, fd, events, ptr);
}

int
cg_loop_change(struct cg_loop *l, int fd, unsigned events, void *ptr)
{
    return control(l, EPOLL_CTL_MOD, fd, events, ptr);
}

void
cg_loop_remove(struct cg_loop *l, int fd)
{
    control(l, EPOLL_CTL_DEL, fd, 0, NULL);
}
