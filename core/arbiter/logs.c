/* SPDX-License-Identifier: MIT */
/*
 * The master's log: made of the settings, with absolute paths, so that a file
 * can be opened again from wherever the application changed to; what is wrong
 * with the settings but no error; and the numbers that statsd hears of.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/log_words.h"
#include "core/base/memory.h"

/* ---- opening ---- */

static char *
absolute(const char *path, const char *dir)
{
    if (path == NULL) {
        return NULL;
    }
    return strcmp(path, "-") == 0 || path[0] == '/'
               ? cg_strdup(path)
               : cg_strf("%s/%s", dir, path);
}

/* What the options point to. */
struct files {
    char *errors, *access, *prefix;
    struct cg_syslog_options syslog;
    struct cg_statsd_options statsd;
};

/* gunicorn: the name of the program, whose colons syslog would mistake. */
static char *
syslog_prefix(const struct cg_settings *s)
{
    const char *set = cg_settings_str(s, CG_syslog_prefix);
    if (set != NULL && *set != '\0') {
        return cg_strdup(set);
    }
    char *name = cg_strdup(cg_settings_proc_name(s));
    for (char *c = strchr(name, ':'); c != NULL; c = strchr(c, ':')) {
        *c = '.';
    }
    return name;
}

static void
init_files(struct files *f, const struct cg_settings *s)
{
    cg_auto(free) char *cwd = getcwd(NULL, 0);
    const char *dir = cwd != NULL ? cwd : "";
    *f = (struct files){
        .errors = absolute(cg_settings_str(s, CG_errorlog), dir),
        .access = absolute(cg_settings_str(s, CG_accesslog), dir),
        .prefix = syslog_prefix(s),
    };
    f->syslog = (struct cg_syslog_options){
        .addr = cg_settings_str(s, CG_syslog_addr),
        .facility = cg_settings_str(s, CG_syslog_facility),
        .prefix = f->prefix,
        .access = !cg_settings_bool(s, CG_disable_redirect_access_to_syslog),
    };
    f->statsd = (struct cg_statsd_options){
        .host = cg_settings_str(s, CG_statsd_host),
        .prefix = cg_settings_str(s, CG_statsd_prefix),
        .tags = cg_settings_str(s, CG_dogstatsd_tags),
    };
}

static void
release_files(struct files *f)
{
    free(f->errors);
    free(f->access);
    free(f->prefix);
}

static int
with_options(struct cg_arbiter *a,
             int (*use)(struct cg_arbiter *a, const struct cg_log_options *o,
                        struct cg_error *err),
             struct cg_error *err)
{
    const struct cg_settings *s = a->settings;
    struct files f;
    init_files(&f, s);
    const struct cg_log_options o = {
        .errorlog = f.errors,
        .accesslog = f.access,
        .level = cg_settings_str(s, CG_loglevel),
        .json = strcmp(cg_settings_str(s, CG_log_format), "json") == 0,
        .colour = cg_arbiter_wants_colour(s) &&
                  cg_settings_str(s, CG_accesslog) != NULL &&
                  strcmp(cg_settings_str(s, CG_accesslog), "-") == 0,
        .capture_output = cg_settings_bool(s, CG_capture_output),
        .uid = (int)cg_settings_int(s, CG_user),
        .gid = (int)cg_settings_int(s, CG_group),
        .syslog = cg_settings_bool(s, CG_syslog) ? &f.syslog : NULL,
        .statsd = f.statsd.host != NULL ? &f.statsd : NULL,
    };
    int r = use(a, &o, err);
    release_files(&f);
    return r;
}

static int
open_log(struct cg_arbiter *a, const struct cg_log_options *o,
         struct cg_error *err)
{
    return cg_log_new(o, &a->log, err);
}

static int
reconfigure_log(struct cg_arbiter *a, const struct cg_log_options *o,
                struct cg_error *err)
{
    return cg_log_reconfigure(a->log, o, err);
}

int
cg_arbiter_open_log(struct cg_arbiter *a, struct cg_error *err)
{
    return with_options(a, open_log, err);
}

int
cg_arbiter_reconfigure_log(struct cg_arbiter *a, struct cg_error *err)
{
    return with_options(a, reconfigure_log, err);
}

/* ---- what is wrong and no error ---- */

static void
warn_of_word(void *self, enum cg_setting_id id, const char *text)
{
    struct cg_arbiter *a = self;
    cg_log_line(a->log, CG_WARNING, "%s", text);
}

void
cg_arbiter_check_log(struct cg_arbiter *a)
{
    cg_log_words_check_level(a->settings, warn_of_word, a);
    if (cg_log_has_access(a->log) && !cg_log_routes_access(a->log)) {
        cg_log_words_check_format(a->settings, warn_of_word, a);
    }
}

/* ---- numbers ---- */

static int
listen_queue(const struct cg_sockets *sockets)
{
    int sum = 0;
    for (int i = 0; i < sockets->n; i++) {
        struct tcp_info info;
        socklen_t n = sizeof info;
        if (getsockopt(sockets->items[i].fd, IPPROTO_TCP, TCP_INFO, &info,
                       &n) == 0) {
            sum += (int)info.tcpi_unacked; /* of a listener: its queue */
        }
    }
    return sum;
}

static void
report_queue(struct cg_arbiter *a)
{
    uint64_t now = cg_arbiter_now_ms();
    char text[64];
    if (!cg_settings_bool(a->settings, CG_enable_backlog_metric) ||
        now < a->queue_told_ms + 1000) {
        return;
    }
    int n = listen_queue(&a->sockets);
    a->queue_told_ms = now;
    snprintf(text, sizeof text, "socket backlog: %d", n);
    cg_log_metric(a->log, CG_DEBUG, "gunicorn.backlog", n, "h", text);
}

void
cg_arbiter_log_settings(struct cg_arbiter *a)
{
    cg_auto(buf) struct cg_buf text = {0};
    if (!cg_log_enabled(a->log, CG_DEBUG)) {
        return;
    }
    cg_buf_puts(&text, "Current configuration:");
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        cg_buf_putf(&text, "\n  %s: ", cg_setting_name((enum cg_setting_id)id));
        cg_settings_show(a->settings, (enum cg_setting_id)id, &text);
    }
    cg_log_text(a->log, CG_DEBUG, (struct cg_slice){text.p, text.n});
}

void
cg_arbiter_report(struct cg_arbiter *a)
{
    char text[64];
    /* not at the stop, as in gunicorn, where the number is of no interest */
    if (a->nchildren != a->workers_told && a->plan.phase < PLAN_STOPPING) {
        a->workers_told = a->nchildren;
        snprintf(text, sizeof text, "%d workers", a->nchildren);
        cg_log_metric(a->log, CG_DEBUG, "gunicorn.workers", a->nchildren, "g",
                      text);
    }
    report_queue(a);
}
