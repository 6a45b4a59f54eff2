/* SPDX-License-Identifier: MIT */
/* What TLS knows of a connection, for who answers its requests. Strings are
 * never NULL unless it says so. */
#ifndef CG_BASE_SECURE_H
#define CG_BASE_SECURE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* A certificate that the client has shown. */
struct cg_secure_client {
    bool verified;          /* by an authority of ca_certs */
    const char *why_not;    /* OpenSSL's words; "" when it is verified */
    char *subject, *issuer; /* RFC 4514; owned */
    char *serial;           /* hexadecimal digits; owned */
    char *pem;              /* owned */
};

struct cg_secure {
    const char *protocol; /* "TLSv1.3" */
    const char *cipher;   /* OpenSSL's name of it */
    uint16_t version;     /* as on the wire: 0x0304 */
    uint16_t suite;       /* RFC 8446, B.4 */
    bool resumed;
    bool is_h2;                            /* what ALPN agreed on (RFC 7301) */
    const struct cg_secure_client *client; /* NULL: it has shown none */
    /* Whether a request for that host belongs on another connection: not this
     * one's certificate is for it, but another one of the server's (RFC 9110,
     * 7.4). NULL: none does. With s of a connection, not a copy. */
    bool (*misdirects)(const struct cg_secure *s, struct cg_slice host);
};

#endif
