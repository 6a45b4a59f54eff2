/* SPDX-License-Identifier: MIT */
/*
 * The care of the listening sockets: what a worker has done to one that all
 * share is seen within a second, told, and undone.
 */
#include <signal.h>
#include <string.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/signals.h"
#include "core/net/listener_fault.h"

enum { LOOK_MS = 1000, REPLACE_MS = 10 * 1000 };

static const char *
what_happened(enum cg_listener_fault fault)
{
    switch (fault) {
    case CG_LISTENER_SHUT: return "was shut down";
    case CG_LISTENER_FILTERED: return "got a filter that may drop clients";
    case CG_LISTENER_SHORTENED: return "got a shorter backlog";
    case CG_LISTENER_WELL: break;
    }
    return "is well";
}

static void
tell(struct cg_arbiter *a, const struct cg_listener *l,
     enum cg_listener_fault fault, const char *consequence)
{
    cg_log_line(a->log, CG_ERROR,
                "The listening socket %s %s: a program that shares it did "
                "that, most likely a worker's application, or who broke into "
                "it; %s",
                l->text, what_happened(fault), consequence);
}

/* A new socket reaches workers with the next generation. One whose name nobody
 * else can have meanwhile is told of once. */
static void
replace(struct cg_arbiter *a, struct cg_listener *l,
        enum cg_listener_fault fault, uint64_t now)
{
    if (a->plan.reexec_pid != 0) {
        return; /* a new master mends it: two would take the name from each
                   other, and the old one's goes with it */
    }
    if (!cg_listener_is_replaceable(l)) {
        if (!l->given_up) {
            l->given_up = true;
            tell(a, l, fault,
                 "it cannot be made anew while workers have it: start the "
                 "server again");
        }
    } else if (a->reloads_ended == a->reloads_begun &&
               now >= a->listeners.replaced_ms) {
        a->listeners.replaced_ms = now + REPLACE_MS;
        tell(a, l, fault, "a reload makes it anew");
        cg_signals_raise(SIGHUP);
    }
}

void
cg_arbiter_mend_listeners(struct cg_arbiter *a)
{
    uint64_t now = cg_arbiter_now_ms();
    if (now < a->listeners.looked_ms + LOOK_MS ||
        a->plan.phase >= PLAN_STOPPING) { /* quiesced, or closed, by us */
        return;
    }
    a->listeners.looked_ms = now;
    for (int i = 0; i < a->sockets.n; i++) {
        struct cg_listener *l = &a->sockets.items[i];
        enum cg_listener_fault fault = cg_listener_examine(l);
        if (fault == CG_LISTENER_WELL) {
            continue;
        }
        /* asyncio listens once more, with the backlog that a class says */
        bool usual = fault == CG_LISTENER_SHORTENED &&
                     cg_worker_class_is_python(a->settings);
        if (cg_listener_mend(l, fault) == 0) {
            if (usual) {
                continue;
            }
            tell(a, l, fault,
                 fault == CG_LISTENER_SHUT ? "it listens again"
                                           : "that was undone");
        } else {
            replace(a, l, fault, now);
        }
    }
}
