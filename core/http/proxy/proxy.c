/* SPDX-License-Identifier: MIT */
/*
 * The preamble of HAProxy's proxy-protocol.txt. Stricter than gunicorn where
 * its reading is one of Python's (signs and underscores in ports), wider where
 * the specification asks for it (UNKNOWN, and UNSPEC without a transport).
 */
#include "core/http/proxy/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/http/scan.h"

enum { LINE_MOST = 107, FIXED = 16, SIGNATURE = 12 };

static const char line_start[] = "PROXY ";
static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- version 1 ---- */

/* The text up to the next blank or the end; *rest moves behind it. */
static struct cg_slice
next_word(struct cg_slice *rest)
{
    const char *blank = memchr(rest->p, ' ', rest->n);
    size_t n = blank != NULL ? (size_t)(blank - rest->p) : rest->n;
    struct cg_slice word = {rest->p, n};
    size_t skip = blank != NULL ? n + 1 : n;
    rest->p += skip;
    rest->n -= skip;
    return word;
}

static bool
read_address(struct cg_slice word, int family, char *out, size_t size)
{
    unsigned char binary[16];
    if (word.n >= size) {
        return false;
    }
    memcpy(out, word.p, word.n);
    out[word.n] = '\0';
    return inet_pton(family, out, binary) == 1;
}

/* Decimal, no sign, no zeros in front. */
static bool
read_port(struct cg_slice word, uint16_t *ret_port)
{
    uint64_t port;
    if (word.n > 5 || !cg_length_read(word, &port) || port > 65535 ||
        (word.n > 1 && word.p[0] == '0')) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool
read_line(struct cg_slice line, struct cg_proxy *ret)
{
    struct cg_slice protocol = next_word(&line);
    if (cg_slice_is(protocol, "UNKNOWN")) {
        return true; /* whatever follows */
    }
    bool v6 = cg_slice_is(protocol, "TCP6");
    int family = v6 ? AF_INET6 : AF_INET;
    ret->kind = v6 ? CG_PROXY_TCP6 : CG_PROXY_TCP4;
    return (v6 || cg_slice_is(protocol, "TCP4")) &&
           read_address(next_word(&line), family, ret->client,
                        sizeof ret->client) &&
           read_address(next_word(&line), family, ret->server,
                        sizeof ret->server) &&
           read_port(next_word(&line), &ret->client_port) &&
           read_port(line, &ret->server_port);
}

static enum cg_proxy_status
read_v1(const char *p, size_t n, struct cg_proxy *ret, enum cg_refusal *why)
{
    size_t start = sizeof line_start - 1;
    const char *lf = memchr(p, '\n', n < LINE_MOST ? n : LINE_MOST);
    *why = CG_REFUSE_PROXY_LINE;
    if (lf == NULL) {
        return n < LINE_MOST ? CG_PROXY_MORE : CG_PROXY_REFUSED;
    }
    size_t end = (size_t)(lf - p);
    if (p[end - 1] != '\r' ||
        !read_line((struct cg_slice){p + start, end - 1 - start}, ret)) {
        return CG_PROXY_REFUSED;
    }
    ret->n = (uint32_t)end + 1;
    return CG_PROXY_DONE;
}

/* ---- version 2 ---- */

static unsigned
number16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* Two addresses of `size` bytes, then two ports. */
static bool
read_binary(const char *p, size_t n, int family, size_t size,
            struct cg_proxy *ret)
{
    if (n < 2 * size + 4) {
        return false;
    }
    inet_ntop(family, p, ret->client, sizeof ret->client);
    inet_ntop(family, p + size, ret->server, sizeof ret->server);
    ret->client_port = (uint16_t)number16(p + 2 * size);
    ret->server_port = (uint16_t)number16(p + 2 * size + 2);
    ret->kind = family == AF_INET ? CG_PROXY_TCP4 : CG_PROXY_TCP6;
    return true;
}

/* What follows the addresses (TLVs) is skipped. */
static bool
read_addresses(const char *p, size_t n, int how, struct cg_proxy *ret)
{
    enum { UNSPEC = 0, INET_STREAM = 0x11, INET6_STREAM = 0x21, UNIX = 0x31 };
    switch (how) {
    case INET_STREAM: return read_binary(p, n, AF_INET, 4, ret);
    case INET6_STREAM: return read_binary(p, n, AF_INET6, 16, ret);
    case UNIX: return true;
    default: return how >> 4 == UNSPEC;
    }
}

static enum cg_proxy_status
read_v2(const char *p, size_t n, struct cg_proxy *ret, enum cg_refusal *why)
{
    enum { LOCAL = 0x20, PROXY = 0x21 };
    *why = CG_REFUSE_PROXY_HEADER;
    if (n < FIXED) {
        return CG_PROXY_MORE;
    }
    int command = (unsigned char)p[12], how = (unsigned char)p[13];
    size_t length = number16(p + 14);
    if ((command != LOCAL && command != PROXY) ||
        length > CG_PROXY_MOST - FIXED) {
        return CG_PROXY_REFUSED;
    }
    if (n < FIXED + length) {
        return CG_PROXY_MORE;
    }
    if (command == PROXY && !read_addresses(p + FIXED, length, how, ret)) {
        return CG_PROXY_REFUSED;
    }
    ret->n = (uint32_t)(FIXED + length);
    return CG_PROXY_DONE;
}

/* ---- which ---- */

static bool
agrees(const char *p, size_t n, const char *start, size_t start_n)
{
    return memcmp(p, start, n < start_n ? n : start_n) == 0;
}

static bool
may_be_v1(enum cg_proxy_mode mode, const char *p, size_t n)
{
    return (mode == CG_PROXY_V1 || mode == CG_PROXY_AUTO) &&
           agrees(p, n, line_start, sizeof line_start - 1);
}

static bool
may_be_v2(enum cg_proxy_mode mode, const char *p, size_t n)
{
    return (mode == CG_PROXY_V2 || mode == CG_PROXY_AUTO) &&
           agrees(p, n, signature, SIGNATURE);
}

bool
cg_proxy_begins(enum cg_proxy_mode mode, const char *p, size_t n)
{
    return (n >= sizeof line_start - 1 && may_be_v1(mode, p, n)) ||
           (n >= SIGNATURE && may_be_v2(mode, p, n));
}

enum cg_proxy_status
cg_proxy_read(enum cg_proxy_mode mode, const char *p, size_t n,
              struct cg_proxy *ret_proxy, enum cg_refusal *ret_why)
{
    struct cg_proxy found = {.kind = CG_PROXY_LOCAL};
    bool v1 = may_be_v1(mode, p, n), v2 = may_be_v2(mode, p, n);
    if (!v1 && !v2) {
        return CG_PROXY_NONE;
    }
    if (!cg_proxy_begins(mode, p, n)) {
        return CG_PROXY_MORE;
    }
    enum cg_proxy_status st =
        v1 ? read_v1(p, n, &found, ret_why) : read_v2(p, n, &found, ret_why);
    if (st == CG_PROXY_DONE) {
        *ret_proxy = found;
    }
    return st;
}
