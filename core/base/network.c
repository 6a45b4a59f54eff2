/* SPDX-License-Identifier: MIT */
#include "core/base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

static bool
has_host_bits(const struct cg_network *net, int size)
{
    for (int i = net->bits; i < size * 8; i++) {
        if (net->addr[i / 8] >> (7 - i % 8) & 1) {
            return true;
        }
    }
    return false;
}

static bool
read_address(const char *p, size_t n, struct cg_network *ret)
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

int
cg_network_parse(const char *text, struct cg_network *ret_network,
                 struct cg_error *err)
{
    size_t n = strcspn(text, "/");
    struct cg_network net = {0};
    bool good = read_address(text, n, &net);
    int size = net.family == AF_INET ? 4 : 16;
    net.bits = size * 8;
    if (good && text[n] == '/') {
        good = read_prefix(text + n + 1, net.family, &net.bits);
    }
    if (!good) {
        return cg_error_set(
            err, EINVAL, "'%s' does not appear to be an IPv4 or IPv6 network",
            text);
    }
    if (has_host_bits(&net, size)) {
        return cg_error_set(err, EINVAL, "%s has host bits set", text);
    }
    *ret_network = net;
    return 0;
}

bool
cg_network_has(const struct cg_network *net, int family,
               const unsigned char *addr)
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
