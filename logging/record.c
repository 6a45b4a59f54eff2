/* SPDX-License-Identifier: MIT */
/*
 * Records: lines of the error log in gunicorn's format, to its file, to syslog
 * and, counted, to statsd; or all of it to the logger of another layer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/quote.h"
#include "logging/stamp.h"
#include "logging/state.h"

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

/* ---- as objects ---- */

/* Where the traceback begins that stands behind a message; n: there is none. */
static size_t
find_traceback(struct cg_slice text)
{
    static const char mark[] = "\nTraceback (most recent call last):\n";
    const char *at = memmem(text.p, text.n, mark, sizeof mark - 1);
    return at != NULL ? (size_t)(at - text.p) : text.n;
}

/* Severities of OpenTelemetry's log data model. */
static int
severity_of(enum cg_level level)
{
    return level >= CG_CRITICAL  ? 21
           : level >= CG_ERROR   ? 17
           : level >= CG_WARNING ? 13
           : level >= CG_INFO    ? 9
                                 : 5;
}

/* Of the last line that is not indented: "module.Type: message". */
static void
put_exception(struct cg_buf *b, struct cg_slice traceback)
{
    const char *end = traceback.p + traceback.n, *at = end;
    while (at > traceback.p && (at[-1] != '\n' || at == end || *at == ' ')) {
        at--;
    }
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    struct cg_slice line = {at, (size_t)((eol != NULL ? eol : end) - at)};
    const char *colon = memmem(line.p, line.n, ": ", 2);
    size_t n = colon != NULL ? (size_t)(colon - line.p) : line.n;
    cg_buf_puts(b, ",\"exception.type\":");
    cg_quote_json(b, (struct cg_slice){line.p, n});
    if (colon != NULL) {
        cg_buf_puts(b, ",\"exception.message\":");
        cg_quote_json(b, (struct cg_slice){colon + 2, line.n - n - 2});
    }
}

static void
put_object(struct cg_buf *b, enum cg_level level, struct cg_slice text)
{
    enum { SHOWN_MAX = 8 * 1024 }; /* six bytes each at most, with both */
    size_t at = find_traceback(text);
    size_t body = at < SHOWN_MAX ? at : SHOWN_MAX;
    cg_buf_puts(b, "{\"timestamp\":\"");
    cg_quote_now(b);
    cg_buf_putf(b,
                "\",\"severity_text\":\"%s\",\"severity_number\":%d,"
                "\"process.pid\":%d,\"body\":",
                level_word(level), severity_of(level), (int)getpid());
    cg_quote_json(b, (struct cg_slice){text.p, body});
    if (at < text.n) {
        /* of a long one the end tells more: the exception itself */
        size_t rest = text.n - at - 1;
        size_t cut = rest > SHOWN_MAX ? SHOWN_MAX : rest;
        struct cg_slice traceback = {text.p + text.n - cut, cut};
        put_exception(b, traceback);
        cg_buf_puts(b, ",\"exception.stacktrace\":");
        cg_quote_json(b, traceback);
    }
    cg_buf_puts(b, "}\n");
}

void
cg_log_put_record(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
    if (log->json) {
        put_object(&b, level, text);
        cg_log_write_error(log, b.p, b.n);
        return;
    }
    cg_buf_putf(&b, "%s [%d] [%s] ", now_text(), (int)getpid(),
                level_word(level));
    size_t room = CG_LOG_LINE_MAX - b.n - 1;
    cg_buf_put(&b, text.p, text.n < room ? text.n : room);
    cg_buf_putc(&b, '\n');
    cg_log_write_error(log, b.p, b.n);
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
        cg_log_after_statsd(log, cg_statsd_count(log->statsd, name));
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
    cg_log_put_record(log, level, text);
    if (log->syslog != NULL) {
        cg_log_syslog(log, false, level, text);
    }
    if (atomic_load(&log->dropped) != atomic_load(&log->told)) {
        cg_log_tell_dropped(log);
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
            cg_log_put_record(log, e->level, e->text);
        }
        break;
    case CG_EVENT_ACCESS:
    case CG_EVENT_REQUEST: break; /* the failure itself was told */
    }
}

void
cg_log_send_event(struct cg_log *log, const struct cg_log_event *e)
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

bool
cg_log_routes_errors(const struct cg_log *log)
{
    return log->routes_errors;
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
    uint32_t followed =
        log->followed != NULL
            ? atomic_load_explicit(log->followed, memory_order_relaxed)
            : 0;
    return level >= (followed != 0 ? (enum cg_level)followed : log->level);
}

void
cg_log_follow_level(struct cg_log *log, const _Atomic uint32_t *level)
{
    log->followed = level;
}

static void
put_text(struct cg_log *log, enum cg_level level, bool exception,
         struct cg_slice text)
{
    if (log->witness.line != NULL && level >= log->witness.least) {
        log->witness.line(log->witness.self, level, text);
    }
    if (log->routes_errors) {
        cg_log_send_event(
            log, &(struct cg_log_event){.kind = exception ? CG_EVENT_EXCEPTION
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
        cg_log_send_event(log, &(struct cg_log_event){.kind = CG_EVENT_METRIC,
                                                      .level = level,
                                                      .text = cg_slice_of(text),
                                                      .metric = metric,
                                                      .value = value,
                                                      .type = type});
        return;
    }
    if (log->statsd != NULL) {
        cg_log_after_statsd(log,
                            cg_statsd_value(log->statsd, metric, value, type));
    }
    put_native(log, level, false, cg_slice_of(text));
}
