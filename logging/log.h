/* SPDX-License-Identifier: MIT */
/*
 * The error log and the access log in gunicorn's formats. One write(2) per
 * line on O_APPEND descriptors, so lines of several processes do not mix. A
 * line that cannot be written (full disk, closed pipe) is dropped and counted,
 * never an error for the caller. Peers' bytes are escaped by who formats them.
 */
#ifndef CG_LOGGING_LOG_H
#define CG_LOGGING_LOG_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

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
    bool capture_output;   /* stdout and stderr into a file errorlog */
    int uid, gid;          /* owner of log files made, -1 = leave */
};

/* gunicorn's text when a file cannot be opened:
 * "Error: 'log/error.log' isn't writable [...]" (the missing folder is named).
 */
int cg_log_new(const struct cg_log_options *o, struct cg_log **ret_log,
               struct cg_error *err);
void cg_log_free(struct cg_log *log);
/* Opens the files again (USR1, logrotate). A file that cannot be opened keeps
 * its old descriptor and a line says so. */
void cg_log_reopen(struct cg_log *log);
/* Other targets and level, as on a reload; failure keeps the old ones. */
int cg_log_reconfigure(struct cg_log *log, const struct cg_log_options *o,
                       struct cg_error *err);

bool cg_log_enabled(const struct cg_log *log, enum cg_level level);
/* "[2024-01-31 12:00:00 +0000] [pid] [LEVEL] message\n" */
void cg_log_line(struct cg_log *log, enum cg_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a ready text, which may have several lines (tracebacks). */
void cg_log_text(struct cg_log *log, enum cg_level level, struct cg_slice text);

/* Whether there is an access log; the line goes out with a newline added. */
bool cg_log_has_access(const struct cg_log *log);
void cg_log_access(struct cg_log *log, struct cg_slice line);
/* Lines dropped so far because they could not be written. */
unsigned long cg_log_dropped(const struct cg_log *log);
/* The descriptor of the error log, for tracebacks of other layers. */
int cg_log_error_fd(const struct cg_log *log);

#endif
