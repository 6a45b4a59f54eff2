/* SPDX-License-Identifier: MIT */
/*
 * PROXY protocol, versions 1 (a line of text) and 2 (binary): a connection's
 * first bytes in, the addresses that a proxy tells out. Stateless; all bytes
 * from the connection's first one on are given each time. Whether the peer may
 * speak it is the caller's to know.
 */
#ifndef CG_HTTP_PROXY_H
#define CG_HTTP_PROXY_H

#include "core/http/request.h"

enum cg_proxy_mode {
    CG_PROXY_OFF,
    CG_PROXY_V1,
    CG_PROXY_V2,
    CG_PROXY_AUTO /* either */
};

enum cg_proxy_kind {
    CG_PROXY_LOCAL, /* no addresses: those of the socket hold (UNKNOWN, LOCAL,
                       UNSPEC, unix clients) */
    CG_PROXY_TCP4,
    CG_PROXY_TCP6
};

struct cg_proxy {
    enum cg_proxy_kind kind;
    uint32_t n; /* bytes of the preamble */
    /* the client, and what it connected to; "" with CG_PROXY_LOCAL */
    char client[46], server[46];
    uint16_t client_port, server_port;
};

enum cg_proxy_status {
    CG_PROXY_MORE,   /* at most CG_PROXY_MOST bytes are asked for */
    CG_PROXY_NONE,   /* no preamble begins here: a request does, as gunicorn */
    CG_PROXY_DONE,   /* *ret_proxy is filled */
    CG_PROXY_REFUSED /* *ret_why says why */
};

/* Longest preamble that is read: version 2 may carry a client's certificate. */
enum { CG_PROXY_MOST = 16 * 1024 };

enum cg_proxy_status cg_proxy_read(enum cg_proxy_mode mode, const char *p,
                                   size_t n, struct cg_proxy *ret_proxy,
                                   enum cg_refusal *ret_why);

/* p[0..n) begins as a preamble of the mode, whole or not: who sends that must
 * be allowed to. */
bool cg_proxy_begins(enum cg_proxy_mode mode, const char *p, size_t n);

#endif
