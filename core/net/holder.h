/* SPDX-License-Identifier: MIT */
/*
 * Holder: who listens on a TCP port already, for "address in use" errors. Reads
 * /proc, so it knows only what this user may see.
 */
#ifndef CG_NET_HOLDER_H
#define CG_NET_HOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cg_holder {
    pid_t pid;
    char name[32]; /* the process's short name, control bytes as '?' */
};

/* The lowest pid that has a socket listening on `port` open, on any address.
 * false: nobody, or not visible from here. */
bool cg_holder_find(uint16_t port, struct cg_holder *ret_holder);

#endif
