/* SPDX-License-Identifier: MIT */
/*
 * Demand: how many calls may last side by side in an engine whose number of
 * executors follows need. Calls that wait leave the CPU idle, so more of them
 * fit; calls that compute want the host's lock, of which there is one. So what
 * counts is measured: the CPU that this process wanted while nobody was left
 * to run the next request. Below four fifths of one CPU there is room, for at
 * most twice as many at once; at one CPU there are too many. Of the relief
 * thread.
 */
#ifndef CG_ENGINE_DEMAND_H
#define CG_ENGINE_DEMAND_H

#include "core/base/busy.h"

enum { CG_DEMAND_WINDOW_US = 50 * 1000 };

struct cg_demand {
    uint64_t asked_us;   /* last */
    uint64_t since_us;   /* the window's begin */
    struct cg_busy busy; /* then */
    int allowed;
};

/* What there is and what the class wants. */
struct cg_demand_crew {
    int least, most; /* executors */
    int made;
    int busy; /* of them, in calls */
};

/*
 * How many may be in calls now. Asked while all that lead or could lead are in
 * calls that last; a pause of two windows begins anew, with those that there
 * are. look is cg_busy_look but for tests.
 */
int cg_demand_allows(struct cg_demand *d, const struct cg_demand_crew *crew,
                     uint64_t now_us, struct cg_busy (*look)(void));

#endif
