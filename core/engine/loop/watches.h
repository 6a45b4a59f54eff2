/* SPDX-License-Identifier: MIT */
/*
 * Watches: what an engine has in its event set besides connections. What only
 * an executor may react to (listeners, the shared queue, the host's signals)
 * leaves the set while relief has the loop, or while nothing more can run here,
 * so that a wake-up goes to a worker that can use it.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_WATCHES_H
#define CG_ENGINE_WATCHES_H

#include <stdbool.h>
#include <stdint.h>

struct cg_engine;

/* What an event's pointer may be, besides a connection. */
struct cg_watch {
    int fd;
};

struct cg_watches {
    struct cg_watch *listener; /* one per listener */
    struct cg_watch wakeup;    /* the host's signals */
    struct cg_watch master;    /* its end */
    struct cg_watch kick;      /* another thread wants the loop to look */
    struct cg_watch queue, poke, bell; /* see core/share/handover.h */
    bool listeners_on;                 /* they and the bell are in the set */
    bool wakeup_on;
    bool queue_on;           /* so are the queue and its poke */
    uint64_t queue_pause_us; /* no room: not before this time */
    uint64_t queue_taken_us; /* something lay in it then */
};

void cg_watch_listeners(struct cg_engine *e, bool on);
void cg_watch_wakeup(struct cg_engine *e, bool on);
void cg_watch_queue(struct cg_engine *e, bool on);
/* The last of those who wait for clients of this listener from here on. */
void cg_watch_listener_last(struct cg_engine *e, int listener);
/* By an executor, before it looks: all of it, as far as there is room. */
void cg_watch_what_we_can(struct cg_engine *e);
/* A wake-up that we may have swallowed goes to a sibling, one of a listener to
 * whoever listens too. */
void cg_watch_pass_on(struct cg_engine *e);

#endif
