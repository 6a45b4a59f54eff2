/* SPDX-License-Identifier: MIT */
/*
 * What somebody else has done to a listening socket. Workers share the
 * master's: one that was broken into, or that closes whatever it finds, can
 * stop it for all.
 */
#ifndef CG_NET_LISTENER_FAULT_H
#define CG_NET_LISTENER_FAULT_H

#include "core/net/listener.h"

enum cg_listener_fault {
    CG_LISTENER_WELL,
    CG_LISTENER_SHUT,      /* shutdown(), or connected elsewhere */
    CG_LISTENER_FILTERED,  /* a filter of sockets drops what comes */
    CG_LISTENER_SHORTENED, /* listen() again, with a smaller backlog */
};

/* Some system calls; nothing waits. Not for one that was quiesced. */
enum cg_listener_fault cg_listener_examine(const struct cg_listener *l);
/*
 * Undoes it for all who share the socket. 0, or -errno: then only a new socket
 * helps. A unix socket that was shut down stays so (-EOPNOTSUPP).
 */
int cg_listener_mend(const struct cg_listener *l, enum cg_listener_fault fault);
/* Whether a new one can be bound while others still have the old one. */
bool cg_listener_is_replaceable(const struct cg_listener *l);

#endif
