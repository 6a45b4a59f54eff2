/* SPDX-License-Identifier: MIT */
#include "logging/syslog.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "logging/courier.h"

enum { DATAGRAM_MAX = 65000 };

struct cg_syslog {
    struct cg_syslog_target target;
    int facility;
    char *ident[2]; /* error, access */
    bool access;
    struct sockaddr_storage addr;
    socklen_t addr_n;
    int fd;                             /* for datagrams, else -1 */
    struct cg_courier *_Atomic courier; /* for streams */
};

/* ---- words ---- */

static const struct {
    const char *word;
    int number;
} facilities[] = {
    {"auth", 4},    {"authpriv", 10}, {"cron", 9},    {"daemon", 3},
    {"ftp", 11},    {"kern", 0},      {"lpr", 6},     {"mail", 2},
    {"news", 7},    {"security", 4},  {"syslog", 5},  {"user", 1},
    {"uucp", 8},    {"local0", 16},   {"local1", 17}, {"local2", 18},
    {"local3", 19}, {"local4", 20},   {"local5", 21}, {"local6", 22},
    {"local7", 23},
};

int
cg_syslog_facility(const char *word)
{
    for (size_t i = 0; word != NULL && i < CG_COUNT(facilities); i++) {
        if (strcasecmp(word, facilities[i].word) == 0) {
            return facilities[i].number;
        }
    }
    return -1;
}

/* Python's level as syslog's severity. */
static int
severity(int level)
{
    return level >= 50   ? 2
           : level >= 40 ? 3
           : level >= 30 ? 4
           : level >= 20 ? 6
                         : 7;
}

/* ---- the address ---- */

static int
invalid(const char *text, struct cg_error *err)
{
    return cg_error_set(err, EINVAL,
                        "syslog_addr: invalid syslog address '%s': write "
                        "unix://PATH, udp://HOST:PORT or tcp://HOST:PORT",
                        text);
}

static int
parse_unix(const char *text, struct cg_syslog_target *t, struct cg_error *err)
{
    const char *path = text + strlen("unix://");
    size_t n = strcspn(path, "#");
    t->kind = CG_SYSLOG_UNIX;
    t->dgram_only = strcmp(path + n, "#dgram") == 0;
    if (n == 0 || n >= sizeof t->path) {
        return invalid(text, err);
    }
    memcpy(t->path, path, n);
    t->path[n] = '\0';
    return 0;
}

/* "", "host", "host:port", "[v6]", "[v6]:port" */
static int
parse_host(const char *text, const char *p, struct cg_syslog_target *t,
           struct cg_error *err)
{
    const char *close = *p == '[' ? strchr(p, ']') : NULL;
    const char *host = close != NULL ? p + 1 : p;
    size_t n = close != NULL ? (size_t)(close - host) : strcspn(p, ":");
    const char *rest = close != NULL ? close + 1 : p + n;
    const char *port = *rest == ':' ? rest + 1 : "514";
    if (n >= sizeof t->host || (*rest != '\0' && *rest != ':')) {
        return invalid(text, err);
    }
    if (*port == '\0' || port[strspn(port, "0123456789")] != '\0' ||
        strlen(port) > 5 || atoi(port) > 65535) {
        return cg_error_set(
            err, EINVAL, "syslog_addr: '%s' is not a valid port number.", port);
    }
    memcpy(t->host, n > 0 ? host : "localhost", n > 0 ? n : 10);
    t->host[n > 0 ? n : 9] = '\0';
    memcpy(t->port, port, strlen(port) + 1);
    return 0;
}

int
cg_syslog_parse(const char *text, struct cg_syslog_target *ret,
                struct cg_error *err)
{
    struct cg_syslog_target t = {0};
    int r;
    if (text == NULL) {
        return invalid("", err);
    }
    if (strncmp(text, "unix://", 7) == 0) {
        r = parse_unix(text, &t, err);
    } else if (strncmp(text, "udp://", 6) == 0) {
        t.kind = CG_SYSLOG_UDP;
        r = parse_host(text, text + 6, &t, err);
    } else if (strncmp(text, "tcp://", 6) == 0) {
        t.kind = CG_SYSLOG_TCP;
        r = parse_host(text, text + 6, &t, err);
    } else {
        r = invalid(text, err);
    }
    if (r == 0) {
        *ret = t;
    }
    return r;
}

static void
name_path(struct cg_syslog *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, s->target.path, sizeof a.sun_path);
    memcpy(&s->addr, &a, sizeof a);
    s->addr_n = sizeof a;
}

/* Once, at the start: a worker must never wait for a name server. */
static int
resolve(struct cg_syslog *s, struct cg_error *err)
{
    const struct cg_syslog_target *t = &s->target;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {
        .ai_socktype = t->kind == CG_SYSLOG_UDP ? SOCK_DGRAM : SOCK_STREAM};
    int r = getaddrinfo(t->host, t->port, &hints, &found);
    if (r != 0) {
        return cg_error_set(err, EHOSTUNREACH,
                            "syslog_addr: cannot resolve '%s': %s", t->host,
                            gai_strerror(r));
    }
    memcpy(&s->addr, found->ai_addr, found->ai_addrlen);
    s->addr_n = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* ---- life ---- */

static int
init(struct cg_syslog *s, const struct cg_syslog_options *o,
     struct cg_error *err)
{
    int r = cg_syslog_parse(o->addr, &s->target, err);
    if (r < 0) {
        return r;
    }
    s->facility = cg_syslog_facility(o->facility);
    if (s->facility < 0) {
        return cg_error_set(err, EINVAL,
                            "syslog_facility: unknown facility name '%s': one "
                            "of user, daemon, local0 to local7, auth …",
                            o->facility != NULL ? o->facility : "");
    }
    if (s->target.kind == CG_SYSLOG_UNIX) {
        name_path(s);
    } else if ((r = resolve(s, err)) < 0) {
        return r;
    }
    if (s->target.kind != CG_SYSLOG_TCP) {
        s->fd = socket(s->addr.ss_family,
                       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    } else {
        s->courier = cg_courier_new((struct sockaddr *)&s->addr, s->addr_n);
    }
    return 0;
}

int
cg_syslog_new(const struct cg_syslog_options *o, struct cg_syslog **ret,
              struct cg_error *err)
{
    struct cg_syslog *s = cg_calloc(1, sizeof *s);
    s->fd = -1;
    int r = init(s, o, err);
    if (r < 0) {
        free(s);
        return r;
    }
    s->access = o->access;
    s->ident[0] = cg_strf("gunicorn.%s.error", o->prefix);
    s->ident[1] = cg_strf("gunicorn.%s.access", o->prefix);
    *ret = s;
    return 0;
}

void
cg_syslog_free(struct cg_syslog *s)
{
    if (s != NULL) {
        cg_courier_free(s->courier);
        cg_fd_close(&s->fd);
        free(s->ident[0]);
        free(s->ident[1]);
        free(s);
    }
}

bool
cg_syslog_takes_access(const struct cg_syslog *s)
{
    return s->access;
}

unsigned long
cg_syslog_lost(const struct cg_syslog *s)
{
    return s->courier != NULL ? cg_courier_lost(s->courier) : 0;
}

int
cg_syslog_fault(const struct cg_syslog *s)
{
    return s->courier != NULL ? cg_courier_fault(s->courier) : 0;
}

void
cg_syslog_forked(struct cg_syslog *s)
{
    if (s->courier != NULL) {
        cg_courier_forked(s->courier);
    }
}

void
cg_syslog_drain(struct cg_syslog *s, int patience_ms)
{
    if (s->courier != NULL) {
        cg_courier_drain(s->courier, patience_ms);
    }
}

/* ---- sending ---- */

static int
send_datagram(struct cg_syslog *s, const char *p, size_t n)
{
    ssize_t w;
    do {
        w = sendto(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL,
                   (struct sockaddr *)&s->addr, s->addr_n);
    } while (w < 0 && errno == EINTR);
    return w < 0 ? -errno : 0;
}

/* The first thread that finds a stream makes the courier. */
static struct cg_courier *
stream_courier(struct cg_syslog *s)
{
    struct cg_courier *none = NULL;
    struct cg_courier *fresh =
        cg_courier_new((struct sockaddr *)&s->addr, s->addr_n);
    if (atomic_compare_exchange_strong(&s->courier, &none, fresh)) {
        return fresh;
    }
    cg_courier_free(fresh);
    return none;
}

/* /dev/log is a datagram socket or a stream; which, shows when it is there.
 * Addressed and not connected, the datagram socket outlives its server. */
static int
send_unix(struct cg_syslog *s, const char *p, size_t n)
{
    struct cg_courier *courier = s->courier;
    if (courier == NULL) {
        int r = s->fd < 0 ? -EBADF : send_datagram(s, p, n);
        if (r != -EPROTOTYPE || s->target.dgram_only) {
            return r;
        }
        courier = stream_courier(s);
    }
    return cg_courier_put(courier, p, n);
}

int
cg_syslog_send(struct cg_syslog *s, bool access, int level,
               struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_putf(&b, "<%d>%s: [%d] ", s->facility << 3 | severity(level),
                s->ident[access ? 1 : 0], (int)getpid());
    cg_buf_put(&b, text.p, text.n < DATAGRAM_MAX ? text.n : DATAGRAM_MAX);
    b.n = b.n < DATAGRAM_MAX ? b.n : DATAGRAM_MAX;
    cg_buf_putc(&b, '\0');
    switch (s->target.kind) {
    case CG_SYSLOG_UNIX: return send_unix(s, b.p, b.n);
    case CG_SYSLOG_UDP: return s->fd < 0 ? -EBADF : send_datagram(s, b.p, b.n);
    case CG_SYSLOG_TCP: return cg_courier_put(s->courier, b.p, b.n);
    }
    return -EINVAL;
}
