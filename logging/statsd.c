/* SPDX-License-Identifier: MIT */
#include "logging/statsd.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { MESSAGE_MAX = 8192 };

struct cg_statsd {
    char *prefix, *tags; /* tags with "|#" in front, or "" */
    struct sockaddr_storage addr;
    socklen_t addr_n; /* 0: the name could not be resolved */
    int fd;           /* not connected: errors do not come back late */
};

/* ---- the address ---- */

static int
bad_address(const char *text, struct cg_error *err)
{
    return cg_error_set(err, EINVAL,
                        "statsd_host: Value must be one of ('host:port', "
                        "'unix://PATH'): '%s'",
                        text);
}

static int
take(char *to, size_t size, const char *from, size_t n)
{
    if (n >= size) {
        return -1;
    }
    memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

static int
parse_port(const char *p, struct cg_statsd_target *t, struct cg_error *err)
{
    size_t n = strspn(p, "0123456789");
    if (n == 0 || (p[n] != '\0' && p[n] != ':') || n > 5 || atoi(p) > 65535) {
        return cg_error_set(err, EINVAL,
                            "statsd_host: '%s' is not a valid port number.", p);
    }
    snprintf(t->port, sizeof t->port, "%.*s", (int)n, p);
    return 0;
}

/* unix:8125 is a host of that name (gunicorn keeps it so since 20). */
static const char *
unix_path(const char *text)
{
    if (strncmp(text, "unix:", 5) != 0) {
        return NULL;
    }
    const char *p = text + 5;
    if (*p != '\0' && p[strspn(p, "0123456789")] == '\0') {
        return NULL;
    }
    return strncmp(p, "//", 2) == 0 ? p + 2 : p;
}

int
cg_statsd_parse(const char *text, struct cg_statsd_target *ret,
                struct cg_error *err)
{
    struct cg_statsd_target t = {.port = "8125"};
    const char *path = unix_path(text), *p = text, *end = NULL;
    if (path != NULL) {
        t.is_unix = 1;
        if (*path == '\0' || take(t.path, sizeof t.path, path, strlen(path))) {
            return bad_address(text, err);
        }
        *ret = t;
        return 0;
    }
    p += strncmp(p, "tcp://", 6) == 0   ? 6
         : strncmp(p, "udp://", 6) == 0 ? 6
                                        : 0;
    if (*p == '[') {
        end = strchr(++p, ']');
        if (end == NULL) {
            return bad_address(text, err);
        }
    }
    const char *host_end = end != NULL ? end : p + strcspn(p, ":");
    const char *rest = end != NULL ? end + 1 : host_end;
    /* nothing is any address, as in gunicorn: this machine, for a sender */
    const char *host = host_end > p ? p : "0.0.0.0";
    size_t host_n = host_end > p ? (size_t)(host_end - p) : strlen(host);
    if (take(t.host, sizeof t.host, host, host_n) ||
        (*rest != '\0' && *rest != ':')) {
        return bad_address(text, err);
    }
    int r = *rest == ':' ? parse_port(rest + 1, &t, err) : 0;
    if (r == 0) {
        *ret = t;
    }
    return r;
}

static void
resolve(struct cg_statsd *s, const struct cg_statsd_target *t,
        struct cg_error *err)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_family = strchr(t->host, ':') != NULL ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_DGRAM};
    int r = getaddrinfo(t->host, t->port, &hints, &found);
    if (r != 0) {
        cg_error_set(
            err, EHOSTUNREACH,
            "statsd_host: cannot resolve '%s': %s; no metrics are sent",
            t->host, gai_strerror(r));
        return;
    }
    memcpy(&s->addr, found->ai_addr, found->ai_addrlen);
    s->addr_n = found->ai_addrlen;
    freeaddrinfo(found);
}

static void
name_path(struct cg_statsd *s, const struct cg_statsd_target *t)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, t->path, sizeof a.sun_path);
    memcpy(&s->addr, &a, sizeof a);
    s->addr_n = sizeof a;
}

/* ---- life ---- */

/* gunicorn: one dot at the end, unless it has fewer than two characters. */
static char *
prefix_of(const char *text)
{
    size_t n = text != NULL ? strlen(text) : 0;
    if (n < 2) {
        return cg_strdup(n > 0 ? text : "");
    }
    size_t bare = n;
    while (bare > 0 && text[bare - 1] == '.') {
        bare--;
    }
    return bare >= 2 ? cg_strf("%.*s.", (int)bare, text) : cg_strdup(text);
}

int
cg_statsd_new(const struct cg_statsd_options *o, struct cg_statsd **ret,
              struct cg_error *err)
{
    struct cg_statsd_target t;
    int r = cg_statsd_parse(o->host, &t, err);
    if (r < 0) {
        return r;
    }
    struct cg_statsd *s = cg_calloc(1, sizeof *s);
    s->prefix = prefix_of(o->prefix);
    s->tags = o->tags != NULL && *o->tags != '\0' ? cg_strf("|#%s", o->tags)
                                                  : cg_strdup("");
    if (t.is_unix) {
        name_path(s, &t);
    } else {
        resolve(s, &t, err);
    }
    int family = s->addr_n > 0 ? s->addr.ss_family : AF_INET;
    s->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *ret = s;
    return 0;
}

void
cg_statsd_free(struct cg_statsd *s)
{
    if (s != NULL) {
        if (s->fd >= 0) {
            close(s->fd);
        }
        free(s->prefix);
        free(s->tags);
        free(s);
    }
}

/* ---- sending ---- */

static struct msghdr
message(struct cg_statsd *s, struct iovec *part)
{
    return (struct msghdr){.msg_name = &s->addr,
                           .msg_namelen = s->addr_n,
                           .msg_iov = part,
                           .msg_iovlen = 1};
}

static int
send_text(struct cg_statsd *s, char *text, size_t n)
{
    struct iovec part = {text, n};
    struct msghdr m = message(s, &part);
    if (s->addr_n == 0 || s->fd < 0) {
        return 0; /* told at the start */
    }
    return sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
cg_statsd_send(struct cg_statsd *s, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_put(&b, text.p, text.n < MESSAGE_MAX ? text.n : MESSAGE_MAX);
    cg_buf_puts(&b, s->tags);
    return send_text(s, b.p, b.n);
}

int
cg_statsd_count(struct cg_statsd *s, const char *name)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_putf(&b, "%s%s:1|c|@1.0%s", s->prefix, name, s->tags);
    return send_text(s, b.p, b.n);
}

int
cg_statsd_value(struct cg_statsd *s, const char *name, long value,
                const char *type)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_putf(&b, "%s%s:%ld|%s%s", s->prefix, name, value, type, s->tags);
    return send_text(s, b.p, b.n);
}

/* Milliseconds as Python's repr of a float: 1.234, 1.2, 1.0. */
static void
put_ms(struct cg_buf *b, uint64_t us)
{
    unsigned rest = (unsigned)(us % 1000);
    cg_buf_putf(b, "%llu.", (unsigned long long)(us / 1000));
    if (rest == 0) {
        cg_buf_putc(b, '0');
        return;
    }
    char digits[4];
    snprintf(digits, sizeof digits, "%03u", rest);
    for (size_t n = 3; digits[n - 1] == '0'; n--) {
        digits[n - 1] = '\0';
    }
    cg_buf_puts(b, digits);
}

/* gunicorn's three datagrams, in one system call. */
int
cg_statsd_request(struct cg_statsd *s, int status, uint64_t duration_us)
{
    cg_auto(buf) struct cg_buf b = {0};
    struct iovec part[3];
    struct mmsghdr m[3];
    size_t at[4] = {0};
    cg_buf_putf(&b, "%sgunicorn.request.duration:", s->prefix);
    put_ms(&b, duration_us);
    cg_buf_putf(&b, "|ms%s", s->tags);
    at[1] = b.n;
    cg_buf_putf(&b, "%sgunicorn.requests:1|c|@1.0%s", s->prefix, s->tags);
    at[2] = b.n;
    cg_buf_putf(&b, "%sgunicorn.request.status.%d:1|c|@1.0%s", s->prefix,
                status, s->tags);
    at[3] = b.n;
    if (s->addr_n == 0 || s->fd < 0) {
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        part[i] = (struct iovec){b.p + at[i], at[i + 1] - at[i]};
        m[i] = (struct mmsghdr){.msg_hdr = message(s, &part[i])};
    }
    int sent = sendmmsg(s->fd, m, 3, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent == 3 ? 0 : sent < 0 ? -errno : -EAGAIN;
}
