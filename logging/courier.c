/* SPDX-License-Identifier: MIT */
#include "logging/courier.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"

enum {
    QUEUE_BYTES = 1024 * 1024,
    STACK_BYTES = 512 * 1024,
    CONNECT_MS = 5000,
    SEND_MS = 5000,
    SLICE_MS = 200, /* how often a wait looks whether the end has come */
    RETRY_MS = 1000
};

struct message {
    struct message *next;
    size_t n;
    char bytes[];
};

struct cg_courier {
    struct sockaddr_storage addr;
    socklen_t addr_n;
    pid_t pid; /* whose thread it is */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t news; /* something to send, sent, or the end */
    struct message *first, **last;
    struct message *carried; /* the thread's; a child made meanwhile has one */
    size_t bytes;            /* of all that waits or is under way */
    _Atomic bool ending;
    _Atomic unsigned long lost;
    _Atomic int fault; /* why the last try failed, 0: it did not */
    int fd;            /* the thread's alone */
};

/* ---- waiting, in slices ---- */

static int
wait_for(struct cg_courier *c, short events, int patience_ms)
{
    uint64_t end = cg_now_us() + (uint64_t)patience_ms * 1000;
    while (!c->ending && cg_now_us() < end) {
        struct pollfd p = {.fd = c->fd, .events = events};
        int r = poll(&p, 1, SLICE_MS);
        if (r > 0) {
            return 0;
        }
        if (r < 0 && errno != EINTR) {
            return -errno;
        }
    }
    return c->ending ? -ECANCELED : -ETIMEDOUT;
}

static void
pause_for(struct cg_courier *c, int ms)
{
    uint64_t end = cg_now_us() + (uint64_t)ms * 1000;
    while (!c->ending && cg_now_us() < end) {
        poll(NULL, 0, SLICE_MS);
    }
}

/* ---- the wire ---- */

static int
connect_now(struct cg_courier *c)
{
    int failure = 0;
    socklen_t n = sizeof failure;
    c->fd = socket(c->addr.ss_family,
                   SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        return -errno;
    }
    if (connect(c->fd, (struct sockaddr *)&c->addr, c->addr_n) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return -errno;
    }
    int r = wait_for(c, POLLOUT, CONNECT_MS);
    if (r == 0 && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &n) == 0) {
        r = -failure;
    }
    return r;
}

/* A peer that closed shows as readable; a line sent then would be lost. */
static bool
is_gone(const struct cg_courier *c)
{
    char byte;
    ssize_t r = recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR);
}

static int
send_all(struct cg_courier *c, const struct message *m)
{
    for (size_t at = 0; at < m->n;) {
        ssize_t w = send(c->fd, m->bytes + at, m->n - at, MSG_NOSIGNAL);
        if (w >= 0) {
            at += (size_t)w;
            continue;
        }
        int r = errno == EAGAIN  ? wait_for(c, POLLOUT, SEND_MS)
                : errno == EINTR ? 0
                                 : -errno;
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* One message, over a new connection if the old one is gone. */
static int
carry(struct cg_courier *c, const struct message *m)
{
    if (c->fd >= 0 && is_gone(c)) {
        cg_fd_close(&c->fd);
    }
    int r = c->fd < 0 ? connect_now(c) : 0;
    if (r == 0) {
        r = send_all(c, m);
    }
    if (r < 0) {
        cg_fd_close(&c->fd);
    }
    c->fault = r;
    return r;
}

/* ---- the thread ---- */

static struct message *
next_message(struct cg_courier *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->first == NULL && !c->ending) {
        pthread_cond_wait(&c->news, &c->lock);
    }
    struct message *m = c->first;
    if (m != NULL) {
        c->first = m->next;
        c->last = c->first != NULL ? c->last : &c->first;
    }
    c->carried = m;
    pthread_mutex_unlock(&c->lock);
    return m;
}

static void
done_with(struct cg_courier *c, struct message *m)
{
    pthread_mutex_lock(&c->lock);
    c->bytes -= m->n;
    c->carried = NULL;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    free(m);
}

static void *
run(void *self)
{
    struct cg_courier *c = self;
    struct message *m;
    while ((m = next_message(c)) != NULL) {
        while (carry(c, m) < 0 && !c->ending) {
            pause_for(c, RETRY_MS);
        }
        if (c->ending) {
            c->lost++;
        }
        done_with(c, m);
        if (c->ending) {
            break;
        }
    }
    cg_fd_close(&c->fd);
    return NULL;
}

static void
start_thread(struct cg_courier *c)
{
    pthread_attr_t attr;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are others' */
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    c->running = pthread_create(&c->thread, &attr, run, c) == 0;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- life ---- */

static void
drop_queue(struct cg_courier *c)
{
    for (struct message *m = c->first; m != NULL;) {
        struct message *next = m->next;
        free(m);
        m = next;
    }
    c->first = NULL;
    c->last = &c->first;
    c->bytes = 0;
}

static void
begin(struct cg_courier *c)
{
    c->pid = getpid();
    c->running = false;
    c->ending = false;
    c->last = c->first != NULL ? c->last : &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->news, &attr);
    pthread_condattr_destroy(&attr);
}

struct cg_courier *
cg_courier_new(const struct sockaddr *addr, socklen_t n)
{
    struct cg_courier *c = cg_calloc(1, sizeof *c);
    memcpy(&c->addr, addr, n);
    c->addr_n = n;
    c->fd = -1;
    begin(c);
    return c;
}

void
cg_courier_free(struct cg_courier *c)
{
    if (c == NULL) {
        return;
    }
    if (c->running && c->pid == getpid()) {
        pthread_mutex_lock(&c->lock);
        c->ending = true;
        pthread_cond_broadcast(&c->news);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
    }
    drop_queue(c);
    free(c->carried);
    cg_fd_close(&c->fd);
    free(c);
}

/* The thread stayed with the parent, and so did what it had to carry. The lock
 * may have been held when the fork was made: it is made anew. */
static void
begin_in_child(struct cg_courier *c)
{
    drop_queue(c);
    free(c->carried);
    c->carried = NULL;
    cg_fd_close(&c->fd);
    begin(c);
}

void
cg_courier_forked(struct cg_courier *c)
{
    if (c->pid != getpid()) {
        begin_in_child(c);
    }
}

int
cg_courier_put(struct cg_courier *c, const char *p, size_t n)
{
    int r = 0;
    cg_courier_forked(c);
    pthread_mutex_lock(&c->lock);
    if (!c->running) {
        start_thread(c);
    }
    if (!c->running || c->bytes + n > QUEUE_BYTES) {
        r = -ENOBUFS;
    } else {
        struct message *m = cg_malloc(sizeof *m + n);
        *m = (struct message){.n = n};
        memcpy(m->bytes, p, n);
        *c->last = m;
        c->last = &m->next;
        c->bytes += n;
        pthread_cond_broadcast(&c->news);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

void
cg_courier_drain(struct cg_courier *c, int patience_ms)
{
    struct timespec end;
    if (!c->running || c->pid != getpid()) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += patience_ms / 1000;
    end.tv_nsec += patience_ms % 1000 * 1000000L;
    if (end.tv_nsec >= 1000000000L) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&c->lock);
    while (c->bytes > 0 &&
           pthread_cond_timedwait(&c->news, &c->lock, &end) == 0) {
    }
    pthread_mutex_unlock(&c->lock);
}

unsigned long
cg_courier_lost(const struct cg_courier *c)
{
    return atomic_load(&c->lost);
}

int
cg_courier_fault(const struct cg_courier *c)
{
    return atomic_load(&c->fault);
}
