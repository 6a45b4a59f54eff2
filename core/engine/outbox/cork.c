/* SPDX-License-Identifier: MIT */
/*
 * Cork: blocks of a reply wait here for those that follow, so that many leave
 * with one system call. PEP 3333 allows that only to a server that goes on
 * sending while the application makes its next block: so a thread without
 * Python sends what is older than a tick, and what a full socket left behind.
 *
 * A call that is in a list shares its outbox with that thread, under the lock;
 * in no list, it is the executor's alone. Blocks that the thread had to send
 * come slowly: those that follow leave at once, until they are quick again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/engine/exchange/call.h"
#include "core/engine/state.h"

enum {
    TICK_US = 1000,
    QUICK_US = TICK_US / 4, /* blocks that follow one another so are quick */
    STUCK_MAX = 64,         /* full sockets that are watched at once */
    LOOK_MS = 250           /* how often those beyond them are tried */
};

#define RELAXED memory_order_relaxed

/* ---- the lists ---- */

static void
list_init(struct cg_corked *head)
{
    head->next = head->prev = head;
}

static bool
is_linked(const struct cg_corked *l)
{
    return l->next != NULL;
}

static void
link_last(struct cg_corked *head, struct cg_corked *l)
{
    l->next = head;
    l->prev = head->prev;
    head->prev->next = l;
    head->prev = l;
}

static void
detach(struct cg_corked *l)
{
    l->next->prev = l->prev;
    l->prev->next = l->next;
    l->next = l->prev = NULL;
}

static bool
is_empty(const struct cg_corked *head)
{
    return head->next == head;
}

static struct cg_call *
call_of(struct cg_corked *l)
{
    return (struct cg_call *)(void *)((char *)l -
                                      offsetof(struct cg_call, corked));
}

/* ---- the alarm; with the lock ---- */

static void
set_alarm(struct cg_cork *p, uint64_t us)
{
    const struct itimerspec when = {.it_value.tv_nsec = (long)us * 1000};
    timerfd_settime(p->alarm_fd, 0, &when, NULL);
}

/* As that of relief: mostly no block is a tick old when its reply ends, so at a
 * low rate the thread sleeps; at a high one the alarm is left to fire. */
static void
expect(struct cg_cork *p, uint64_t now_us)
{
    if (!p->watches) {
        p->watches = true;
        p->lazy = now_us - p->set_us < (uint64_t)4 * TICK_US;
        p->set_us = now_us;
        set_alarm(p, TICK_US);
    }
}

static void
calm(struct cg_cork *p)
{
    if (p->watches && !p->lazy && is_empty(&p->young)) {
        p->watches = false;
        set_alarm(p, 0);
    }
}

/* ---- the thread ---- */

/* An outbox without a spare segment: a call that waits long costs little. */
static void
deliver(struct cg_cork *p, struct cg_corked *l)
{
    struct cg_call *call = call_of(l);
    struct cg_outbox *o = &call->stream->outbox;
    detach(l);
    l->late = true;
    int r = cg_outbox_flush(o, call->stream->transport, &call->dropped);
    if (r == 0) {
        link_last(&p->stuck, l);
        return;
    }
    l->error = r < 0 ? r : 0;
    free(o->spare);
    o->spare = NULL;
}

/* Executors may have the lock between two of them. */
static void
let_others(struct cg_cork *p)
{
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_lock(&p->lock);
}

static void
deliver_old(struct cg_cork *p)
{
    uint64_t now = cg_now_us();
    while (!is_empty(&p->young) && p->young.next->since_us + TICK_US <= now) {
        deliver(p, p->young.next);
        let_others(p);
    }
}

static void
retry_stuck(struct cg_cork *p)
{
    struct cg_corked *last = p->stuck.prev;
    while (!is_empty(&p->stuck)) {
        struct cg_corked *l = p->stuck.next;
        deliver(p, l);
        if (l == last) {
            return;
        }
    }
}

static void
look_again(struct cg_cork *p)
{
    p->watches = !is_empty(&p->young);
    if (p->watches) {
        uint64_t now = cg_now_us(), due = p->young.next->since_us + TICK_US;
        set_alarm(p, due > now ? due - now : 1);
    }
}

static void
sleep_until_wanted(struct cg_cork *p)
{
    struct pollfd fds[STUCK_MAX + 1] = {{.fd = p->alarm_fd, .events = POLLIN}};
    nfds_t n = 1;
    struct cg_corked *l = p->stuck.next;
    for (; l != &p->stuck && n <= STUCK_MAX; l = l->next) {
        fds[n++] = cg_transport_poll(call_of(l)->stream->transport, POLLOUT);
    }
    /* clients that read nothing must not keep the others from being seen */
    int patience = l != &p->stuck ? LOOK_MS : -1;
    uint64_t fired;
    pthread_mutex_unlock(&p->lock);
    poll(fds, n, patience);
    pthread_mutex_lock(&p->lock);
    ssize_t ignored = read(p->alarm_fd, &fired, sizeof fired);
    (void)ignored;
}

static void *
flusher_main(void *arg)
{
    struct cg_cork *p = arg;
    prctl(PR_SET_NAME, "flusher");
    pthread_mutex_lock(&p->lock);
    while (!p->over) {
        deliver_old(p);
        look_again(p);
        sleep_until_wanted(p);
        retry_stuck(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- start and end ---- */

void
cg_cork_init(struct cg_cork *p)
{
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->young);
    list_init(&p->stuck);
    p->alarm_fd = -1;
}

/* With the first block that waits. */
static bool
start(struct cg_cork *p)
{
    sigset_t all, old;
    p->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (p->alarm_fd < 0) {
        return false;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    p->runs = pthread_create(&p->thread, NULL, flusher_main, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return p->runs;
}

/* With the lock. Without a thread no block waits. */
static bool
is_usable(struct cg_cork *p)
{
    if (!p->tried) {
        p->tried = true;
        p->usable = start(p);
    }
    return p->usable;
}

void
cg_cork_stop(struct cg_cork *p)
{
    if (p->runs) {
        pthread_mutex_lock(&p->lock);
        p->over = true;
        set_alarm(p, 1);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
        p->runs = false;
    }
    cg_fd_close(&p->alarm_fd);
    pthread_mutex_destroy(&p->lock);
}

/* ---- what executors do; their own fields need no lock ---- */

static bool
is_child(const struct cg_call *call)
{
    return atomic_load_explicit(&call->executor->engine->forked, RELAXED) != 0;
}

static void
share(struct cg_cork *p, struct cg_call *call)
{
    struct cg_corked *l = &call->corked;
    l->waits = call->stream->outbox.bytes;
    l->shared = true;
    if (!is_linked(l)) {
        l->since_us = cg_now_us();
        link_last(&p->young, l);
        expect(p, l->since_us);
    }
}

/* Whether the thread sent what was shared: the application is slow. */
static bool
was_late(struct cg_corked *l)
{
    if (!l->late) {
        return false;
    }
    l->late = false;
    l->direct = true;
    l->block_us = cg_now_us();
    return true;
}

static bool
is_slow(struct cg_corked *l)
{
    if (!l->direct) {
        return false;
    }
    uint64_t now = cg_now_us();
    l->direct = now - l->block_us >= QUICK_US;
    l->block_us = now;
    return l->direct;
}

static void
collect(struct cg_call *call, const struct iovec *parts, int count)
{
    struct cg_executor *x = call->executor;
    struct cg_outbox *o = &call->stream->outbox;
    if (o->spare == NULL) {
        cg_outbox_spare(o, x->spare);
        x->spare = NULL;
    }
    for (int i = 0; i < count; i++) {
        cg_outbox_collect(o, parts[i].iov_base, parts[i].iov_len);
    }
}

/* With the lock. */
static bool
keep_here(struct cg_cork *p, struct cg_call *call, const struct iovec *parts,
          int count)
{
    struct cg_corked *l = &call->corked;
    if (!is_usable(p) || was_late(l)) {
        return false;
    }
    collect(call, parts, count);
    share(p, call);
    return true;
}

bool
cg_cork_put(struct cg_call *call, const struct iovec *parts, int count,
            size_t n)
{
    struct cg_cork *p = &call->executor->engine->cork;
    struct cg_corked *l = &call->corked;
    if (call->ex.blocking || l->fresh + n > CG_OUTBOX_COLLECTED || is_slow(l)) {
        return false;
    }
    l->used = true;
    pthread_mutex_lock(&p->lock);
    bool kept = keep_here(p, call, parts, count);
    pthread_mutex_unlock(&p->lock);
    l->fresh += kept ? n : 0;
    return kept;
}

void
cg_cork_leave(struct cg_call *call)
{
    struct cg_cork *p = &call->executor->engine->cork;
    pthread_mutex_lock(&p->lock);
    if (is_usable(p)) {
        call->corked.used = true;
        share(p, call);
    }
    pthread_mutex_unlock(&p->lock);
}

int
cg_cork_take(struct cg_call *call)
{
    struct cg_cork *p = &call->executor->engine->cork;
    struct cg_corked *l = &call->corked;
    l->fresh = 0;
    if (!l->shared) {
        return 0;
    }
    if (is_child(call)) {
        return -EPIPE;
    }
    pthread_mutex_lock(&p->lock);
    if (is_linked(l)) {
        detach(l);
        calm(p);
    }
    pthread_mutex_unlock(&p->lock);
    l->shared = false;
    was_late(l);
    return l->error;
}

void
cg_cork_nudge(struct cg_cork *p)
{
    pthread_mutex_lock(&p->lock);
    if (is_usable(p) && !is_empty(&p->stuck)) {
        set_alarm(p, 1);
    }
    pthread_mutex_unlock(&p->lock);
}

void
cg_cork_end(struct cg_call *call)
{
    struct cg_executor *x = call->executor;
    struct cg_outbox *o = &call->stream->outbox;
    int r = cg_cork_take(call);
    if (r == 0 && !cg_outbox_is_empty(o)) {
        r = cg_outbox_flush(o, call->stream->transport, &call->dropped);
    }
    if (r < 0) {
        call->ex.broken = true;
    }
    struct cg_segment *spare = cg_outbox_take_spare(o);
    if (x->spare == NULL) {
        x->spare = spare;
    } else {
        free(spare);
    }
}
