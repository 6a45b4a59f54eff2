/* SPDX-License-Identifier: MIT */
#include "core/control/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { TEXT_MOST = 500 };

const char *
cg_event_word(enum cg_event_word kind)
{
    static const char *const words[] = {
#define X(id, word) [CG_HAPPENED_##id] = word,
        CG_EVENT_KINDS(X)
#undef X
    };
    return (size_t)kind < CG_COUNT(words) ? words[kind] : "?";
}

const char *
cg_death_word(enum cg_death_cause cause)
{
    static const char *const words[] = {
#define X(id, word) [CG_DEATH_##id] = word,
        CG_DEATH_CAUSES(X)
#undef X
    };
    return (size_t)cause < CG_COUNT(words) ? words[cause] : "?";
}

/* ---- writing ---- */

static struct cg_event *
place(struct cg_events *e)
{
    if (e->n < CG_EVENTS_MOST) {
        e->ring = cg_realloc(e->ring, (e->n + 1) * sizeof *e->ring);
        return &e->ring[e->n++];
    }
    struct cg_event *oldest = &e->ring[e->at];
    e->at = (e->at + 1) % CG_EVENTS_MOST;
    free(oldest->text);
    return oldest;
}

void
cg_events_add(struct cg_events *e, enum cg_event_word kind, int pid,
              const char *fmt, ...)
{
    char text[TEXT_MOST];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct cg_event *new = place(e);
    *new = (struct cg_event){.kind = kind, .pid = pid, .text = cg_strdup(text)};
    clock_gettime(CLOCK_REALTIME, &new->at);
    e->count[kind]++;
}

/* The line that ends at `end`, and is not empty; what is before it. */
static struct cg_slice
last_line(struct cg_slice text)
{
    text = cg_slice_chomp(text);
    const char *before = memrchr(text.p, '\n', text.n);
    const char *at = before != NULL ? before + 1 : text.p;
    return (struct cg_slice){at, (size_t)(text.p + text.n - at)};
}

/* The last line that is not indented, and is not the first. */
static struct cg_slice
conclusion(struct cg_slice text)
{
    struct cg_slice line = last_line(text);
    while (line.p > text.p && (line.n == 0 || line.p[0] == ' ')) {
        line = last_line((struct cg_slice){text.p, (size_t)(line.p - text.p)});
    }
    return line.p > text.p ? line : (struct cg_slice){line.p, 0};
}

/* "Traceback (most recent call last):" says nothing by itself. */
static void
put_gist(struct cg_buf *out, struct cg_slice text)
{
    static const char head[] = "Traceback (";
    const char *end = memchr(text.p, '\n', text.n);
    struct cg_slice first = {text.p,
                             end != NULL ? (size_t)(end - text.p) : text.n};
    struct cg_slice last = conclusion(text);
    bool says = last.n == 0 || first.n < sizeof head - 1 ||
                memcmp(first.p, head, sizeof head - 1) != 0;
    cg_buf_put_harmless(out, first, "");
    if (!says) {
        cg_buf_reset(out);
    } else if (last.n > 0) {
        cg_buf_puts(out, ": ");
    }
    cg_buf_put_harmless(out, last, "");
}

static bool
is_last(const struct cg_events *e, enum cg_event_word kind, const char *text)
{
    if (e->n == 0) {
        return false;
    }
    const struct cg_event *last = &e->ring[(e->at + e->n - 1) % e->n];
    return last->kind == kind && strncmp(last->text, text, TEXT_MOST - 1) == 0;
}

void
cg_events_trouble(struct cg_events *e, struct cg_slice text)
{
    cg_auto(buf) struct cg_buf gist = {0};
    text = cg_slice_chomp(text);
    if (text.n > 0) {
        put_gist(&gist, text);
    }
    if (gist.n > 0 && !is_last(e, CG_HAPPENED_TROUBLE, cg_buf_str(&gist))) {
        cg_events_add(e, CG_HAPPENED_TROUBLE, 0, "%s", cg_buf_str(&gist));
    }
}

static void
release_report(struct cg_report *r)
{
    free(r->verdict);
    cg_buf_release(&r->story);
}

void
cg_events_bury(struct cg_events *e, struct cg_report *report)
{
    if (e->nreports == CG_REPORTS_MOST) {
        release_report(&e->reports[0]);
        memmove(&e->reports[0], &e->reports[1],
                --e->nreports * sizeof *e->reports);
    }
    e->reports = cg_realloc(e->reports, (e->nreports + 1) * sizeof *e->reports);
    clock_gettime(CLOCK_REALTIME, &report->at);
    e->reports[e->nreports++] = *report;
    *report = (struct cg_report){0};
}

void
cg_events_judge(struct cg_events *e, int pid, enum cg_death_cause cause,
                const char *text)
{
    cg_events_add(e, CG_HAPPENED_DEATH, pid, "%s", text);
    e->deaths[cause]++;
    for (size_t i = e->nreports; i-- > 0;) {
        struct cg_report *r = &e->reports[i];
        if (r->pid == pid && r->verdict == NULL) {
            r->verdict = cg_strdup(text);
            r->cause = cause;
            return;
        }
    }
}

void
cg_events_release(struct cg_events *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->ring[i].text);
    }
    for (size_t i = 0; i < e->nreports; i++) {
        release_report(&e->reports[i]);
    }
    free(e->ring);
    free(e->reports);
    *e = (struct cg_events){0};
}

/* ---- telling ---- */

void
cg_event_time(const struct timespec *at, char out[40])
{
    struct tm tm;
    size_t n = gmtime_r(&at->tv_sec, &tm) != NULL
                   ? strftime(out, 30, "%Y-%m-%dT%H:%M:%S", &tm)
                   : 0;
    snprintf(out + n, 40 - n, ".%03ldZ", at->tv_nsec / 1000000 % 1000);
}

static void
put_time(struct cg_json *j, const struct timespec *at)
{
    char text[40];
    cg_event_time(at, text);
    cg_json_put_text(j, "at", text);
}

static void
put_event(const struct cg_event *event, struct cg_json *j)
{
    cg_json_open(j, '{');
    put_time(j, &event->at);
    cg_json_put_text(j, "kind", cg_event_word(event->kind));
    if (event->pid != 0) {
        cg_json_put_int(j, "pid", event->pid);
    }
    cg_json_put_text(j, "text", event->text);
    cg_json_close(j, '}');
}

void
cg_events_put(const struct cg_events *e, size_t most, struct cg_json *j)
{
    cg_json_open(j, '[');
    for (size_t i = e->n > most ? e->n - most : 0; i < e->n; i++) {
        put_event(&e->ring[(e->at + i) % e->n], j);
    }
    cg_json_close(j, ']');
}

static void
put_report(const struct cg_report *r, struct cg_json *j)
{
    cg_json_open(j, '{');
    put_time(j, &r->at);
    cg_json_put_int(j, "pid", r->pid);
    cg_json_put_int(j, "age", r->age);
    cg_json_put_int(j, "generation", r->generation);
    cg_json_put_text(j, "cause", cg_death_word(r->cause));
    cg_json_put_text(j, "text", r->verdict);
    cg_json_put_seconds(j, "lived_s", r->lived_us);
    cg_json_put_int(j, "requests", (int64_t)r->requests);
    cg_json_key(j, "rss_bytes");
    if (r->rss_bytes != 0) {
        cg_json_int(j, (int64_t)r->rss_bytes);
    } else {
        cg_json_null(j);
    }
    cg_json_key(j, "story");
    cg_json_slice(j, (struct cg_slice){r->story.p, r->story.n});
    cg_json_close(j, '}');
}

void
cg_events_put_reports(const struct cg_events *e, int pid, struct cg_json *j)
{
    cg_json_open(j, '[');
    for (size_t i = e->nreports; i-- > 0;) {
        const struct cg_report *r = &e->reports[i];
        if (r->verdict != NULL && (pid == 0 || r->pid == pid)) {
            put_report(r, j);
        }
    }
    cg_json_close(j, ']');
}
