/* SPDX-License-Identifier: MIT */
/*
 * Hoard: what all outboxes of a worker keep in memory for clients that have not
 * taken it. Replies of one item are held by reference, so without a bound a few
 * hundred clients that read nothing would have gigabytes. Beyond
 * response_memory a large reply goes to its spill when its request is done, by
 * its executor; where a small one is too much, the largest one goes.
 *
 * An outbox is counted with the baton, whenever it comes to rest; generators
 * have a bound of their own (drain.h).
 */
#ifndef CG_ENGINE_HOARD_H
#define CG_ENGINE_HOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cg_call;
struct cg_engine;
struct cg_outbox;
struct cg_segment;

struct cg_hoard {
    _Atomic size_t bytes; /* changed with the baton */
    size_t peak;          /* with the baton */
    uint64_t trim_us;     /* the system has freed memory back then; 0: no */
    bool trims;           /* an entered thread is to do it */
};

/* With the baton: an outbox came to rest, or went; the largest one goes to its
 * spill when all of them are too much. */
void cg_hoard_count(struct cg_engine *e, struct cg_outbox *o);
void cg_hoard_bound(struct cg_engine *e);
/* The executor's, entered, when its call is done: the same for its own. */
void cg_hoard_spill_own(struct cg_call *call);
/* Whether a call's reply may go to the disk now. */
bool cg_may_spill(const struct cg_call *call);
/* Moves what it has in memory to its spill, as far as the disk takes it. Whose
 * the outbox is. */
void cg_spill_outbox(struct cg_engine *e, struct cg_outbox *o,
                     struct cg_segment **dropped);

#endif
