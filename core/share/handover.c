/* SPDX-License-Identifier: MIT */
#include "core/share/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/hurry.h"

/* Room for thousands of small requests; the kernel cuts it to what it allows
 * an unprivileged user. */
enum { QUEUE_BYTES = 4 << 20 };

static void
widen(int fd)
{
    int n = QUEUE_BYTES;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &n, sizeof n) < 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
    }
}

static int
copy_or_make(int event_fd)
{
    return event_fd >= 0 ? fcntl(event_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                         : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

int
cg_handover_new(struct cg_handover *h, int bell_fd, struct cg_error *err)
{
    int pair[2];
    *h = CG_HANDOVER_NONE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   pair) < 0) {
        return cg_error_set(err, errno, "cannot make the workers' queue: %s",
                            strerror(errno));
    }
    h->write_fd = pair[0];
    h->read_fd = pair[1];
    widen(h->write_fd);
    h->poke_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    h->bell_fd = h->poke_fd < 0 ? -1 : copy_or_make(bell_fd);
    if (h->bell_fd < 0) {
        int e = errno;
        cg_handover_release(h);
        return cg_error_set(err, e, "cannot make an event descriptor: %s",
                            strerror(e));
    }
    return 0;
}

void
cg_handover_release(struct cg_handover *h)
{
    cg_hurry_close(&h->read_fd); /* and what lies in the queue */
    cg_hurry_close(&h->write_fd);
    cg_fd_close(&h->poke_fd);
    cg_fd_close(&h->bell_fd);
}

static void
signal_event(int fd)
{
    uint64_t one = 1;
    if (fd >= 0) {
        ssize_t ignored = write(fd, &one, sizeof one);
        (void)ignored;
    }
}

void
cg_handover_poke(const struct cg_handover *h)
{
    signal_event(h->poke_fd);
}

void
cg_handover_ring(const struct cg_handover *h)
{
    signal_event(h->bell_fd);
}

/* ---- messages ---- */

/* Room for a message's descriptors, aligned as the kernel wants it. */
union control {
    char bytes[CMSG_SPACE(CG_MESSAGE_FDS * sizeof(int))];
    struct cmsghdr align;
};

int
cg_handover_send(const struct cg_handover *h, const struct cg_message *m,
                 const int *fds, int nfds)
{
    struct cg_message_header header;
    struct iovec parts[CG_MESSAGE_PARTS];
    union control control;
    cg_message_encode(m, &header, parts);
    memset(&control, 0, sizeof control);
    size_t space = (size_t)nfds * sizeof(int);
    struct msghdr msg = {.msg_iov = parts,
                         .msg_iovlen = CG_MESSAGE_PARTS,
                         .msg_control = &control,
                         .msg_controllen = CMSG_SPACE(space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(space);
    memcpy(CMSG_DATA(c), fds, space);
    return sendmsg(h->write_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
                                                                       : 0;
}

static void
take_descriptors(struct msghdr *m, int fds[CG_MESSAGE_FDS])
{
    enum { MOST = CG_MESSAGE_FDS * sizeof(int) };
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
         c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t n = c->cmsg_len - CMSG_LEN(0);
            memcpy(fds, CMSG_DATA(c), n < MOST ? n : MOST);
        }
    }
    for (int i = 0; i < CG_MESSAGE_FDS; i++) {
        fds[i] = cg_fd_above_stdio(fds[i]);
    }
}

bool
cg_handover_receive(const struct cg_handover *h, char *p, size_t room,
                    struct cg_handover_got *ret_got)
{
    union control control;
    struct iovec part = {p, room};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         /* not as the space is rounded: one more would
                          * arrive, and nobody close it */
                         .msg_controllen =
                             CMSG_LEN(CG_MESSAGE_FDS * sizeof(int))};
    ssize_t n = recvmsg(h->read_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return false;
    }
    *ret_got =
        (struct cg_handover_got){.n = (size_t)n,
                                 .fds = {-1, -1, -1},
                                 .lost = (msg.msg_flags & MSG_CTRUNC) != 0};
    take_descriptors(&msg, ret_got->fds);
    return true;
}
