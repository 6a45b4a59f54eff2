/* SPDX-License-Identifier: MIT */
#include "logging/route.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { WAITING_MAX = 2048, TEXT_MAX = 64 * 1024, DEPTH_MAX = 100 };

/* A copy of an event with everything it borrows. */
struct kept {
    struct kept *next;
    struct cg_log_event event;
    struct cg_access_record request;
    char bytes[];
};

struct cg_route {
    struct cg_log_route way;
    pid_t pid; /* whose queue it is: a child of ours begins an empty one */
    pthread_mutex_t lock;
    struct kept *first, **last;
    _Atomic int waiting;
    bool flushing;
};

/* How many calls of the logger this thread is in: one that logs through us
 * again and again must come to an end. */
static __thread int depth;

/* ---- life ---- */

static void
begin(struct cg_route *r)
{
    r->pid = getpid();
    r->first = NULL;
    r->last = &r->first;
    r->waiting = 0;
    r->flushing = false;
    pthread_mutex_init(&r->lock, NULL);
}

struct cg_route *
cg_route_new(const struct cg_log_route *way)
{
    struct cg_route *r = cg_calloc(1, sizeof *r);
    r->way = *way;
    begin(r);
    return r;
}

void
cg_route_free(struct cg_route *r,
              void (*rest)(void *self, const struct cg_log_event *e),
              void *self)
{
    if (r == NULL) {
        return;
    }
    cg_route_flush(r, rest, self);
    bool ours = r->pid == getpid();
    for (struct kept *k = r->first; k != NULL;) {
        struct kept *next = k->next;
        if (ours) {
            rest(self, &k->event);
        }
        free(k);
        k = next;
    }
    free(r);
}

const struct cg_log_route *
cg_route_way(const struct cg_route *r)
{
    return &r->way;
}

/* ---- keeping ---- */

static struct cg_slice
pack(struct cg_slice from, char **at)
{
    size_t n = from.n < TEXT_MAX ? from.n : TEXT_MAX;
    if (from.p == NULL) {
        return from;
    }
    memcpy(*at, from.p, n);
    struct cg_slice copy = {*at, n};
    *at += n;
    return copy;
}

static void
pack_request(struct kept *k, const struct cg_access_record *r, char **at)
{
    k->request = (struct cg_access_record){
        .remote_addr = pack(r->remote_addr, at),
        .method = pack(r->method, at),
        .uri = pack(r->uri, at),
        .protocol = pack(r->protocol, at),
        .status = r->status,
        .body_bytes = r->body_bytes,
        .duration_us = r->duration_us,
        .pid = r->pid,
    };
    k->event.request = &k->request;
}

static struct kept *
copy_event(const struct cg_log_event *e)
{
    const struct cg_access_record *r = e->request;
    size_t n = e->text.n;
    if (r != NULL) {
        n += r->remote_addr.n + r->method.n + r->uri.n + r->protocol.n;
    }
    struct kept *k = cg_malloc(sizeof *k + n);
    char *at = k->bytes;
    k->next = NULL;
    k->event = *e; /* metric and type are literals */
    k->event.text = pack(e->text, &at);
    if (r != NULL) {
        pack_request(k, r, &at);
    }
    return k;
}

static enum cg_route_fate
keep(struct cg_route *r, const struct cg_log_event *e)
{
    if (r->pid != getpid()) {
        begin(r);
    }
    pthread_mutex_lock(&r->lock);
    bool full = r->waiting >= WAITING_MAX;
    bool wake = r->first == NULL;
    if (!full) {
        struct kept *k = copy_event(e);
        *r->last = k;
        r->last = &k->next;
        r->waiting++;
    }
    pthread_mutex_unlock(&r->lock);
    if (wake && r->way.wake != NULL) {
        r->way.wake(r->way.self);
    }
    return full ? ROUTE_FULL : ROUTE_DONE;
}

/* ---- emitting ---- */

static bool
emit(struct cg_route *r, const struct cg_log_event *e)
{
    if (depth >= DEPTH_MAX) {
        return false;
    }
    depth++;
    bool done = r->way.emit(r->way.self, e);
    depth--;
    return done;
}

/* NULL when nothing waits, or somebody else is at it. */
static struct kept *
next_kept(struct cg_route *r, bool first)
{
    pthread_mutex_lock(&r->lock);
    struct kept *k = first && r->flushing ? NULL : r->first;
    if (k != NULL) {
        r->first = k->next;
        r->last = r->first != NULL ? r->last : &r->first;
        r->waiting--;
    }
    if (k != NULL || !first) {
        r->flushing = k != NULL;
    }
    pthread_mutex_unlock(&r->lock);
    return k;
}

void
cg_route_flush(struct cg_route *r,
               void (*rest)(void *self, const struct cg_log_event *e),
               void *self)
{
    struct kept *k;
    if (r->waiting == 0 || r->pid != getpid() || !r->way.is_open(r->way.self)) {
        return;
    }
    for (bool first = true; (k = next_kept(r, first)) != NULL; first = false) {
        if (!emit(r, &k->event)) {
            rest(self, &k->event);
        }
        free(k);
    }
}

enum cg_route_fate
cg_route_send(struct cg_route *r, const struct cg_log_event *e)
{
    if (!r->way.is_open(r->way.self)) {
        return keep(r, e);
    }
    return emit(r, e) ? ROUTE_DONE : ROUTE_REFUSED;
}
