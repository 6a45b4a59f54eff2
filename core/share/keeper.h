/* SPDX-License-Identifier: MIT */
/*
 * Keeper: what saves the idle connections of a worker that is killed. A process
 * beside the worker that shares its table of descriptors and sleeps until the
 * worker is dead. The kernel does not close a descriptor that somebody else
 * has, so the keeper gives those that are between two requests to the run queue
 * of the generation (handover.h), with the bytes that nobody has read, and
 * ends.
 *
 * Which ones these are is in memory that both have: the engine marks a
 * connection when it begins to wait for a request, and takes the mark away
 * before it reads a byte. That is all that a living connection costs.
 */
#ifndef CG_SHARE_KEEPER_H
#define CG_SHARE_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/share/handover.h"

/* A mark: which listener it came from, and whether it had a request before. */
enum { CG_KEEPER_IDLE = 1, CG_KEEPER_ANSWERED = 2, CG_KEEPER_LISTENER = 256 };

/* What the worker, its keeper and the process between them share. */
struct cg_keeper_shared {
    _Atomic bool is_over; /* the worker ends by itself: nothing is kept */
    pid_t pid;            /* the keeper, or -errno */
    int fd;
};

struct cg_keeper {
    struct cg_keeper_shared *shared;
    _Atomic uint32_t *mark; /* by descriptor; 0: none */
    uint32_t n;
    pid_t pid;     /* 0: there is none */
    int fd;        /* pidfd of the keeper, -1: the kernel knows none */
    int worker_fd; /* pidfd of the worker, by which the keeper waits */
};
#define CG_KEEPER_NONE ((struct cg_keeper){.fd = -1, .worker_fd = -1})

/* Whose child it is, once it is there. */
enum cg_keeper_parent {
    CG_KEEPER_ORPHAN,   /* of whoever takes orphans and waits for them */
    CG_KEEPER_OF_MASTER /* where nobody does */
};

/* In the worker, once it has the user it stays, GIL or not. `name` is for its
 * title. 0, or a negative errno with err filled: then nothing is kept. */
int cg_keeper_start(struct cg_keeper *k, const struct cg_handover *h,
                    const char *name, enum cg_keeper_parent parent,
                    struct cg_error *err);
/* Whether somebody has killed it; where that can be known. */
bool cg_keeper_is_dead(const struct cg_keeper *k);
/* Another one in its place, with the marks that there are. */
int cg_keeper_replace(struct cg_keeper *k, const struct cg_handover *h,
                      const char *name, enum cg_keeper_parent parent,
                      struct cg_error *err);
/* The worker ends by itself: nothing is to be kept. By the process that started
 * it. The marks stay: threads that nobody can stop may set some. */
void cg_keeper_end(struct cg_keeper *k);

static inline void
cg_keeper_mark(const struct cg_keeper *k, int fd, unsigned what)
{
    if (k != NULL && (uint32_t)fd < k->n) {
        atomic_store_explicit(&k->mark[fd], (uint32_t)what,
                              memory_order_release);
    }
}

#endif
