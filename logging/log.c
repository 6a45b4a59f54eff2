/* SPDX-License-Identifier: MIT */
#include "logging/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

/* How long a line may wait for room in a pipe before it is dropped. */
enum { PIPE_PATIENCE_MS = 100, LINE_MAX_BYTES = 64 * 1024 };

/* One target: a file, or a standard stream that is not ours to close. */
struct sink {
    char *path; /* NULL: off; "-": the stream */
    int fd;     /* -1: off */
    int stream; /* 1 or 2, for "-" */
    bool waits; /* not a regular file: writing may block */
};

struct cg_log {
    struct sink error, access;
    enum cg_level level;
    bool capture;
    int uid, gid;
    _Atomic unsigned long dropped;
    _Atomic unsigned long told; /* of them, those that were told */
};

/* ---- targets ---- */

static int
open_fault(const char *setting, const char *path, struct cg_error *err)
{
    int failure = errno;
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
    return cg_error_set(err, failure, "%s: '%s' isn't writable: %s", setting,
                        path, strerror(failure));
}

static int
open_sink(struct sink *s, const char *setting, const char *path, int stream,
          struct cg_error *err)
{
    struct stat st;
    *s = (struct sink){.fd = -1, .stream = stream};
    if (path == NULL) {
        return 0;
    }
    if (strcmp(path, "-") == 0) {
        s->fd = stream;
    } else {
        s->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
                     0644);
        if (s->fd < 0) {
            return open_fault(setting, path, err);
        }
    }
    s->path = cg_strdup(path);
    s->waits = fstat(s->fd, &st) == 0 && !S_ISREG(st.st_mode);
    return 0;
}

static void
close_sink(struct sink *s)
{
    if (s->fd > 2) {
        close(s->fd);
    }
    free(s->path);
    *s = (struct sink){.fd = -1};
}

static bool
is_file(const struct sink *s)
{
    return s->path != NULL && strcmp(s->path, "-") != 0;
}

static void
own(const struct cg_log *log, const struct sink *s)
{
    if (is_file(s) && (log->uid >= 0 || log->gid >= 0)) {
        /* best effort: without root it is ours anyway */
        int ignored = fchown(s->fd, (uid_t)log->uid, (gid_t)log->gid);
        (void)ignored;
    }
}

static void
capture(const struct cg_log *log)
{
    if (log->capture && is_file(&log->error)) {
        fflush(stdout);
        fflush(stderr);
        dup2(log->error.fd, 1);
        dup2(log->error.fd, 2);
    }
}

/* ---- life ---- */

static enum cg_level
parse_level(const char *word)
{
    static const struct {
        const char *word;
        enum cg_level level;
    } levels[] = {{"debug", CG_DEBUG},     {"info", CG_INFO},
                  {"warning", CG_WARNING}, {"warn", CG_WARNING},
                  {"error", CG_ERROR},     {"critical", CG_CRITICAL}};
    for (size_t i = 0; word != NULL && i < CG_COUNT(levels); i++) {
        if (strcasecmp(word, levels[i].word) == 0) {
            return levels[i].level;
        }
    }
    return CG_INFO; /* gunicorn: an unknown name means info */
}

static int
open_all(struct cg_log *log, const struct cg_log_options *o,
         struct cg_error *err)
{
    int r = open_sink(&log->error, "errorlog",
                      o->errorlog != NULL ? o->errorlog : "-", 2, err);
    if (r < 0) {
        return r;
    }
    r = open_sink(&log->access, "accesslog", o->accesslog, 1, err);
    if (r < 0) {
        close_sink(&log->error);
        return r;
    }
    log->level = parse_level(o->level);
    log->capture = o->capture_output;
    log->uid = o->uid;
    log->gid = o->gid;
    own(log, &log->error);
    own(log, &log->access);
    capture(log);
    return 0;
}

int
cg_log_new(const struct cg_log_options *o, struct cg_log **ret_log,
           struct cg_error *err)
{
    struct cg_log *log = cg_calloc(1, sizeof *log);
    int r = open_all(log, o, err);
    if (r < 0) {
        free(log);
        return r;
    }
    *ret_log = log;
    return 0;
}

void
cg_log_free(struct cg_log *log)
{
    if (log != NULL) {
        close_sink(&log->error);
        close_sink(&log->access);
        free(log);
    }
}

int
cg_log_reconfigure(struct cg_log *log, const struct cg_log_options *o,
                   struct cg_error *err)
{
    struct cg_log fresh = {0};
    int r = open_all(&fresh, o, err);
    if (r < 0) {
        return r;
    }
    struct sink error = log->error, access = log->access;
    log->error = fresh.error;
    log->access = fresh.access;
    log->level = fresh.level;
    log->capture = fresh.capture;
    log->uid = fresh.uid;
    log->gid = fresh.gid;
    close_sink(&error);
    close_sink(&access);
    return 0;
}

/* The new file takes the old descriptor's number, so that whoever holds the
 * number (captured streams, wsgi.errors) follows. */
static void
reopen_sink(struct cg_log *log, struct sink *s, const char *setting)
{
    struct sink fresh;
    struct cg_error err = {0};
    if (!is_file(s)) {
        return;
    }
    if (open_sink(&fresh, setting, s->path, s->stream, &err) < 0) {
        cg_log_line(log, CG_ERROR, "cannot reopen, the old file stays: %s",
                    err.text);
        return;
    }
    own(log, &fresh);
    dup3(fresh.fd, s->fd, O_CLOEXEC);
    s->waits = fresh.waits;
    close_sink(&fresh);
}

void
cg_log_reopen(struct cg_log *log)
{
    reopen_sink(log, &log->error, "errorlog");
    reopen_sink(log, &log->access, "accesslog");
    capture(log);
}

/* ---- writing ---- */

static bool
has_room(const struct sink *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};
    return !s->waits ||
           (poll(&p, 1, PIPE_PATIENCE_MS) > 0 && (p.revents & POLLOUT) != 0);
}

static void
write_line(struct cg_log *log, const struct sink *s, const char *p, size_t n)
{
    int saved = errno;
    ssize_t w = -1;
    if (has_room(s)) {
        do {
            w = write(s->fd, p, n);
        } while (w < 0 && errno == EINTR);
    }
    if (w != (ssize_t)n) {
        atomic_fetch_add(&log->dropped, 1);
    }
    errno = saved;
}

/* "[2024-01-31 12:00:00 +0000]", made once a second and thread. */
static const char *
now_text(void)
{
    static __thread time_t shown = -1;
    static __thread char text[64];
    time_t now = time(NULL);
    if (now != shown) {
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(text, sizeof text, "[%Y-%m-%d %H:%M:%S %z]", &tm);
        shown = now;
    }
    return text;
}

static const char *
level_word(enum cg_level level)
{
    if (level >= CG_CRITICAL) {
        return "CRITICAL";
    }
    if (level >= CG_ERROR) {
        return "ERROR";
    }
    if (level >= CG_WARNING) {
        return "WARNING";
    }
    return level >= CG_INFO ? "INFO" : "DEBUG";
}

static void
put_record(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_putf(&b, "%s [%d] [%s] ", now_text(), (int)getpid(),
                level_word(level));
    size_t room = LINE_MAX_BYTES - b.n - 1;
    cg_buf_put(&b, text.p, text.n < room ? text.n : room);
    cg_buf_putc(&b, '\n');
    write_line(log, &log->error, b.p, b.n);
}

/* Lines that were lost are told once lines can be written again. */
static void
tell_dropped(struct cg_log *log)
{
    unsigned long dropped = atomic_load(&log->dropped);
    unsigned long told = atomic_exchange(&log->told, dropped);
    if (dropped > told) {
        cg_auto(free) char *text =
            cg_strf("%lu log lines were lost: the log could not be written",
                    dropped - told);
        put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

bool
cg_log_enabled(const struct cg_log *log, enum cg_level level)
{
    return level >= log->level;
}

void
cg_log_text(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    if (!cg_log_enabled(log, level)) {
        return;
    }
    put_record(log, level, text);
    if (atomic_load(&log->dropped) != atomic_load(&log->told)) {
        tell_dropped(log);
    }
}

void
cg_log_line(struct cg_log *log, enum cg_level level, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    if (!cg_log_enabled(log, level)) {
        return;
    }
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t used = n < 0                         ? 0
                  : (size_t)n < sizeof text - 1 ? (size_t)n
                                                : sizeof text - 1;
    cg_log_text(log, level, (struct cg_slice){text, used});
}

bool
cg_log_has_access(const struct cg_log *log)
{
    return log->access.fd >= 0;
}

void
cg_log_access(struct cg_log *log, struct cg_slice line)
{
    char small[1024];
    size_t n = line.n < LINE_MAX_BYTES ? line.n : LINE_MAX_BYTES;
    if (log->access.fd < 0) {
        return;
    }
    char *p = n < sizeof small ? small : cg_malloc(n + 1);
    memcpy(p, line.p, n);
    p[n] = '\n';
    write_line(log, &log->access, p, n + 1);
    if (p != small) {
        free(p);
    }
}

unsigned long
cg_log_dropped(const struct cg_log *log)
{
    return atomic_load(&log->dropped);
}

int
cg_log_error_fd(const struct cg_log *log)
{
    return log->error.fd;
}
