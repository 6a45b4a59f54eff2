/* SPDX-License-Identifier: MIT */
/*
 * Lines on their way to the two files. Those of the access log may wait in a
 * spool (log.h says when); who finds lines that are older than its own writes
 * them first.
 */
#include <string.h>

#include "logging/state.h"

/* Lines that wait are older. */
void
cg_log_write_error(struct cg_log *log, const char *p, size_t n)
{
    if (cg_log_has_spooled(log)) {
        cg_log_write_spool(log);
    }
    int r = cg_sink_write(&log->error, p, n, NULL);
    if (r < 0) {
        atomic_fetch_add(&log->dropped, 1);
        cg_log_complain_on_stderr(log, r);
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
        cg_log_complain_of_access(log, r);
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
void
cg_log_write_access(struct cg_log *log, const char *p, size_t n)
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
void
cg_log_write_access_now(struct cg_log *log, const char *p, size_t n)
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
    log->witness = (struct cg_log_witness){0}; /* of its parent's errors */
    pthread_mutex_init(&log->lock, NULL);
    if (log->syslog != NULL) {
        cg_syslog_forked(log->syslog);
    }
}

void
cg_log_rescue(struct cg_log *log, struct cg_spool *spool)
{
    struct cg_slice lines = cg_spool_view(spool);
    if (lines.n > 0 && log->access.fd >= 0) {
        after_access(log, send_access(log, lines.p, lines.n));
    } else if (lines.n > 0) { /* a reload has done away with it */
        cg_log_write_error(log, lines.p, lines.n);
    }
    cg_spool_reset(spool);
}
