/* SPDX-License-Identifier: MIT */
/*
 * Access lines for machines: access_log_format = "json" and "logfmt". Every
 * value that is not there is left out, so that a line is short and a key that
 * is there has a meaning.
 */
#include <stdio.h>
#include <string.h>

#include "logging/access_internal.h"
#include "logging/quote.h"

/* A line under way. A macro: the length of a name is known to the compiler. */
struct line {
    struct cg_buf *out;
    bool json;
};
#define KEY(l, name)                                                           \
    ((l)->json ? cg_buf_put((l)->out, ",\"" name "\":", sizeof(name) + 3)      \
               : cg_buf_put((l)->out, " " name "=", sizeof(name) + 1))

static void
put_value(struct line *l, struct cg_slice s)
{
    if (l->json) {
        cg_quote_json(l->out, s);
    } else {
        cg_quote_logfmt(l->out, s);
    }
}

static bool
is_hex(struct cg_slice s)
{
    bool zeros = true;
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("0123456789abcdef", s.p[i]) == NULL || s.p[i] == '\0') {
            return false;
        }
        zeros = zeros && s.p[i] == '0';
    }
    return !zeros;
}

bool
cg_access_trace(struct cg_slice t, struct cg_slice *ret_trace,
                struct cg_slice *ret_span)
{
    enum { VERSION = 2, TRACE = 32, SPAN = 16, LEAST = 55 };
    if (t.n < LEAST || t.p[2] != '-' || t.p[35] != '-' || t.p[52] != '-' ||
        (t.n > LEAST && t.p[LEAST] != '-')) {
        return false;
    }
    struct cg_slice trace = {t.p + VERSION + 1, TRACE};
    struct cg_slice span = {t.p + VERSION + TRACE + 2, SPAN};
    if (!is_hex(trace) || !is_hex(span)) {
        return false;
    }
    *ret_trace = trace;
    *ret_span = span;
    return true;
}

/* The target in its parts, as they came; of a request that could not be read
 * what there is of its line. */
static void
put_target(struct line *l, const struct cg_access_record *r)
{
    if (r->line.n > 0) {
        KEY(l, "line");
        put_value(l, r->line);
        return;
    }
    const char *mark = r->uri.n > 0 ? memchr(r->uri.p, '?', r->uri.n) : NULL;
    size_t n = mark != NULL ? (size_t)(mark - r->uri.p) : r->uri.n;
    KEY(l, "http.request.method");
    put_value(l, r->method);
    KEY(l, "url.path");
    put_value(l, (struct cg_slice){r->uri.p, n});
    if (mark != NULL) {
        KEY(l, "url.query");
        put_value(l, (struct cg_slice){mark + 1, r->uri.n - n - 1});
    }
    if (r->protocol.n > 5) { /* what stands behind "HTTP/" */
        struct cg_slice version = {r->protocol.p + 5, r->protocol.n - 5};
        KEY(l, "network.protocol.version"); /* "1.1", and "2" */
        put_value(l, cg_slice_is(version, "2.0") ? CG_SLICE("2") : version);
    }
}

static void
put_times(struct line *l, const struct cg_access_record *r)
{
    KEY(l, "http.response.status_code");
    cg_quote_number(l->out, (uint64_t)r->status);
    KEY(l, "http.response.body.size");
    cg_quote_number(l->out, r->body_bytes);
    KEY(l, "duration_s");
    cg_quote_seconds(l->out, r->duration_us);
    KEY(l, "queue_s");
    cg_quote_seconds(l->out, r->queue_us);
}

static void
put_client(struct line *l, const struct cg_access_record *r)
{
    char user[CG_ACCESS_USER_MAX];
    size_t n = cg_access_user(r->authorization, user);
    if (r->remote_addr.n > 0) {
        KEY(l, "client.address");
        put_value(l, r->remote_addr);
    }
    if (n > 0) {
        KEY(l, "user.name");
        put_value(l, (struct cg_slice){user, n});
    }
    if (r->user_agent.p != NULL) {
        KEY(l, "user_agent.original");
        put_value(l, r->user_agent);
    }
    if (r->referer.p != NULL) {
        KEY(l, "http.request.header.referer"); /* a list, as there */
        cg_buf_puts(l->out, l->json ? "[" : "");
        put_value(l, r->referer);
        cg_buf_puts(l->out, l->json ? "]" : "");
    }
}

static void
put_ids(struct line *l, const struct cg_access_record *r)
{
    struct cg_slice trace, span;
    if (r->request_id.n > 0) {
        KEY(l, "request_id");
        put_value(l, r->request_id);
    }
    if (cg_access_trace(r->traceparent, &trace, &span)) {
        KEY(l, "trace_id");
        put_value(l, trace);
        KEY(l, "span_id");
        put_value(l, span);
    }
    KEY(l, "process.pid");
    cg_quote_number(l->out, (uint64_t)r->pid);
}

void
cg_access_put_fields(bool json, const struct cg_access_record *r,
                     struct cg_buf *out)
{
    struct line l = {out, json};
    cg_buf_reserve(out, 512);
    cg_buf_puts(out, json ? "{\"timestamp\":\"" : "timestamp=");
    cg_quote_now(out);
    cg_buf_puts(out, json ? "\"" : "");
    put_target(&l, r);
    put_times(&l, r);
    put_client(&l, r);
    put_ids(&l, r);
    if (json) {
        cg_buf_putc(out, '}');
    }
}
