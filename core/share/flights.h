/* SPDX-License-Identifier: MIT */
/* Flights: the requests that a worker says it runs, as text for the log. */
#ifndef CG_SHARE_FLIGHTS_H
#define CG_SHARE_FLIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/share/scoreboard.h"

/* A request in flight, copied while no writer was in the middle of it. Peers'
 * bytes: to be escaped. */
struct cg_flight_look {
    char method[8], path[112], peer[46], id[64]; /* NUL-terminated, cut */
    uint64_t since_us;
};

/* False: that executor runs nothing. */
bool cg_flight_read(const struct cg_flight *f, struct cg_flight_look *ret);
/* How many executors of the slot run something. */
int cg_flights_count(const struct cg_slot *slot);

/* "GET /a (for 31.0 s, from 10.0.0.7), GET /b (…)", of the first ten, peers'
 * bytes escaped; returns how many there are. Whatever the slot holds: nothing
 * outside it is read, and the text is bounded. */
int cg_flights_put(struct cg_buf *out, const struct cg_slot *slot,
                   uint64_t now_us);

#endif
