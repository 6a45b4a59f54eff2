/* SPDX-License-Identifier: MIT */
#include "core/http/reply.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/http/scan.h"

/* Room in front of the fields for what is known last. */
enum { PREFIX = 512 };

void
cg_reply_start(struct cg_reply *r, struct cg_buf *out)
{
    struct cg_buf line = r->line;
    *r = (struct cg_reply){.out = out, .line = line};
    cg_buf_reset(&r->line);
    cg_buf_reset(out);
    cg_buf_reserve(out, PREFIX + 1024);
    out->n = PREFIX;
}

void
cg_reply_release(struct cg_reply *r)
{
    cg_buf_release(&r->line);
}

static int
fault(struct cg_reply *r, const char *what)
{
    r->fault = what;
    return -22; /* -EINVAL */
}

/* ---- status ---- */

static bool
reason_is_valid(struct cg_slice s)
{
    return cg_scan_value(s.p, s.n) == s.n;
}

int
cg_reply_status(struct cg_reply *r, struct cg_slice status)
{
    const char *p = status.p;
    if (status.n < 3 || p[0] < '1' || p[0] > '9' || !cg_is_digit(p[1]) ||
        !cg_is_digit(p[2]) || (status.n > 3 && p[3] != ' ') ||
        !reason_is_valid(status)) {
        return fault(r, "Invalid status");
    }
    r->status = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    if (r->status < 200 && r->status != 101) {
        return fault(r, "An interim status cannot end a response");
    }
    cg_buf_put(&r->line, p, status.n);
    if (status.n <= 4) { /* the blank after the code is not optional */
        r->line.n = 3;
        cg_buf_putc(&r->line, ' ');
        cg_buf_puts(&r->line, cg_reason(r->status));
    }
    return 0;
}

/* ---- fields ---- */

static bool
has_no_length(int status)
{
    return status < 200 || status == 204;
}

static int
on_length(struct cg_reply *r, struct cg_slice value, bool *drop)
{
    if (r->has_length) {
        return fault(r, "Content-Length is given twice");
    }
    if (!cg_length_read(cg_slice_trim(value), &r->length)) {
        return fault(r, "Content-Length is not a number");
    }
    r->has_length = true;
    *drop = has_no_length(r->status);
    return 0;
}

static void
on_connection(struct cg_reply *r, struct cg_slice value)
{
    value = cg_slice_trim(value);
    if (cg_slice_is_nocase(value, "close")) {
        r->app_close = true;
    } else if (cg_slice_is_nocase(value, "upgrade")) {
        r->app_upgrade = true;
    }
}

/* Fields that are the server's business: dropped, some of them heard. */
static inline int
apply_policy(struct cg_reply *r, struct cg_slice name, struct cg_slice value,
             bool *drop)
{
    switch (name.n) {
    case 2: *drop = cg_name_is(name.p, "te", 2); break;
    case 4: *drop = cg_name_is(name.p, "date", 4); break;
    case 6: *drop = cg_name_is(name.p, "server", 6); break;
    case 7:
        *drop = cg_name_is(name.p, "trailer", 7) ||
                (cg_name_is(name.p, "upgrade", 7) &&
                 !cg_slice_is_nocase(cg_slice_trim(value), "websocket"));
        break;
    case 8: *drop = cg_name_is(name.p, "trailers", 8); break;
    case 10:
        if (cg_name_is(name.p, "connection", 10)) {
            on_connection(r, value);
            *drop = true;
        }
        *drop = *drop || cg_name_is(name.p, "keep-alive", 10);
        if (cg_name_is(name.p, "x-sendfile", 10)) {
            r->offload = CG_OFFLOAD_ASKED;
        }
        break;
    case 14:
        if (cg_name_is(name.p, "content-length", 14)) {
            return on_length(r, value, drop);
        }
        break;
    case 16:
        *drop = cg_name_is(name.p, "proxy-connection", 16);
        if (cg_name_is(name.p, "x-accel-redirect", 16)) {
            r->offload = CG_OFFLOAD_ASKED;
        }
        break;
    case 17: *drop = cg_name_is(name.p, "transfer-encoding", 17); break;
    case 18: *drop = cg_name_is(name.p, "proxy-authenticate", 18); break;
    case 19: *drop = cg_name_is(name.p, "proxy-authorization", 19); break;
    default: break;
    }
    return 0;
}

/* What is wrong with a field, or NULL. */
static const char *
field_fault(struct cg_slice name, struct cg_slice value)
{
    if (!cg_is_token(name)) {
        return "Invalid header name";
    }
    if (cg_scan_value(value.p, value.n) != value.n) {
        return "Invalid header value in header";
    }
    return NULL;
}

static inline void
put_field(struct cg_buf *out, struct cg_slice name, struct cg_slice value)
{
    value = cg_slice_trim(value);
    char *to = cg_buf_reserve(out, name.n + value.n + 4);
    memcpy(to, name.p, name.n);
    to += name.n;
    *to++ = ':';
    *to++ = ' ';
    memcpy(to, value.p, value.n);
    to += value.n;
    *to++ = '\r';
    *to = '\n';
    out->n += name.n + value.n + 4;
}

int
cg_reply_field(struct cg_reply *r, struct cg_slice name, struct cg_slice value)
{
    bool drop = false;
    const char *wrong = field_fault(name, value);
    if (wrong != NULL) {
        return fault(r, wrong);
    }
    int bad = apply_policy(r, name, value, &drop);
    if (bad == 0 && !drop) {
        put_field(r->out, name, value);
    }
    return bad;
}

struct cg_slice
cg_reply_lines(const struct cg_reply *r)
{
    return (struct cg_slice){r->out->p + PREFIX, r->out->n - PREFIX};
}

/* What a recipient needs before the body, so that it is void behind it. */
static bool
is_no_trailer(struct cg_slice name)
{
    static const char *const names[] = {
        "age",           "authorization",   "cache-control", "content-encoding",
        "content-range", "content-type",    "expires",       "host",
        "location",      "retry-after",     "set-cookie",    "vary",
        "warning",       "www-authenticate"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (cg_slice_is_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

int
cg_fields_add(struct cg_fields *f, struct cg_slice name, struct cg_slice value,
              bool trailer)
{
    struct cg_reply policy = {0};
    bool drop = false;
    f->fault = field_fault(name, value);
    if (f->fault == NULL && apply_policy(&policy, name, value, &drop) < 0) {
        f->fault = policy.fault;
    }
    if (f->fault != NULL) {
        return -22; /* -EINVAL */
    }
    if (!drop && !(trailer && is_no_trailer(name))) {
        put_field(&f->text, name, value);
    }
    return 0;
}

void
cg_fields_release(struct cg_fields *f)
{
    cg_buf_release(&f->text);
}

/* ---- the prefix ---- */

static enum cg_framing
choose_framing(const struct cg_reply *r, const struct cg_reply_context *c,
               int64_t known)
{
    if (c->head_request || has_no_length(r->status) || r->status == 304) {
        return CG_FRAME_NONE;
    }
    if ((r->has_length || known >= 0) && !c->trailers) {
        return CG_FRAME_LENGTH;
    }
    return c->minor >= 1 ? CG_FRAME_CHUNKED : CG_FRAME_CLOSE;
}

static char *
put(char *to, const char *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *
put_number(char *to, uint64_t n)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

static char *
put_prefix(char *to, const struct cg_reply *r, const struct cg_reply_context *c,
           bool keep, bool add_length)
{
    to = c->minor >= 1 ? PUT(to, "HTTP/1.1 ") : PUT(to, "HTTP/1.0 ");
    to = put(to, r->line.p, r->line.n);
    if (c->server != NULL) {
        to = PUT(to, "\r\nServer: ");
        to = put(to, c->server, strlen(c->server));
    }
    to = PUT(to, "\r\nDate: ");
    to = put(to, c->date, CG_HTTP_DATE_SIZE);
    if (r->app_upgrade && r->status == 101) {
        to = PUT(to, "\r\nConnection: upgrade\r\n");
    } else {
        to = keep ? PUT(to, "\r\nConnection: keep-alive\r\n")
                  : PUT(to, "\r\nConnection: close\r\n");
    }
    if (r->framing == CG_FRAME_CHUNKED) {
        to = PUT(to, "Transfer-Encoding: chunked\r\n");
    }
    if (add_length) {
        to = PUT(to, "Content-Length: ");
        to = put_number(to, r->length);
        to = PUT(to, "\r\n");
    }
    return to;
}

static size_t
prefix_bound(const struct cg_reply *r, const struct cg_reply_context *c)
{
    return r->line.n + (c->server != NULL ? strlen(c->server) : 0) + 200;
}

bool
cg_reply_finish(struct cg_reply *r, const struct cg_reply_context *c,
                int64_t known)
{
    r->framing = choose_framing(r, c, known);
    /* no bytes in answer to HEAD say nothing of those that GET would get */
    bool silent = c->head_request && known == 0;
    bool add = !r->has_length && known >= 0 && !has_no_length(r->status) &&
               r->status != 304 && !silent && !c->trailers;
    if (add) {
        r->length = (uint64_t)known;
    }
    bool keep = c->keep_alive && !r->app_close &&
                r->framing != CG_FRAME_CLOSE &&
                !(r->app_upgrade && r->status == 101);
    struct cg_buf *out = r->out;
    cg_buf_put(out, "\r\n", 2);
    size_t start = PREFIX, bound = prefix_bound(r, c);
    if (bound > start) { /* a very long reason: make more room in front */
        cg_buf_reserve(out, bound);
        memmove(out->p + bound, out->p + start, out->n - start);
        out->n += bound - start;
        start = bound;
    }
    char text[PREFIX];
    char *at = bound <= sizeof text ? text : out->p;
    size_t n = (size_t)(put_prefix(at, r, c, keep, add) - at);
    memmove(out->p + start - n, at, n);
    r->begin = (uint32_t)(start - n);
    r->fields = (uint32_t)start;
    r->end = (uint32_t)out->n;
    return keep;
}

bool
cg_reply_has_field(const struct cg_reply *r, struct cg_slice name)
{
    const char *p = r->out->p + PREFIX, *end = r->out->p + r->out->n;
    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if ((size_t)(end - p) > name.n && p[name.n] == ':' &&
            strncasecmp(p, name.p, name.n) == 0) {
            return true;
        }
        p = eol != NULL ? eol + 1 : end;
    }
    return false;
}

bool
cg_reply_next_field(const struct cg_reply *r, size_t *at, struct cg_slice *name,
                    struct cg_slice *value)
{
    const char *p = r->out->p + r->fields + *at;
    const char *end = r->out->p + r->end - 2; /* the empty line */
    if (p == end) {
        return false;
    }
    /* put_field wrote both: they are there */
    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *eol = memchr(colon, '\r', (size_t)(end - colon));
    *name = (struct cg_slice){p, (size_t)(colon - p)};
    *value = (struct cg_slice){colon + 2, (size_t)(eol - colon) - 2};
    *at += (size_t)(eol - p) + 2;
    return true;
}
