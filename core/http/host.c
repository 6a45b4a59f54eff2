/* SPDX-License-Identifier: MIT */
#include "core/http/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { PORT_MAX = 65535 };

/* ---- characters (RFC 3986 2.1 to 2.3) ---- */

enum { NAME = 1, HEX = 2 }; /* NAME: unreserved and sub-delims */
#define N NAME
#define X (NAME | HEX)
/* clang-format off */
static const uint8_t class_of[256] = {
    ['-'] = N, ['.'] = N, ['_'] = N, ['~'] = N,
    ['!'] = N, ['$'] = N, ['&'] = N, ['\''] = N, ['('] = N, [')'] = N,
    ['*'] = N, ['+'] = N, [','] = N, [';'] = N, ['='] = N,
    ['0'] = X, ['1'] = X, ['2'] = X, ['3'] = X, ['4'] = X,
    ['5'] = X, ['6'] = X, ['7'] = X, ['8'] = X, ['9'] = X,
    ['A'] = X, ['B'] = X, ['C'] = X, ['D'] = X, ['E'] = X, ['F'] = X,
    ['G'] = N, ['H'] = N, ['I'] = N, ['J'] = N, ['K'] = N, ['L'] = N,
    ['M'] = N, ['N'] = N, ['O'] = N, ['P'] = N, ['Q'] = N, ['R'] = N,
    ['S'] = N, ['T'] = N, ['U'] = N, ['V'] = N, ['W'] = N, ['X'] = N,
    ['Y'] = N, ['Z'] = N,
    ['a'] = X, ['b'] = X, ['c'] = X, ['d'] = X, ['e'] = X, ['f'] = X,
    ['g'] = N, ['h'] = N, ['i'] = N, ['j'] = N, ['k'] = N, ['l'] = N,
    ['m'] = N, ['n'] = N, ['o'] = N, ['p'] = N, ['q'] = N, ['r'] = N,
    ['s'] = N, ['t'] = N, ['u'] = N, ['v'] = N, ['w'] = N, ['x'] = N,
    ['y'] = N, ['z'] = N,
};
/* clang-format on */
#undef N
#undef X

static bool
is_name(char c)
{
    return (class_of[(unsigned char)c] & NAME) != 0;
}

static bool
is_hex(char c)
{
    return (class_of[(unsigned char)c] & HEX) != 0;
}

/* ---- the three kinds of hosts ---- */

/* IPv6address. The system reads exactly that grammar: no leading zeros in the
 * decimal part, `::` once and for one group at least, no zone. */
static bool
is_ipv6(struct cg_slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr unused;
    if (s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL) {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &unused) == 1;
}

/* IPvFuture: "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ). */
static bool
is_future(struct cg_slice s)
{
    size_t i = 1;
    while (i < s.n && is_hex(s.p[i])) {
        i++;
    }
    if (i == 1 || i + 1 >= s.n || s.p[i] != '.') {
        return false;
    }
    do {
        i++;
    } while (i < s.n && (is_name(s.p[i]) || s.p[i] == ':'));
    return i == s.n;
}

/* Bytes of the IP literal that text begins with, 0 if there is none. */
static size_t
literal_n(struct cg_slice text)
{
    const char *end = memchr(text.p, ']', text.n);
    if (end == NULL) {
        return 0;
    }
    size_t n = (size_t)(end - text.p) + 1;
    struct cg_slice in = {text.p + 1, n - 2};
    bool future = in.n > 0 && (in.p[0] | 32) == 'v';
    return (future ? is_future(in) : is_ipv6(in)) ? n : 0;
}

/* Bytes of the reg-name that text begins with; an IPv4 address is one, too. */
static size_t
name_n(struct cg_slice text)
{
    size_t i = 0;
    while (i < text.n) {
        if (is_name(text.p[i])) {
            i++;
        } else if (text.p[i] == '%' && i + 2 < text.n &&
                   is_hex(text.p[i + 1]) && is_hex(text.p[i + 2])) {
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

/* ---- with a port ---- */

static bool
read_port(struct cg_slice s, int *ret)
{
    int port = s.n > 0 ? 0 : -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        port = port * 10 + (s.p[i] - '0');
        if (port > PORT_MAX) {
            return false;
        }
    }
    *ret = port;
    return true;
}

bool
cg_authority_read(struct cg_slice text, struct cg_authority *ret)
{
    bool literal = text.n > 0 && text.p[0] == '[';
    size_t n = literal ? literal_n(text) : name_n(text);
    int port = -1;
    if (literal && n == 0) {
        return false;
    }
    if (n < text.n &&
        (text.p[n] != ':' ||
         !read_port((struct cg_slice){text.p + n + 1, text.n - n - 1},
                    &port))) {
        return false;
    }
    *ret = (struct cg_authority){.host = {text.p, n}, .port = port};
    return true;
}

bool
cg_authority_is(const struct cg_authority *a, const struct cg_authority *b,
                int default_port)
{
    int x = a->port >= 0 ? a->port : default_port;
    int y = b->port >= 0 ? b->port : default_port;
    return x == y && a->host.n == b->host.n &&
           strncasecmp(a->host.p, b->host.p, a->host.n) == 0;
}
