/* SPDX-License-Identifier: MIT */
/*
 * Complaints: what a log cannot write is told where it still can be, once. The
 * error log's own failure can only be told on standard error.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "logging/state.h"

enum { TELL_AGAIN_US = 60 * 1000000 }; /* one complaint of a kind a minute */

static bool
same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

void
cg_log_complain_on_stderr(struct cg_log *log, int failure)
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

void
cg_log_complain_of_access(struct cg_log *log, int failure)
{
    if (!atomic_exchange(&log->access_fails, true) &&
        cg_sink_is_file(&log->access)) {
        cg_log_line(log, CG_WARNING,
                    "the accesslog '%s' cannot be written: %s; its lines are "
                    "lost until it can",
                    log->access.path, strerror(-failure));
    }
}

/* Once a minute for each server that does not hear us. */
static bool
may_tell(_Atomic uint64_t *last_us)
{
    uint64_t now = cg_now_us(), last = atomic_load(last_us);
    return (last == 0 || now - last >= TELL_AGAIN_US) &&
           atomic_compare_exchange_strong(last_us, &last, now);
}

void
cg_log_after_statsd(struct cg_log *log, int r)
{
    if (r < 0 && may_tell(&log->statsd_told_us)) {
        cg_auto(free) char *text =
            cg_strf("Error sending message to statsd: %s", strerror(-r));
        cg_log_put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

void
cg_log_after_syslog(struct cg_log *log, int r)
{
    int fault = r < 0 ? r : cg_syslog_fault(log->syslog);
    if (r < 0) {
        atomic_fetch_add(&log->syslog_lost, 1);
    }
    if (fault < 0 && may_tell(&log->syslog_told_us)) {
        cg_auto(free) char *text =
            cg_strf("syslog does not take lines: %s (%lu lost so far)",
                    strerror(-fault), atomic_load(&log->syslog_lost));
        cg_log_put_record(log, CG_WARNING, cg_slice_of(text));
    }
}

void
cg_log_tell_dropped(struct cg_log *log)
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
        cg_log_put_record(log, CG_WARNING, cg_slice_of(text));
    }
}
