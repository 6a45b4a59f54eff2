/* SPDX-License-Identifier: MIT */
/*
 * The error log and the access log in gunicorn's formats, and what else hears
 * of them: syslog, statsd, or a logger of another layer (Python's). Whole lines
 * are written at once, so lines of several processes do not mix. Nothing here
 * blocks for longer than a moment or fails for the caller: a line that cannot
 * be written is dropped, counted and told. Peers' bytes are escaped by who
 * formats them. Any thread may write; opening, reopening and routing are the
 * main thread's. What is worth a line is left to who calls: worker, arbiter and
 * cmd, once, at the place that decides.
 */
#ifndef CG_LOGGING_LOG_H
#define CG_LOGGING_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "logging/access.h"
#include "logging/statsd.h"
#include "logging/syslog.h"

enum cg_level {
    CG_DEBUG = 10,
    CG_INFO = 20,
    CG_WARNING = 30,
    CG_ERROR = 40,
    CG_CRITICAL = 50
};

struct cg_log;

struct cg_log_options {
    const char *errorlog;  /* path, "-" = stderr, NULL as "-" */
    const char *accesslog; /* path, "-" = stdout, NULL = off */
    const char *level;     /* gunicorn's names; unknown = info */
    bool json;             /* lines of the error log are objects */
    bool colour;           /* access lines, by their status, for a terminal */
    bool capture_output;   /* stdout and stderr into a file errorlog */
    int uid, gid;          /* owner of log files made, -1 = leave */
    const struct cg_syslog_options *syslog; /* NULL: none */
    const struct cg_statsd_options *statsd; /* NULL: none */
};

/* err begins with the setting's name; for a file it has gunicorn's "'x' isn't
 * writable", and the folder if that is what is missing. */
int cg_log_new(const struct cg_log_options *o, struct cg_log **ret_log,
               struct cg_error *err);
void cg_log_free(struct cg_log *log);
/* Opens the files again (USR1, logrotate). A file that cannot be opened keeps
 * its old descriptor and a line says so. */
void cg_log_reopen(struct cg_log *log);
/* Other targets and level, as on a reload; failure keeps the old ones. */
int cg_log_reconfigure(struct cg_log *log, const struct cg_log_options *o,
                       struct cg_error *err);
/* Before the process ends: waits a moment for what is still under way. */
void cg_log_drain(struct cg_log *log);

/* ---- the error log ---- */

bool cg_log_enabled(const struct cg_log *log, enum cg_level level);
/* "debug" and so on, in any case: false if it is no level. */
bool cg_level_of(const char *word, enum cg_level *ret);
/* A level in shared memory that counts in place of the log's own while it is
 * not 0; has to stay. NULL: none. */
void cg_log_follow_level(struct cg_log *log, const _Atomic uint32_t *level);
/* "[2024-01-31 12:00:00 +0000] [pid] [LEVEL] message\n" */
void cg_log_line(struct cg_log *log, enum cg_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a ready text, which may have several lines. */
void cg_log_text(struct cg_log *log, enum cg_level level, struct cg_slice text);
/* The same past any route: for what a route's logger cannot be told. */
void cg_log_text_native(struct cg_log *log, enum cg_level level,
                        struct cg_slice text);
/* The same at CG_ERROR with a traceback: statsd counts it as an exception. */
void cg_log_exception(struct cg_log *log, struct cg_slice text);
/* A number that statsd hears of (name without prefix; "g" gauge, "h"
 * histogram), and a line for the error log. */
void cg_log_metric(struct cg_log *log, enum cg_level level, const char *metric,
                   long value, const char *type, const char *text);

/* Hears of every line at `least` and above that is written, by any thread,
 * several at a time; it must not log. NULL: nobody does. */
struct cg_log_witness {
    enum cg_level least;
    void (*line)(void *self, enum cg_level level, struct cg_slice text);
    void *self;
};
void cg_log_set_witness(struct cg_log *log, struct cg_log_witness witness);

/* ---- requests ---- */

/* Whether anybody hears of requests: else cg_log_request does nothing. */
bool cg_log_wants_requests(const struct cg_log *log);
/* One request: its access line, if f is not NULL, and its metrics. */
void cg_log_request(struct cg_log *log, const struct cg_access_format *f,
                    const struct cg_access_record *r);
/* Whether there is an access log; a ready line goes out with a newline. */
bool cg_log_has_access(const struct cg_log *log);
void cg_log_access(struct cg_log *log, struct cg_slice line);

/* ---- access lines that wait ---- */

struct cg_spool;

/*
 * From here on access lines to a file or pipe wait in `spool` until it is full
 * or cg_log_write_spool is called, which is up to who set it; lines of the
 * error log come behind them. NULL: each line is written at once again, and
 * those that wait are, too. The spool belongs to one process; any thread.
 */
void cg_log_set_spool(struct cg_log *log, struct cg_spool *spool);
/* Whether lines wait that nobody is about to write. */
bool cg_log_has_spooled(const struct cg_log *log);
void cg_log_write_spool(struct cg_log *log);
/* In a fresh child of the process: what waits is its parent's. */
void cg_log_forked(struct cg_log *log);
/* In a worker, before code of others runs: what it does to the descriptors of
 * its log must not make the master wait. */
void cg_log_part(struct cg_log *log);
/* Writes what a process left that has ended, and empties the spool. Without an
 * access log the lines go to the error log. */
void cg_log_rescue(struct cg_log *log, struct cg_spool *spool);

/* ---- other writers ---- */

/* Bytes as they are, for whoever formats lines itself (wsgi.errors, Python's
 * handlers): to the error log's file, or the access log's. */
void cg_log_write(struct cg_log *log, bool access, struct cg_slice bytes);
/* A message to syslog alone. */
void cg_log_syslog(struct cg_log *log, bool access, enum cg_level level,
                   struct cg_slice text);
/* A datagram to statsd alone, ready but for the tags. */
void cg_log_statsd(struct cg_log *log, struct cg_slice message);
bool cg_log_has_statsd(const struct cg_log *log);

/* Lines dropped so far because they could not be written. */
unsigned long cg_log_dropped(const struct cg_log *log);
/* The descriptors of the error and the access log, -1 for none. */
int cg_log_error_fd(const struct cg_log *log);
int cg_log_access_fd(const struct cg_log *log);

/* ---- a logger of another layer ---- */

/* What happened, as the route gets it. Borrowed. */
struct cg_log_event {
    enum {
        CG_EVENT_LINE,
        CG_EVENT_EXCEPTION,
        CG_EVENT_METRIC,
        CG_EVENT_ACCESS, /* a ready access line */
        CG_EVENT_REQUEST /* `request`, without its lookup */
    } kind;
    enum cg_level level;
    struct cg_slice text;
    const char *metric, *type;
    long value;
    const struct cg_access_record *request;
};

/*
 * Where lines go in place of files, syslog and statsd. Not every thread at
 * every time may run another layer's code (it may need a lock, block, or call
 * back): where is_open says no, the event is kept, a bounded number of them,
 * and `wake` asks for a cg_log_flush from where it says yes.
 */
struct cg_log_route {
    bool errors, access; /* which of the logs it takes */
    bool (*is_open)(void *self);
    /* False when the logger failed: the line goes to the files then. */
    bool (*emit)(void *self, const struct cg_log_event *event);
    void (*wake)(void *self); /* any thread; must not block */
    void *self;
};

/* NULL takes it away. What waits is emitted, or written to the files. */
void cg_log_set_route(struct cg_log *log, const struct cg_log_route *route);
/* Whether lines of that log go that way. */
bool cg_log_routes_access(const struct cg_log *log);
bool cg_log_routes_errors(const struct cg_log *log);
/* Emits what waits, if the caller may. */
void cg_log_flush(struct cg_log *log);

#endif
