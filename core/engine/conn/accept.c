/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/conn/give.h"
#include "core/engine/conn/room.h"
#include "core/engine/conn/shake.h"
#include "core/engine/http2/preface.h"
#include "core/engine/state.h"
#include "core/http/reply.h"

/* No room: how long the listeners rest when nobody can be closed. */
enum { PAUSE_US = 200 * 1000 };

/* Another master's workers are not on our board. */
static bool
is_shared(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->board->head->shared,
                                memory_order_relaxed) != 0;
}

/* A worker above the mean share goes to the end of the kernel's queue of
 * waiters; it never refuses, since a wake-up that nobody takes is lost. How
 * many another master's have is not known: with these, everybody takes turns.
 */
static bool
is_above_share(const struct cg_engine *e)
{
    int64_t sum = 0;
    int workers = 0;
    if (is_shared(e)) {
        return true;
    }
    uint32_t used =
        atomic_load_explicit(&e->board->head->used, memory_order_relaxed);
    for (uint32_t i = 0; i < used; i++) {
        const struct cg_slot *s = cg_board_view(e->board, i);
        if (atomic_load_explicit(&s->booted, memory_order_relaxed)) {
            sum += atomic_load_explicit(&s->connections, memory_order_relaxed);
            workers++;
        }
    }
    return workers > 1 && (int64_t)e->conns.n * workers > sum;
}

/* ---- no room ---- */

void
cg_accept_reserve(struct cg_engine *e)
{
    if (e->accept.reserve_fd < 0) {
        e->accept.reserve_fd = fcntl(e->watches.kick.fd, F_DUPFD_CLOEXEC, 0);
    }
}

static struct cg_transport
transport_of(const struct cg_engine *e, int listener, int fd)
{
    const struct cg_transport_maker *m = e->config->transports;
    struct cg_transport_state *s = m != NULL ? m->make(m, listener) : NULL;
    return s != NULL ? cg_transport_with(fd, s) : cg_transport_plain(fd);
}

/* Tells a peer that there is no descriptor for it, by means of the reserve. One
 * that would have to shake hands first is only closed. */
static void
turn_away(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    cg_auto(buf) struct cg_buf page = {0};
    cg_fd_close(&e->accept.reserve_fd);
    struct cg_transport t =
        transport_of(e, listener,
                     accept4(e->accept.listeners[listener].fd, NULL, NULL,
                             SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (cg_transport_shakes(&t)) {
        atomic_fetch_add_explicit(&e->slot->refused, t.fd >= 0,
                                  memory_order_relaxed);
        cg_transport_close(&t);
    } else if (t.fd >= 0) {
        cg_error_page(&page, 503, (struct cg_slice){"", 0}, e->config->server,
                      e->date, 1, false);
        struct iovec part = {page.p, page.n};
        cg_transport_send(&t, &part, 1, false);
        cg_transport_end(&t);
        /* a close over unread bytes would be a reset and take the page back */
        cg_transport_receive(&t, x->rbuf, sizeof x->rbuf);
        cg_transport_close(&t);
        atomic_fetch_add_explicit(&e->slot->refused, 1, memory_order_relaxed);
    }
    cg_accept_reserve(e);
}

/* The first time who waits may hope; after a pause one is told per pause. */
static void
on_starved(struct cg_executor *x, int listener, int code)
{
    struct cg_engine *e = x->engine;
    char text[160];
    snprintf(text, sizeof text,
             "Cannot accept a connection: %s (%d connections are open); new "
             "ones wait or get a 503",
             strerror(code), e->conns.n);
    cg_tell_trouble(e, text);
    if (e->accept.starved++ > 0 && e->accept.reserve_fd >= 0) {
        turn_away(x, listener);
    }
    cg_watch_listeners(e, false);
    cg_watch_pass_on(e);
    e->accept.pause_us = e->now_us + PAUSE_US;
}

static bool
is_starvation(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS ||
           code == ENOMEM;
}

/* Somebody has shut the listener down, and the kernel says so again and again
 * until the master has mended it. */
static void
on_shut(struct cg_engine *e)
{
    cg_watch_listeners(e, false);
    e->accept.pause_us = e->now_us + PAUSE_US;
}

static int
accept_fd(struct cg_executor *x, int listener, struct sockaddr_storage *sa)
{
    struct cg_engine *e = x->engine;
    int fd;
    do {
        socklen_t n = sizeof *sa;
        sa->ss_family = AF_UNSPEC;
        fd = accept4(e->accept.listeners[listener].fd, (struct sockaddr *)sa,
                     &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && is_starvation(errno) && cg_room_make(e));
    if (fd < 0 && is_starvation(errno)) {
        on_starved(x, listener, errno);
    } else if (fd < 0 && errno == EINVAL) {
        on_shut(e);
    }
    return cg_fd_above_stdio(fd);
}

/* Nobody is closed for a wake-up that another worker was faster with. */
static bool
somebody_waits(const struct cg_engine *e, int listener)
{
    struct pollfd p = {.fd = e->accept.listeners[listener].fd,
                       .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static bool
is_full(struct cg_engine *e, int listener)
{
    bool many = e->conns.n >= e->config->max_open;
    if (!many && e->conns.counted < e->config->max_connections) {
        return false;
    }
    if (!somebody_waits(e, listener)) {
        return true;
    }
    if (cg_room_is_left(e) && (!many || cg_room_make(e))) {
        return false;
    }
    cg_watch_listeners(e, false);
    cg_watch_pass_on(e);
    e->accept.full_us = e->now_us + PAUSE_US;
    return true;
}

struct cg_conn *
cg_accept_from(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    struct sockaddr_storage sa;
    int fd = accept_fd(x, listener, &sa);
    if (fd < 0) {
        return NULL;
    }
    if (__builtin_expect(e->accept.starved > 0, 0)) {
        e->accept.starved = 0;
        cg_accept_reserve(e);
    }
    struct cg_conn *c = cg_conn_new(e, transport_of(e, listener, fd));
    c->listener = (uint16_t)listener;
    cg_conn_describe(e, c, &sa);
    if (__builtin_expect(cg_transport_shakes(&c->transport), 0)) {
        cg_shake_begin(e, c);
    }
    if (__builtin_expect(e->config->cleartext != CG_CLEARTEXT_OFF, 0)) {
        cg_preface_begin(e, c);
    }
    atomic_fetch_add_explicit(&e->slot->accepted, 1, memory_order_relaxed);
    return c;
}

struct cg_conn *
cg_accept_one(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    if (!e->watches.listeners_on || is_full(e, listener)) {
        return NULL;
    }
    if (is_above_share(e)) {
        cg_watch_listener_last(e, listener);
    }
    return cg_accept_from(x, listener);
}

/* Plain whatever the listener is: nobody has to be proved or announced. */
struct cg_conn *
cg_accept_offered(struct cg_engine *e)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNIX};
    int fd = atomic_exchange(&e->accept.offered, 0) - 1;
    if (fd < 0) {
        return NULL;
    }
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(fd));
    cg_conn_describe(e, c, &sa);
    c->preamble = c->may_announce = false;
    return c;
}

int
cg_accept_most(const struct cg_executor *x)
{
    enum { MANY = 64, ALL = 512 };
    const struct cg_engine *e = x->engine;
    if (__builtin_expect(x->id == RELIEF || e->overload.standing, 0)) {
        return x->id == RELIEF ? MANY : ALL;
    }
    bool one = e->harvest.waited || e->harvest.quota > 0 ||
               cg_sibling_idle(e) || is_shared(e);
    return one ? 1 : e->accept.swarm;
}

void
cg_accept_learn(struct cg_engine *e, int most, int n)
{
    enum { SWARM = 8 };
    if (most <= SWARM) {
        e->accept.swarm = n < most ? 1 : most < SWARM ? most * 2 : SWARM;
    }
}
