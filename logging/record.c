/* SPDX-License-Identifier: MIT */
/*
 * Records: lines of the error log in gunicorn's format, to its file, to syslog
 * and, counted, to statsd; or all of it to the logger of another layer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/memory.h"
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

void
cg_log_put_record(struct cg_log *log, enum cg_level level, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf b = {0};
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
