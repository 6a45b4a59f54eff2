/* SPDX-License-Identifier: MIT */
/* The request line (RFC 9112 3): method, target in its four forms, version. */
#include <string.h>

#include "core/http/host.h"
#include "core/http/reader.h"
#include "core/http/scan.h"

enum { METHOD_MIN = 3, METHOD_MAX = 20 };

static struct cg_span
span(size_t at, size_t n)
{
    return (struct cg_span){(uint32_t)at, (uint32_t)n};
}

/* ---- method ---- */

static bool
method_is_valid(const struct cg_head_policy *policy, const char *p, size_t n)
{
    unsigned class = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = cg_token_class[(unsigned char)p[i]];
        if ((c & TOKEN) == 0) {
            return false;
        }
        class |= c;
    }
    if (policy->permit_unconventional_method) {
        return n > 0;
    }
    return n >= METHOD_MIN && n <= METHOD_MAX && (class & (LOWER | HASH)) == 0;
}

static bool
read_method(struct cg_request *r, const struct cg_head_policy *policy,
            const char *p, size_t at, size_t n)
{
    if (!method_is_valid(policy, p + at, n)) {
        return false;
    }
    if (policy->casefold_method) {
        char *q = (char *)(size_t)p; /* the bytes are ours */
        for (size_t i = at; i < at + n; i++) {
            if (q[i] >= 'a' && q[i] <= 'z') {
                q[i] = (char)(q[i] - 32);
            }
        }
    }
    r->method = span(at, n);
    struct cg_slice m = {p + at, n};
    r->method_is_get = cg_slice_is(m, "GET");
    r->method_is_head = cg_slice_is(m, "HEAD");
    r->method_is_connect = cg_slice_is(m, "CONNECT");
    return true;
}

/* ---- target ---- */

/* One pass: every byte legal? Where are '?', '#' and a '%' of the path? */
static bool
scan_target(struct cg_request *r, const char *p, size_t at, size_t n,
            size_t *query, size_t *end)
{
    *query = *end = n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[at + i];
        if (c <= 0x20 || c == 0x7f) {
            return false;
        }
        if (c == '#' && *end == n) {
            *end = i;
        } else if (c == '?' && *query == n && *end == n) {
            *query = i;
        } else if (c == '%' && *query == n && *end == n) {
            r->path_has_percent = true;
        }
    }
    return true;
}

static void
set_path(struct cg_request *r, size_t at, size_t from, size_t query, size_t end)
{
    size_t path_end = query < end ? query : end;
    r->path = span(at + from, path_end - from);
    if (query < end) {
        r->has_query = true;
        r->query = span(at + query + 1, end - query - 1);
    }
}

/* http://[userinfo@]host[:port][/path]; userinfo is accepted and hidden. */
static bool
read_absolute(struct cg_request *r, const char *p, size_t at, size_t query,
              size_t end)
{
    const char *t = p + at;
    size_t from;
    if (end > 7 && cg_name_is(t, "http://", 7)) {
        from = 7;
    } else if (end > 8 && cg_name_is(t, "https://", 8)) {
        from = 8;
    } else {
        return false;
    }
    size_t stop = query < end ? query : end;
    const char *slash = memchr(t + from, '/', stop - from);
    size_t path = slash != NULL ? (size_t)(slash - t) : stop;
    for (size_t i = path; i > from; i--) {
        if (t[i - 1] == '@') {
            from = i;
            break;
        }
    }
    struct cg_authority a;
    r->authority = span(at + from, path - from);
    set_path(r, at, path, query, end);
    /* RFC 9110 4.2.1: an empty host is none here */
    return cg_authority_read((struct cg_slice){t + from, path - from}, &a) &&
           a.host.n > 0;
}

/* CONNECT's: a host and a port, both there (RFC 9110 9.3.6). */
static bool
read_authority(struct cg_request *r, const char *p, size_t at, size_t n)
{
    struct cg_authority a;
    r->authority = span(at, n);
    r->path = span(at, 0);
    return cg_authority_read((struct cg_slice){p + at, n}, &a) &&
           a.host.n > 0 && a.port >= 0;
}

static bool
read_target(struct cg_request *r, const char *p, size_t at, size_t n)
{
    size_t query, end;
    if (n == 0 || !scan_target(r, p, at, n, &query, &end)) {
        return false;
    }
    r->target = span(at, n);
    if (r->method_is_connect) {
        return read_authority(r, p, at, n);
    }
    if (p[at] == '/') {
        set_path(r, at, 0, query, end);
        return true;
    }
    if (n == 1 && p[at] == '*') {
        r->path = span(at, 1);
        return cg_slice_is(cg_span_of(p, r->method), "OPTIONS");
    }
    return read_absolute(r, p, at, query, end);
}

/* ---- version ---- */

static bool
read_version(struct cg_request *r, const struct cg_head_policy *policy,
             const char *p, size_t n)
{
    if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || !cg_is_digit(p[5]) ||
        p[6] != '.' || !cg_is_digit(p[7])) {
        return false;
    }
    if (p[5] != '1') {
        r->minor = p[5] == '0' ? 0 : 1;
        return policy->permit_unconventional_version;
    }
    r->minor = (uint8_t)(p[7] - '0');
    return true;
}

enum cg_head_status
cg_request_line_read(struct cg_request *r, const struct cg_head_policy *policy,
                     const char *p, size_t at, size_t n)
{
    r->line = span(at, n);
    const char *first = memchr(p + at, ' ', n);
    const char *second =
        first != NULL
            ? memchr(first + 1, ' ', n - (size_t)(first + 1 - (p + at)))
            : NULL;
    size_t method_n = first != NULL ? (size_t)(first - p) - at : n;
    if (!read_method(r, policy, p, at, method_n)) {
        return cg_refuse_head(r, CG_REFUSE_METHOD, at, method_n);
    }
    if (second == NULL) {
        return cg_refuse_head(r, CG_REFUSE_LINE, at, n);
    }
    size_t target = (size_t)(first - p) + 1, version = (size_t)(second - p) + 1;
    if (!read_version(r, policy, p + version, at + n - version)) {
        return cg_refuse_head(r, CG_REFUSE_VERSION, version, at + n - version);
    }
    if (!read_target(r, p, target, version - 1 - target)) {
        return cg_refuse_head(r, CG_REFUSE_TARGET, at, n);
    }
    return CG_HEAD_MORE;
}
