/* SPDX-License-Identifier: MIT */
/*
 * Adopting: a connection comes out of the queue that the workers of a
 * generation share. Nothing is taken for which there is no room: it would be
 * lost. With the baton.
 */
#ifndef CG_ENGINE_ADOPT_H
#define CG_ENGINE_ADOPT_H

#include "core/engine/http1/receive.h"

enum cg_adopted {
    CG_ADOPTED_NONE,   /* nothing was there, or there is no room */
    CG_ADOPTED_DONE,   /* it waits for its peer, or is gone already */
    CG_ADOPTED_FRESH,  /* perhaps its first request is there: to be read */
    CG_ADOPTED_REQUEST /* its request is to be run at once: the oldest of all */
};

struct cg_adoption {
    struct cg_conn *conn;
    struct cg_arrival arrival; /* REQUEST */
};

enum cg_adopted cg_adopt(struct cg_executor *x, struct cg_adoption *a);

#endif
