/* SPDX-License-Identifier: MIT */
#include "cmd/show.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/servers.h"
#include "core/base/memory.h"

enum { NARROW = 40, SMALL = 32 };

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"
#define REVERSE "\033[7m"

struct cg_screen
cg_screen_of_stdout(struct cg_buf *out)
{
    struct winsize size;
    bool terminal = isatty(STDOUT_FILENO) == 1;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    struct cg_screen s = {.out = out};
    if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_col >= NARROW) {
        s.width = size.ws_col;
    }
    s.colour = terminal && (no == NULL || *no == '\0') && term != NULL &&
               strcmp(term, "dumb") != 0;
    return s;
}

/* ---- lines ---- */

/* One line of the screen: cut where it ends, which is not within a character
 * of UTF-8. */
__attribute__((format(printf, 2, 3))) static void
put_line(struct cg_screen *s, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t end = strlen(text);
    if (s->width > 0) {
        size_t at = 0;
        for (int columns = 0; text[at] != '\0'; at++) {
            columns += ((unsigned char)text[at] & 0xc0) != 0x80;
            if (columns > s->width) {
                break;
            }
        }
        end = at;
    }
    while (end > 0 && text[end - 1] == ' ') {
        end--;
    }
    text[end] = '\0';
    cg_put_clean(s->out, text, false);
    cg_buf_putc(s->out, '\n');
}

static void
colour(struct cg_screen *s, const char *how)
{
    cg_buf_puts(s->out, s->colour ? how : "");
}

static void
put_heading(struct cg_screen *s, const char *text)
{
    colour(s, BOLD);
    put_line(s, "%s", text);
    colour(s, PLAIN);
}

/* On a narrow screen the request is worth more than what else is known. */
static bool
is_narrow(const struct cg_screen *s)
{
    enum { WIDE = 110 };
    return s->width > 0 && s->width < WIDE;
}

/* ---- numbers ---- */

static const char *
span(char out[SMALL], double s)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    if (s < 10) {
        snprintf(out, SMALL, "%.1f s", s);
    } else if (s < 2 * MINUTE) {
        snprintf(out, SMALL, "%.0f s", s);
    } else if (s < 2 * HOUR) {
        snprintf(out, SMALL, "%.0f min", s / MINUTE);
    } else if (s < 2 * DAY) {
        snprintf(out, SMALL, "%.1f h", s / HOUR);
    } else {
        snprintf(out, SMALL, "%.1f d", s / DAY);
    }
    return out;
}

static const char *
latency(char out[SMALL], double s)
{
    if (s < 0.001) {
        snprintf(out, SMALL, "%.0f us", s * 1e6);
    } else if (s < 1) {
        snprintf(out, SMALL, "%.1f ms", s * 1e3);
    } else {
        snprintf(out, SMALL, "%.2f s", s);
    }
    return out;
}

static const char *
mib(char out[SMALL], const struct cg_json_node *n)
{
    if (n == NULL || n->kind != CG_JSON_NUMBER) {
        return "-";
    }
    snprintf(out, SMALL, "%.1f", n->x / (1 << 20));
    return out;
}

static const char *
count(char out[SMALL], const struct cg_json_node *n)
{
    if (n == NULL || n->kind != CG_JSON_NUMBER) {
        return "-";
    }
    snprintf(out, SMALL, "%.0f", n->x);
    return out;
}

/* ---- status ---- */

static const char *
colour_of(const char *state)
{
    return strcmp(state, "running") == 0 ? GREEN
           : strcmp(state, "stopping") == 0 || strcmp(state, "quitting") == 0
               ? RED
               : YELLOW;
}

static void
show_server(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *root = cg_json_root(t);
    const char *state = cg_json_text_of(t, root, "state");
    const char *file = cg_json_text_of(t, root, "config_file");
    double new_master = cg_json_number_of(t, root, "new_master_pid");
    double old_master = cg_json_number_of(t, root, "old_master_pid");
    char up[SMALL];
    colour(s, colour_of(state));
    put_line(s, "%s: %s, up %s, generation %.0f (cgunicorn %s, pid %.0f)",
             cg_json_text_of(t, root, "name"), state,
             span(up, cg_json_number_of(t, root, "uptime_s")),
             cg_json_number_of(t, root, "generation"),
             cg_json_text_of(t, root, "version"),
             cg_json_number_of(t, root, "pid"));
    colour(s, PLAIN);
    if (new_master != 0 || old_master != 0) {
        put_line(s, "an upgrade is under way, the %s master is pid %.0f",
                 new_master != 0 ? "new" : "old",
                 new_master != 0 ? new_master : old_master);
    }
    put_line(s, "configuration: %s", *file != '\0' ? file : "no file");
}

static void
show_listeners(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *l =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "listeners"));
    for (; l != NULL; l = cg_json_next(t, l)) {
        char waiting[SMALL], most[SMALL], over[SMALL];
        put_line(s, "%s  backlog %s/%s  overflows %s",
                 cg_json_text_of(t, l, "address"),
                 count(waiting, cg_json_get(t, l, "backlog")),
                 count(most, cg_json_get(t, l, "backlog_max")),
                 count(over, cg_json_get(t, l, "overflows")));
    }
}

static void
show_quantiles(struct cg_screen *s, const struct cg_json_tree *t,
               const char *key, const char *title)
{
    const struct cg_json_node *q = cg_json_get(t, cg_json_root(t), key);
    char a[SMALL], b[SMALL], c[SMALL];
    put_line(s, "  %-12s p50 %-9s p95 %-9s p99 %s", title,
             latency(a, cg_json_number_of(t, q, "p50")),
             latency(b, cg_json_number_of(t, q, "p95")),
             latency(c, cg_json_number_of(t, q, "p99")));
}

static void
show_traffic(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *root = cg_json_root(t);
    const struct cg_json_node *r = cg_json_get(t, root, "responses");
    char window[SMALL];
    put_line(s,
             "requests %.0f (2xx %.0f, 3xx %.0f, 4xx %.0f, 5xx %.0f), refused "
             "%.0f",
             cg_json_number_of(t, root, "requests_total"),
             cg_json_number_of(t, r, "2xx"), cg_json_number_of(t, r, "3xx"),
             cg_json_number_of(t, r, "4xx"), cg_json_number_of(t, r, "5xx"),
             cg_json_number_of(t, root, "refused_total"));
    put_line(s, "the last %s: %.1f requests/s",
             span(window, cg_json_number_of(t, root, "window_s")),
             cg_json_number_of(t, root, "requests_per_s"));
    show_quantiles(s, t, "queue_wait_s", "queue wait");
    show_quantiles(s, t, "app_time_s", "application");
}

static void
put_current(char *out, size_t size, const struct cg_json_tree *t,
            const struct cg_json_node *worker)
{
    const struct cg_json_node *f =
        cg_json_first(t, cg_json_get(t, worker, "current"));
    char age[SMALL];
    out[0] = '\0';
    if (f != NULL) {
        snprintf(out, size, "%s %s (%s)", cg_json_text_of(t, f, "method"),
                 cg_json_text_of(t, f, "path"),
                 span(age, cg_json_number_of(t, f, "age_s")));
    }
}

static void
show_worker(struct cg_screen *s, const struct cg_json_tree *t,
            const struct cg_json_node *w)
{
    char age[SMALL], rss[SMALL], cpu[SMALL], busy[SMALL], now[300];
    bool follows = cg_json_number_of(t, w, "executors_least") <
                   cg_json_number_of(t, w, "executors");
    double share = cg_json_number_of(t, w, "busy_share");
    snprintf(busy, sizeof busy, "%.0f/%.0f", cg_json_number_of(t, w, "busy"),
             cg_json_number_of(t, w, follows ? "executors_now" : "executors"));
    put_current(now, sizeof now, t, w);
    double pid = cg_json_number_of(t, w, "pid");
    double requests = cg_json_number_of(t, w, "requests");
    const char *state = cg_json_text_of(t, w, "state");
    span(age, cg_json_number_of(t, w, "age_s"));
    const char *memory = mib(rss, cg_json_get(t, w, "rss_bytes"));
    if (is_narrow(s)) {
        put_line(s, "%-8.0f %-9s %-7s %8.0f %6s %3.0f%% %6s %s", pid, state,
                 age, requests, busy, 100 * share, memory, now);
        return;
    }
    put_line(s, "%-8.0f %-9s %-7s %8.0f %6s %3.0f%% %5.0f %6s %6s %s", pid,
             state, age, requests, busy, 100 * share,
             cg_json_number_of(t, w, "connections"), memory,
             span(cpu, cg_json_number_of(t, w, "cpu_s")), now);
}

static void
show_workers(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *w =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "workers"));
    cg_buf_putc(s->out, '\n');
    put_heading(s, is_narrow(s)
                       ? "PID      STATE     AGE     REQUESTS   BUSY    %    "
                         "MiB NOW"
                       : "PID      STATE     AGE     REQUESTS   BUSY    % "
                         "CONNS    MiB    CPU NOW");
    for (; w != NULL; w = cg_json_next(t, w)) {
        show_worker(s, t, w);
    }
}

/* Of the workers that there are. */
static void
show_errors(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *w =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "workers"));
    bool begun = false;
    for (; w != NULL; w = cg_json_next(t, w)) {
        const struct cg_json_node *e = cg_json_get(t, w, "last_error");
        char age[SMALL];
        if (e == NULL || e->kind != CG_JSON_OBJECT) {
            continue;
        }
        if (!begun) {
            cg_buf_putc(s->out, '\n');
            put_heading(s, "PID      AGO     LAST ERROR");
            begun = true;
        }
        put_line(s, "%-8.0f %-7s %s", cg_json_number_of(t, w, "pid"),
                 span(age, cg_json_number_of(t, e, "age_s")),
                 cg_json_text_of(t, e, "text"));
    }
}

/* What a dirty worker did, and does. */
static void
show_calls(struct cg_screen *s, const struct cg_json_tree *t,
           const struct cg_json_node *c)
{
    const struct cg_json_node *now =
        cg_json_first(t, cg_json_get(t, c, "current"));
    char age[SMALL];
    if (cg_json_get(t, c, "calls") == NULL) {
        return;
    }
    put_line(s, "%9s%.0f calls, %.0f failed, %.0f of %.0f threads busy", "",
             cg_json_number_of(t, c, "calls"),
             cg_json_number_of(t, c, "calls_failed"),
             cg_json_number_of(t, c, "busy"),
             cg_json_number_of(t, c, "threads"));
    for (; now != NULL; now = cg_json_next(t, now)) {
        put_line(s, "%9s%s for %s", "", cg_json_text_of(t, now, "call"),
                 span(age, cg_json_number_of(t, now, "age_s")));
    }
}

static void
show_companions(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *c =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "companions"));
    char age[SMALL], rss[SMALL];
    if (c != NULL) {
        cg_buf_putc(s->out, '\n');
        put_heading(s, "PID      STATE     AGE      STARTS RSS MiB COMPANION");
    }
    for (; c != NULL; c = cg_json_next(t, c)) {
        put_line(s, "%-8.0f %-9s %-8s %6.0f %7s %s: %s",
                 cg_json_number_of(t, c, "pid"), cg_json_text_of(t, c, "state"),
                 span(age, cg_json_number_of(t, c, "age_s")),
                 cg_json_number_of(t, c, "starts"),
                 mib(rss, cg_json_get(t, c, "rss_bytes")),
                 cg_json_text_of(t, c, "name"), cg_json_text_of(t, c, "runs"));
        show_calls(s, t, c);
    }
}

static void
show_event_list(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *e =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "events"));
    for (; e != NULL; e = cg_json_next(t, e)) {
        put_line(s, "%.19s %-11s %s", cg_json_text_of(t, e, "at"),
                 cg_json_text_of(t, e, "kind"), cg_json_text_of(t, e, "text"));
    }
}

void
cg_show_status(struct cg_screen *s, const struct cg_json_tree *t)
{
    show_server(s, t);
    show_listeners(s, t);
    show_traffic(s, t);
    show_workers(s, t);
    show_errors(s, t);
    show_companions(s, t);
    cg_buf_putc(s->out, '\n');
    put_heading(s, "EVENTS (UTC)");
    show_event_list(s, t);
}

void
cg_show_events(struct cg_screen *s, const struct cg_json_tree *t)
{
    show_event_list(s, t);
}

/* ---- requests ---- */

void
cg_show_requests(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *f =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "requests"));
    if (f == NULL) {
        put_line(s, "no request is in flight");
        return;
    }
    put_heading(s, "WORKER   AGE      PHASE        PEER             REQUEST");
    for (; f != NULL; f = cg_json_next(t, f)) {
        char age[SMALL];
        put_line(
            s, "%-8.0f %-8s %-12s %-16s %s %s", cg_json_number_of(t, f, "pid"),
            span(age, cg_json_number_of(t, f, "age_s")),
            cg_json_text_of(t, f, "phase"), cg_json_text_of(t, f, "peer"),
            cg_json_text_of(t, f, "method"), cg_json_text_of(t, f, "path"));
    }
}

/* ---- top ---- */

struct top_row {
    const struct cg_json_node *worker;
    const struct cg_json_node *flight; /* the oldest one, or NULL */
    double key;
};

static int
by_key(const void *a, const void *b)
{
    const struct top_row *x = a, *y = b;
    return (x->key < y->key) - (x->key > y->key);
}

static double
key_of(const struct cg_json_tree *t, const struct top_row *r, char sort)
{
    switch (sort) {
    case 'p': return -cg_json_number_of(t, r->worker, "pid");
    case 'r': return cg_json_number_of(t, r->worker, "requests");
    case 'c': return cg_json_number_of(t, r->worker, "cpu_s");
    case 'm': return cg_json_number_of(t, r->worker, "rss_bytes");
    default:
        return r->flight != NULL ? cg_json_number_of(t, r->flight, "age_s")
                                 : -1;
    }
}

/* One row for each request in flight, and one for each idle worker. */
static size_t
collect_rows(const struct cg_json_tree *t, char sort, struct top_row **ret)
{
    size_t n = 0;
    *ret = NULL;
    const struct cg_json_node *w =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "workers"));
    for (; w != NULL; w = cg_json_next(t, w)) {
        const struct cg_json_node *f =
            cg_json_first(t, cg_json_get(t, w, "current"));
        do {
            struct top_row row = {.worker = w, .flight = f};
            row.key = key_of(t, &row, sort);
            *ret = cg_realloc(*ret, (n + 1) * sizeof **ret);
            (*ret)[n++] = row;
            f = cg_json_next(t, f);
        } while (f != NULL);
    }
    if (n > 0) {
        qsort(*ret, n, sizeof **ret, by_key);
    }
    return n;
}

static void
show_top_row(struct cg_screen *s, const struct cg_json_tree *t,
             const struct top_row *r)
{
    char age[SMALL] = "", rss[SMALL], cpu[SMALL];
    double pid = cg_json_number_of(t, r->worker, "pid");
    const char *state = cg_json_text_of(t, r->worker, "state");
    const char *peer = cg_json_text_of(t, r->flight, "peer");
    const char *method = cg_json_text_of(t, r->flight, "method");
    const char *path = cg_json_text_of(t, r->flight, "path");
    mib(rss, cg_json_get(t, r->worker, "rss_bytes"));
    span(cpu, cg_json_number_of(t, r->worker, "cpu_s"));
    if (r->flight != NULL) {
        span(age, cg_json_number_of(t, r->flight, "age_s"));
    }
    if (is_narrow(s)) {
        put_line(s, "%-8.0f %-9s %6s %-7s %-15s %s %s", pid, state, rss, age,
                 peer, method, path);
        return;
    }
    put_line(s, "%-8.0f %-9s %8.0f %3.0f%% %7s %7s %-8s %-11s %-39s %s %s", pid,
             state, cg_json_number_of(t, r->worker, "requests"),
             100 * cg_json_number_of(t, r->worker, "busy_share"), rss, cpu, age,
             cg_json_text_of(t, r->flight, "phase"), peer, method, path);
}

static void
put_top_heading(struct cg_screen *s)
{
    put_heading(s, is_narrow(s)
                       ? "PID      STATE        MiB AGE     PEER            "
                         "REQUEST"
                       : "PID      STATE     REQUESTS    %     MiB     CPU AGE "
                         "     PHASE       PEER                              "
                         "      REQUEST");
}

void
cg_show_top(struct cg_screen *s, const struct cg_json_tree *t,
            struct cg_top_view *view)
{
    struct top_row *rows;
    size_t n = collect_rows(t, view->sort, &rows);
    show_server(s, t);
    show_listeners(s, t);
    show_traffic(s, t);
    put_top_heading(s);
    view->row = view->row < (int)n ? view->row : (int)n - 1;
    view->pid = 0;
    for (size_t i = 0; i < n; i++) {
        bool chosen = s->width > 0 && (int)i == view->row;
        if (chosen) {
            view->pid = (int)cg_json_number_of(t, rows[i].worker, "pid");
            cg_buf_puts(s->out, REVERSE);
        }
        show_top_row(s, t, &rows[i]);
        if (chosen) {
            cg_buf_puts(s->out, PLAIN);
        }
    }
    free(rows);
    show_companions(s, t);
}

/* ---- deaths and stacks: texts of several lines ---- */

static void
put_text(struct cg_screen *s, const char *text)
{
    cg_put_clean(s->out, text, true);
    size_t n = strlen(text);
    if (n > 0 && text[n - 1] != '\n') {
        cg_buf_putc(s->out, '\n');
    }
}

static void
show_death(struct cg_screen *s, const struct cg_json_tree *t,
           const struct cg_json_node *d)
{
    char lived[SMALL], rss[SMALL];
    const struct cg_json_node *weight = cg_json_get(t, d, "rss_bytes");
    bool weighed = weight != NULL && weight->kind == CG_JSON_NUMBER;
    colour(s, BOLD);
    put_line(s, "%.19s %s", cg_json_text_of(t, d, "at"),
             cg_json_text_of(t, d, "text"));
    colour(s, PLAIN);
    put_line(s, "cause: %s; it lived %s and answered %.0f requests%s%s%s",
             cg_json_text_of(t, d, "cause"),
             span(lived, cg_json_number_of(t, d, "lived_s")),
             cg_json_number_of(t, d, "requests"), weighed ? "; it held " : "",
             weighed ? mib(rss, weight) : "", weighed ? " MiB" : "");
    put_text(s, cg_json_text_of(t, d, "story"));
}

void
cg_show_deaths(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *d =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "deaths"));
    if (d == NULL) {
        put_line(s, "no worker died unasked, that is known");
    }
    for (int i = 0; d != NULL; d = cg_json_next(t, d)) {
        cg_buf_puts(s->out, i++ > 0 ? "\n" : "");
        show_death(s, t, d);
    }
}

void
cg_show_stacks(struct cg_screen *s, const struct cg_json_tree *t)
{
    const struct cg_json_node *w =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "workers"));
    for (int i = 0; w != NULL; w = cg_json_next(t, w)) {
        const char *text = cg_json_text_of(t, w, "stacks");
        cg_buf_puts(s->out, i++ > 0 ? "\n" : "");
        colour(s, BOLD);
        const char *name = cg_json_text_of(t, w, "companion");
        put_line(s, "%s %s%s%.0f", *name != '\0' ? "companion" : "worker", name,
                 *name != '\0' ? " " : "", cg_json_number_of(t, w, "pid"));
        colour(s, PLAIN);
        put_text(s, *text != '\0' ? text
                                  : "it gives no stacks: it boots, ends, or "
                                    "takes no signals");
    }
}
