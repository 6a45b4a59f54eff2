/* SPDX-License-Identifier: MIT */
#include "core/http/trust.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

struct network {
    int family;
    int bits;
    unsigned char addr[16];
};

struct cg_trust {
    bool any;
    size_t n;
    struct network net[];
};

static bool
has_host_bits(const struct network *net, int size)
{
    for (int i = net->bits; i < size * 8; i++) {
        if (net->addr[i / 8] >> (7 - i % 8) & 1) {
            return true;
        }
    }
    return false;
}

static bool
read_address(const char *p, size_t n, struct network *ret)
{
    char host[INET6_ADDRSTRLEN];
    if (n >= sizeof host) {
        return false;
    }
    memcpy(host, p, n);
    host[n] = '\0';
    ret->family = AF_INET;
    if (inet_pton(AF_INET, host, ret->addr) == 1) {
        return true;
    }
    ret->family = AF_INET6;
    return inet_pton(AF_INET6, host, ret->addr) == 1;
}

/* As Python's ipaddress: "255.0.0.0" and its inverse "0.255.255.255" are /8. */
static bool
read_mask(const char *text, int *ret_bits)
{
    struct in_addr in;
    if (inet_pton(AF_INET, text, &in) != 1) {
        return false;
    }
    uint32_t mask = ntohl(in.s_addr);
    for (int bits = 0; bits <= 32; bits++) {
        uint32_t ones = (uint32_t)(0xffffffff00000000u >> bits);
        if (mask == ones || (mask == ~ones && bits > 0 && bits < 32)) {
            *ret_bits = bits;
            return true;
        }
    }
    return false;
}

static bool
read_prefix(const char *text, int family, int *ret_bits)
{
    int bits = 0, most = family == AF_INET ? 32 : 128;
    if (strchr(text, '.') != NULL) {
        return family == AF_INET && read_mask(text, ret_bits);
    }
    for (const char *c = text; *c != '\0'; c++) {
        bits = bits * 10 + (*c - '0');
        if (*c < '0' || *c > '9' || bits > most) {
            return false;
        }
    }
    *ret_bits = bits;
    return text[0] != '\0';
}

static int
parse(const char *text, struct network *ret, struct cg_error *err)
{
    size_t n = strcspn(text, "/");
    *ret = (struct network){0};
    bool good = read_address(text, n, ret);
    int size = ret->family == AF_INET ? 4 : 16;
    ret->bits = size * 8;
    if (good && text[n] == '/') {
        good = read_prefix(text + n + 1, ret->family, &ret->bits);
    }
    if (!good) {
        return cg_error_set(
            err, EINVAL, "'%s' does not appear to be an IPv4 or IPv6 network",
            text);
    }
    if (has_host_bits(ret, size)) {
        return cg_error_set(err, EINVAL, "%s has host bits set", text);
    }
    return 0;
}

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
        int r = parse(items[i], &t->net[t->n], err);
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

static bool
matches(const struct network *net, int family, const unsigned char *addr)
{
    if (net->family != family) {
        return false;
    }
    int whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr, addr, (size_t)whole) != 0) {
        return false;
    }
    return rest == 0 || ((net->addr[whole] ^ addr[whole]) >> (8 - rest)) == 0;
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
    } else {
        return true;
    }
    for (size_t i = 0; !t->any && i < t->n; i++) {
        if (matches(&t->net[i], family, addr)) {
            return true;
        }
    }
    return t->any;
}
