/* SPDX-License-Identifier: MIT */
/* Accepting: a few per wake-up, shared out between workers, never a busy loop.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/internal.h"
#include "core/http/reply.h"

/* No room: how long the listeners rest when nobody can be closed. */
enum { PAUSE_US = 200 * 1000 };

static void
watch(struct cg_engine *e, int i, bool on)
{
    if (on) {
        cg_loop_add(&e->loop, e->listeners[i].fd,
                    CG_LOOP_READ | CG_LOOP_EXCLUSIVE, &e->listener_watch[i]);
    } else {
        cg_loop_remove(&e->loop, e->listeners[i].fd);
    }
}

static void
watch_if(struct cg_engine *e, bool on, int fd, unsigned how, struct cg_watch *w)
{
    w->fd = fd;
    if (fd >= 0 && on) {
        cg_loop_add(&e->loop, fd, CG_LOOP_READ | how, w);
    } else if (fd >= 0) {
        cg_loop_remove(&e->loop, fd);
    }
}

void
cg_accept_listen(struct cg_engine *e, bool on)
{
    const struct cg_handover *h = e->config->handover;
    if (on == e->listening) {
        return;
    }
    for (int i = 0; i < e->nlisteners; i++) {
        watch(e, i, on);
    }
    if (h != NULL) {
        watch_if(e, on, h->bell_fd, CG_LOOP_EXCLUSIVE, &e->bell);
    }
    e->listening = on;
}

void
cg_hear(struct cg_engine *e, bool on)
{
    if (on != e->hearing) {
        e->hearing = on;
        watch_if(e, on, e->wakeup.fd, 0, &e->wakeup);
    }
}

void
cg_attend(struct cg_engine *e, bool on)
{
    const struct cg_handover *h = e->config->handover;
    if (on == e->attending) {
        return;
    }
    e->attending = on;
    if (h != NULL) {
        watch_if(e, on, h->read_fd, CG_LOOP_EXCLUSIVE, &e->queue);
        watch_if(e, on, h->poke_fd, CG_LOOP_EXCLUSIVE, &e->poke);
    }
}

/* The kernel wakes one waiter; it is not told when that one cannot react. */
void
cg_pass_on(struct cg_engine *e)
{
    enum { MOST = 16 };
    const struct cg_handover *h = e->config->handover;
    struct pollfd p[MOST];
    nfds_t n = 0;
    if (h == NULL) {
        return;
    }
    p[n++] = (struct pollfd){.fd = h->read_fd, .events = POLLIN};
    for (int i = 0; i < e->nlisteners && n < MOST; i++) {
        p[n++] = (struct pollfd){.fd = e->listeners[i].fd, .events = POLLIN};
    }
    int ready = poll(p, n, 0);
    if (ready > 0 && p[0].revents != 0) {
        cg_handover_poke(h);
        ready--;
    }
    if (ready > 0) {
        cg_handover_ring(h);
    }
}

/* inet_ntop is made of printf. */
static void
put_ipv4(char *to, struct in_addr addr)
{
    uint8_t byte[4];
    memcpy(byte, &addr, sizeof byte);
    for (int i = 0; i < 4; i++) {
        unsigned b = byte[i];
        if (b >= 100) {
            *to++ = (char)('0' + b / 100);
        }
        if (b >= 10) {
            *to++ = (char)('0' + b / 10 % 10);
        }
        *to++ = (char)('0' + b % 10);
        *to++ = i < 3 ? '.' : '\0';
    }
}

static void
describe_peer(struct cg_conn *c, const struct sockaddr_storage *sa)
{
    c->peer.family = (uint8_t)sa->ss_family;
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        put_ipv4(c->peer.addr, in->sin_addr);
        c->peer.port = ntohs(in->sin_port);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, c->peer.addr, sizeof c->peer.addr);
        c->peer.port = ntohs(in6->sin6_port);
    }
}

void
cg_accept_describe(const struct cg_engine *e, struct cg_conn *c,
                   const struct sockaddr_storage *sa)
{
    const struct sockaddr *addr = (const void *)sa;
    describe_peer(c, sa);
    c->peer.trusted = e->config->trust != NULL
                          ? cg_trust_has(e->config->trust, addr)
                          : sa->ss_family == AF_UNIX;
    c->preamble = e->config->proxy_mode != CG_PROXY_OFF;
    c->may_announce = c->preamble && cg_trust_has(e->config->proxy_trust, addr);
}

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
    return workers > 1 && (int64_t)e->nconns * workers > sum;
}

/* ---- no room ---- */

void
cg_accept_reserve(struct cg_engine *e)
{
    if (e->reserve_fd < 0) {
        e->reserve_fd = fcntl(e->kick.fd, F_DUPFD_CLOEXEC, 0);
    }
}

/* Tells a peer that there is no descriptor for it, by means of the reserve. */
static void
turn_away(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    cg_auto(buf) struct cg_buf page = {0};
    cg_fd_close(&e->reserve_fd);
    struct cg_transport t = cg_transport_plain(accept4(
        e->listeners[listener].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (t.fd >= 0) {
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
             strerror(code), e->nconns);
    cg_tell_trouble(e, text);
    if (e->starved++ > 0 && e->reserve_fd >= 0) {
        turn_away(x, listener);
    }
    cg_accept_listen(e, false);
    cg_pass_on(e);
    e->accept_pause_us = e->now_us + PAUSE_US;
}

static bool
is_starvation(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS ||
           code == ENOMEM;
}

static int
accept_fd(struct cg_executor *x, int listener, struct sockaddr_storage *sa)
{
    struct cg_engine *e = x->engine;
    int fd;
    do {
        socklen_t n = sizeof *sa;
        sa->ss_family = AF_UNSPEC;
        fd = accept4(e->listeners[listener].fd, (struct sockaddr *)sa, &n,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && is_starvation(errno) && cg_room_make(e));
    if (fd < 0 && is_starvation(errno)) {
        on_starved(x, listener, errno);
    }
    return cg_fd_above_stdio(fd);
}

/* Nobody is closed for a wake-up that another worker was faster with. */
static bool
somebody_waits(const struct cg_engine *e, int listener)
{
    struct pollfd p = {.fd = e->listeners[listener].fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static bool
is_full(struct cg_engine *e, int listener)
{
    if (e->nconns < e->config->max_connections) {
        return false;
    }
    if (!somebody_waits(e, listener)) {
        return true;
    }
    if (cg_room_make(e)) {
        return false;
    }
    cg_accept_listen(e, false);
    cg_pass_on(e);
    e->full_us = e->now_us + PAUSE_US;
    return true;
}

bool
cg_accept_is_due(const struct cg_engine *e)
{
    return e->now_us >= e->accept_pause_us &&
           (e->nconns < e->config->max_connections || e->now_us >= e->full_us);
}

static struct cg_transport
transport_of(const struct cg_engine *e, int listener, int fd)
{
    const struct cg_transport_maker *m = e->config->transports;
    struct cg_transport_state *s = m != NULL ? m->make(m, listener) : NULL;
    return s != NULL ? cg_transport_with(fd, s) : cg_transport_plain(fd);
}

static bool
accept_from(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    struct sockaddr_storage sa;
    int fd = accept_fd(x, listener, &sa);
    if (fd < 0) {
        return false;
    }
    if (__builtin_expect(e->starved > 0, 0)) {
        e->starved = 0;
        cg_accept_reserve(e);
    }
    struct cg_conn *c = cg_conn_new(e, transport_of(e, listener, fd));
    c->listener = (uint8_t)listener;
    cg_accept_describe(e, c, &sa);
    atomic_fetch_add_explicit(&e->slot->accepted, 1, memory_order_relaxed);
    /* most often the request is there already: one epoll_ctl saved */
    cg_receive(x, c);
    return true;
}

bool
cg_accept_one(struct cg_executor *x, int listener)
{
    struct cg_engine *e = x->engine;
    if (!e->listening || is_full(e, listener)) {
        return false;
    }
    if (is_above_share(e)) {
        watch(e, listener, false);
        watch(e, listener, true);
    }
    return accept_from(x, listener);
}

/*
 * Each is accepted only when the one before has been read, and run if it was a
 * request: so nothing is taken that has to wait here. More than one only while
 * no sibling would take it at once, and while we are not waiting for clients: a
 * look that finds nobody is a system call.
 */
void
cg_accept_some(struct cg_executor *x, int listener)
{
    enum { SWARM = 8, LONG_US = 500 };
    struct cg_engine *e = x->engine;
    uint64_t start_us = e->now_us;
    bool one = e->rested || e->quota > 0 || cg_sibling_idle(e) || is_shared(e);
    int most = one ? 1 : e->swarm;
    int n = 0;
    while (n < most && e->now_us - start_us < LONG_US &&
           cg_accept_one(x, listener)) {
        n++;
    }
    e->swarm = n < most ? 1 : most < SWARM ? most * 2 : SWARM;
}

void
cg_accept_rest(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    bool all = atomic_load(&e->board->head->closing) != 0;
    for (int i = 0; (all || e->listening) && i < e->nlisteners; i++) {
        bool rest = all && !e->listeners[i].adopted;
        /* the kernel woke us, and us only, for the first; while others accept,
         * the queue may never be empty, and loses nothing */
        while (accept_from(x, i) && rest) {
        }
    }
}
