/* SPDX-License-Identifier: MIT */
#include "core/engine/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

enum { GATHER = 16, FILE_STEP = 1 << 20 };

static void
append(struct cg_outbox *o, struct cg_segment *s)
{
    s->next = NULL;
    if (o->last != NULL) {
        o->last->next = s;
    } else {
        o->first = s;
    }
    o->last = s;
    o->bytes += s->n;
}

void
cg_outbox_put(struct cg_outbox *o, const char *p, size_t n)
{
    if (n == 0) {
        return;
    }
    struct cg_segment *s = cg_malloc(sizeof *s + n);
    *s = (struct cg_segment){.n = n, .fd = -1};
    memcpy(s->copy, p, n);
    s->p = s->copy;
    append(o, s);
}

void
cg_outbox_hold(struct cg_outbox *o, const char *p, size_t n, void *keep)
{
    struct cg_segment *s = cg_malloc(sizeof *s);
    *s = (struct cg_segment){.p = p, .n = n, .keep = keep, .fd = -1};
    append(o, s);
}

int
cg_outbox_put_file(struct cg_outbox *o, int fd, off_t offset, size_t n)
{
    if (n == 0) {
        return 0; /* sendfile would tell the end of the file */
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        return -errno;
    }
    struct cg_segment *s = cg_malloc(sizeof *s);
    *s = (struct cg_segment){.n = n, .fd = copy, .offset = offset};
    append(o, s);
    return 0;
}

static void
discard_first(struct cg_outbox *o, struct cg_segment **dropped)
{
    struct cg_segment *s = o->first;
    o->first = s->next;
    if (o->first == NULL) {
        o->last = NULL;
    }
    o->bytes -= s->n;
    cg_fd_close(&s->fd);
    if (s->keep != NULL) {
        s->next = *dropped;
        *dropped = s;
    } else {
        free(s);
    }
}

void
cg_outbox_clear(struct cg_outbox *o, struct cg_segment **dropped)
{
    while (o->first != NULL) {
        discard_first(o, dropped);
    }
}

ssize_t
cg_socket_send(int socket, const struct iovec *parts, int count, bool more)
{
    int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
    ssize_t n;
    do {
        if (count == 1) {
            n = send(socket, parts[0].iov_base, parts[0].iov_len, flags);
        } else {
            struct msghdr m = {.msg_iov = (struct iovec *)(void *)parts,
                               .msg_iovlen = (size_t)count};
            n = sendmsg(socket, &m, flags);
        }
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
    }
    return n;
}

static void
consume(struct cg_outbox *o, size_t n, struct cg_segment **dropped)
{
    while (o->first != NULL && o->first->p != NULL && n >= o->first->n) {
        n -= o->first->n;
        discard_first(o, dropped);
    }
    if (n > 0) {
        o->first->p += n;
        o->first->n -= n;
        o->bytes -= n;
    }
}

static ssize_t
flush_memory(struct cg_outbox *o, int socket, struct cg_segment **dropped)
{
    struct iovec parts[GATHER];
    int count = 0;
    size_t wanted = 0;
    for (struct cg_segment *s = o->first;
         s != NULL && s->p != NULL && count < GATHER; s = s->next) {
        parts[count++] = (struct iovec){(void *)(size_t)s->p, s->n};
        wanted += s->n;
    }
    ssize_t n = wanted > 0 ? cg_socket_send(socket, parts, count, false) : 0;
    if (n >= 0) { /* parts without bytes go, too */
        consume(o, (size_t)n, dropped);
    }
    return n < 0 ? n : (size_t)n == wanted;
}

static ssize_t
flush_file(struct cg_outbox *o, int socket, struct cg_segment **dropped)
{
    struct cg_segment *s = o->first;
    size_t step = s->n < FILE_STEP ? s->n : FILE_STEP;
    ssize_t n = sendfile(socket, s->fd, &s->offset, step);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    if (n == 0) {
        return -ENODATA;
    }
    s->n -= (size_t)n;
    o->bytes -= (size_t)n;
    if (s->n == 0) {
        discard_first(o, dropped);
    }
    return 1;
}

int
cg_outbox_flush(struct cg_outbox *o, int socket, struct cg_segment **dropped)
{
    while (o->first != NULL) {
        ssize_t r = o->first->p != NULL ? flush_memory(o, socket, dropped)
                                        : flush_file(o, socket, dropped);
        if (r <= 0) {
            return (int)r;
        }
    }
    return 1;
}
