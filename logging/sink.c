/* SPDX-License-Identifier: MIT */
#include "logging/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/place.h"

/* How long the first line that finds no room may wait. */
enum { PATIENCE_MS = 100 };

/* ---- opening ---- */

static int
open_fault(const char *setting, const char *path, const struct cg_error *why,
           struct cg_error *err)
{
    int failure = -why->code;
    cg_auto(free) char *folder = cg_strdup(path);
    char *slash = strrchr(folder, '/');
    struct stat st;
    if (failure == ENOENT && slash != NULL) {
        *slash = '\0';
        if (*folder != '\0' && stat(folder, &st) < 0) {
            return cg_error_set(err, failure,
                                "%s: '%s' isn't writable: the folder '%s' "
                                "doesn't exist; make it, or name another file",
                                setting, path, folder);
        }
    }
    if ((failure == EACCES || failure == EPERM) && geteuid() != 0) {
        return cg_error_set(err, failure,
                            "%s: '%s' isn't writable: %s for user %u: let that "
                            "user write the file and enter its folder",
                            setting, path, strerror(failure),
                            (unsigned)geteuid());
    }
    return cg_error_set(err, failure, "%s: '%s' isn't writable: %s", setting,
                        path, why->text);
}

/* /dev/stderr and the like: 1, 2, or -1. */
static int
stream_of(const char *path)
{
    static const char *const names[][2] = {
        {"/dev/stdout", "/dev/stderr"},
        {"/dev/fd/1", "/dev/fd/2"},
        {"/proc/self/fd/1", "/proc/self/fd/2"},
    };
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        if (strcmp(path, names[i][0]) == 0) {
            return 1;
        }
        if (strcmp(path, names[i][1]) == 0) {
            return 2;
        }
    }
    return -1;
}

/* The file of that path, made or appended to. */
static int
open_file(const struct cg_sink_options *o, struct cg_error *note,
          struct cg_error *err)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    struct cg_error kept = {0};
    bool made;
    int r = cg_place_find(o->path, CG_PLACE_FOLLOW, &place, err);
    if (r < 0) {
        return r;
    }
    int fd = cg_place_append(&place, 0644, &made, err);
    if (fd >= 0 && stream_of(o->path) < 0 &&
        cg_place_give(&place, fd, made, o->uid, o->gid, &kept) < 0) {
        cg_error_set(note, -kept.code, "%s: '%s': %s", o->setting, o->path,
                     kept.text);
    }
    return fd;
}

static int
open_path(const struct cg_sink_options *o, struct cg_error *note,
          struct cg_error *err)
{
    int fd = open_file(o, note, err);
    if (fd < 0 && stream_of(o->path) > 0) {
        /* a socket, or a stream that another user owns (containers) */
        return fcntl(stream_of(o->path), F_DUPFD_CLOEXEC, 3);
    }
    /* a standard stream may be closed: its number is not for a log */
    return fd >= 0 ? cg_fd_above_stdio(fd) : fd;
}

/* A pipe or terminal that others hold too must stay as they know it: a new
 * file description of our own does not block, theirs does. */
static int
open_stream(int stream)
{
    char path[32];
    struct stat st;
    if (fstat(stream, &st) < 0 ||
        !(S_ISFIFO(st.st_mode) || isatty(stream) == 1)) {
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", stream);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void
look_at(struct cg_sink *s)
{
    struct stat st;
    int flags = fcntl(s->fd, F_GETFL);
    if (fstat(s->fd, &st) == 0) {
        s->waits = !S_ISREG(st.st_mode);
        s->socket = S_ISSOCK(st.st_mode);
        s->gathers = S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode);
    }
    s->nonblock = flags >= 0 && (flags & O_NONBLOCK) != 0;
}

int
cg_sink_open(struct cg_sink *s, const struct cg_sink_options *o,
             struct cg_error *note, struct cg_error *err)
{
    *s = (struct cg_sink){.fd = -1, .stream = o->stream};
    if (o->path == NULL) {
        return 0;
    }
    if (strcmp(o->path, "-") == 0) {
        s->fd = open_stream(o->stream);
        s->owned = s->fd >= 0;
        s->fd = s->owned ? s->fd : o->stream;
    } else {
        struct cg_error why = {0};
        s->fd = open_path(o, note, &why);
        s->owned = true;
        if (s->fd < 0) {
            return open_fault(o->setting, o->path, &why, err);
        }
    }
    s->path = cg_strdup(o->path);
    look_at(s);
    return 0;
}

void
cg_sink_close(struct cg_sink *s)
{
    if (s->owned && s->fd >= 0) {
        close(s->fd);
    }
    free(s->path);
    *s = (struct cg_sink){.fd = -1};
}

bool
cg_sink_is_file(const struct cg_sink *s)
{
    return s->path != NULL && strcmp(s->path, "-") != 0;
}

int
cg_sink_reopen(struct cg_sink *s, const char *setting, int uid, int gid,
               struct cg_error *note, struct cg_error *err)
{
    struct cg_sink fresh;
    const struct cg_sink_options o = {.setting = setting,
                                      .path = s->path,
                                      .stream = s->stream,
                                      .uid = uid,
                                      .gid = gid};
    if (!cg_sink_is_file(s)) {
        return 0;
    }
    int r = cg_sink_open(&fresh, &o, note, err);
    if (r < 0) {
        return r;
    }
    dup3(fresh.fd, s->fd, O_CLOEXEC);
    s->waits = fresh.waits;
    s->nonblock = fresh.nonblock;
    s->socket = fresh.socket;
    s->gathers = fresh.gathers;
    s->stalled = s->torn = false;
    cg_sink_close(&fresh);
    return 0;
}

void
cg_sink_part(struct cg_sink *s)
{
    enum { KEPT = O_ACCMODE | O_APPEND | O_NONBLOCK };
    char path[32];
    int flags = fcntl(s->fd, F_GETFL);
    if (!s->owned || !s->waits || s->socket || flags < 0) {
        return;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
    int fd = open(path, (flags & KEPT) | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        dup3(fd, s->fd, O_CLOEXEC);
        close(fd);
    }
}

/* ---- writing ---- */

static bool
has_room(const struct cg_sink *s, int wait_ms)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    return poll(&p, 1, wait_ms) > 0 && (p.revents & POLLOUT) != 0;
}

/* Others may share the description and make it block, or take the room that was
 * there a moment ago; pipes know a way out (Linux 6.5). */
static ssize_t
write_now(const struct cg_sink *s, const struct iovec *parts, int count)
{
    if (s->waits) {
        ssize_t n = pwritev2(s->fd, parts, count, -1, RWF_NOWAIT);
        if (n >= 0 || errno != EOPNOTSUPP) {
            return n;
        }
    }
    return writev(s->fd, parts, count);
}

static ssize_t
put_once(struct cg_sink *s, const struct iovec *parts, int count)
{
    ssize_t n;
    do {
        if (s->socket) {
            const struct msghdr m = {.msg_iov = (struct iovec *)(size_t)parts,
                                     .msg_iovlen = (size_t)count};
            n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else if (s->waits && !s->nonblock && !has_room(s, 0)) {
            errno = EAGAIN;
            return -1;
        } else {
            n = write_now(s, parts, count);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Waits once for room, and not again until a line went out. */
static ssize_t
put(struct cg_sink *s, const struct iovec *parts, int count)
{
    ssize_t n = put_once(s, parts, count);
    if (n < 0 && errno == EAGAIN) {
        bool stalled = atomic_exchange(&s->stalled, true);
        if (stalled || !has_room(s, PATIENCE_MS)) {
            errno = EAGAIN;
            return -1;
        }
        n = put_once(s, parts, count);
    }
    if (n >= 0 && atomic_load_explicit(&s->stalled, memory_order_relaxed)) {
        s->stalled = false;
    }
    return n;
}

int
cg_sink_write(struct cg_sink *s, const char *p, size_t n,
              struct cg_slice *ret_rest)
{
    int saved = errno;
    bool torn = atomic_load_explicit(&s->torn, memory_order_relaxed);
    struct iovec parts[2] = {{(char *)(size_t) "\n", 1},
                             {(char *)(size_t)p, n}};
    size_t all = torn ? n + 1 : n;
    ssize_t w = put(s, torn ? parts : parts + 1, torn ? 2 : 1);
    int r = w == (ssize_t)all ? 0
            : w >= 0          ? (s->waits ? -EAGAIN : -ENOSPC)
                              : -errno;
    size_t done = w > 0 ? (size_t)w - (torn ? 1 : 0) : 0;
    if (w > 0 && (torn || r < 0)) {
        s->torn = r < 0 && done > 0 && p[done - 1] != '\n';
    }
    if (r < 0 && ret_rest != NULL) {
        *ret_rest = (struct cg_slice){p + done, n - done};
    }
    errno = saved;
    return r;
}
