/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. What gunicorn sets is set, and in its order; what fails
 * is explained in one sentence with the way out. Retries, log lines and the
 * question which binds are used belong to the arbiter.
 */
#include "core/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/hurry.h"
#include "core/base/memory.h"
#include "core/base/place.h"
#include "core/net/holder.h"

struct name {
    struct sockaddr_storage sa;
    socklen_t n;
};

/* ---- what went wrong, and the way out ---- */

static int
fail(struct cg_error *err, const struct cg_addr *a, int errnum,
     const char *advice)
{
    return cg_error_set(err, errnum, "cannot listen at '%s': %s%s%s", a->text,
                        strerror(errnum), advice[0] != '\0' ? ". " : "",
                        advice);
}

static int
fail_in_use(struct cg_error *err, const struct cg_addr *a)
{
    struct cg_holder holder;
    char advice[160];
    if (a->kind != CG_ADDR_TCP || !cg_holder_find(a->port, &holder)) {
        return fail(err, a, EADDRINUSE,
                    "Stop the program that listens there, or bind elsewhere.");
    }
    snprintf(advice, sizeof advice,
             "%s (pid %d) listens on port %u: stop it, or bind elsewhere.",
             holder.name, (int)holder.pid, a->port);
    return fail(err, a, EADDRINUSE, advice);
}

static int
fail_tcp(struct cg_error *err, const struct cg_addr *a, int errnum)
{
    char advice[160] = "";
    switch (errnum) {
    case EADDRINUSE: return fail_in_use(err, a);
    case EADDRNOTAVAIL:
        snprintf(advice, sizeof advice,
                 "No interface of this machine has the address; 0.0.0.0 or "
                 "[::] stand for all of them.");
        break;
    case EACCES:
    case EPERM:
        snprintf(advice, sizeof advice,
                 "Port %u is reserved for root: choose one from 1024, or give "
                 "the program CAP_NET_BIND_SERVICE.",
                 a->port);
        break;
    case EAFNOSUPPORT:
        snprintf(advice, sizeof advice, "IPv6 is switched off here.");
        break;
    }
    return fail(err, a, errnum, advice);
}

static int
fail_unix(struct cg_error *err, const struct cg_addr *a, int errnum)
{
    const char *slash = strrchr(a->path, '/');
    char advice[256] = "";
    int n = slash != NULL ? (int)(slash - a->path) : 1;
    const char *folder = slash != NULL ? a->path : ".";
    if (n == 0) {
        n = 1; /* "/name" lies in "/" */
    }
    switch (errnum) {
    case EADDRINUSE: return fail_in_use(err, a);
    case ENOENT:
        snprintf(advice, sizeof advice,
                 "The folder '%.*s' does not exist: make it first.", n, folder);
        break;
    case EACCES:
    case EPERM:
        snprintf(advice, sizeof advice,
                 "Uid %d may not make files in the folder '%.*s'.",
                 (int)geteuid(), n, folder);
        break;
    }
    return fail(err, a, errnum, advice);
}

static int
fail_lookup(struct cg_error *err, const struct cg_addr *a, int code)
{
    /* a name server that is late is worth the same retries as an interface */
    return cg_error_set(err, EADDRNOTAVAIL,
                        "cannot listen at '%s': the host name '%s' has no %s "
                        "address: %s",
                        a->text, a->host, a->v6 ? "IPv6" : "IPv4",
                        gai_strerror(code));
}

/* ---- addresses ---- */

static int
resolve(const struct cg_addr *a, struct name *ret_name, struct cg_error *err)
{
    /* gunicorn: IPv6 for literals only, names give IPv4 */
    const struct addrinfo hints = {
        .ai_family = a->v6 ? AF_INET6 : AF_INET,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | (a->v6 ? AI_NUMERICHOST : 0),
    };
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof port, "%u", a->port);
    int code =
        getaddrinfo(a->host[0] != '\0' ? a->host : NULL, port, &hints, &found);
    if (code != 0) {
        return fail_lookup(err, a, code);
    }
    memcpy(&ret_name->sa, found->ai_addr, found->ai_addrlen);
    ret_name->n = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static struct name
unix_name(const struct cg_addr *a)
{
    struct name name = {.n = 0};
    struct sockaddr_un *un = (struct sockaddr_un *)&name.sa;
    size_t n = strlen(a->path);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, a->path, n);
    if (a->path[0] == '@') {
        un->sun_path[0] = '\0';
    } else {
        n++; /* a path's NUL is part of its name */
    }
    name.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return name;
}

/* ---- sockets ---- */

static int
new_socket(int family, const struct cg_listener_options *o, int *ret_fd)
{
    int one = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_UNIX) {
        cg_hurry_refuse(fd);
    } else {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (o->v6only && family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    if (o->reuse_port && family != AF_UNIX &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0) {
        int saved = errno;
        close(fd);
        return saved;
    }
    *ret_fd = fd;
    return 0;
}

static int
open_tcp(const struct cg_addr *a, const struct cg_listener_options *o,
         int *ret_fd, struct cg_error *err)
{
    cg_auto(fd_close) int fd = -1;
    struct name name = {.n = 0};
    int r = resolve(a, &name, err);
    if (r < 0) {
        return r;
    }
    r = new_socket(name.sa.ss_family, o, &fd);
    if (r != 0) {
        return fail_tcp(err, a, r);
    }
    if (bind(fd, (struct sockaddr *)&name.sa, name.n) < 0 ||
        listen(fd, o->backlog) < 0) {
        return fail_tcp(err, a, errno);
    }
    *ret_fd = cg_fd_take(&fd);
    return 0;
}

/* ---- the file of a unix socket ---- */

/* The folder of a path, for root with care: who owns a folder on the way must
 * not lead root's chown and unlink elsewhere. */
static int
find_place(const struct cg_addr *a, struct cg_place *place,
           struct cg_error *err)
{
    struct cg_error why = {0};
    int r = cg_place_find(a->path, CG_PLACE_STAY, place, &why);
    if (r == -EPERM && geteuid() == 0) {
        return cg_error_set(err, EPERM, "cannot listen at '%s': %s", a->text,
                            why.text);
    }
    return r < 0 ? fail_unix(err, a, -r) : 0;
}

bool
cg_listener_is_served(const struct cg_addr *a)
{
    struct name name = unix_name(a);
    cg_auto(fd_close) int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return connect(fd, (struct sockaddr *)&name.sa, name.n) == 0 ||
           (errno != ECONNREFUSED && errno != ENOENT);
}

/* Whether a socket file in the way is somebody else's, for root, whom the
 * kernel would let remove any. */
static bool
is_foreign(const struct cg_addr *a, const struct cg_listener_options *o,
           const struct cg_place *place, const struct stat *st)
{
    struct stat folder;
    return geteuid() == 0 && st->st_uid != 0 && st->st_uid != (uid_t)o->uid &&
           (fstat(place->dir_fd, &folder) < 0 || folder.st_uid != st->st_uid) &&
           cg_listener_is_served(a);
}

/* gunicorn removes a socket file even if somebody listens on it; what is not a
 * socket stays and is an error. */
static int
clear_path(const struct cg_addr *a, const struct cg_listener_options *o,
           const struct cg_place *place, struct cg_error *err)
{
    struct stat st;
    int r = cg_place_stat(place, &st);
    if (r < 0) {
        return r == -ENOENT ? 0 : fail_unix(err, a, -r);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return cg_error_set(err, EEXIST,
                            "'%s' is not a socket. It is in the way of the "
                            "bind '%s': move it, or bind elsewhere.",
                            a->path, a->text);
    }
    if (is_foreign(a, o, place, &st)) {
        return cg_error_set(err, EADDRINUSE,
                            "cannot listen at '%s': a program of uid %u "
                            "listens there: stop it, or bind elsewhere.",
                            a->text, (unsigned)st.st_uid);
    }
    return unlinkat(place->dir_fd, place->name, 0) < 0
               ? fail_unix(err, a, errno)
               : 0;
}

/* The name is held open while its owner changes, and has to be a socket of ours
 * that has no other name: nothing that was put there since the bind. */
static int
give_path(const struct cg_place *place, const struct cg_listener_options *o)
{
    struct stat st;
    cg_auto(fd_close) int fd =
        openat(place->dir_fd, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return errno;
    }
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() ||
        !cg_place_holds_only(place, fd)) {
        return ESTALE;
    }
    return fchownat(fd, "", (uid_t)o->uid, (gid_t)o->gid, AT_EMPTY_PATH) < 0
               ? errno
               : 0;
}

/* Only a socket; what else is there by now is not ours. */
static void
unlink_socket(const struct cg_place *place)
{
    struct stat st;
    if (cg_place_stat(place, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlinkat(place->dir_fd, place->name, 0);
    }
}

static int
bind_name(int fd, const struct cg_addr *a, const struct cg_listener_options *o,
          struct cg_error *err)
{
    struct name name = unix_name(a);
    mode_t before = umask((mode_t)o->umask);
    int errnum = bind(fd, (struct sockaddr *)&name.sa, name.n) < 0 ? errno : 0;
    umask(before);
    return errnum != 0 ? fail_unix(err, a, errnum) : 0;
}

static int
bind_path(int fd, const struct cg_addr *a, const struct cg_listener_options *o,
          struct cg_error *err)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    int r = find_place(a, &place, err);
    if (r < 0 || (r = clear_path(a, o, &place, err)) < 0 ||
        (r = bind_name(fd, a, o, err)) < 0) {
        return r;
    }
    int errnum = o->uid == -1 && o->gid == -1 ? 0 : give_path(&place, o);
    if (errnum == 0) {
        return 0;
    }
    if (errnum == ESTALE || errnum == ENOENT || errnum == ELOOP) {
        return cg_error_set(err, ESTALE,
                            "cannot listen at '%s': somebody has put another "
                            "file in the place of the socket: bind where only "
                            "root and the user of the workers can write",
                            a->text);
    }
    unlink_socket(&place);
    return cg_error_set(err, errnum,
                        "cannot listen at '%s': giving the socket file to "
                        "%d:%d failed: %s. Only root may set user and group.",
                        a->text, o->uid, o->gid, strerror(errnum));
}

static int
open_unix(const struct cg_addr *a, const struct cg_listener_options *o,
          int *ret_fd, struct cg_error *err)
{
    cg_auto(fd_close) int fd = -1;
    int r = new_socket(AF_UNIX, o, &fd);
    if (r != 0) {
        return fail_unix(err, a, r);
    }
    r = a->path[0] == '@' ? bind_name(fd, a, o, err) : bind_path(fd, a, o, err);
    if (r < 0) {
        return r;
    }
    if (listen(fd, o->backlog) < 0) {
        return fail_unix(err, a, errno);
    }
    *ret_fd = cg_fd_take(&fd);
    return 0;
}

/* ---- the struct ---- */

static void
remember_file(struct cg_listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->name;
    struct stat st;
    if (un->sun_path[0] != '\0' && lstat(un->sun_path, &st) == 0 &&
        S_ISSOCK(st.st_mode)) {
        l->file_dev = st.st_dev;
        l->file_ino = st.st_ino;
    }
}

/* SERVER_NAME and SERVER_PORT, and the text of "Listening at". */
static void
describe(struct cg_listener *l)
{
    const struct sockaddr *sa = (const struct sockaddr *)&l->name;
    cg_addr_describe(sa, l->name_n, l->secure, l->text, sizeof l->text);
    l->host[0] = l->port[0] = '\0';
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, l->host, sizeof l->host);
        snprintf(l->port, sizeof l->port, "%u", ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, l->host, sizeof l->host);
        snprintf(l->port, sizeof l->port, "%u", ntohs(in6->sin6_port));
    } else {
        snprintf(l->host, sizeof l->host, "%s", l->text + strlen("unix:"));
        remember_file(l);
    }
}

int
cg_listener_backlog(int fd)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
                   info.tcpi_state == TCP_LISTEN
               ? (int)info.tcpi_sacked
               : 0;
}

static int
fill(struct cg_listener *l, int fd)
{
    l->fd = fd;
    l->name_n = sizeof l->name;
    if (getsockname(fd, (struct sockaddr *)&l->name, &l->name_n) < 0) {
        return errno;
    }
    l->family = l->name.ss_family;
    l->backlog = cg_listener_backlog(fd);
    describe(l);
    return 0;
}

int
cg_listener_open(const struct cg_addr *addr,
                 const struct cg_listener_options *o,
                 struct cg_listener *ret_listener, struct cg_error *err)
{
    if (addr->kind == CG_ADDR_FD) {
        return cg_listener_adopt(addr->fd, o, ret_listener, err);
    }
    cg_auto(fd_close) int fd = -1;
    struct cg_listener l = {.addr = *addr};
    int r = addr->kind == CG_ADDR_UNIX ? open_unix(addr, o, &fd, err)
                                       : open_tcp(addr, o, &fd, err);
    if (r < 0) {
        return r;
    }
    r = fill(&l, fd);
    if (r != 0) {
        return fail(err, addr, r, "");
    }
    *ret_listener = l;
    cg_fd_take(&fd);
    return 0;
}

/* ---- adopted ones ---- */

static int
check_adopted(int fd, struct cg_error *err)
{
    int type = 0, domain = 0;
    socklen_t n = sizeof type, m = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &m) < 0) {
        return cg_error_set(err, errno,
                            errno == EBADF
                                ? "cannot listen at 'fd://%d': descriptor %d "
                                  "is not open. Whoever starts this program "
                                  "must pass the socket on."
                                : "cannot listen at 'fd://%d': descriptor %d "
                                  "is not a socket.",
                            fd, fd);
    }
    if (type != SOCK_STREAM ||
        (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)) {
        return cg_error_set(err, EPROTOTYPE,
                            "cannot listen at 'fd://%d': it is a socket, but "
                            "neither TCP nor a unix stream.",
                            fd);
    }
    return 0;
}

/* A socket that listens keeps its backlog: under SELinux the second listen()
 * may be forbidden. */
static int
ensure_listening(int fd, int backlog)
{
    int listening = 0;
    socklen_t n = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 &&
        listening) {
        return 0;
    }
    return listen(fd, backlog) < 0 ? errno : 0;
}

int
cg_listener_adopt(int fd, const struct cg_listener_options *o,
                  struct cg_listener *ret_listener, struct cg_error *err)
{
    struct cg_listener l = {.adopted = true};
    int r = check_adopted(fd, err);
    if (r < 0) {
        return r;
    }
    l.addr.kind = CG_ADDR_FD;
    l.addr.fd = fd;
    snprintf(l.addr.text, sizeof l.addr.text, "fd://%d", fd);
    int errnum = ensure_listening(fd, o->backlog);
    if (errnum == 0) {
        errnum = -cg_fd_set_nonblock(fd);
    }
    if (errnum == 0) {
        errnum = -cg_fd_set_cloexec(fd, 1);
    }
    if (errnum == 0) {
        errnum = fill(&l, fd);
    }
    if (errnum == 0 && l.family == AF_UNIX) {
        cg_hurry_refuse(fd);
    }
    if (errnum != 0) {
        return fail(err, &l.addr, errnum, "");
    }
    *ret_listener = l;
    return 0;
}

void
cg_listener_set_secure(struct cg_listener *l, bool secure)
{
    l->secure = secure;
    cg_addr_describe((const struct sockaddr *)&l->name, l->name_n, secure,
                     l->text, sizeof l->text);
}

/* ---- questions ---- */

static uint16_t
port_of(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET
               ? ((const struct sockaddr_in *)(const void *)sa)->sin_port
               : ((const struct sockaddr_in6 *)(const void *)sa)->sin6_port;
}

static const void *
ip_of(const struct sockaddr_storage *sa, size_t *ret_n)
{
    const struct sockaddr_in *in = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;
    *ret_n =
        sa->ss_family == AF_INET ? sizeof in->sin_addr : sizeof in6->sin6_addr;
    return sa->ss_family == AF_INET ? (const void *)&in->sin_addr
                                    : (const void *)&in6->sin6_addr;
}

static bool
is_at_path(const struct cg_listener *l, const char *path)
{
    const struct sockaddr_un *un = (const void *)&l->name;
    size_t skip = path[0] == '@'; /* a NUL in the kernel's name */
    return l->family == AF_UNIX && (un->sun_path[0] == '\0') == (skip == 1) &&
           strncmp(un->sun_path + skip, path + skip,
                   sizeof un->sun_path - skip) == 0;
}

bool
cg_listener_is_at(const struct cg_listener *l, const struct cg_addr *addr)
{
    struct name name = {.n = 0};
    size_t n;
    if (addr->kind == CG_ADDR_FD) {
        return l->fd == addr->fd;
    }
    if (addr->kind == CG_ADDR_UNIX) {
        return is_at_path(l, addr->path);
    }
    if (resolve(addr, &name, NULL) < 0 || name.sa.ss_family != l->family ||
        port_of(&name.sa) != port_of(&l->name)) {
        return false;
    }
    const void *wanted = ip_of(&name.sa, &n);
    return memcmp(wanted, ip_of(&l->name, &n), n) == 0;
}

bool
cg_listener_is_lost(const struct cg_listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->name;
    struct stat st;
    return l->family == AF_UNIX && !l->adopted && l->file_ino != 0 &&
           stat(un->sun_path, &st) < 0 && errno == ENOENT;
}

/* ---- the end ---- */

/* A successor may have put its own socket there meanwhile. */
static void
remove_file(const struct cg_listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->name;
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    struct stat st;
    if (cg_place_find(un->sun_path, CG_PLACE_STAY, &place, NULL) == 0 &&
        cg_place_stat(&place, &st) == 0 && S_ISSOCK(st.st_mode) &&
        st.st_ino == l->file_ino && st.st_dev == l->file_dev) {
        unlinkat(place.dir_fd, place.name, 0);
    }
}

void
cg_listener_close(struct cg_listener *l, bool unlink_path)
{
    cg_hurry_close(&l->fd); /* and whoever waits there */
    if (unlink_path && !l->adopted && l->family == AF_UNIX &&
        l->file_ino != 0) {
        remove_file(l);
    }
}

void
cg_listener_quiesce(const struct cg_listener *l)
{
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 };
    /* The filter of a listening socket sees each segment from its TCP header
     * on: new SYNs, and the ACKs that complete handshakes, which must pass. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    const struct sock_fprog program = {CG_COUNT(code), code};
    if (!l->adopted && (l->family == AF_INET || l->family == AF_INET6)) {
        setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof program);
    }
}
