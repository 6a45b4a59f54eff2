/* SPDX-License-Identifier: MIT */
/*
 * Shaking: the protocol of a transport that is not plain, before the first byte
 * of a request: a PROXY preamble in plain text, then the handshake of TLS. Then
 * the connection gets the protocol of all. A step may take a millisecond (RSA),
 * so the baton is open meanwhile and the stream in RUN, and a turn does not
 * spend more than one on handshakes: the rest shows up again with the next look
 * at the sockets.
 */
#ifndef CG_ENGINE_SHAKE_H
#define CG_ENGINE_SHAKE_H

#include "core/engine/conn/conn.h"

/* With the baton. */
struct cg_shaking {
    uint64_t spent_us; /* on handshakes since the last harvest */
};

/* With the baton: one that was accepted begins. */
void cg_shake_begin(struct cg_engine *e, struct cg_conn *c);

#endif
