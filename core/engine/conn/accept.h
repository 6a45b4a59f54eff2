/* SPDX-License-Identifier: MIT */
/*
 * Accepting: a few per wake-up, shared out between workers, never a busy loop.
 * What to do with an accepted connection is the dispatcher's to say: most often
 * its request is there already.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_ACCEPT_H
#define CG_ENGINE_ACCEPT_H

#include "core/engine/conn/conn.h"
#include "core/engine/loop/executor.h"
#include "core/net/listener.h"

struct cg_accepting {
    const struct cg_listener *listeners;
    int n;
    int swarm;           /* connections to take at the next wake-up */
    uint64_t pause_us;   /* out of descriptors, or a listener is shut:
                            not before this time */
    uint64_t full_us;    /* no slot: the next look for one to spare */
    int reserve_fd;      /* given up to turn a peer away */
    int starved;         /* accepts in a row that found no descriptor */
    _Atomic int held;    /* nobody is let in yet; any thread clears it */
    _Atomic int offered; /* a descriptor of the host's, plus one; or 0 */
};

/* NULL: nobody was there, or there is no room. */
struct cg_conn *cg_accept_one(struct cg_executor *x, int listener);
/* The same although the listener may be out of the set, and full: at a stop. */
struct cg_conn *cg_accept_from(struct cg_executor *x, int listener);
/* The host's own (cg_engine_offer); NULL: none. */
struct cg_conn *cg_accept_offered(struct cg_engine *e);
/*
 * How many may be taken at a wake-up. More than one only while no sibling would
 * take it at once, and while we are not waiting for clients: a look that finds
 * nobody is a system call. Who does not run them takes what waits.
 */
int cg_accept_most(const struct cg_executor *x);
/* n of these came. */
void cg_accept_learn(struct cg_engine *e, int most, int n);
/* Keeps a descriptor back for the time when there are none. */
void cg_accept_reserve(struct cg_engine *e);

#endif
