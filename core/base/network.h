/* SPDX-License-Identifier: MIT */
/*
 * Networks as Python's ipaddress.ip_network reads them, which is what gunicorn
 * does with lists of addresses: "10.0.0.0/8", "10.0.0.0/255.0.0.0", "::1".
 */
#ifndef CG_BASE_NETWORK_H
#define CG_BASE_NETWORK_H

#include <stdbool.h>

#include "core/base/error.h"

struct cg_network {
    int family; /* AF_INET, AF_INET6 */
    int bits;
    unsigned char addr[16];
};

/* gunicorn's texts in err: "'x' does not appear to be an IPv4 or IPv6 network",
 * "10.0.0.1/8 has host bits set". */
int cg_network_parse(const char *text, struct cg_network *ret_network,
                     struct cg_error *err);
/* addr: 4 or 16 bytes, by family. */
bool cg_network_has(const struct cg_network *net, int family,
                    const unsigned char *addr);

#endif
