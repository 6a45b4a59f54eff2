/* SPDX-License-Identifier: MIT */
#include "logging/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/state.h"

enum { DRAIN_MS = 1000 };

/* ---- targets ---- */

bool
cg_level_of(const char *word, enum cg_level *ret)
{
    static const struct {
        const char *word;
        enum cg_level level;
    } levels[] = {{"debug", CG_DEBUG},
                  {"info", CG_INFO},
                  {"warning", CG_WARNING},
                  {"error", CG_ERROR},
                  {"critical", CG_CRITICAL}};
    for (size_t i = 0; word != NULL && i < CG_COUNT(levels); i++) {
        if (strcasecmp(word, levels[i].word) == 0) {
            *ret = levels[i].level;
            return true;
        }
    }
    return false;
}

static enum cg_level
parse_level(const char *word)
{
    enum cg_level level = CG_INFO; /* gunicorn: an unknown name means info */
    cg_level_of(word, &level);
    return level;
}

static void
capture(const struct cg_log *log)
{
    if (log->capture && cg_sink_is_file(&log->error)) {
        fflush(stdout);
        fflush(stderr);
        dup2(log->error.fd, 1);
        dup2(log->error.fd, 2);
    }
}

/* What is no failure but has to be told. */
struct notes {
    struct cg_error error, access, statsd;
};

static int
open_files(struct cg_log *log, const struct cg_log_options *o,
           struct notes *notes, struct cg_error *err)
{
    const struct cg_sink_options error = {
        .setting = "errorlog",
        .path = o->errorlog != NULL ? o->errorlog : "-",
        .stream = 2,
        .uid = o->uid,
        .gid = o->gid};
    const struct cg_sink_options access = {.setting = "accesslog",
                                           .path = o->accesslog,
                                           .stream = 1,
                                           .uid = o->uid,
                                           .gid = o->gid};
    int r = cg_sink_open(&log->error, &error, &notes->error, err);
    return r < 0 ? r : cg_sink_open(&log->access, &access, &notes->access, err);
}

static void
close_all(struct cg_log *log)
{
    cg_sink_close(&log->error);
    cg_sink_close(&log->access);
    cg_syslog_free(log->syslog);
    cg_statsd_free(log->statsd);
}

static int
open_all(struct cg_log *log, const struct cg_log_options *o,
         struct notes *notes, struct cg_error *err)
{
    log->error.fd = log->access.fd = -1;
    int r = open_files(log, o, notes, err);
    if (r == 0 && o->syslog != NULL) {
        r = cg_syslog_new(o->syslog, &log->syslog, err);
    }
    if (r == 0 && o->statsd != NULL) {
        r = cg_statsd_new(o->statsd, &log->statsd, &notes->statsd);
        if (r < 0 && err != NULL) {
            *err = notes->statsd;
        }
    }
    if (r < 0) {
        close_all(log);
        return r;
    }
    log->level = parse_level(o->level);
    log->capture = o->capture_output;
    log->json = o->json;
    log->colour = o->colour;
    log->uid = o->uid;
    log->gid = o->gid;
    return 0;
}

static void
tell(struct cg_log *log, const struct cg_error *note)
{
    if (note->code != 0) {
        cg_log_put_record(log, CG_WARNING, cg_slice_of(note->text));
    }
}

static void
begin(struct cg_log *log, const struct notes *notes)
{
    capture(log);
    tell(log, &notes->error);
    tell(log, &notes->access);
    tell(log, &notes->statsd);
}

int
cg_log_new(const struct cg_log_options *o, struct cg_log **ret_log,
           struct cg_error *err)
{
    struct notes notes = {0};
    struct cg_log *log = cg_calloc(1, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    int r = open_all(log, o, &notes, err);
    if (r < 0) {
        free(log);
        return r;
    }
    begin(log, &notes);
    *ret_log = log;
    return 0;
}

void
cg_log_free(struct cg_log *log)
{
    if (log != NULL) {
        cg_log_set_route(log, NULL);
        cg_log_drain(log);
        close_all(log);
        free(log);
    }
}

int
cg_log_reconfigure(struct cg_log *log, const struct cg_log_options *o,
                   struct cg_error *err)
{
    struct cg_log fresh = {0};
    struct notes notes = {0};
    int r = open_all(&fresh, o, &notes, err);
    if (r < 0) {
        return r;
    }
    cg_log_drain(log);
    close_all(log);
    log->error = fresh.error;
    log->access = fresh.access;
    log->syslog = fresh.syslog;
    log->statsd = fresh.statsd;
    log->level = fresh.level;
    log->capture = fresh.capture;
    log->json = fresh.json;
    log->colour = fresh.colour;
    log->uid = fresh.uid;
    log->gid = fresh.gid;
    begin(log, &notes);
    return 0;
}

static void
reopen_sink(struct cg_log *log, struct cg_sink *s, const char *setting)
{
    struct cg_error err = {0}, note = {0};
    pthread_mutex_lock(&log->lock);
    int r = cg_sink_reopen(s, setting, log->uid, log->gid, &note, &err);
    pthread_mutex_unlock(&log->lock);
    if (note.code != 0) {
        cg_log_line(log, CG_WARNING, "%s", note.text);
    }
    if (r < 0) {
        cg_log_line(log, CG_ERROR, "cannot reopen, the old file stays: %s",
                    err.text);
    }
}

void
cg_log_reopen(struct cg_log *log)
{
    cg_log_write_spool(log); /* what is older belongs into the old file */
    reopen_sink(log, &log->error, "errorlog");
    reopen_sink(log, &log->access, "accesslog");
    capture(log);
}

void
cg_log_drain(struct cg_log *log)
{
    cg_log_write_spool(log);
    cg_log_flush(log);
    if (log->syslog != NULL) {
        cg_syslog_drain(log->syslog, DRAIN_MS);
    }
}

void
cg_log_part(struct cg_log *log)
{
    cg_sink_part(&log->error);
    cg_sink_part(&log->access);
    capture(log);
}

/* ---- other writers ---- */

void
cg_log_write(struct cg_log *log, bool access, struct cg_slice bytes)
{
    if (access && log->access.fd >= 0) {
        cg_log_write_access_now(log, bytes.p, bytes.n);
    } else if (!access) {
        cg_log_write_error(log, bytes.p, bytes.n);
    }
}

void
cg_log_syslog(struct cg_log *log, bool access, enum cg_level level,
              struct cg_slice text)
{
    if (log->syslog != NULL) {
        cg_log_after_syslog(
            log, cg_syslog_send(log->syslog, access, (int)level, text));
    }
}

void
cg_log_statsd(struct cg_log *log, struct cg_slice message)
{
    if (log->statsd != NULL) {
        cg_log_after_statsd(log, cg_statsd_send(log->statsd, message));
    }
}

bool
cg_log_has_statsd(const struct cg_log *log)
{
    return log->statsd != NULL;
}

void
cg_log_set_witness(struct cg_log *log, struct cg_log_witness witness)
{
    log->witness = witness;
}

/* ---- what is known of it ---- */

unsigned long
cg_log_dropped(const struct cg_log *log)
{
    return atomic_load(&log->dropped) + atomic_load(&log->syslog_lost);
}

int
cg_log_error_fd(const struct cg_log *log)
{
    return log->error.fd;
}

int
cg_log_access_fd(const struct cg_log *log)
{
    return log->access.fd;
}
