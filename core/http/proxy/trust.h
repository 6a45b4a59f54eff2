/* SPDX-License-Identifier: MIT */
/* Trust list: addresses and networks (forwarded_allow_ips, proxy_allow_ips). */
#ifndef CG_HTTP_TRUST_H
#define CG_HTTP_TRUST_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/base/error.h"

struct cg_trust;

/* From "127.0.0.1", "10.0.0.0/8", "::1", "*" (NULL-terminated list). gunicorn's
 * texts in err: "'x' does not appear to be an IPv4 or IPv6 network". */
int cg_trust_new(const char *const *items, struct cg_trust **ret_trust,
                 struct cg_error *err);
void cg_trust_free(struct cg_trust *t);
/* A peer that is not an IP peer (unix socket) is always trusted. IPv4-mapped
 * IPv6 addresses match their IPv4 form. */
bool cg_trust_has(const struct cg_trust *t, const struct sockaddr *peer);

#endif
