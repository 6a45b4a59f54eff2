/* SPDX-License-Identifier: MIT */
/* What a process that the master forks has of it, and must not keep. */
#include "core/arbiter/internal.h"
#include "core/base/fd.h"

/* What is the previous generation's or another worker's: a socket or a queue
 * that stays open here would take connections that nobody ever serves. */
void
cg_arbiter_let_go(struct cg_arbiter *a)
{
    cg_sockets_close(&a->old_sockets, NULL, false);
    cg_handover_release(&a->old_handover);
    cg_tickets_enter(&a->tickets);
    for (int i = 0; i < a->nchildren; i++) {
        cg_fd_close(&a->children[i].trace_fd);
        cg_fd_close(&a->children[i].news_fd);
        cg_fd_close(&a->children[i].beat_fd);
    }
    for (int i = 0; i < a->companions.n; i++) {
        cg_fd_close(&a->companions.items[i].out_fd);
    }
}
