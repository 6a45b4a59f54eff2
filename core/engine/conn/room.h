/* SPDX-License-Identifier: MIT */
/* Room: who goes for another connection. */
#ifndef CG_ENGINE_ROOM_H
#define CG_ENGINE_ROOM_H

#include <stdbool.h>

struct cg_engine;

/* With the baton, all of these. Closes a connection that can be spared, for the
 * descriptor of another one; false: there is none. */
bool cg_room_make(struct cg_engine *e);
/* Whether another one may come: of those that count, max_connections are there
 * at most, but for idle ones, which go when its head is whole. */
bool cg_room_is_left(struct cg_engine *e);
/* One more counts: the oldest idle one goes for it if they are too many. */
void cg_room_bound(struct cg_engine *e);

#endif
