/* SPDX-License-Identifier: MIT */
/*
 * Shaking: what a transport that is not plain does before the first byte of a
 * request: a PROXY preamble in plain text, then the handshake of TLS. A step
 * may take a millisecond (RSA), so the baton is open meanwhile and the
 * connection in RUN, and a turn does not spend more than one on handshakes: the
 * rest shows up again with the next look at the sockets.
 *
 * With the baton.
 */
#ifndef CG_ENGINE_SHAKE_H
#define CG_ENGINE_SHAKE_H

#include "core/engine/conn/receive.h"

/* Part of the engine's harvest: microseconds of handshakes since the last. */
struct cg_shaking {
    uint64_t spent_us;
};

/* One that was accepted begins. */
void cg_shake_begin(struct cg_engine *e, struct cg_conn *c);
/* A step. REQUEST here: it is done, and its first request may be there. */
enum cg_step cg_shake(struct cg_executor *x, struct cg_conn *c);
/* It took too long. */
void cg_shake_expired(struct cg_engine *e, struct cg_conn *c);

#endif
