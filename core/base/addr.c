/* SPDX-License-Identifier: MIT */
/*
 * Bind addresses. The grammar is gunicorn's, its oddities included: text after
 * a second colon of an unbracketed address is ignored, `unix:` takes paths
 * with and without two slashes, ports read like Python's int().
 */
#include "core/base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum { DEFAULT_PORT = 8000 };

/* ---- numbers ---- */

/* Python's int(text): blanks around, a sign, single underscores between. */
static int
parse_int(const char *p, size_t n, long *ret_value)
{
    while (n > 0 && isspace((unsigned char)p[0])) {
        p++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)p[n - 1])) {
        n--;
    }
    int negative = n > 0 && p[0] == '-';
    size_t i = n > 0 && (p[0] == '-' || p[0] == '+');
    long value = 0;
    int digit_before = 0;
    for (; i < n; i++) {
        if (isdigit((unsigned char)p[i])) {
            value = value > INT_MAX ? value : value * 10 + (p[i] - '0');
            digit_before = 1;
        } else if (p[i] == '_' && digit_before) {
            digit_before = 0;
        } else {
            return -EINVAL;
        }
    }
    if (!digit_before) {
        return -EINVAL;
    }
    *ret_value = negative ? -value : value;
    return 0;
}

static int
parse_port(const char *p, size_t n, const char *hint, uint16_t *ret_port,
           struct cg_error *err)
{
    long value;
    if (parse_int(p, n, &value) < 0) {
        return cg_error_set(err, EINVAL, "'%.*s' is not a valid port number.%s",
                            (int)n, p, hint);
    }
    if (value < 0 || value > UINT16_MAX) {
        return cg_error_set(err, EINVAL,
                            "'%.*s' is not a valid port number. Ports go from "
                            "0 (any free one) to 65535.",
                            (int)n, p);
    }
    *ret_port = (uint16_t)value;
    return 0;
}

/* ---- the three kinds ---- */

/* What a socket unit may call its sockets (FileDescriptorName=), as far as it
 * is no number. */
static bool
is_name(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '_') {
        return false;
    }
    while (isalnum((unsigned char)*text) ||
           (*text != '\0' && strchr("_.@-", *text) != NULL)) {
        text++;
    }
    return *text == '\0';
}

static int
parse_fd(const char *text, struct cg_addr *a, struct cg_error *err)
{
    long value;
    if (is_name(text)) {
        a->kind = CG_ADDR_FD;
        return 0;
    }
    if (parse_int(text, strlen(text), &value) < 0 || value < 0 ||
        value > INT_MAX) {
        return cg_error_set(err, EINVAL, "'%s' is not a valid file descriptor.",
                            text);
    }
    a->kind = CG_ADDR_FD;
    a->fd = (int)value;
    return 0;
}

static int
parse_unix(const char *path, struct cg_addr *a, struct cg_error *err)
{
    if (path[0] == '\0') {
        return cg_error_set(err, EINVAL,
                            "'%s' has no path. Write unix:/run/app.sock, or "
                            "unix:@name for an abstract socket.",
                            a->text);
    }
    /* a NUL cannot travel in a command line: the escape stands for it */
    bool escaped = strncmp(path, "\\0", 2) == 0;
    const char *name = escaped ? path + 2 : path;
    size_t n = strlen(name) + escaped;
    if (n >= sizeof a->path) {
        return cg_error_set(err, ENAMETOOLONG,
                            "the unix socket path '%s' is %zu bytes long and "
                            "the system allows %zu. Choose a shorter path, or "
                            "a relative one together with chdir.",
                            path, n, sizeof a->path - 1);
    }
    a->kind = CG_ADDR_UNIX;
    snprintf(a->path, sizeof a->path, "%s%s", escaped ? "@" : "", name);
    return 0;
}

/* fe80::1%eth0 counts: the zone is resolved when the socket is bound. */
static int
is_v6_literal(const char *host)
{
    struct in6_addr in6;
    char literal[INET6_ADDRSTRLEN];
    size_t n = strcspn(host, "%");
    if (n >= sizeof literal) {
        return 0;
    }
    memcpy(literal, host, n);
    literal[n] = '\0';
    return inet_pton(AF_INET6, literal, &in6) == 1;
}

static int
store_host(const char *p, size_t n, struct cg_addr *a, struct cg_error *err)
{
    if (n >= sizeof a->host) {
        return cg_error_set(err, ENAMETOOLONG,
                            "the host name in '%s' is %zu bytes long and the "
                            "system allows %zu.",
                            a->text, n, sizeof a->host - 1);
    }
    for (size_t i = 0; i < n; i++) {
        a->host[i] = (char)tolower((unsigned char)p[i]);
    }
    a->host[n] = '\0';
    a->v6 = is_v6_literal(a->host);
    return 0;
}

static int
parse_bracketed(const char *text, const char *close, struct cg_addr *a,
                struct cg_error *err)
{
    const char *colon = strstr(text, "]:");
    int r = store_host(text + 1, close > text ? (size_t)(close - text - 1) : 0,
                       a, err);
    if (r < 0 || colon == NULL) {
        return r;
    }
    /* as split("]:")[1] would give it */
    const char *port = colon + 2;
    const char *end = strstr(port, "]:");
    return parse_port(port, end ? (size_t)(end - port) : strlen(port), "",
                      &a->port, err);
}

static int
parse_tcp(const char *text, struct cg_addr *a, struct cg_error *err)
{
    const char *close = strchr(text, ']');
    const char *colon = strchr(text, ':');
    a->kind = CG_ADDR_TCP;
    a->port = DEFAULT_PORT;
    if (strchr(text, '[') != NULL && close != NULL) {
        return parse_bracketed(text, close, a, err);
    }
    if (colon == NULL) {
        return store_host(text[0] ? text : "0.0.0.0",
                          text[0] ? strlen(text) : strlen("0.0.0.0"), a, err);
    }
    int r = store_host(text, (size_t)(colon - text), a, err);
    if (r < 0) {
        return r;
    }
    const char *hint =
        is_v6_literal(text) ? " IPv6 addresses need brackets: [::1]:8000." : "";
    return parse_port(colon + 1, strcspn(colon + 1, ":"), hint, &a->port, err);
}

const char *
cg_addr_bare(const char *text)
{
    return strncmp(text, "tls:", 4) == 0 ? text + 4 : text;
}

int
cg_addr_parse(const char *text, struct cg_addr *ret_addr, struct cg_error *err)
{
    struct cg_addr a = {.fd = -1};
    int r;
    if (strlen(text) >= sizeof a.text) {
        return cg_error_set(err, ENAMETOOLONG,
                            "the bind address '%.60s...' is %zu bytes long, "
                            "which no socket address can be.",
                            text, strlen(text));
    }
    strcpy(a.text, text);
    a.tls = cg_addr_bare(text) != text;
    text = cg_addr_bare(text);
    if (a.tls && strncmp(text, "fd://", 5) == 0) {
        return cg_error_set(err, EINVAL,
                            "'%s': sockets that are passed on speak TLS all "
                            "together: leave tls: out, certfile is enough",
                            a.text);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = text + 5;
        r = parse_unix(strncmp(path, "//", 2) == 0 ? path + 2 : path, &a, err);
    } else if (strncmp(text, "fd://", 5) == 0) {
        r = parse_fd(text + 5, &a, err);
    } else {
        r = parse_tcp(strncmp(text, "tcp://", 6) == 0 ? text + 6 : text, &a,
                      err);
    }
    if (r == 0) {
        *ret_addr = a;
    }
    return r;
}

/* ---- what they are called ---- */

static void
describe_unix(const struct sockaddr_un *un, socklen_t n, char *out, size_t size)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    size_t length = n > offset ? n - offset : 0;
    if (length > 0 && un->sun_path[0] == '\0') {
        snprintf(out, size, "unix:@%.*s", (int)(length - 1), un->sun_path + 1);
    } else {
        snprintf(out, size, "unix:%.*s", (int)strnlen(un->sun_path, length),
                 un->sun_path);
    }
}

void
cg_addr_describe(const struct sockaddr *sa, socklen_t n, int secure, char *out,
                 size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(out, size, "%s://%s:%u", secure ? "https" : "http", host,
                 ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        /* gunicorn says http here, whatever is spoken */
        snprintf(out, size, "http://[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (sa->sa_family == AF_UNIX) {
        describe_unix((const void *)sa, n, out, size);
    } else {
        snprintf(out, size, "family %d", sa->sa_family);
    }
}

void
cg_addr_tuple(const struct cg_addr *a, char *out, size_t size)
{
    switch (a->kind) {
    case CG_ADDR_TCP:
        snprintf(out, size, "('%s', %u)", a->host, a->port);
        break;
    case CG_ADDR_UNIX: snprintf(out, size, "%s", a->path); break;
    case CG_ADDR_FD: snprintf(out, size, "%d", a->fd); break;
    }
}
