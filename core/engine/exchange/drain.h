/* SPDX-License-Identifier: MIT */
/*
 * Draining: what becomes of a reply that the application makes faster than its
 * client reads.
 */
#ifndef CG_ENGINE_DRAIN_H
#define CG_ENGINE_DRAIN_H

#include "core/engine/exchange/call.h"

/* In the executor, without the baton and without the host's lock. */
int cg_wire_drain(struct cg_exchange *ex, size_t low);

#endif
