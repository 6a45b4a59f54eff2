/* SPDX-License-Identifier: MIT */
/*
 * Requests: their access lines and what statsd hears of them.
 */
#include "core/base/memory.h"
#include "logging/state.h"

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

/* What a terminal shows in which colour. */
static const char *
colour_of(int status)
{
    return status >= 500   ? "\033[31m"
           : status >= 400 ? "\033[33m"
           : status >= 300 ? "\033[36m"
                           : "\033[32m";
}

static void
put_colour(struct cg_buf *b, int status)
{
    cg_auto(free) char *line = cg_buf_take(b);
    cg_buf_putf(b, "%s%s\033[0m", colour_of(status), line);
}

/* b has the line; a newline is put behind it. status 0: not known. */
static void
put_access(struct cg_log *log, struct cg_buf *b, int status)
{
    b->n = b->n < CG_LOG_LINE_MAX ? b->n : CG_LOG_LINE_MAX;
    if (log->syslog != NULL && cg_syslog_takes_access(log->syslog)) {
        cg_log_syslog(log, true, CG_INFO, (struct cg_slice){b->p, b->n});
    }
    if (log->access.fd >= 0) {
        if (log->colour && status != 0) {
            put_colour(b, status);
        }
        cg_buf_putc(b, '\n');
        cg_log_write_access(log, b->p, b->n);
    }
}

void
cg_log_access(struct cg_log *log, struct cg_slice line)
{
    if (log->routes_access) {
        cg_log_send_event(log, &(struct cg_log_event){.kind = CG_EVENT_ACCESS,
                                                      .level = CG_INFO,
                                                      .text = line});
    } else {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_put(&b, line.p, line.n);
        put_access(log, &b, 0);
    }
}

void
cg_log_request(struct cg_log *log, const struct cg_access_format *f,
               const struct cg_access_record *r)
{
    bool hidden = cg_access_leaves_out(f, r->status, r->uri);
    if (log->routes_access && !hidden && f != NULL &&
        cg_access_is_structured(f)) {
        cg_auto(buf) struct cg_buf line = {0};
        cg_access_format(f, r, &line);
        cg_log_access(log, (struct cg_slice){line.p, line.n});
    } else if (log->routes_access && !hidden) {
        cg_log_send_event(log, &(struct cg_log_event){.kind = CG_EVENT_REQUEST,
                                                      .level = CG_INFO,
                                                      .request = r});
        return; /* that logger counts, too */
    } else if (f != NULL && !hidden && cg_log_has_access(log)) {
        cg_auto(buf) struct cg_buf line = {0};
        cg_access_format(f, r, &line);
        put_access(log, &line, r->status);
    }
    if (log->statsd != NULL) {
        cg_log_after_statsd(
            log, cg_statsd_request(log->statsd, r->status, r->duration_us));
    }
}
