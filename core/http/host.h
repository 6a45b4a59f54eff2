/* SPDX-License-Identifier: MIT */
/*
 * The host of a request, by the grammar of RFC 3986 3.2.2: what a Host field,
 * the authority of an absolute target and the target of CONNECT are made of.
 */
#ifndef CG_HTTP_HOST_H
#define CG_HTTP_HOST_H

#include <stdbool.h>

#include "core/base/bytes.h"

/* host [":" port], without user information (RFC 9110 7.2). */
struct cg_authority {
    struct cg_slice host; /* with the brackets of an IP literal; may be empty */
    int port;             /* 0 to 65535; -1: none, or an empty one */
};

/* False when text is none; views into text. An empty host is legal here: it is
 * for the caller to judge. */
bool cg_authority_read(struct cg_slice text, struct cg_authority *ret);

/* Whether both name the same (RFC 9110 4.2.3): hosts in any case, and a port
 * that is not there is the scheme's. Encoded bytes are not decoded. */
bool cg_authority_is(const struct cg_authority *a, const struct cg_authority *b,
                     int default_port);

#endif
