/* SPDX-License-Identifier: MIT */
#include "logging/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "logging/route.h"
#include "logging/sink.h"
#include "logging/spool.h"
#include "logging/stamp.h"

enum {
    LINE_MAX_BYTES = 64 * 1024,
    DRAIN_MS = 1000,
    TELL_AGAIN_US = 60 * 1000000 /* one complaint of a kind a minute */
};

struct cg_log {
    struct cg_sink error, access;
    /* access lines that wait; while somebody may put or write any the lock
     * guards it, and the sink */
    struct cg_spool *_Atomic spool; /* NULL: each is written at once */
    _Atomic bool spool_busy;        /* it is being written */
    pthread_mutex_t lock;
    struct cg_syslog *syslog; /* NULL: none */
    struct cg_statsd *statsd; /* NULL: none */
    struct cg_route *route;   /* NULL: all of it is ours */
    bool routes_errors, routes_access;
    enum cg_level level;
    bool capture;
    int uid, gid;
    _Atomic unsigned long dropped;
    _Atomic unsigned long told; /* of them, those that were told */
    _Atomic unsigned long syslog_lost;
    /* complaints under way: errorlog, accesslog; and when was the last */
    _Atomic bool error_fails, access_fails;
    _Atomic uint64_t syslog_told_us, statsd_told_us;
};

static void put_record(struct cg_log *log, enum cg_level level,
                       struct cg_slice text);

/* ---- targets ---- */

static enum cg_level
parse_level(const char *word)
{
    static const struct {
        const char *word;
        enum cg_level level;
    } levels[] = {{"debug", CG_DEBUG},
                  {"info", CG_INFO},
                  {"warning", CG_WARNING},
                  {"error", CG_ERROR},
                  {"critical", CG_CRITICAL}};
    for (size_t i = 0; word != NULL && i < CG_COUNT(levels); i++) {
        if (strcasecmp(word, levels[i].word) == 0) {
            return levels[i].level;
        }
    }
    return CG_INFO; /* gunicorn: an unknown name means info */
}

static void
capture(const struct cg_log *log)
{
    if (log->capture && cg_sink_is_file(&log->error)) {
        fflush(stdout);
        fflush(stderr);
        dup2(log->error.fd, 1);
        dup2(log->error.fd, 2);
    }
}

/* What is no failure but has to be told. */
struct notes {
    struct cg_error error, access, statsd;
};

static int
open_files(struct cg_log *log, const struct cg_log_options *o,
           struct notes *notes, struct cg_error *err)
{
    const struct cg_sink_options error = {
        .setting = "errorlog",
        .path = o->errorlog != NULL ? o->errorlog : "-",
        .stream = 2,
        .uid = o->uid,
        .gid = o->gid};
    const struct cg_sink_options access = {.setting = "accesslog",
                                           .path = o->accesslog,
                                           .stream = 1,
                                           .uid = o->uid,
                                           .gid = o->gid};
    int r = cg_sink_open(&log->error, &error, &notes->error, err);
    return r < 0 ? r : cg_sink_open(&log->access, &access, &notes->access, err);
}

static void
close_all(struct cg_log *log)
{
    cg_sink_close(&log->error);
    cg_sink_close(&log->access);
    cg_syslog_free(log->syslog);
    cg_statsd_free(log->statsd);
}

static int
open_all(struct cg_log *log, const struct cg_log_options *o,
         struct notes *notes, struct cg_error *err)
{
    log->error.fd = log->access.fd = -1;
    int r = open_files(log, o, notes, err);
    if (r == 0 && o->syslog != NULL) {
        r = cg_syslog_new(o->syslog, &log->syslog, err);
    }
    if (r == 0 && o->statsd != NULL) {
        r = cg_statsd_new(o->statsd, &log->statsd, &notes->statsd);
        if (r < 0 && err != NULL) {
            *err = notes->statsd;
        }
    }
    if (r < 0) {
        close_all(log);
        return r;
    }
    log->level = parse_level(o->level);
    log->capture = o->capture_output;
    log->uid = o->uid;
    log->gid = o->gid;
    return 0;
}

static void
tell(struct cg_log *log, const struct cg_error *note)
{
    if (note->code != 0) {
        put_record(log, CG_WARNING, cg_slice_of(note->text));
    }
}

static void
begin(struct cg_log *log, const struct notes *notes)
{
    capture(log);
    tell(log, &notes->error);
    tell(log, &notes->access);
    tell(log, &notes->statsd);
}

int
cg_log_new(const struct cg_log_options *o, struct cg_log **ret_log,
           struct cg_error *err)
{
    struct notes notes = {0};
    struct cg_log *log = cg_calloc(1, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    int r = open_all(log, o, &notes, err);
    if (r < 0) {
        free(log);
        return r;
    }
    begin(log, &notes);
    *ret_log = log;
    return 0;
}

void
cg_log_free(struct cg_log *log)
{
    if (log != NULL) {
        cg_log_set_route(log, NULL);
        cg_log_drain(log);
        close_all(log);
        free(log);
    }
}

int
cg_log_reconfigure(struct cg_log *log, const struct cg_log_options *o,
                   struct cg_error *err)
{
    struct cg_log fresh = {0};
    struct notes notes = {0};
    int r = open_all(&fresh, o, &notes, err);
    if (r < 0) {
        return r;
    }
    cg_log_drain(log);
    close_all(log);
    log->error = fresh.error;
    log->access = fresh.access;
    log->syslog = fresh.syslog;
    log->statsd = fresh.statsd;
    log->level = fresh.level;
    log->capture = fresh.capture;
    log->uid = fresh.uid;
    log->gid = fresh.gid;
    begin(log, &notes);
    return 0;
}

static void
reopen_sink(struct cg_log *log, struct cg_sink *s, const char *setting)
{
    struct cg_error err = {0}, note = {0};
    pthread_mutex_lock(&log->lock);
    int r = cg_sink_reopen(s, setting, log->uid, log->gid, &note, &err);
    pthread_mutex_unlock(&log->lock);
    if (note.code != 0) {
        cg_log_line(log, CG_WARNING, "%s", note.text);
    }
    if (r < 0) {
        cg_log_line(log, CG_ERROR, "cannot reopen, the old file stays: %s",
                    err.text);
    }
}

void
cg_log_reopen(struct cg_log *log)
{
    cg_log_write_spool(log); /* what is older belongs into the old file */
    reopen_sink(log, &log->error, "errorlog");
    reopen_sink(log, &log->access, "accesslog");
    capture(log);
}

void
cg_log_drain(struct cg_log *log)
{
    cg_log_write_spool(log);
    cg_log_flush(log);
    if (log->syslog != NULL) {
        cg_syslog_drain(log->syslog, DRAIN_MS);
    }
}

/* ---- what cannot be written ---- */

static bool
same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* The error log's own failure can only be told on standard error. */
static void
complain_on_stderr(struct cg_log *log, int failure)
{
    struct cg_sink err;
    if (atomic_exchange(&log->error_fails, true) ||
        !cg_sink_is_file(&log->error) || same_file(log->error.fd, 2)) {
        return;
    }
    const struct cg_sink_options o = {
        .setting = "errorlog", .path = "-", .stream = 2, .uid = -1, .gid = -1};
    if (cg_sink_open(&err, &o, NULL, NULL) == 0) {
        cg_auto(free) char *text = cg_strf(
            "cgunicorn: the errorlog '%s' cannot be written: %s; its lines are "
            "lost until it can\n",
            log->error.path, strerror(-failure));
        cg_sink_write(&err, text, strlen(text), NULL);
        cg_sink_close(&err);
    }
}

static void
complain_of_access(struct cg_log *log, int failure)
{
    if (!atomic_exchange(&log->access_fails, true) &&
        cg_sink_is_file(&log->access)) {
        cg_log_line(log, CG_WARNING,
                    "the accesslog '%s' cannot be written: %s; its lines are "
                    "lost until it can",
                    log->access.path, strerror(-failure));
    }
}

/* Lines that wait are older. */
static void
write_error(struct cg_log *log, const char *p, size_t n)
{
    if (cg_log_has_spooled(log)) {
        cg_log_write_spool(log);
    }
    int r = cg_sink_write(&log->error, p, n, NULL);
    if (r < 0) {
        atomic_fetch_add(&log->dropped, 1);
        complain_on_stderr(log, r);
    } else if (atomic_load_explicit(&log->error_fails, memory_order_relaxed)) {
        log->error_fails = false;
    }
}

static unsigned long
count_lines(struct cg_slice text)
{
    unsigned long lines = 0;
    for (const char *p = text.p, *end = p + text.n; p < end; lines++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        p = eol != NULL ? eol + 1 : end;
    }
    return lines;
}

static int
send_access(struct cg_log *log, const char *p, size_t n)
{
    struct cg_slice rest = {NULL, 0};
    int r = cg_sink_write(&log->access, p, n, &rest);
    if (r < 0) {
        atomic_fetch_add(&log->dropped, count_lines(rest));
    }
    return r;
}

/* Not under the lock: what is told may be written by way of the spool. */
static void
after_access(struct cg_log *log, int r)
{
    if (r < 0) {
        complain_of_access(log, r);
    } else if (atomic_load_explicit(&log->access_fails, memory_order_relaxed)) {
        log->access_fails = false;
    }
}

/* ---- access lines that wait ---- */

/* With the lock. */
static int
empty_spool(struct cg_log *log, struct cg_spool *spool)
{
    struct cg_slice lines = cg_spool_view(spool);
    log->spool_busy = true;
    int r = lines.n > 0 ? send_access(log, lines.p, lines.n) : 0;
    cg_spool_reset(spool);
    log->spool_busy = false;
    return r;
}

/* With the lock: into the spool, or, behind what is in there, to the file. 1:
 * nothing was written. */
static int
spool_or_send(struct cg_log *log, const char *p, size_t n)
{
    struct cg_spool *spool = log->spool;
    if (spool == NULL) { /* since a moment */
        return send_access(log, p, n);
    }
    if (log->access.gathers && cg_spool_put(spool, p, n)) {
        return 1;
    }
    int r = empty_spool(log, spool);
    if (log->access.gathers && cg_spool_put(spool, p, n)) {
        return r;
    }
    return send_access(log, p, n);
}

/* A line of the server's own. */
static void
write_access(struct cg_log *log, const char *p, size_t n)
{
    int r;
    if (atomic_load_explicit(&log->spool, memory_order_relaxed) == NULL) {
        r = send_access(log, p, n);
    } else {
        pthread_mutex_lock(&log->lock);
        r = spool_or_send(log, p, n);
        pthread_mutex_unlock(&log->lock);
    }
    if (r <= 0) {
        after_access(log, r);
    }
}

/* Anybody's bytes, at any time: no pass of a loop may follow. */
static void
write_access_now(struct cg_log *log, const char *p, size_t n)
{
    pthread_mutex_lock(&log->lock);
    struct cg_spool *spool = log->spool;
    if (spool != NULL && !cg_spool_is_empty(spool)) {
        empty_spool(log, spool);
    }
    int r = send_access(log, p, n);
    pthread_mutex_unlock(&log->lock);
    after_access(log, r);
}

void
cg_log_set_spool(struct cg_log *log, struct cg_spool *spool)
{
    int r = 1;
    pthread_mutex_lock(&log->lock);
    struct cg_spool *old = atomic_exchange(&log->spool, spool);
    if (old != NULL && !cg_spool_is_empty(old)) {
        r = empty_spool(log, old);
    }
    pthread_mutex_unlock(&log->lock);
    if (r <= 0) {
        after_access(log, r);
    }
}

bool
cg_log_has_spooled(const struct cg_log *log)
{
    const struct cg_spool *spool =
        atomic_load_explicit(&log->spool, memory_order_relaxed);
    return spool != NULL && !cg_spool_is_empty(spool) &&
           !atomic_load_explicit(&log->spool_busy, memory_order_relaxed);
}

/* Who finds the lock taken leaves it to who has it: lines that count by now
 * are being written, or their writer comes back for them. */
void
cg_log_write_spool(struct cg_log *log)
{
    int r = 1;
    if (atomic_load(&log->spool) == NULL ||
        pthread_mutex_trylock(&log->lock) != 0) {
        return;
    }
    struct cg_spool *spool = log->spool;
    if (spool != NULL && !cg_spool_is_empty(spool)) {
        r = empty_spool(log, spool);
    }
    pthread_mutex_unlock(&log->lock);
    if (r <= 0) {
        after_access(log, r);
    }
}

void
cg_log_forked(struct cg_log *log)
{
    log->spool = NULL;
    log->spool_busy = false;
    pthread_mutex_init(&log->lock, NULL);
    if (log->syslog != NULL) {
        cg_syslog_forked(log->syslog);
    }
}

void
cg_log_part(struct cg_log *log)
{
    cg_sink_part(&log->error);
    cg_sink_part(&log->access);
    capture(log);
}

void
cg_log_rescue(struct cg_log *log, struct cg_spool *spool)
{
    struct cg_slice lines = cg_spool_view(spool);
    if (lines.n > 0 && log->access.fd >= 0) {
        after_access(log, send_access(log, lines.p, lines.n));
    } else if (lines.n > 0) { /* a reload has done away with it */
        write_error(log, lines.p, lines.n);
    }
    cg_spool_reset(spool);
}

/* Once a minute for each server that does not hear us. */
static bool
may_tell(_Atomic uint64_t *last_us)
{
    uint64_t now = cg_now_us(), last = atomic_load(last_us);
    return (last == 0 || now - last >= TELL_AGAIN_US) &&
           atomic_compare_exchange_strong(last_us, &last, now);
}

static void
after_statsd(struct cg_log *log, int r)
{
    if (r < 0 && may_tell(&log->statsd_told_us)) {
        cg_auto(free) char *text =
            cg_strf("Error sending message to statsd: %s", strerror(-r));
        put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

static void
after_syslog(struct cg_log *log, int r)
{
    int fault = r < 0 ? r : cg_syslog_fault(log->syslog);
    if (r < 0) {
        atomic_fetch_add(&log->syslog_lost, 1);
    }
    if (fault < 0 && may_tell(&log->syslog_told_us)) {
        cg_auto(free) char *text =
            cg_strf("syslog does not take lines: %s (%lu lost so far)",
                    strerror(-fault), atomic_load(&log->syslog_lost));
        put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

/* ---- records ---- */

/* "[2024-01-31 12:00:00 +0000]" */
static const char *
now_text(void)
{
    static __thread struct cg_stamp stamp;
    return cg_stamp_now(&stamp, "[%Y-%m-%d %H:%M:%S %z]");
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

/* To the file alone. */
static void
put_record(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_putf(&b, "%s [%d] [%s] ", now_text(), (int)getpid(),
                level_word(level));
    size_t room = LINE_MAX_BYTES - b.n - 1;
    cg_buf_put(&b, text.p, text.n < room ? text.n : room);
    cg_buf_putc(&b, '\n');
    write_error(log, b.p, b.n);
}

/* Lines that were lost are told once lines can be written again. */
static void
tell_dropped(struct cg_log *log)
{
    unsigned long dropped = atomic_load(&log->dropped);
    if (log->error_fails || log->access_fails) {
        return;
    }
    unsigned long told = atomic_exchange(&log->told, dropped);
    if (dropped > told) {
        cg_auto(free) char *text =
            cg_strf("%lu log lines were lost: the log could not be written",
                    dropped - told);
        put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

/* What gunicorn's statsd logger counts, whatever the level shows. */
static void
count(struct cg_log *log, enum cg_level level, bool exception)
{
    const char *name = exception              ? "gunicorn.log.exception"
                       : level >= CG_CRITICAL ? "gunicorn.log.critical"
                       : level >= CG_ERROR    ? "gunicorn.log.error"
                                              : "gunicorn.log.warning";
    if (level >= CG_WARNING) {
        after_statsd(log, cg_statsd_count(log->statsd, name));
    }
}

static void
put_native(struct cg_log *log, enum cg_level level, bool exception,
           struct cg_slice text)
{
    if (log->statsd != NULL) {
        count(log, level, exception);
    }
    if (!cg_log_enabled(log, level)) {
        return;
    }
    put_record(log, level, text);
    if (log->syslog != NULL) {
        cg_log_syslog(log, false, level, text);
    }
    if (atomic_load(&log->dropped) != atomic_load(&log->told)) {
        tell_dropped(log);
    }
}

/* ---- the other layer's logger ---- */

/* Events that it did not take. */
static void
put_event(void *self, const struct cg_log_event *e)
{
    struct cg_log *log = self;
    switch (e->kind) {
    case CG_EVENT_LINE:
    case CG_EVENT_EXCEPTION:
    case CG_EVENT_METRIC:
        if (e->text.n > 0 && cg_log_enabled(log, e->level)) {
            put_record(log, e->level, e->text);
        }
        break;
    case CG_EVENT_ACCESS:
    case CG_EVENT_REQUEST: break; /* the failure itself was told */
    }
}

static void
send_event(struct cg_log *log, const struct cg_log_event *e)
{
    cg_log_flush(log); /* what came first goes first */
    switch (cg_route_send(log->route, e)) {
    case ROUTE_DONE: break;
    case ROUTE_REFUSED: put_event(log, e); break;
    case ROUTE_FULL: atomic_fetch_add(&log->dropped, 1); break;
    }
}

void
cg_log_set_route(struct cg_log *log, const struct cg_log_route *route)
{
    struct cg_route *old = log->route;
    log->route = route != NULL ? cg_route_new(route) : NULL;
    log->routes_errors = route != NULL && route->errors;
    log->routes_access = route != NULL && route->access;
    cg_route_free(old, put_event, log);
}

bool
cg_log_routes_access(const struct cg_log *log)
{
    return log->routes_access;
}

void
cg_log_flush(struct cg_log *log)
{
    if (log->route != NULL) {
        cg_route_flush(log->route, put_event, log);
    }
}

/* ---- the error log ---- */

bool
cg_log_enabled(const struct cg_log *log, enum cg_level level)
{
    return level >= log->level;
}

static void
put_text(struct cg_log *log, enum cg_level level, bool exception,
         struct cg_slice text)
{
    if (log->routes_errors) {
        send_event(log,
                   &(struct cg_log_event){.kind = exception ? CG_EVENT_EXCEPTION
                                                            : CG_EVENT_LINE,
                                          .level = level,
                                          .text = text});
    } else {
        put_native(log, level, exception, text);
    }
}

void
cg_log_text(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    put_text(log, level, false, text);
}

void
cg_log_text_native(struct cg_log *log, enum cg_level level,
                   struct cg_slice text)
{
    put_native(log, level, false, text);
}

void
cg_log_exception(struct cg_log *log, struct cg_slice text)
{
    put_text(log, CG_ERROR, true, text);
}

/* Whether anybody wants lines of that level: a logger of another layer has
 * levels of its own, and statsd counts what is not shown. */
static bool
is_wanted(const struct cg_log *log, enum cg_level level)
{
    return level >= log->level || log->routes_errors ||
           (log->statsd != NULL && level >= CG_WARNING);
}

void
cg_log_line(struct cg_log *log, enum cg_level level, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    if (!is_wanted(log, level)) {
        return;
    }
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t used = n < 0                         ? 0
                  : (size_t)n < sizeof text - 1 ? (size_t)n
                                                : sizeof text - 1;
    put_text(log, level, false, (struct cg_slice){text, used});
}

void
cg_log_metric(struct cg_log *log, enum cg_level level, const char *metric,
              long value, const char *type, const char *text)
{
    if (log->routes_errors) {
        send_event(log, &(struct cg_log_event){.kind = CG_EVENT_METRIC,
                                               .level = level,
                                               .text = cg_slice_of(text),
                                               .metric = metric,
                                               .value = value,
                                               .type = type});
        return;
    }
    if (log->statsd != NULL) {
        after_statsd(log, cg_statsd_value(log->statsd, metric, value, type));
    }
    put_native(log, level, false, cg_slice_of(text));
}

/* ---- requests ---- */

bool
cg_log_has_access(const struct cg_log *log)
{
    return log->access.fd >= 0 || log->routes_access ||
           (log->syslog != NULL && cg_syslog_takes_access(log->syslog));
}

bool
cg_log_wants_requests(const struct cg_log *log)
{
    return log->statsd != NULL || cg_log_has_access(log);
}

/* b has the line; a newline is put behind it. */
static void
put_access(struct cg_log *log, struct cg_buf *b)
{
    b->n = b->n < LINE_MAX_BYTES ? b->n : LINE_MAX_BYTES;
    if (log->syslog != NULL && cg_syslog_takes_access(log->syslog)) {
        cg_log_syslog(log, true, CG_INFO, (struct cg_slice){b->p, b->n});
    }
    if (log->access.fd >= 0) {
        cg_buf_putc(b, '\n');
        write_access(log, b->p, b->n);
    }
}

void
cg_log_access(struct cg_log *log, struct cg_slice line)
{
    if (log->routes_access) {
        send_event(log, &(struct cg_log_event){.kind = CG_EVENT_ACCESS,
                                               .level = CG_INFO,
                                               .text = line});
    } else {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_put(&b, line.p, line.n);
        put_access(log, &b);
    }
}

void
cg_log_request(struct cg_log *log, const struct cg_access_format *f,
               const struct cg_access_record *r)
{
    if (log->routes_access) {
        send_event(log, &(struct cg_log_event){.kind = CG_EVENT_REQUEST,
                                               .level = CG_INFO,
                                               .request = r});
        return;
    }
    if (f != NULL && cg_log_has_access(log)) {
        cg_auto(buf) struct cg_buf line = {0};
        cg_access_format(f, r, &line);
        put_access(log, &line);
    }
    if (log->statsd != NULL) {
        after_statsd(log,
                     cg_statsd_request(log->statsd, r->status, r->duration_us));
    }
}

/* ---- other writers ---- */

void
cg_log_write(struct cg_log *log, bool access, struct cg_slice bytes)
{
    if (access && log->access.fd >= 0) {
        write_access_now(log, bytes.p, bytes.n);
    } else if (!access) {
        write_error(log, bytes.p, bytes.n);
    }
}

void
cg_log_syslog(struct cg_log *log, bool access, enum cg_level level,
              struct cg_slice text)
{
    if (log->syslog != NULL) {
        after_syslog(log,
                     cg_syslog_send(log->syslog, access, (int)level, text));
    }
}

void
cg_log_statsd(struct cg_log *log, struct cg_slice message)
{
    if (log->statsd != NULL) {
        after_statsd(log, cg_statsd_send(log->statsd, message));
    }
}

bool
cg_log_has_statsd(const struct cg_log *log)
{
    return log->statsd != NULL;
}

unsigned long
cg_log_dropped(const struct cg_log *log)
{
    return atomic_load(&log->dropped) + atomic_load(&log->syslog_lost);
}

int
cg_log_error_fd(const struct cg_log *log)
{
    return log->error.fd;
}

int
cg_log_access_fd(const struct cg_log *log)
{
    return log->access.fd;
}
