/* SPDX-License-Identifier: MIT */
#include "core/http/proxy/trust.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/network.h"

struct cg_trust {
    bool any;
    size_t n;
    struct cg_network net[];
};

int
cg_trust_new(const char *const *items, struct cg_trust **ret_trust,
             struct cg_error *err)
{
    size_t n = 0;
    while (items[n] != NULL) {
        n++;
    }
    struct cg_trust *t = cg_calloc(1, sizeof *t + n * sizeof t->net[0]);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(items[i], "*") == 0) {
            t->any = true;
            continue;
        }
        int r = cg_network_parse(items[i], &t->net[t->n], err);
        if (r < 0) {
            free(t);
            return r;
        }
        t->n++;
    }
    *ret_trust = t;
    return 0;
}

void
cg_trust_free(struct cg_trust *t)
{
    free(t);
}

bool
cg_trust_has(const struct cg_trust *t, const struct sockaddr *peer)
{
    const unsigned char *addr;
    int family = peer->sa_family;
    if (family == AF_INET) {
        addr = (const void *)&((const struct sockaddr_in *)(const void *)peer)
                   ->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *a =
            &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(a);
        addr = a->s6_addr + (mapped ? 12 : 0);
        family = mapped ? AF_INET : AF_INET6;
    } else { /* a unix socket's file says who may connect; others are new */
        return family == AF_UNIX || t->any;
    }
    for (size_t i = 0; !t->any && i < t->n; i++) {
        if (cg_network_has(&t->net[i], family, addr)) {
            return true;
        }
    }
    return t->any;
}
