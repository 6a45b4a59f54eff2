/* SPDX-License-Identifier: MIT */
/*
 * Facts: what TLS knows of a connection, as bytes for a worker that has not got
 * the connection. Pure. What is decoded may be anything.
 */
#ifndef CG_SHARE_FACTS_H
#define CG_SHARE_FACTS_H

#include "core/base/bytes.h"
#include "core/base/secure.h"

/* Its strings point into the bytes; it stays where it is, since `secure` points
 * to its `client`. */
struct cg_facts {
    struct cg_secure secure;
    struct cg_secure_client client;
};

/* Appends them. */
void cg_facts_encode(const struct cg_secure *s, struct cg_buf *to);
/* False: these are none; *ret_f is untouched then. */
bool cg_facts_decode(struct cg_slice bytes, struct cg_facts *ret_f);

#endif
