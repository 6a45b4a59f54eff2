/* SPDX-License-Identifier: MIT */
/*
 * Giving a connection with its complete request to the shared queue, and
 * adopting one from it. The message has the head's raw bytes, the body (decoded
 * already, in a file when it is large) and what was pipelined behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/internal.h"

enum {
    MAGIC = 0x63676831, /* "cgh1" */
    /* what fits besides into the adopter's read buffer */
    MESSAGE_MAX = 48 * 1024,
    /* a larger body travels as a file */
    INLINE_BODY = 16 * 1024
};

struct message {
    uint32_t magic;
    /* bytes that follow, in this order; head_n is 0 for a connection that
     * waits for a request, and has lost its worker */
    uint32_t head_n, body_n, trailers_n, rest_n;
    uint64_t file_n; /* body in the second descriptor */
    uint64_t ready_us;
    uint32_t requests;
    uint8_t listener;
    uint8_t has_file;
    struct cg_peer peer;
};

/* Room for two descriptors, aligned as the kernel wants it. */
union control {
    char bytes[CMSG_SPACE(2 * sizeof(int))];
    struct cmsghdr align;
};

#define RELAXED memory_order_relaxed

/* ---- giving ---- */

static bool
write_whole(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w <= 0) {
            return false;
        }
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* The body as a file that another process can read, or -1. */
static int
body_file(const struct cg_body *body)
{
    if (body->p == NULL) {
        return fcntl(body->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    int fd = memfd_create("cgunicorn-body", MFD_CLOEXEC);
    if (fd >= 0 && !write_whole(fd, body->p, (size_t)body->n)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Allocates nothing, and takes no lock: the keeper does this, too. */
static int
send_message(const struct cg_handover *h, struct iovec *parts, int count,
             const int *fds, int nfds)
{
    union control control;
    memset(&control, 0, sizeof control);
    size_t space = (size_t)nfds * sizeof(int);
    struct msghdr m = {.msg_iov = parts,
                       .msg_iovlen = (size_t)count,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(space);
    memcpy(CMSG_DATA(c), fds, space);
    return sendmsg(h->write_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
                                                                     : 0;
}

static int
give(struct cg_engine *e, struct cg_conn *c, struct cg_slice head,
     const struct cg_body *body, int file)
{
    size_t rest = c->rest.n - c->rest_at;
    struct message m = {
        .magic = MAGIC,
        .head_n = (uint32_t)head.n,
        .body_n = file < 0 ? (uint32_t)body->n : 0,
        .trailers_n = (uint32_t)body->trailers.n,
        .rest_n = (uint32_t)rest,
        .file_n = file < 0 ? 0 : body->n,
        .ready_us = c->ready_us,
        .requests = c->requests,
        .listener = c->listener,
        .has_file = file >= 0,
        .peer = c->peer,
    };
    struct iovec parts[5] = {
        {&m, sizeof m},
        {(void *)(size_t)head.p, head.n},
        {(void *)(size_t)body->p, m.body_n},
        {(void *)(size_t)body->trailers.p, body->trailers.n},
        {c->rest.p != NULL ? c->rest.p + c->rest_at : NULL, rest}};
    int fds[2] = {c->transport.fd, file};
    return send_message(e->config->handover, parts, 5, fds, file < 0 ? 1 : 2);
}

int
cg_give_idle(const struct cg_handover *h, int fd, uint8_t listener,
             bool answered)
{
    struct message m = {
        .magic = MAGIC, .requests = answered, .listener = listener};
    struct iovec part = {&m, sizeof m};
    return send_message(h, &part, 1, &fd, 1);
}

/* The same by its own worker, which knows its client's address. */
static bool
give_waiting(struct cg_engine *e, struct cg_conn *c)
{
    struct message m = {.magic = MAGIC,
                        .requests = c->requests,
                        .listener = c->listener,
                        .peer = c->peer};
    struct iovec part = {&m, sizeof m};
    if (send_message(e->config->handover, &part, 1, &c->transport.fd, 1) < 0) {
        return false;
    }
    cg_conn_forget(e, c);
    return true;
}

static void
give_list(struct cg_engine *e, enum cg_deadline_list list)
{
    struct cg_deadline *d = cg_deadlines_oldest(&e->deadlines, list);
    while (d != NULL) {
        struct cg_conn *c = cg_conn_of(d);
        d = cg_deadlines_next(&e->deadlines, d);
        if ((c->state == CONN_IDLE || c->state == CONN_FRESH) &&
            cg_transport_is_plain(&c->transport) && !give_waiting(e, c)) {
            return;
        }
    }
}

void
cg_give_waiting(struct cg_engine *e)
{
    if (e->config->handover != NULL &&
        atomic_load(&e->board->head->draining) == 0) {
        give_list(e, DEADLINE_KEEP);
        give_list(e, DEADLINE_FIRST);
    }
}

/* Another worker of our generation that serves; `idle`: has nothing to do. */
static bool
has_sibling(const struct cg_engine *e, bool idle)
{
    uint32_t used = atomic_load_explicit(&e->board->head->used, RELAXED);
    uint32_t ours = atomic_load_explicit(&e->slot->generation, RELAXED);
    for (uint32_t i = 0; i < used; i++) {
        const struct cg_slot *s = cg_board_view(e->board, i);
        uint32_t state = atomic_load_explicit(&s->state, RELAXED);
        if (i != e->slot_number &&
            (state == CG_WORKER_IDLE || (!idle && state == CG_WORKER_BUSY)) &&
            atomic_load_explicit(&s->generation, RELAXED) == ours) {
            return true;
        }
    }
    return false;
}

bool
cg_may_give(const struct cg_engine *e)
{
    return e->config->handover != NULL && !e->stopping &&
           !atomic_load_explicit(&e->stop_wanted, RELAXED) &&
           has_sibling(e, false);
}

bool
cg_sibling_serves(const struct cg_engine *e)
{
    return e->config->handover != NULL && has_sibling(e, false);
}

bool
cg_queue_waits(const struct cg_engine *e)
{
    const struct cg_handover *h = e->config->handover;
    struct pollfd p = {.fd = h != NULL ? h->read_fd : -1, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

bool
cg_sibling_idle(const struct cg_engine *e)
{
    return e->config->handover != NULL && has_sibling(e, true);
}

bool
cg_give(struct cg_engine *e, struct cg_conn *c, struct cg_slice head,
        const struct cg_body *body)
{
    bool large = body->p == NULL || body->n > INLINE_BODY;
    size_t rest = c->rest.n - c->rest_at;
    if (!cg_transport_is_plain(&c->transport) ||
        head.n + (large ? 0 : body->n) + body->trailers.n + rest >
            MESSAGE_MAX) {
        return false;
    }
    cg_auto(fd_close) int file = large && body->n > 0 ? body_file(body) : -1;
    struct cg_body none = {.p = "", .fd = -1, .trailers = body->trailers};
    if (large && body->n > 0 && file < 0) {
        return false;
    }
    if (give(e, c, head, large && body->n == 0 ? &none : body, file) < 0) {
        atomic_fetch_add_explicit(&e->slot->queue_full, 1, RELAXED);
        return false;
    }
    atomic_fetch_add_explicit(&e->slot->given, 1, RELAXED);
    cg_conn_forget(e, c);
    return true;
}

/* ---- room for descriptors ---- */

/* Whether a connection and a body's file would find numbers. */
static bool
has_numbers(const struct cg_engine *e)
{
    cg_auto(fd_close) int one =
        fcntl(e->kick.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    cg_auto(fd_close) int two =
        one < 0 ? -1 : fcntl(e->kick.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return two >= 0;
}

/* Siblings, or we after a pause, take what waits. */
static void
leave_queue(struct cg_engine *e, int code)
{
    enum { PAUSE_US = 200 * 1000 };
    char text[160];
    snprintf(text, sizeof text,
             "Cannot take a request of another worker: %s (%d connections are "
             "open); it waits",
             strerror(code), e->nconns);
    cg_tell_trouble(e, text);
    e->adopt_pause_us = e->now_us + PAUSE_US;
    cg_attend(e, false);
    cg_pass_on(e);
}

/* Where there is no room for a descriptor, the kernel drops it with the rest of
 * the message taken, and so a connection: nothing is asked for without room.
 * Idle connections go for it, as they do for new ones. */
static bool
has_room(struct cg_engine *e)
{
    if (e->now_us < e->adopt_pause_us) {
        return false;
    }
    while (!has_numbers(e)) {
        int code = errno;
        if (!cg_queue_waits(e)) {
            return false;
        }
        if (!cg_room_make(e)) {
            leave_queue(e, code);
            return false;
        }
    }
    return true;
}

/* ---- adopting ---- */

static void
take_descriptors(struct msghdr *m, int fds[2])
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
         c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t n = c->cmsg_len - CMSG_LEN(0);
            memcpy(fds, CMSG_DATA(c),
                   n < 2 * sizeof(int) ? n : 2 * sizeof(int));
        }
    }
    fds[0] = cg_fd_above_stdio(fds[0]);
    fds[1] = cg_fd_above_stdio(fds[1]);
}

/* Another thread was faster than we: the number that has_room() saw is gone. */
static void
tell_lost(struct cg_engine *e, int fd)
{
    cg_tell_trouble(e, fd < 0 ? "A request of another worker is lost: Too "
                                "many open files"
                              : "A request of another worker has lost its "
                                "body: Too many open files");
}

/* Number of bytes behind the header, or -1: nothing (whole) was there. */
static ssize_t
receive_message(struct cg_executor *x, struct message *m, int fds[2])
{
    union control control;
    struct iovec parts[2] = {{m, sizeof *m}, {x->rbuf, sizeof x->rbuf}};
    struct msghdr msg = {.msg_iov = parts,
                         .msg_iovlen = 2,
                         .msg_control = &control,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(x->engine->config->handover->read_fd, &msg,
                        MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return -1;
    }
    take_descriptors(&msg, fds);
    if ((msg.msg_flags & MSG_CTRUNC) != 0) {
        tell_lost(x->engine, fds[0]);
    }
    n -= (ssize_t)sizeof *m;
    bool whole =
        n >= 0 && m->magic == MAGIC && fds[0] >= 0 &&
        (!m->has_file || fds[1] >= 0) &&
        (size_t)n == (size_t)m->head_n + m->body_n + m->trailers_n + m->rest_n;
    if (!whole) {
        cg_fd_close(&fds[0]);
        cg_fd_close(&fds[1]);
        return -1;
    }
    return n;
}

static struct cg_conn *
conn_of(struct cg_engine *e, const struct message *m, int fd, const char *p)
{
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(fd));
    c->state = CONN_READY; /* it has waited longer than ours */
    c->ready_us = m->ready_us;
    c->requests = m->requests;
    c->listener = m->listener;
    c->peer = m->peer;
    c->transport.movable = m->peer.proxied == 0;
    cg_buf_put(&c->rest, p + m->head_n + m->body_n + m->trailers_n, m->rest_n);
    return c;
}

static bool
has_place(struct cg_engine *e)
{
    return e->nconns < e->config->max_connections || cg_room_make(e);
}

/* False: it is gone. A keeper does not know whose it is. */
static bool
describe(const struct cg_engine *e, struct cg_conn *c, const struct message *m)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof sa;
    if (getpeername(c->transport.fd, (struct sockaddr *)&sa, &n) < 0) {
        return false;
    }
    cg_accept_describe(e, c, &sa);
    if (m->peer.family != AF_UNSPEC) {
        c->peer = m->peer;
        c->transport.movable = m->peer.proxied == 0;
    }
    if (m->requests > 0) {
        c->preamble = c->may_announce = false;
    }
    return true;
}

/* One that waits for a request, its first or its next. */
static void
adopt_idle(struct cg_executor *x, const struct message *m, int fd)
{
    struct cg_engine *e = x->engine;
    bool place = has_place(e);
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(fd));
    c->requests = m->requests;
    c->listener = m->listener;
    if (!describe(e, c, m) || !place) {
        cg_conn_close(e, c);
    } else if (m->requests == 0) {
        cg_receive(x, c);
    } else {
        cg_rest(e, c);
    }
}

bool
cg_adopt(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    struct message m;
    int fds[2] = {-1, -1};
    if (e->config->handover == NULL || !cg_may_run(e) || !has_room(e) ||
        receive_message(x, &m, fds) < 0) {
        return false;
    }
    cg_auto(fd_close) int file = fds[1];
    atomic_fetch_add_explicit(&e->slot->adopted, 1, RELAXED);
    e->local_due = true;
    if (m.head_n == 0) {
        adopt_idle(x, &m, fds[0]);
        return true;
    }
    struct cg_conn *c = conn_of(e, &m, fds[0], x->rbuf);
    cg_request_reset(&x->req);
    if (cg_head_read(&x->req, e->config->intake.head, c->peer.trusted, x->rbuf,
                     m.head_n) != CG_HEAD_DONE) {
        cg_refuse(e, c, &x->req, x->rbuf);
        return true;
    }
    struct cg_body body = {.p = x->rbuf + m.head_n, .n = m.body_n, .fd = -1};
    if (m.has_file) {
        body = (struct cg_body){.n = m.file_n, .fd = file};
    }
    body.trailers =
        (struct cg_slice){x->rbuf + m.head_n + m.body_n, m.trailers_n};
    cg_serve(x, c, &x->req, x->rbuf, body, NULL);
    return true;
}
