/* SPDX-License-Identifier: MIT */
/*
 * The upgrade from HTTP/1.1 to HTTP/2 without TLS (RFC 7540, 3.2, which RFC
 * 9113 took out; proxies still ask for it): is a request one, what settings
 * come with it, and what the request is that becomes the first stream.
 */
#ifndef CG_HTTP_H2_UPGRADE_H
#define CG_HTTP_H2_UPGRADE_H

#include "core/http/request.h"

enum { CG_H2_SETTINGS_MAX = 192 }; /* bytes: 32 settings */

/* Whether r asks for it: h2c in Upgrade, one HTTP2-Settings that Connection
 * names and whose settings are valid. Those go to ret, *ret_n bytes. */
bool cg_h2_upgrade_read(const struct cg_request *r, const char *base,
                        uint8_t ret[CG_H2_SETTINGS_MAX], size_t *ret_n);
/* Its head without the upgrade, appended to out. */
void cg_h2_upgrade_head(const struct cg_request *r, const char *base,
                        struct cg_buf *out);

#endif
