/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/conn/accept.h"
#include "core/engine/conn/give.h"
#include "core/engine/conn/rest.h"
#include "core/engine/conn/room.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/loan/borrowed.h"
#include "core/engine/state.h"

/* ---- room for descriptors ---- */

/* Whether all that a message may bring would find numbers. The last one is
 * only wanted by a loan with a body in a file: the reserve may go for it. */
static bool
has_numbers(struct cg_engine *e)
{
    int fds[CG_MESSAGE_FDS], n = 0, fd = 0;
    while (n < CG_MESSAGE_FDS && fd >= 0) {
        fd = fcntl(e->watches.kick.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd >= 0) {
            fds[n++] = fd;
        }
    }
    int code = errno;
    bool spare = n == CG_MESSAGE_FDS - 1 && e->accept.reserve_fd >= 0;
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
    if (spare) {
        cg_fd_close(&e->accept.reserve_fd);
    }
    errno = code;
    return spare || n == CG_MESSAGE_FDS;
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
             strerror(code), e->conns.n);
    cg_tell_trouble(e, text);
    e->watches.queue_pause_us = e->now_us + PAUSE_US;
    cg_watch_queue(e, false);
    cg_watch_pass_on(e);
}

/* Where there is no room for a descriptor, the kernel drops it with the rest of
 * the message taken, and so a connection: nothing is asked for without room.
 * Idle connections go for it, as they do for new ones. */
static bool
has_room(struct cg_engine *e)
{
    if (e->now_us < e->watches.queue_pause_us) {
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

static bool
has_place(struct cg_engine *e)
{
    return e->conns.n < e->config->max_open || cg_room_make(e);
}

/* ---- what came ---- */

/* Another thread was faster than we: the number that has_room() saw is gone. */
static void
tell_lost(struct cg_engine *e, int fd)
{
    cg_tell_trouble(e, fd < 0 ? "A request of another worker is lost: Too "
                                "many open files"
                              : "A request of another worker has lost its "
                                "body: Too many open files");
}

/* A pipe or a device in its place would be waited for. */
static bool
is_file_of(int fd, uint64_t n)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size >= n;
}

/* What is taken out of the queue; descriptors that it has not got are -1. */
struct parcel {
    struct cg_message m;
    int fd; /* the connection; of a lent request, for the reply */
    int word_fd;
    int file_fd;
};

static int
count_fds(const int fds[CG_MESSAGE_FDS])
{
    int n = 0;
    while (n < CG_MESSAGE_FDS && fds[n] >= 0) {
        n++;
    }
    return n;
}

static const char *
unpack(struct cg_executor *x, const struct cg_handover_got *got,
       struct parcel *p)
{
    struct cg_engine *e = x->engine;
    const char *wrong = cg_message_decode(x->rbuf, got->n, count_fds(got->fds),
                                          (unsigned)e->accept.n, &p->m);
    if (wrong != NULL) {
        return wrong;
    }
    p->fd = got->fds[0];
    p->word_fd = p->m.lent ? got->fds[1] : -1;
    p->file_fd = p->m.has_file ? got->fds[1 + p->m.lent] : -1;
    return p->m.has_file && !is_file_of(p->file_fd, p->m.file_n)
               ? "its body is no file of that length"
               : NULL;
}

/* False: nothing was there, or nothing that we understand. */
static bool
take_message(struct cg_executor *x, struct parcel *p)
{
    struct cg_engine *e = x->engine;
    struct cg_handover_got got;
    char text[160];
    if (!cg_handover_receive(e->config->handover, x->rbuf, sizeof x->rbuf,
                             &got)) {
        return false;
    }
    if (got.lost) {
        tell_lost(e, got.fds[0]);
    }
    const char *wrong = unpack(x, &got, p);
    if (wrong != NULL && !got.lost) {
        snprintf(text, sizeof text,
                 "A connection that another worker handed over is closed: the "
                 "message is not understood: %s",
                 wrong);
        cg_tell_trouble(e, text);
    }
    for (int i = 0; wrong != NULL && i < CG_MESSAGE_FDS; i++) {
        cg_fd_close(&got.fds[i]);
    }
    return wrong == NULL;
}

static struct cg_conn *
conn_of(struct cg_engine *e, const struct parcel *p)
{
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(p->fd));
    c->requests = p->m.requests;
    c->listener = p->m.listener;
    c->told_https = p->m.told_https;
    return c;
}

static void
take_peer(struct cg_conn *c, const struct cg_peer *peer)
{
    c->peer = *peer;
    c->transport.movable = peer->proxied == 0;
}

/* False: it is gone. A keeper does not know whose it is. */
static bool
describe(const struct cg_engine *e, struct cg_conn *c,
         const struct cg_message *m)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t n = sizeof sa;
    if (getpeername(c->transport.fd, (struct sockaddr *)&sa, &n) < 0) {
        return false;
    }
    cg_conn_describe(e, c, &sa);
    if (m->peer.family != AF_UNSPEC) {
        take_peer(c, &m->peer);
    }
    if (m->requests > 0) {
        c->preamble = c->may_announce = false;
    }
    return true;
}

/* One that waits for a request, its first or its next. */
static enum cg_adopted
adopt_waiting(struct cg_engine *e, const struct parcel *p,
              struct cg_adoption *a)
{
    const struct cg_message *m = &p->m;
    bool place = has_place(e) && (m->requests == 0 || cg_room_is_left(e));
    a->conn = conn_of(e, p);
    if (!describe(e, a->conn, m) || !place) {
        cg_conn_close(e, a->conn);
        return CG_ADOPTED_DONE;
    }
    if (m->requests == 0) {
        return CG_ADOPTED_FRESH;
    }
    cg_conn_count(e, a->conn);
    cg_room_bound(e);
    cg_conn_idle(e, a->conn);
    return CG_ADOPTED_DONE;
}

/* A body that is a file counts here as if it had come here. */
static enum cg_adopted
adopt_file(struct cg_executor *x, struct cg_conn *c, const struct parcel *p,
           struct cg_adoption *a)
{
    const struct cg_message *m = &p->m;
    struct cg_engine *e = x->engine;
    struct cg_error err = {0};
    struct cg_intake *i = c->stream.intake = cg_intake_new();
    const struct cg_body body = {
        .n = m->file_n, .fd = p->file_fd, .trailers = m->trailers};
    if (cg_intake_adopt(i, &e->config->intake, &x->req, m->head.p, body, &err) <
        0) {
        cg_refuse_fault(e, c, &err);
        return CG_ADOPTED_DONE;
    }
    a->arrival = (struct cg_arrival){
        .req = &i->req, .base = i->head.p, .body = cg_intake_body(i)};
    return CG_ADOPTED_REQUEST;
}

static struct cg_conn *
conn_with_request(struct cg_engine *e, const struct parcel *p)
{
    const struct cg_message *m = &p->m;
    struct cg_conn *c = conn_of(e, p);
    c->stream.state = STREAM_READY; /* it has waited longer than ours */
    c->stream.ready_us = m->ready_us;
    cg_conn_count(e, c);
    cg_room_bound(e);
    take_peer(c, &m->peer);
    if (m->lent) {
        cg_borrow(c, p->word_fd, m);
    }
    cg_rest_put(e, c, m->rest.p, m->rest.n);
    return c;
}

static bool
read_head(struct cg_executor *x, const struct cg_conn *c,
          const struct cg_message *m)
{
    cg_request_reset(&x->req);
    if (cg_head_read(&x->req, x->engine->config->intake.head, c->peer.trusted,
                     m->head.p, m->head.n) != CG_HEAD_DONE) {
        return false;
    }
    if (m->is_h2) {
        cg_request_drop_coding(&x->req);
    }
    if (m->told_https) {
        x->req.scheme = CG_SCHEME_HTTPS;
    }
    return true;
}

static enum cg_adopted
adopt_request(struct cg_executor *x, struct parcel *p, struct cg_adoption *a)
{
    const struct cg_message *m = &p->m;
    struct cg_conn *c = a->conn = conn_with_request(x->engine, p);
    if (!read_head(x, c, m)) {
        cg_fd_close(&p->file_fd);
        cg_refuse(x->engine, c, &x->req, m->head.p);
        return CG_ADOPTED_DONE;
    }
    if (m->has_file) {
        return adopt_file(x, c, p, a);
    }
    a->arrival = (struct cg_arrival){
        .req = &x->req,
        .base = m->head.p,
        .body = {
            .p = m->body.p, .n = m->body.n, .fd = -1, .trailers = m->trailers}};
    return CG_ADOPTED_REQUEST;
}

enum cg_adopted
cg_adopt(struct cg_executor *x, struct cg_adoption *a)
{
    struct cg_engine *e = x->engine;
    struct parcel p;
    CG_HAS_BATON(e);
    if (e->config->handover == NULL || !cg_may_run(e) || !has_room(e)) {
        return CG_ADOPTED_NONE;
    }
    bool taken = take_message(x, &p);
    if (__builtin_expect(e->accept.reserve_fd < 0, 0)) {
        cg_accept_reserve(e);
    }
    if (!taken) {
        return CG_ADOPTED_NONE;
    }
    atomic_fetch_add_explicit(&e->slot->adopted, 1, memory_order_relaxed);
    e->harvest.local_due = true;
    return p.m.head.n == 0 ? adopt_waiting(e, &p, a) : adopt_request(x, &p, a);
}
