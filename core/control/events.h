/* SPDX-License-Identifier: MIT */
/*
 * Events: what happened to the server, the last CG_EVENTS_MOST of it, and the
 * reports on its last dead workers. In the master's memory only; texts are
 * bounded, and peers' bytes in them were escaped by who made them.
 */
#ifndef CG_CONTROL_EVENTS_H
#define CG_CONTROL_EVENTS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/base/bytes.h"
#include "core/control/json.h"

/* X-macro: the kinds of events, and their words. */
#define CG_EVENT_KINDS(X)                                                      \
    X(START, "start")                                                          \
    X(SERVING, "serving") /* the first generation is up */                     \
    X(DEATH, "death")     /* of a worker that was to live */                   \
    X(TIMEOUT, "timeout") /* a worker or a request takes too long */           \
    X(TROUBLE, "trouble") /* what else the master warned of */                 \
    X(RECYCLE, "recycle") /* a worker will be replaced */                      \
    X(RELOAD, "reload")   /* begins */                                         \
    X(RELOADED, "reloaded")                                                    \
    X(ROLLED_BACK, "rolled-back") /* a reload failed */                        \
    X(SCALE, "scale")                                                          \
    X(UPGRADE, "upgrade")                                                      \
    X(DRAIN, "drain")                                                          \
    X(RESUME, "resume")                                                        \
    X(STOP, "stop")                                                            \
    X(COMMAND, "command") /* of an operator, by the channel */
enum cg_event_word {
#define X(id, word) CG_HAPPENED_##id,
    CG_EVENT_KINDS(X)
#undef X
        CG_HAPPENED_COUNT
};
const char *cg_event_word(enum cg_event_word kind);

/* X-macro: what ended a worker that was to live; its word is a label. */
#define CG_DEATH_CAUSES(X)                                                     \
    X(NONE, "none")                                                            \
    X(BOOT, "boot")       /* it could not load the application */              \
    X(EXIT, "exit")       /* with a status of its own */                       \
    X(SIGNAL, "signal")   /* a crash, or a signal of somebody's */             \
    X(OOM, "oom")         /* the kernel, for want of memory */                 \
    X(KILLED, "killed")   /* KILL of somebody's */                             \
    X(TIMEOUT, "timeout") /* it was silent for too long */                     \
    X(STOP, "stop")       /* it did not stop in time */
enum cg_death_cause {
#define X(id, word) CG_DEATH_##id,
    CG_DEATH_CAUSES(X)
#undef X
        CG_DEATH_COUNT
};
const char *cg_death_word(enum cg_death_cause cause);

enum { CG_EVENTS_MOST = 200, CG_REPORTS_MOST = 10, CG_REPORT_SIZE = 16384 };

struct cg_event {
    struct timespec at; /* the wall clock */
    enum cg_event_word kind;
    int pid;    /* of a worker, 0: none */
    char *text; /* owned */
};

/* What is known about a worker's end. */
struct cg_report {
    struct timespec at;
    int pid;
    uint32_t age, generation;
    enum cg_death_cause cause;
    uint64_t lived_us, requests;
    uint64_t rss_bytes;  /* when it was weighed last; 0: never */
    char *verdict;       /* one line; owned */
    struct cg_buf story; /* what ran, whose stacks; owned */
};

/* Zeroed memory is empty. */
struct cg_events {
    struct cg_event *ring; /* owned, grows up to CG_EVENTS_MOST */
    size_t n, at;          /* at: the oldest, once it is full */
    uint64_t count[CG_HAPPENED_COUNT];
    uint64_t deaths[CG_DEATH_COUNT];
    struct cg_report *reports; /* owned, the oldest first */
    size_t nreports;
};

void cg_events_add(struct cg_events *e, enum cg_event_word kind, int pid,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What the log has of trouble, as an event: of several lines the first and the
 * last that is not indented, which in a traceback is the exception. Nothing
 * when the last event says the same. */
void cg_events_trouble(struct cg_events *e, struct cg_slice text);
/* report->story and the rest move in; verdict comes later. */
void cg_events_bury(struct cg_events *e, struct cg_report *report);
/* The verdict on a dead worker: an event, its report and a count. */
void cg_events_judge(struct cg_events *e, int pid, enum cg_death_cause cause,
                     const char *text);
void cg_events_release(struct cg_events *e);
/* The last `most` events, the oldest first: an array. */
void cg_events_put(const struct cg_events *e, size_t most, struct cg_json *j);
/* The reports, newest first: an array; pid 0: of all. */
void cg_events_put_reports(const struct cg_events *e, int pid,
                           struct cg_json *j);
/* "2026-11-30T02:00:00.123Z" (RFC 3339) */
void cg_event_time(const struct timespec *at, char out[40]);

#endif
