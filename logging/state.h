/* SPDX-License-Identifier: MIT */
/*
 * A log from inside, for the files of logging that make one: log.c (its life),
 * lines.c (bytes on their way to the files), complain.c (what cannot be written
 * is told), record.c (the error log), request.c (requests).
 */
#ifndef CG_LOGGING_STATE_H
#define CG_LOGGING_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "logging/log.h"
#include "logging/route.h"
#include "logging/sink.h"
#include "logging/spool.h"

enum { CG_LOG_LINE_MAX = 64 * 1024 };

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
    const _Atomic uint32_t *followed; /* counts unless 0; may be NULL */
    struct cg_log_witness witness;
    bool capture;
    bool json;   /* lines of the error log */
    bool colour; /* of the access log */
    int uid, gid;
    _Atomic unsigned long dropped;
    _Atomic unsigned long told; /* of them, those that were told */
    _Atomic unsigned long syslog_lost;
    /* complaints under way: errorlog, accesslog; and when was the last */
    _Atomic bool error_fails, access_fails;
    _Atomic uint64_t syslog_told_us, statsd_told_us;
};

/* lines.c: whole lines, with the newline. What cannot be written is counted and
 * complained of. access: a line of the server's own, which may wait in the
 * spool; access_now: anybody's bytes at any time. */
void cg_log_write_error(struct cg_log *log, const char *p, size_t n);
void cg_log_write_access(struct cg_log *log, const char *p, size_t n);
void cg_log_write_access_now(struct cg_log *log, const char *p, size_t n);

/* complain.c: each kind once, until it is good again; servers once a minute. r
 * is what sending returned. */
void cg_log_complain_on_stderr(struct cg_log *log, int failure);
void cg_log_complain_of_access(struct cg_log *log, int failure);
void cg_log_after_statsd(struct cg_log *log, int r);
void cg_log_after_syslog(struct cg_log *log, int r);
/* Lines that were lost are told once lines can be written again. */
void cg_log_tell_dropped(struct cg_log *log);

/* record.c: a line of the error log, to the file alone; an event to the logger
 * of another layer, which has the lines. */
void cg_log_put_record(struct cg_log *log, enum cg_level level,
                       struct cg_slice text);
void cg_log_send_event(struct cg_log *log, const struct cg_log_event *e);

#endif
