/* SPDX-License-Identifier: MIT */
/*
 * Hand-over: the run queue that the workers of one generation share. A message
 * is a connection's descriptor with one complete request. The kernel keeps it,
 * so a worker that dies loses only what it had taken out. Made by the master
 * before it forks; every worker has both ends.
 */
#ifndef CG_ENGINE_HANDOVER_H
#define CG_ENGINE_HANDOVER_H

#include "core/base/error.h"

struct cg_handover {
    int read_fd, write_fd; /* a SOCK_SEQPACKET pair */
    int poke_fd;           /* eventfd: "look at the queue" */
    /* eventfd: "look at the listeners". It is shared by all who have them:
     * generations, and masters during an upgrade. */
    int bell_fd;
};
#define CG_HANDOVER_NONE ((struct cg_handover){-1, -1, -1, -1})

/* bell_fd: the one that is there already, of which h gets a copy; -1 makes one.
 * 0 or a negative errno with err filled. */
int cg_handover_new(struct cg_handover *h, int bell_fd, struct cg_error *err);
void cg_handover_release(struct cg_handover *h);

/* Wakes one idle worker: after a death, since the dead one may have swallowed a
 * wake-up. Never blocks; pokes merge. */
void cg_handover_poke(const struct cg_handover *h);
/* The same for the listeners: wakes a worker of whichever master. */
void cg_handover_ring(const struct cg_handover *h);

#endif
