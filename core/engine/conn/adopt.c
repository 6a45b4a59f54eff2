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
#include "core/engine/conn/give.h"
#include "core/engine/conn/rest.h"
#include "core/engine/conn/room.h"
#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"

/* ---- room for descriptors ---- */

/* Whether a connection and a body's file would find numbers. */
static bool
has_numbers(const struct cg_engine *e)
{
    cg_auto(fd_close) int one =
        fcntl(e->watches.kick.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    cg_auto(fd_close) int two =
        one < 0 ? -1
                : fcntl(e->watches.kick.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
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

/* False: nothing was there, or nothing that we understand. */
static bool
take_message(struct cg_executor *x, struct cg_message *m, int fds[2])
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
    const char *wrong =
        cg_message_decode(x->rbuf, got.n, (got.fds[0] >= 0) + (got.fds[1] >= 0),
                          (unsigned)e->accept.n, m);
    if (wrong == NULL && m->has_file && !is_file_of(got.fds[1], m->file_n)) {
        wrong = "its body is no file of that length";
    }
    if (wrong != NULL && !got.lost) {
        snprintf(text, sizeof text,
                 "A connection that another worker handed over is closed: the "
                 "message is not understood: %s",
                 wrong);
        cg_tell_trouble(e, text);
    }
    if (wrong != NULL) {
        cg_fd_close(&got.fds[0]);
        cg_fd_close(&got.fds[1]);
        return false;
    }
    fds[0] = got.fds[0];
    fds[1] = got.fds[1];
    return true;
}

static struct cg_conn *
conn_of(struct cg_engine *e, const struct cg_message *m, int fd)
{
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(fd));
    c->requests = m->requests;
    c->listener = m->listener;
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
adopt_waiting(struct cg_engine *e, const struct cg_message *m, int fd,
              struct cg_adoption *a)
{
    bool place = has_place(e) && (m->requests == 0 || cg_room_is_left(e));
    a->conn = conn_of(e, m, fd);
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
adopt_file(struct cg_executor *x, struct cg_conn *c, const struct cg_message *m,
           int file, struct cg_adoption *a)
{
    struct cg_engine *e = x->engine;
    struct cg_error err = {0};
    struct cg_intake *i = c->stream.intake = cg_intake_new();
    const struct cg_body body = {
        .n = m->file_n, .fd = file, .trailers = m->trailers};
    if (cg_intake_adopt(i, &e->config->intake, &x->req, m->head.p, body, &err) <
        0) {
        cg_refuse_fault(e, c, &err);
        return CG_ADOPTED_DONE;
    }
    a->arrival = (struct cg_arrival){
        .req = &i->req, .base = i->head.p, .body = cg_intake_body(i)};
    return CG_ADOPTED_REQUEST;
}

static enum cg_adopted
adopt_request(struct cg_executor *x, const struct cg_message *m, int fds[2],
              struct cg_adoption *a)
{
    struct cg_engine *e = x->engine;
    struct cg_conn *c = conn_of(e, m, fds[0]);
    a->conn = c;
    c->stream.state = STREAM_READY; /* it has waited longer than ours */
    c->stream.ready_us = m->ready_us;
    cg_conn_count(e, c);
    cg_room_bound(e);
    take_peer(c, &m->peer);
    cg_rest_put(e, c, m->rest.p, m->rest.n);
    cg_request_reset(&x->req);
    if (cg_head_read(&x->req, e->config->intake.head, c->peer.trusted,
                     m->head.p, m->head.n) != CG_HEAD_DONE) {
        cg_fd_close(&fds[1]);
        cg_refuse(e, c, &x->req, m->head.p);
        return CG_ADOPTED_DONE;
    }
    if (m->has_file) {
        return adopt_file(x, c, m, fds[1], a);
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
    struct cg_message m;
    int fds[2] = {-1, -1};
    CG_HAS_BATON(e);
    if (e->config->handover == NULL || !cg_may_run(e) || !has_room(e) ||
        !take_message(x, &m, fds)) {
        return CG_ADOPTED_NONE;
    }
    atomic_fetch_add_explicit(&e->slot->adopted, 1, memory_order_relaxed);
    e->harvest.local_due = true;
    return m.head.n == 0 ? adopt_waiting(e, &m, fds[0], a)
                         : adopt_request(x, &m, fds, a);
}
