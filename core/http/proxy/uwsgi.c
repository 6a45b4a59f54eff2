/* SPDX-License-Identifier: MIT */
#include "core/http/proxy/uwsgi.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

enum { HEADER = 4 };

/* A variable; both point into the packet. */
struct variable {
    struct cg_slice name, value;
};

struct packet {
    const char *p;
    struct variable *all; /* owned */
    size_t n;
    enum cg_refusal why;
    struct cg_span at;
};

/* ---- taking it apart ---- */

static size_t
u16(const char *p)
{
    return (unsigned char)p[0] | (size_t)(unsigned char)p[1] << 8;
}

static bool
refuse(struct packet *k, enum cg_refusal why, struct cg_slice at)
{
    k->why = why;
    k->at = at.n > 0 ? (struct cg_span){(uint32_t)(at.p - k->p), (uint32_t)at.n}
                     : (struct cg_span){0, 0};
    return false;
}

static bool
take_text(const char **p, const char *end, struct cg_slice *ret)
{
    if (end - *p < 2) {
        return false;
    }
    size_t n = u16(*p);
    *p += 2;
    if ((size_t)(end - *p) < n) {
        return false;
    }
    *ret = (struct cg_slice){*p, n};
    *p += n;
    return true;
}

static bool
take_apart(struct packet *k, size_t n)
{
    const char *p = k->p + HEADER, *end = k->p + n;
    k->all = cg_malloc(CG_UWSGI_VARIABLES * sizeof *k->all);
    while (p < end) {
        if (k->n == CG_UWSGI_VARIABLES) {
            return refuse(k, CG_REFUSE_UWSGI_MANY, (struct cg_slice){0});
        }
        struct variable *v = &k->all[k->n++];
        if (!take_text(&p, end, &v->name) || !take_text(&p, end, &v->value)) {
            return refuse(k, CG_REFUSE_UWSGI, (struct cg_slice){0});
        }
    }
    return true;
}

/* ---- looking things up: the last one counts ---- */

static bool
is(struct cg_slice a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.p, b, a.n) == 0;
}

static struct cg_slice
find(const struct packet *k, const char *name, const char *otherwise)
{
    for (size_t i = k->n; i > 0; i--) {
        if (is(k->all[i - 1].name, name)) {
            return k->all[i - 1].value;
        }
    }
    return (struct cg_slice){otherwise, strlen(otherwise)};
}

static bool
comes_again(const struct packet *k, size_t i)
{
    for (size_t j = i + 1; j < k->n; j++) {
        struct cg_slice a = k->all[i].name, b = k->all[j].name;
        if (a.n == b.n && memcmp(a.p, b.p, a.n) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the request line ---- */

/* No byte that would end the word or the line. */
static bool
is_word(struct cg_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* RFC 3986, 3.3: what a path may have as it is. */
static void
put_path(struct cg_buf *out, struct cg_slice path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~!$&'()*+,;=:@/";
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c != '\0' && strchr(plain, c) != NULL) {
            cg_buf_putc(out, c);
        } else {
            cg_buf_putf(out, "%%%02X", (unsigned char)c);
        }
    }
}

static bool
put_line(struct packet *k, struct cg_buf *out)
{
    struct cg_slice method = find(k, "REQUEST_METHOD", "GET");
    struct cg_slice path = find(k, "PATH_INFO", "/");
    struct cg_slice query = find(k, "QUERY_STRING", "");
    if (method.n == 0 || !is_word(method)) {
        return refuse(k, CG_REFUSE_METHOD, method);
    }
    if (path.n == 0) {
        path = (struct cg_slice){"/", 1};
    }
    bool server = is(path, "*") && is(method, "OPTIONS");
    if ((path.p[0] != '/' && !server) || !is_word(query)) {
        return refuse(k, CG_REFUSE_TARGET, path.p[0] != '/' ? path : query);
    }
    cg_buf_put(out, method.p, method.n);
    cg_buf_putc(out, ' ');
    put_path(out, path);
    if (query.n > 0) {
        cg_buf_putc(out, '?');
        cg_buf_put(out, query.p, query.n);
    }
    cg_buf_puts(out, " HTTP/1.0\r\n");
    return true;
}

/* ---- fields ---- */

/* Those about another connection than this one, and those that come without
 * the HTTP_ in front. */
static bool
is_left_out(struct cg_slice name)
{
    static const char *const names[] = {"CONNECTION",       "KEEP_ALIVE",
                                        "PROXY_CONNECTION", "TE",
                                        "TRAILER",          "UPGRADE",
                                        "EXPECT",           "TRANSFER_ENCODING",
                                        "CONTENT_TYPE",     "CONTENT_LENGTH"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        if (is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool
has_line_end(struct cg_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0') {
            return true;
        }
    }
    return false;
}

/* HTTP_ACCEPT is accept. What is no letter, digit or underscore could end the
 * name here and not there. */
static bool
put_field(struct packet *k, struct cg_buf *out, struct cg_slice name,
          struct cg_slice value)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && c != '_' && c != '-' && !(c >= '0' && c <= '9')) {
            return refuse(k, CG_REFUSE_HEADER_NAME, name);
        }
        cg_buf_putc(out, c == '_'               ? '-'
                         : c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A')
                                                : c);
    }
    if (name.n == 0 || has_line_end(value)) {
        return refuse(k, CG_REFUSE_HEADER, name);
    }
    cg_buf_puts(out, ": ");
    cg_buf_put(out, value.p, value.n);
    cg_buf_puts(out, "\r\n");
    return true;
}

static bool
put_fields(struct packet *k, struct cg_buf *out)
{
    enum { HTTP = 5 /* "HTTP_" */ };
    for (size_t i = 0; i < k->n; i++) {
        struct cg_slice name = k->all[i].name;
        if (name.n < HTTP || memcmp(name.p, "HTTP_", HTTP) != 0) {
            continue;
        }
        name = (struct cg_slice){name.p + HTTP, name.n - HTTP};
        if (!is_left_out(name) && !comes_again(k, i) &&
            !put_field(k, out, name, k->all[i].value)) {
            return false;
        }
    }
    return true;
}

/* How long the body is: without a length nobody knows where it ends. */
static bool
put_content(struct packet *k, struct cg_buf *out)
{
    struct cg_slice type = find(k, "CONTENT_TYPE", "");
    struct cg_slice length = find(k, "CONTENT_LENGTH", "");
    struct cg_slice coding = find(k, "HTTP_TRANSFER_ENCODING", "");
    if (coding.n > 0 && length.n == 0) {
        return refuse(k, CG_REFUSE_TRANSFER_ENCODING, coding);
    }
    return (type.n == 0 ||
            put_field(k, out, (struct cg_slice){"content-type", 12}, type)) &&
           (length.n == 0 ||
            put_field(k, out, (struct cg_slice){"content-length", 14}, length));
}

static bool
is_https(const struct packet *k)
{
    struct cg_slice https = find(k, "HTTPS", "");
    return is(https, "on") || is(https, "1") || is(https, "true") ||
           is(find(k, "wsgi.url_scheme", ""), "https");
}

enum cg_uwsgi_status
cg_uwsgi_read(const char *p, size_t n, struct cg_buf *head,
              struct cg_uwsgi *ret, enum cg_refusal *why, struct cg_span *at)
{
    struct packet k = {.p = p};
    cg_auto(buf) struct cg_buf out = {0};
    if (n > 0 && p[0] != 0) {
        *why = CG_REFUSE_UWSGI_MODIFIER;
        *at = (struct cg_span){0, 1};
        return CG_UWSGI_REFUSED;
    }
    if (n < HEADER || n < HEADER + u16(p + 1)) {
        return CG_UWSGI_MORE;
    }
    size_t whole = HEADER + u16(p + 1);
    bool good = take_apart(&k, whole) && put_line(&k, &out) &&
                put_fields(&k, &out) && put_content(&k, &out);
    if (good) {
        cg_buf_puts(&out, "\r\n");
        cg_buf_put(head, out.p, out.n);
        *ret = (struct cg_uwsgi){.n = (uint32_t)whole, .https = is_https(&k)};
    } else {
        *why = k.why;
        *at = k.at;
    }
    free(k.all);
    return good ? CG_UWSGI_DONE : CG_UWSGI_REFUSED;
}
