/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/give.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/state.h"

/* A larger body travels as a file. */
enum { INLINE_BODY = 16 * 1024 };

#define RELAXED memory_order_relaxed

/* ---- siblings ---- */

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
cg_queue_waits(const struct cg_engine *e)
{
    const struct cg_handover *h = e->config->handover;
    struct pollfd p = {.fd = h != NULL ? h->read_fd : -1, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* Nobody sees who leaves the shared queue, and it is first come, first served:
 * so while requests have to wait anyway only the next one of ours lies there,
 * for a sibling that is free before we are. */
static bool
is_hoarding(const struct cg_engine *e)
{
    bool chooses = e->overload.standing || e->config->max_queue_us != 0;
    return __builtin_expect(chooses, 0) && !has_sibling(e, true) &&
           cg_queue_waits(e);
}

bool
cg_may_give(const struct cg_engine *e)
{
    return e->config->handover != NULL && !e->stop.begun &&
           !atomic_load_explicit(&e->stop.wanted, RELAXED) &&
           has_sibling(e, false) && !is_hoarding(e) && !cg_is_held(e);
}

bool
cg_sibling_serves(const struct cg_engine *e)
{
    return e->config->handover != NULL && has_sibling(e, false);
}

bool
cg_sibling_idle(const struct cg_engine *e)
{
    return e->config->handover != NULL && has_sibling(e, true);
}

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
    /* can be sealed: so the others know that it is memory */
    int fd = memfd_create("cgunicorn-body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && !write_whole(fd, body->p, (size_t)body->n)) {
        close(fd);
        return -1;
    }
    return fd;
}

static struct cg_slice
rest_of(const struct cg_conn *c)
{
    return c->rest.p != NULL ? (struct cg_slice){c->rest.p + c->rest_at,
                                                 c->rest.n - c->rest_at}
                             : (struct cg_slice){NULL, 0};
}

static struct cg_message
message_of(const struct cg_conn *c)
{
    return (struct cg_message){.ready_us = c->stream.ready_us,
                               .requests = c->requests,
                               .listener = c->listener,
                               .told_https = c->told_https,
                               .peer = c->peer};
}

/* The connection is in the queue: everything of it here goes. */
static bool
send_off(struct cg_engine *e, struct cg_conn *c, const struct cg_message *m,
         int file)
{
    int fds[2] = {c->transport.fd, file};
    if (cg_handover_send(e->config->handover, m, fds, cg_message_fds(m)) < 0) {
        return false;
    }
    cg_conn_forget(e, c);
    return true;
}

/* Asked once a turn: hundreds of bodies may wait for that. */
static bool
is_queue_free(struct cg_engine *e)
{
    if (e->watches.queue_taken_us == e->now_us) {
        return false;
    }
    if (cg_queue_waits(e)) {
        e->watches.queue_taken_us = e->now_us;
        return false;
    }
    return true;
}

/* What stays with a connection that does not move stays here. */
static struct cg_message
request_message(const struct cg_conn *c, const struct cg_arrival *a)
{
    const struct cg_body *body = &a->body;
    bool large = body->p == NULL || body->n > INLINE_BODY;
    struct cg_message m = message_of(c);
    m.head = (struct cg_slice){a->base, a->req->head_n};
    m.trailers = body->trailers;
    m.has_file = large && body->n > 0;
    m.file_n = m.has_file ? body->n : 0;
    if (!large) {
        m.body = (struct cg_slice){body->p, (size_t)body->n};
    }
    if (cg_transport_is_plain(&c->transport)) {
        m.rest = rest_of(c);
    }
    return m;
}

/* What lies in the queue counts in nobody's budget: so a body that is a file
 * goes there only when nothing else does. */
bool
cg_give(struct cg_engine *e, struct cg_stream *s, const struct cg_arrival *a)
{
    struct cg_conn *c = s->conn;
    bool plain = cg_transport_is_plain(&c->transport);
    cg_auto(buf) struct cg_buf facts = {0};
    struct cg_message m = request_message(c, a);
    CG_HAS_BATON(e);
    if (!plain) {
        cg_loan_describe(c, &facts, &m);
    }
    if (c->rest_lost || !cg_outbox_is_empty(&s->outbox) ||
        (m.has_file && !is_queue_free(e)) ||
        cg_message_bytes(&m) > CG_MESSAGE_MOST) {
        return false;
    }
    cg_auto(fd_close) int file = m.has_file ? body_file(&a->body) : -1;
    if (m.has_file && file < 0) {
        return false;
    }
    bool sent = plain ? send_off(e, c, &m, file)
                      : cg_loan_begin(e, s, a->req, &m, file);
    if (!sent) {
        atomic_fetch_add_explicit(&e->slot->queue_full, 1, RELAXED);
        return false;
    }
    atomic_fetch_add_explicit(&e->slot->given, 1, RELAXED);
    return true;
}

/* One that waits, by its own worker, which knows its client's address. */
static bool
give_waiting(struct cg_engine *e, struct cg_conn *c)
{
    const struct cg_message m = message_of(c);
    return send_off(e, c, &m, -1);
}

static void
give_list(struct cg_engine *e, enum cg_deadline_list list)
{
    struct cg_deadline *d = cg_deadlines_oldest(&e->deadlines, list);
    while (d != NULL) {
        struct cg_conn *c = cg_stream_of(d)->conn;
        d = cg_deadlines_next(&e->deadlines, d);
        if ((c->stream.state == STREAM_IDLE ||
             c->stream.state == STREAM_FRESH) &&
            cg_transport_is_plain(&c->transport) && !give_waiting(e, c)) {
            return;
        }
    }
}

void
cg_give_waiting(struct cg_engine *e)
{
    CG_HAS_BATON(e);
    if (e->config->handover != NULL &&
        atomic_load(&e->board->head->draining) == 0) {
        give_list(e, DEADLINE_KEEP);
        give_list(e, DEADLINE_FIRST);
    }
}
