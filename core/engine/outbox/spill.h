/* SPDX-License-Identifier: MIT */
/*
 * Spill: bytes of a response that are too many to wait in memory, first in,
 * first out. They lie in an unlinked file that is used as a ring: what was sent
 * makes room for what comes, and the file never grows beyond its bound. Nothing
 * in it is ever lost or moved: it is full, or its disk is.
 *
 * Sent with read and send, not with sendfile(2): the kernel would go on to use
 * the file's pages for what the peer has not acknowledged, and the ring writes
 * them again.
 */
#ifndef CG_ENGINE_SPILL_H
#define CG_ENGINE_SPILL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/net/transport.h"

struct cg_spill_policy {
    uint64_t max;    /* bytes of a response in its file; 0: there is none */
    const char *dir; /* NULL: TMPDIR or /tmp */
};

struct cg_spill;

/* An empty one, with its file. policy->max is not 0. NULL: err says why. */
struct cg_spill *cg_spill_new(const struct cg_spill_policy *policy,
                              struct cg_error *err);
void cg_spill_free(struct cg_spill *s);

/* Bytes that wait. */
uint64_t cg_spill_bytes(const struct cg_spill *s);
/* Puts bytes behind them. Returns how many it took: fewer than n when it is
 * full, or as far as the disk could; a negative errno in place of 0 when the
 * disk is the reason, then err says so. */
ssize_t cg_spill_put(struct cg_spill *s, const char *p, size_t n,
                     struct cg_error *err);
/* Sends some of them, whatever kind of socket it is without blocking on it.
 * Returns how many; 0 when the socket is full; a negative errno when the peer
 * is gone or the file cannot be read. There are some. */
ssize_t cg_spill_send(struct cg_spill *s, struct cg_transport *t);

#endif
