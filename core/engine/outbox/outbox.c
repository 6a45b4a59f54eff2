/* SPDX-License-Identifier: MIT */
#include "core/engine/outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

enum {
    GATHER = 16,
    PARTS_MAX = 4,
    FILE_STEP = 1 << 20,
    /* of files with one flush: a peer that is as fast as the disk does not keep
     * the thread from everybody else */
    FILE_SHARE = 4 << 20
};

static void
append(struct cg_outbox *o, struct cg_segment *s)
{
    s->next = NULL;
    if (o->last != NULL) {
        o->last->next = s;
    } else {
        o->first = s;
        o->progress.since_us = o->spill != NULL ? o->progress.since_us : 0;
    }
    o->last = s;
    o->bytes += s->n;
    o->memory += s->weight;
}

/* An empty segment at the end; it gets its bytes at once. */
static void
append_room(struct cg_outbox *o, size_t room)
{
    struct cg_segment *s = cg_malloc(sizeof *s + room);
    *s = (struct cg_segment){.room = room, .weight = room, .fd = -1};
    s->p = s->copy;
    append(o, s);
}

void
cg_outbox_put(struct cg_outbox *o, const char *p, size_t n)
{
    if (n == 0) {
        return;
    }
    if (o->last == NULL || o->last->room < n) {
        append_room(o, n);
    }
    struct cg_segment *s = o->last;
    memcpy(s->copy + (s->p - s->copy) + s->n, p, n);
    s->n += n;
    s->room -= n;
    o->bytes += n;
}

static void
append_spare(struct cg_outbox *o)
{
    struct cg_segment *s = o->spare;
    o->spare = NULL;
    s->p = s->copy;
    s->n = 0;
    s->room = CG_OUTBOX_COLLECTED;
    append(o, s);
}

void
cg_outbox_collect(struct cg_outbox *o, const char *p, size_t n)
{
    if ((o->last == NULL || o->last->room < n) && n <= CG_OUTBOX_COLLECTED) {
        if (o->spare != NULL) {
            append_spare(o);
        } else {
            append_room(o, CG_OUTBOX_COLLECTED);
            o->last->collects = true;
        }
    }
    cg_outbox_put(o, p, n);
}

struct cg_segment *
cg_outbox_take_spare(struct cg_outbox *o)
{
    struct cg_segment *spare = o->spare;
    o->spare = NULL;
    for (struct cg_segment *s = o->first; s != NULL; s = s->next) {
        s->collects = false;
    }
    return spare;
}

void
cg_outbox_spare(struct cg_outbox *o, struct cg_segment *spare)
{
    if (o->spare == NULL) {
        o->spare = spare;
    } else {
        free(spare);
    }
}

void
cg_outbox_hold(struct cg_outbox *o, const char *p, size_t n, size_t whole,
               void *owner)
{
    struct cg_segment *s = cg_malloc(sizeof *s);
    *s = (struct cg_segment){
        .p = p, .n = n, .weight = whole, .owner = owner, .fd = -1};
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
    o->memory -= s->weight;
    cg_fd_close(&s->fd);
    if (s->owner != NULL) {
        s->next = *dropped;
        *dropped = s;
    } else if (s->collects) {
        cg_outbox_spare(o, s);
    } else {
        free(s);
    }
}

static void
end_spill(struct cg_outbox *o)
{
    cg_spill_free(o->spill);
    o->spill = NULL;
}

void
cg_outbox_clear(struct cg_outbox *o, struct cg_segment **dropped)
{
    while (o->first != NULL) {
        discard_first(o, dropped);
    }
    end_spill(o);
    free(o->spare);
    o->spare = NULL;
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

static void
sent(struct cg_outbox *o, size_t n, struct cg_segment **dropped)
{
    o->gone += n;
    consume(o, n, dropped);
}

/* ---- to the spill ---- */

static int
spill_segments(struct cg_outbox *o, struct cg_segment **dropped,
               struct cg_error *err)
{
    while (o->first != NULL && o->first->p != NULL) {
        size_t n = o->first->n;
        ssize_t taken = cg_spill_put(o->spill, o->first->p, n, err);
        if (taken < 0) {
            return (int)taken;
        }
        consume(o, (size_t)taken, dropped);
        if (taken == 0 && n > 0) {
            return 0; /* full */
        }
    }
    return 0;
}

int
cg_outbox_spill(struct cg_outbox *o, const struct cg_spill_policy *policy,
                struct cg_segment **dropped, struct cg_error *err)
{
    if (o->spill == NULL && (o->spill = cg_spill_new(policy, err)) == NULL) {
        return err->code;
    }
    int r = spill_segments(o, dropped, err);
    if (cg_spill_bytes(o->spill) == 0) {
        end_spill(o);
    }
    return r;
}

/* ---- to the socket ---- */

/* The first segments that lie in memory, as parts. */
static int
gather(const struct cg_outbox *o, struct iovec *parts, size_t *ret_bytes)
{
    int count = 0;
    size_t bytes = 0;
    for (struct cg_segment *s = o->first;
         s != NULL && s->p != NULL && count < GATHER; s = s->next) {
        parts[count++] = (struct iovec){(void *)(size_t)s->p, s->n};
        bytes += s->n;
    }
    *ret_bytes = bytes;
    return count;
}

static ssize_t
flush_memory(struct cg_outbox *o, struct cg_transport *t,
             struct cg_segment **dropped)
{
    struct iovec parts[GATHER];
    size_t wanted;
    int count = gather(o, parts, &wanted);
    ssize_t n = wanted > 0 ? cg_transport_send(t, parts, count, false) : 0;
    if (n >= 0) { /* parts without bytes go, too */
        sent(o, (size_t)n, dropped);
    }
    return n < 0 ? n : (size_t)n == wanted;
}

/* Adds what it sent to *share. */
static ssize_t
flush_file(struct cg_outbox *o, struct cg_transport *t, size_t *share,
           struct cg_segment **dropped)
{
    struct cg_segment *s = o->first;
    size_t step = s->n < FILE_STEP ? s->n : FILE_STEP;
    ssize_t n = cg_transport_send_file(t, s->fd, &s->offset, step);
    if (n <= 0) {
        return n;
    }
    s->n -= (size_t)n;
    o->bytes -= (size_t)n;
    o->gone += (size_t)n;
    *share += (size_t)n;
    if (s->n == 0) {
        discard_first(o, dropped);
    }
    return 1;
}

static ssize_t
flush_spill(struct cg_outbox *o, struct cg_transport *t, size_t *share)
{
    ssize_t n = cg_spill_send(o->spill, t);
    if (n <= 0) {
        return n;
    }
    o->gone += (size_t)n;
    *share += (size_t)n;
    if (cg_spill_bytes(o->spill) == 0) {
        end_spill(o);
    }
    return 1;
}

static ssize_t
flush_some(struct cg_outbox *o, struct cg_transport *t, size_t *share,
           struct cg_segment **dropped)
{
    if (o->spill != NULL) {
        return flush_spill(o, t, share);
    }
    return o->first->p != NULL ? flush_memory(o, t, dropped)
                               : flush_file(o, t, share, dropped);
}

int
cg_outbox_flush(struct cg_outbox *o, struct cg_transport *t,
                struct cg_segment **dropped)
{
    size_t share = 0;
    while (!cg_outbox_is_empty(o)) {
        ssize_t r = share < FILE_SHARE ? flush_some(o, t, &share, dropped) : 0;
        if (r <= 0) {
            return (int)r;
        }
    }
    return 1;
}

/* What waits and the parts with one call. */
static ssize_t
send_behind(struct cg_outbox *o, struct cg_transport *t,
            const struct iovec *parts, int count, bool more,
            struct cg_segment **dropped)
{
    struct iovec all[GATHER + PARTS_MAX];
    size_t waiting;
    int n = gather(o, all, &waiting);
    for (int i = 0; i < count; i++) {
        all[n++] = parts[i];
    }
    ssize_t all_sent = cg_transport_send(t, all, n, more);
    if (all_sent < 0) {
        return all_sent;
    }
    bool rest = (size_t)all_sent > waiting;
    sent(o, rest ? waiting : (size_t)all_sent, dropped);
    return rest ? all_sent - (ssize_t)waiting : 0;
}

/* Whether all that waits is few pieces of memory. */
static bool
is_short(const struct cg_outbox *o)
{
    int count = 0;
    if (o->spill != NULL) {
        return false;
    }
    for (struct cg_segment *s = o->first; s != NULL; s = s->next) {
        if (s->p == NULL || ++count > GATHER) {
            return false;
        }
    }
    return true;
}

ssize_t
cg_outbox_send(struct cg_outbox *o, struct cg_transport *t,
               const struct iovec *parts, int count, bool more,
               struct cg_segment **dropped)
{
    bool empty = cg_outbox_is_empty(o);
    if (!empty && count <= PARTS_MAX && is_short(o)) {
        return send_behind(o, t, parts, count, more, dropped);
    }
    int r = empty ? 1 : cg_outbox_flush(o, t, dropped);
    if (r <= 0 || count == 0) {
        return r < 0 ? r : 0;
    }
    return cg_transport_send(t, parts, count, more);
}
