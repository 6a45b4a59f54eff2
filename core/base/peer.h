/* SPDX-License-Identifier: MIT */
/* The other end of a connection. */
#ifndef CG_BASE_PEER_H
#define CG_BASE_PEER_H

#include <stdint.h>

/* Who is at the other end, as text; written at accept, and once more when a
 * proxy tells (PROXY protocol). */
struct cg_peer {
    char addr[46];   /* "" for unix peers */
    uint16_t port;   /* 0 for unix peers */
    uint8_t family;  /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t trusted; /* in forwarded_allow_ips */
    /* 1 (IPv4) or 2 (IPv6), as CG_PROXY_TCP4 and 6: a proxy told addr and port,
     * and what the client connected to; 0: they are the socket's */
    uint8_t proxied;
    uint16_t proxy_port;
    char proxy_addr[46];
};

#endif
