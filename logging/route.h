/* SPDX-License-Identifier: MIT */
/*
 * The way to a logger of another layer (struct cg_log_route), with the queue
 * of what cannot go there at once. Internal to logging.
 */
#ifndef CG_LOGGING_ROUTE_H
#define CG_LOGGING_ROUTE_H

#include "logging/log.h"

struct cg_route;

struct cg_route *cg_route_new(const struct cg_log_route *way);
/* What still waits is given to `rest`. */
void cg_route_free(struct cg_route *r,
                   void (*rest)(void *self, const struct cg_log_event *e),
                   void *self);
const struct cg_log_route *cg_route_way(const struct cg_route *r);

/* Emits what waits; what the logger does not take goes to `rest`. */
void cg_route_flush(struct cg_route *r,
                    void (*rest)(void *self, const struct cg_log_event *e),
                    void *self);
enum cg_route_fate {
    ROUTE_DONE,    /* emitted, or kept for later */
    ROUTE_REFUSED, /* the caller writes it where it can */
    ROUTE_FULL     /* dropped: too much waits already */
};
/* Emits the event if that may be done now, else keeps a copy. */
enum cg_route_fate cg_route_send(struct cg_route *r,
                                 const struct cg_log_event *e);

#endif
