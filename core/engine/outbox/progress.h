/* SPDX-License-Identifier: MIT */
/*
 * Progress: whether a client goes on taking what waits for it. A full send
 * buffer hides that for megabytes: the kernel says that there is room when a
 * third of it is free. So what counts is what the peer has acknowledged, or, of
 * a unix socket, read. Behind a proxy the peer is the proxy. Of a patient
 * transport somebody else looks after the client, and cuts it.
 */
#ifndef CG_ENGINE_PROGRESS_H
#define CG_ENGINE_PROGRESS_H

#include <stdint.h>

#include "core/net/transport.h"

/* Zeroed memory: nobody has looked yet. */
struct cg_progress {
    uint64_t since_us; /* the last sign of life; 0: none was awaited */
    uint64_t gone;     /* what had been given to the socket then */
    uint32_t held;     /* and what it held at the last look */
};

/*
 * Looks, and returns for how many microseconds the peer has taken nothing. gone
 * counts the bytes that waited for the socket and were given to it, ever. The
 * first look begins the time.
 */
uint64_t cg_progress_look(struct cg_progress *p, uint64_t gone,
                          const struct cg_transport *t, uint64_t now_us);

#endif
