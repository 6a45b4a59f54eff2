/* SPDX-License-Identifier: MIT */
/*
 * Syslog as gunicorn writes it (Python's SysLogHandler): "<PRI>ident: [pid]
 * message" and a NUL, without a header of time and host. Datagrams go out at
 * once or are dropped. Stream sockets belong to a thread of this module, made
 * with the first line: it connects, sends, and connects again, while callers
 * only append to a bounded queue.
 */
#ifndef CG_LOGGING_SYSLOG_H
#define CG_LOGGING_SYSLOG_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct cg_syslog;

struct cg_syslog_options {
    const char *addr;     /* unix://PATH[#dgram|stream], udp://H:P, tcp://H:P */
    const char *facility; /* "user", "local0" … in any case */
    const char *prefix;   /* lines begin "gunicorn.<prefix>.<error|access>: " */
    bool access;          /* access lines too */
};

enum cg_syslog_kind { CG_SYSLOG_UNIX, CG_SYSLOG_UDP, CG_SYSLOG_TCP };

struct cg_syslog_target {
    enum cg_syslog_kind kind;
    bool dgram_only; /* unix: do not try a stream */
    char host[256], port[8];
    char path[108];
};

/* gunicorn's grammar and error texts. */
int cg_syslog_parse(const char *text, struct cg_syslog_target *ret,
                    struct cg_error *err);
/* The facility's number, -1 for no such word. */
int cg_syslog_facility(const char *word);

/* Fails for a bad address or facility and for a name that cannot be resolved;
 * a server that does not answer is no failure. */
int cg_syslog_new(const struct cg_syslog_options *o, struct cg_syslog **ret,
                  struct cg_error *err);
void cg_syslog_free(struct cg_syslog *s);
bool cg_syslog_takes_access(const struct cg_syslog *s);
/* level: Python's number. 0, or -errno for a line that was dropped. Any
 * thread, any process after a fork. */
int cg_syslog_send(struct cg_syslog *s, bool access, int level,
                   struct cg_slice text);
/* Lines that were queued and then had to be dropped. */
unsigned long cg_syslog_lost(const struct cg_syslog *s);
/* -errno while the server does not answer, else 0. Streams only. */
int cg_syslog_fault(const struct cg_syslog *s);
/* In a child that has one thread yet. */
void cg_syslog_forked(struct cg_syslog *s);
/* Waits until the queue is empty, at most this long. */
void cg_syslog_drain(struct cg_syslog *s, int patience_ms);

#endif
