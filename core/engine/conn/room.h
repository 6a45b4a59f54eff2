/* SPDX-License-Identifier: MIT */
/* Room: who goes for another connection. */
#ifndef CG_ENGINE_ROOM_H
#define CG_ENGINE_ROOM_H

#include <stdbool.h>

struct cg_engine;

/* With the baton: closes a connection that can be spared; false: there is none.
 */
bool cg_room_make(struct cg_engine *e);

#endif
