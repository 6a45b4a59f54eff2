/* SPDX-License-Identifier: MIT */
/*
 * Bind addresses: gunicorn's grammar (HOST, HOST:PORT, :PORT, [v6]:PORT,
 * tcp://…, unix:PATH, unix:@abstract, fd://N) in, one struct out; and tls: in
 * front of one that is to speak TLS, and fd://NAME, a socket that systemd gave
 * that name. `unix:\0name` (the two characters) is the abstract socket too.
 */
#ifndef CG_BASE_ADDR_H
#define CG_BASE_ADDR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/base/error.h"

enum cg_addr_kind { CG_ADDR_TCP, CG_ADDR_UNIX, CG_ADDR_FD };

struct cg_addr {
    enum cg_addr_kind kind;
    char host[256]; /* TCP: lower case, "" = any; v6 without brackets */
    uint16_t port;
    int v6;         /* host is an IPv6 literal */
    char path[108]; /* unix; first byte '@' = abstract */
    int fd;         /* -1: the one of that name */
    int tls;        /* tls: is in front */
    char text[300]; /* as the user wrote it */
};

/* gunicorn's error texts: "'abc' is not a valid port number." */
int cg_addr_parse(const char *text, struct cg_addr *ret_addr,
                  struct cg_error *err);
/* What a bound socket is called in "Listening at": http://127.0.0.1:8000,
 * http://[::]:8000, unix:/path. `secure`: https for IPv4. */
void cg_addr_describe(const struct sockaddr *sa, socklen_t n, int secure,
                      char *out, size_t size);
/* A bind without the tls: in front. */
const char *cg_addr_bare(const char *text);
/* gunicorn's tuple form for errors: ('127.0.0.1', 8000) or /path. */
void cg_addr_tuple(const struct cg_addr *a, char *out, size_t size);

#endif
