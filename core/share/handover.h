/* SPDX-License-Identifier: MIT */
/*
 * Hand-over: the run queue that the workers of one generation share. A message
 * is a connection's descriptor with one complete request. The kernel keeps it,
 * so a worker that dies loses only what it had taken out. Made by the master
 * before it forks; every worker has both ends.
 */
#ifndef CG_SHARE_HANDOVER_H
#define CG_SHARE_HANDOVER_H

#include <stdbool.h>

#include "core/base/error.h"
#include "core/share/message.h"

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

/*
 * Puts a message with its descriptors, which stay the caller's, into the
 * queue. 0 or a negative errno: -EAGAIN when it is full. Allocates nothing and
 * takes no lock: a keeper does this, too.
 */
int cg_handover_send(const struct cg_handover *h, const struct cg_message *m,
                     const int *fds, int nfds);
/* What waits in the queue: the bytes at p, and descriptors, CLOEXEC and not of
 * the standard streams, the caller's from now on; -1 where there is none. */
struct cg_handover_got {
    size_t n;
    int fds[CG_MESSAGE_FDS];
    bool lost; /* a descriptor came for which there was no number */
};
/* Takes one out; false when there is none. */
bool cg_handover_receive(const struct cg_handover *h, char *p, size_t room,
                         struct cg_handover_got *ret_got);

#endif
