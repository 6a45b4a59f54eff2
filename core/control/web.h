/* SPDX-License-Identifier: MIT */
/*
 * Web: the master's own small HTTP server for /metrics, /status, /livez and
 * /readyz (metrics_bind). One GET or HEAD per connection, read by the same
 * strict reader as the service's requests; a body is not taken. Everybody who
 * reaches the address is answered.
 */
#ifndef CG_CONTROL_WEB_H
#define CG_CONTROL_WEB_H

#include <stdbool.h>

#include "core/control/desk.h"
#include "core/control/metrics.h"

/* What is told; all of it called from cg_desk_turn. */
struct cg_web_calls {
    void (*put_status)(void *self, struct cg_buf *out); /* JSON */
    void (*put_metrics)(void *self, struct cg_metrics *m, bool workers);
    bool (*is_ready)(void *self);
    void *self;
};

/* listen_fd moves in; calls has to stay. */
struct cg_desk *cg_web_new(int listen_fd, const struct cg_web_calls *calls);

#endif
