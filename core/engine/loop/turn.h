/* SPDX-License-Identifier: MIT */
/*
 * The room of the loop: who turns it (baton, executors, pool, relief), what it
 * waits for (watches, deadlines, the ready queue), in which order things are
 * done, and how it ends.
 *
 * What always holds: only the holder of the baton in LOOP touches the engine's
 * data, and takes no lock and blocks nowhere meanwhile; events are harvested
 * only when those of the harvest before are used up; a request never passes one
 * that was queued before its harvest. What a connection's event means is left
 * to the dispatcher, connections to conn/, replies to exchange/.
 *
 * Turn: the order of work, in steps that a hosted engine puts together itself.
 */
#ifndef CG_ENGINE_TURN_H
#define CG_ENGINE_TURN_H

#include "core/engine/loop/executor.h"
#include "core/share/scoreboard.h"

/* Events that came and are not handled yet; a thief goes on with them. */
struct cg_harvest {
    cg_loop_event *events; /* the harvester's array */
    int n, at;
    uint64_t us;    /* when */
    bool waited;    /* for it */
    int quota;      /* requests that were queued before: to run first */
    bool relieved;  /* relief had the loop since the leader's last look */
    bool giving;    /* the next fresh request may go to an idle sibling */
    bool local_due; /* an adopted one ran: now one of our own */
};

/* With the baton. Looks at the clock. */
void cg_engine_tick(struct cg_engine *e);
/* Milliseconds until something is due, -1 for never. */
int cg_run_timers(struct cg_engine *e);
/* To the scoreboard: what this executor does, and that it lives. */
void cg_show_state(const struct cg_executor *x, enum cg_worker_state s);
/* n events are in x->events. */
void cg_harvest(struct cg_executor *x, int n);
/* What waits for an entered thread, by one that is; the second opens the baton
 * for it. */
void cg_pay(struct cg_engine *e);
void cg_pay_now(struct cg_executor *x);

/* What is due before every step; false when the engine's time is over. */
bool cg_loop_goes_on(struct cg_executor *x);
/* Whether the host has lines to write; has it do so; false: the baton was lost
 * meanwhile. */
bool cg_has_lines(const struct cg_engine *e);
bool cg_write_lines(struct cg_executor *x);
/* Handles the next harvested event; false when there is none. */
bool cg_loop_next_event(struct cg_executor *x);
/* Harvests what is there or waits for it; false: the baton was lost. */
bool cg_loop_look(struct cg_executor *x);

#endif
