/* SPDX-License-Identifier: MIT */
#include "core/net/transport.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "core/base/fd.h"

static bool
has_no_descriptor(const struct cg_transport *t)
{
    return !cg_transport_is_plain(t) && t->state->kind->wait != NULL;
}

static int
domain_of(const struct cg_transport *t)
{
    int domain = AF_UNSPEC;
    socklen_t n = sizeof domain;
    getsockopt(t->fd, SOL_SOCKET, SO_DOMAIN, &domain, &n);
    return domain;
}

uint32_t
cg_transport_held(const struct cg_transport *t)
{
    int n = 0;
    if (has_no_descriptor(t)) {
        return t->state->kind->held(t);
    }
    return ioctl(t->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint32_t)n : 0;
}

ssize_t
cg_transport_send_plain(struct cg_transport *t, const struct iovec *parts,
                        int count, bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    ssize_t n;
    do {
        if (count == 1) {
            n = send(t->fd, parts[0].iov_base, parts[0].iov_len, flags);
        } else {
            struct msghdr m = {.msg_iov = (struct iovec *)(void *)parts,
                               .msg_iovlen = (size_t)count};
            n = sendmsg(t->fd, &m, flags);
        }
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
    }
    return n;
}

/* A kind that changes the bytes has to see them. */
static ssize_t
send_file_by_hand(struct cg_transport *t, int fd, off_t *offset, size_t n)
{
    enum { STEP = 64 * 1024 };
    char bytes[STEP];
    ssize_t got;
    do {
        got = pread(fd, bytes, n < STEP ? n : STEP, *offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return got < 0 ? -errno : -ENODATA;
    }
    struct iovec part = {bytes, (size_t)got};
    ssize_t sent = t->state->kind->send(t, &part, 1, (size_t)got < n);
    *offset += sent > 0 ? sent : 0;
    return sent;
}

/* A unix socket takes a megabyte of a file as one piece, and shows nothing of
 * how that is read until its last byte is. */
static size_t
file_step(const struct cg_transport *t, size_t n)
{
    enum { PIECE = 64 * 1024 };
    return n > PIECE && domain_of(t) == AF_UNIX ? PIECE : n;
}

ssize_t
cg_transport_send_file(struct cg_transport *t, int fd, off_t *offset, size_t n)
{
    if (!cg_transport_is_plain(t)) {
        return send_file_by_hand(t, fd, offset, n);
    }
    ssize_t sent;
    do {
        sent = sendfile(t->fd, fd, offset, file_step(t, n));
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EAGAIN ? 0 : -errno;
    }
    return sent == 0 ? -ENODATA : sent;
}

bool
cg_transport_wait(const struct cg_transport *t, short events, int ms)
{
    if (has_no_descriptor(t)) {
        return t->state->kind->wait(t, events, ms);
    }
    struct pollfd p = cg_transport_poll(t, events);
    return poll(&p, 1, ms) > 0;
}

bool
cg_transport_has_left(const struct cg_transport *t)
{
    if (has_no_descriptor(t)) {
        return t->state->kind->has_left(t);
    }
    struct pollfd p = cg_transport_poll(t, POLLRDHUP);
    return poll(&p, 1, 0) > 0;
}

/* False: there is no socket to do it to. */
static bool
shut_kind(struct cg_transport *t, int how)
{
    if (!has_no_descriptor(t)) {
        return false;
    }
    t->state->kind->shut(t, how);
    return true;
}

void
cg_transport_end(struct cg_transport *t)
{
    cg_transport_say_end(t);
    if (!has_no_descriptor(t)) {
        shutdown(t->fd, SHUT_WR);
    }
}

void
cg_transport_deafen(struct cg_transport *t)
{
    if (!shut_kind(t, SHUT_RD)) {
        shutdown(t->fd, SHUT_RD);
    }
}

void
cg_transport_cut(struct cg_transport *t)
{
    if (!shut_kind(t, SHUT_RDWR)) {
        shutdown(t->fd, SHUT_RDWR);
    }
}

void
cg_transport_reset(struct cg_transport *t)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (shut_kind(t, SHUT_RDWR)) {
        return;
    }
    if (domain_of(t) == AF_UNIX || connect(t->fd, &none, sizeof none) < 0) {
        cg_transport_cut(t);
    }
}

void
cg_transport_unblock(struct cg_transport *t)
{
    if (!has_no_descriptor(t)) {
        fcntl(t->fd, F_SETFL, O_RDWR | O_NONBLOCK);
    }
}

void
cg_transport_close(struct cg_transport *t)
{
    if (!cg_transport_is_plain(t)) {
        t->state->kind->release(t);
        t->state = NULL;
    }
    cg_fd_close(&t->fd);
}

uint64_t
cg_transport_silent_us(const struct cg_transport *t)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    return getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0
               ? (uint64_t)info.tcpi_last_data_recv * 1000
               : 0;
}
