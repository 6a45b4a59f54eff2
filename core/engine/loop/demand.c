/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/demand.h"

#include <stdbool.h>

/* Percent of one CPU. */
enum { ROOM = 80, FULL = 95 };

static int
between(int n, int least, int most)
{
    return n < least ? least : n > most ? most : n;
}

static void
begin_window(struct cg_demand *d, uint64_t now_us, const struct cg_busy *busy)
{
    d->since_us = now_us;
    d->busy = *busy;
}

/* Of one CPU, in the window that ends now. A thread that wanted it at both ends
 * may have been kept waiting all the time, which nobody counts yet. */
static uint64_t
wanted_percent(const struct cg_demand *d, const struct cg_busy *busy,
               uint64_t now_us)
{
    uint64_t took_us = now_us - d->since_us;
    uint64_t percent = (busy->us - d->busy.us) * 100 / took_us;
    return d->busy.now && busy->now && percent < ROOM ? ROOM : percent;
}

/* So many calls wanted so much: how many that is good for. */
static int
supported(const struct cg_demand_crew *crew, uint64_t percent, int before)
{
    if (percent >= FULL) {
        return crew->busy - (crew->busy + 3) / 4;
    }
    if (percent >= ROOM) {
        return before;
    }
    int more =
        percent > ROOM / 2 ? crew->busy * ROOM / (int)percent : crew->busy * 2;
    return more > crew->made ? more : crew->made;
}

int
cg_demand_allows(struct cg_demand *d, const struct cg_demand_crew *crew,
                 uint64_t now_us, struct cg_busy (*look)(void))
{
    bool anew =
        d->asked_us == 0 || now_us - d->asked_us > 2 * CG_DEMAND_WINDOW_US;
    d->asked_us = now_us;
    if (!anew && now_us - d->since_us < CG_DEMAND_WINDOW_US) {
        return d->allowed;
    }
    struct cg_busy busy = look();
    if (anew) {
        d->allowed = between(crew->made, crew->least, crew->most);
    } else if (busy.us >= d->busy.us) { /* else a thread has ended */
        uint64_t percent = wanted_percent(d, &busy, now_us);
        d->allowed = between(supported(crew, percent, d->allowed), crew->least,
                             crew->most);
    }
    begin_window(d, now_us, &busy);
    return d->allowed;
}
