/* SPDX-License-Identifier: MIT */
/*
 * Preface: the protocol of a plain connection of a trusted peer that may speak
 * HTTP/2 (`http2_cleartext`), until its first bytes tell (RFC 9113, 3.3 and
 * 3.4). It is under header_timeout, as a head is.
 */
#ifndef CG_ENGINE_HTTP2_PREFACE_H
#define CG_ENGINE_HTTP2_PREFACE_H

#include "core/engine/conn/conn.h"

/* With the baton: c was accepted just now, and described. */
void cg_preface_begin(struct cg_engine *e, struct cg_conn *c);

#endif
