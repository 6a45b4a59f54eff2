/* SPDX-License-Identifier: MIT */
/*
 * Courier: carries messages to a stream socket on a thread of its own, so that
 * nobody waits for a peer that is slow, away or not there yet. The queue is
 * bounded; what does not fit is dropped and counted. After a fork the child
 * begins with an empty queue and a connection of its own.
 */
#ifndef CG_LOGGING_COURIER_H
#define CG_LOGGING_COURIER_H

#include <stddef.h>
#include <sys/socket.h>

struct cg_courier;

/* The address is copied. Neither connects nor makes the thread yet. */
struct cg_courier *cg_courier_new(const struct sockaddr *addr, socklen_t n);
/* Drops what waits; ask cg_courier_drain before. */
void cg_courier_free(struct cg_courier *c);
/* Copies. 0, or -ENOBUFS for a message that found no room. */
int cg_courier_put(struct cg_courier *c, const char *p, size_t n);
/* In a child that has one thread yet: it begins anew. cg_courier_put does that
 * as well, but threads that are first at once would do it twice. */
void cg_courier_forked(struct cg_courier *c);
void cg_courier_drain(struct cg_courier *c, int patience_ms);
/* Messages dropped so far, those of cg_courier_put not among them. */
unsigned long cg_courier_lost(const struct cg_courier *c);
/* -errno of the last try to connect or send, 0 when it went well. */
int cg_courier_fault(const struct cg_courier *c);

#endif
