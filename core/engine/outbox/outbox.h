/* SPDX-License-Identifier: MIT */
/*
 * The room of what waits for the peer: in memory, in a file (spill.h), of all
 * clients together (hoard.h); until more follows (cork.h), for how long
 * (progress.h), and beyond the end of its request (receipt.h).
 *
 * What always holds: what waits leaves in its order and before anything newer;
 * it is bounded, in memory by the hoard, in a file by its spill, in time by the
 * peer's progress. Who sends is left to the owner of the stream.
 *
 * Outbox: what a transport did not take yet, in order: copied bytes, borrowed
 * bytes that an object keeps alive, parts of files. What is too much to wait in
 * memory goes to a spill, on request. Belongs to one connection.
 */
#ifndef CG_ENGINE_OUTBOX_H
#define CG_ENGINE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/engine/outbox/progress.h"
#include "core/engine/outbox/spill.h"
#include "core/net/transport.h"

struct cg_segment {
    struct cg_segment *next;
    const char *p; /* memory; NULL for a file part */
    size_t n;      /* bytes left */
    size_t room;   /* for more copied bytes behind them */
    size_t weight; /* bytes of memory that go with it */
    void *owner;   /* owner of borrowed memory, to be dropped; or NULL */
    bool collects; /* CG_OUTBOX_COLLECTED bytes; becomes the spare one */
    int fd;        /* file part: owned descriptor, else -1 */
    off_t offset;
    char copy[]; /* copied bytes */
};

/* Zeroed memory is an empty outbox. */
struct cg_outbox {
    struct cg_spill *spill; /* what comes before the segments, or NULL */
    struct cg_segment *first, *last;
    size_t bytes;             /* in all segments */
    size_t memory;            /* that these occupy, or keep from being freed */
    size_t counted;           /* of it; see hoard.c */
    uint64_t gone;            /* that waited here and were sent, ever */
    struct cg_segment *spare; /* an emptied one of cg_outbox_collect, or NULL */
    struct cg_progress progress; /* of the peer, while something waits */
};

static inline bool
cg_outbox_is_empty(const struct cg_outbox *o)
{
    return o->first == NULL && o->spill == NULL;
}

/* Bytes that wait, in memory and in files. */
static inline uint64_t
cg_outbox_waits(const struct cg_outbox *o)
{
    return o->bytes + (o->spill != NULL ? cg_spill_bytes(o->spill) : 0);
}

/* Room of the segments that small parts are collected in. */
enum { CG_OUTBOX_COLLECTED = 72 * 1024 };

void cg_outbox_put(struct cg_outbox *o, const char *p, size_t n);
/* The same for the first of many small parts: those that are put behind it
 * share its segment while there is room. */
void cg_outbox_collect(struct cg_outbox *o, const char *p, size_t n);
/* The collecting is over: moves the spare segment out, to be given to
 * cg_outbox_spare or free(3); NULL if there is none. */
struct cg_segment *cg_outbox_take_spare(struct cg_outbox *o);
/* Takes one over; NULL is nothing. */
void cg_outbox_spare(struct cg_outbox *o, struct cg_segment *spare);
/* The last n of `whole` bytes, which belong to owner. */
void cg_outbox_hold(struct cg_outbox *o, const char *p, size_t n, size_t whole,
                    void *owner);
/* Duplicates fd. 0 or -errno. */
int cg_outbox_put_file(struct cg_outbox *o, int fd, off_t offset, size_t n);

/* Moves what lies in memory to the spill, which exists while it has bytes: all
 * of it, or as much as policy->max allows. A negative errno, told by err, when
 * the disk does not take it: then what is left stays where it is. */
int cg_outbox_spill(struct cg_outbox *o, const struct cg_spill_policy *policy,
                    struct cg_segment **dropped, struct cg_error *err);

/* Writes what the socket takes. 1: empty now; 0: more waits, and the socket is
 * full or had its share of files for now; negative errno: the peer is gone
 * (-EPIPE …) or a file was cut short (-ENODATA). Objects to be dropped are
 * chained through `next` in *dropped. */
int cg_outbox_flush(struct cg_outbox *o, struct cg_transport *t,
                    struct cg_segment **dropped);
/*
 * Sends the parts behind what waits, with one system call where that is
 * possible. Returns how many bytes of them were taken: the outbox is empty then
 * unless that is 0. Or a negative errno, as above. `more`: a file part follows
 * at once (MSG_MORE).
 */
ssize_t cg_outbox_send(struct cg_outbox *o, struct cg_transport *t,
                       const struct iovec *parts, int count, bool more,
                       struct cg_segment **dropped);
/* Empties without writing; objects to be dropped go to *dropped. */
void cg_outbox_clear(struct cg_outbox *o, struct cg_segment **dropped);

#endif
