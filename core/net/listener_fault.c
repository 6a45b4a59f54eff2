/* SPDX-License-Identifier: MIT */
#include "core/net/listener_fault.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>

static bool
is_tcp(const struct cg_listener *l)
{
    return l->family == AF_INET || l->family == AF_INET6;
}

/* TCP leaves the state LISTEN; a unix socket stays in it and hangs up. */
static bool
is_shut(const struct cg_listener *l)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};
    return (getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 &&
            !listens) ||
           (poll(&p, 1, 0) == 1 &&
            (p.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0);
}

/* The kernel says how long the filter is; one of another kind it keeps to
 * itself (EACCES). */
static bool
is_filtered(const struct cg_listener *l)
{
    socklen_t n = 0;
    int r = getsockopt(l->fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n);
    return r < 0 ? errno == EACCES : n > 0;
}

enum cg_listener_fault
cg_listener_examine(const struct cg_listener *l)
{
    if (is_shut(l)) {
        return CG_LISTENER_SHUT;
    }
    if (!is_tcp(l) || l->adopted) { /* whoever gave it may have had reasons */
        return CG_LISTENER_WELL;
    }
    if (is_filtered(l)) {
        return CG_LISTENER_FILTERED;
    }
    return cg_listener_backlog(l->fd) < l->backlog ? CG_LISTENER_SHORTENED
                                                   : CG_LISTENER_WELL;
}

/* A port that the kernel chose was given back with the shutdown; any other
 * stays bound, and a second bind() is EINVAL. */
static int
bind_again(const struct cg_listener *l)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    connect(l->fd, &none, sizeof none); /* ends a connection of its own */
    return bind(l->fd, (const struct sockaddr *)&l->name, l->name_n) < 0 &&
                   errno != EINVAL
               ? -errno
               : 0;
}

static int
listen_again(const struct cg_listener *l)
{
    return listen(l->fd, l->backlog) < 0 ? -errno : 0;
}

int
cg_listener_mend(const struct cg_listener *l, enum cg_listener_fault fault)
{
    int r = 0;
    switch (fault) {
    case CG_LISTENER_WELL: break;
    case CG_LISTENER_SHUT:
        r = is_tcp(l) ? bind_again(l) : -EOPNOTSUPP;
        r = r == 0 ? listen_again(l) : r;
        break;
    case CG_LISTENER_FILTERED:
        r = setsockopt(l->fd, SOL_SOCKET, SO_DETACH_FILTER, &r, sizeof r) < 0
                ? -errno
                : 0;
        break;
    case CG_LISTENER_SHORTENED: r = listen_again(l); break;
    }
    return r;
}

bool
cg_listener_is_replaceable(const struct cg_listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->name;
    return !l->adopted && (l->family != AF_UNIX || un->sun_path[0] != '\0');
}
