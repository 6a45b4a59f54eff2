/* SPDX-License-Identifier: MIT */
#include "logging/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"
#include "logging/stamp.h"

/* One step of a compiled format: text, then an atom. */
struct step {
    char *text; /* before the atom; owned */
    size_t text_n;
    char atom;  /* a letter; 0: none; '?': unknown; 'i' 'o' 'e': by name */
    char *name; /* of {name}i; lower case for i and o; owned */
};

struct cg_access_format {
    struct step *steps;
    size_t n;
    bool environ, response;
};

/* ---- compiling ---- */

static struct step *
new_step(struct cg_access_format *f)
{
    f->steps = cg_realloc(f->steps, (f->n + 1) * sizeof *f->steps);
    f->steps[f->n] = (struct step){0};
    return &f->steps[f->n++];
}

static void
take_text(struct step *s, struct cg_buf *text)
{
    s->text_n = text->n;
    s->text = cg_buf_take(text);
}

/* {name}x: kind 'i', 'o' or 'e'; 0 when it is none. */
static char
named_kind(const char *atom, size_t n)
{
    if (n < 4 || atom[0] != '{' || atom[n - 2] != '}') {
        return '\0';
    }
    char kind = (char)(atom[n - 1] | 32);
    return kind == 'i' || kind == 'o' || kind == 'e' ? kind : '\0';
}

static void
set_atom(struct cg_access_format *f, struct step *s, const char *atom, size_t n,
         void (*unknown)(void *self, const char *atom), void *self)
{
    char kind = named_kind(atom, n);
    if (kind != '\0') {
        s->atom = kind;
        s->name = cg_strndup(atom + 1, n - 3);
        for (char *c = s->name; kind != 'e' && *c != '\0'; c++) {
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
        }
        f->environ = f->environ || kind == 'e';
        f->response = f->response || kind == 'o';
        return;
    }
    if (n == 1 && strchr("hlutrmUqHsBbfaTMDLp", *atom) != NULL) {
        s->atom = *atom;
        return;
    }
    s->atom = '?';
    if (unknown != NULL) {
        cg_auto(free) char *name = cg_strndup(atom, n);
        unknown(self, name);
    }
}

/* %(atom)s, with Python's flags and width skipped; returns what follows. */
static const char *
compile_atom(struct cg_access_format *f, const char *p, struct cg_buf *text,
             void (*unknown)(void *self, const char *atom), void *self)
{
    const char *end = strchr(p + 2, ')');
    if (end == NULL) {
        cg_buf_putc(text, '%');
        return p + 1;
    }
    const char *type = end + 1;
    type += strspn(type, "#0- +.123456789");
    struct step *s = new_step(f);
    take_text(s, text);
    set_atom(f, s, p + 2, (size_t)(end - p) - 2, unknown, self);
    return *type != '\0' ? type + 1 : type;
}

struct cg_access_format *
cg_access_compile(const char *format,
                  void (*unknown)(void *self, const char *atom), void *self)
{
    struct cg_access_format *f = cg_calloc(1, sizeof *f);
    struct cg_buf text = {0};
    for (const char *p = format != NULL ? format : ""; *p != '\0';) {
        if (p[0] == '%' && p[1] == '%') {
            cg_buf_putc(&text, '%');
            p += 2;
        } else if (p[0] == '%' && p[1] == '(') {
            p = compile_atom(f, p, &text, unknown, self);
        } else {
            if (p[0] == '%' && unknown != NULL) {
                unknown(self, (char[]){'%', p[1], '\0'});
            }
            cg_buf_putc(&text, *p++);
        }
    }
    if (text.n > 0) {
        take_text(new_step(f), &text);
    }
    cg_buf_release(&text);
    return f;
}

void
cg_access_free(struct cg_access_format *f)
{
    for (size_t i = 0; f != NULL && i < f->n; i++) {
        free(f->steps[i].text);
        free(f->steps[i].name);
    }
    if (f != NULL) {
        free(f->steps);
        free(f);
    }
}

int
cg_access_needs_environ(const struct cg_access_format *f)
{
    return f->environ;
}

int
cg_access_needs_response_fields(const struct cg_access_format *f)
{
    return f->response;
}

/* ---- formatting ---- */

static bool
is_safe(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

/* gunicorn escapes quotes only; control bytes and bytes above 0x7e would let a
 * peer write lines of its own. */
static void
put_safe(struct cg_buf *out, struct cg_slice s)
{
    size_t i = 0;
    while (i < s.n && is_safe((unsigned char)s.p[i])) {
        i++;
    }
    cg_buf_put(out, s.p, i);
    if (i < s.n) {
        cg_buf_put_escaped(out, (struct cg_slice){s.p + i, s.n - i}, s.n - i);
    }
}

static void
put_or_dash(struct cg_buf *out, struct cg_slice s)
{
    if (s.p == NULL) {
        cg_buf_putc(out, '-');
    } else {
        put_safe(out, s);
    }
}

static void
put_number(struct cg_buf *out, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    cg_buf_put(out, digits + i, sizeof digits - i);
}

/* "[10/Oct/2000:13:55:36 -0700]" */
static void
put_time(struct cg_buf *out)
{
    static __thread struct cg_stamp stamp;
    cg_buf_puts(out, cg_stamp_now(&stamp, "[%d/%b/%Y:%H:%M:%S %z]"));
}

static int
base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* The user of HTTP Basic credentials, "-" when there is none. */
static void
put_user(struct cg_buf *out, struct cg_slice authorization)
{
    char user[256];
    size_t n = 0;
    unsigned bits = 0;
    int have = 0;
    if (authorization.n < 7 || strncasecmp(authorization.p, "basic ", 6) != 0) {
        cg_buf_putc(out, '-');
        return;
    }
    struct cg_slice code = cg_slice_trim(
        (struct cg_slice){authorization.p + 6, authorization.n - 6});
    for (size_t i = 0; i < code.n && code.p[i] != '='; i++) {
        int digit = base64_digit(code.p[i]);
        if (digit < 0) {
            cg_buf_putc(out, '-');
            return;
        }
        bits = bits << 6 | (unsigned)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            char c = (char)(bits >> have & 0xff);
            if (c == ':' || n == sizeof user) {
                break; /* the password stays out of the log */
            }
            user[n++] = c;
        }
    }
    put_or_dash(out, (struct cg_slice){n > 0 ? user : NULL, n});
}

static void
put_request_line(struct cg_buf *out, const struct cg_access_record *r)
{
    if (r->line.n > 0) {
        put_safe(out, r->line);
        return;
    }
    put_safe(out, r->method);
    cg_buf_putc(out, ' ');
    put_safe(out, r->uri);
    cg_buf_putc(out, ' ');
    put_safe(out, r->protocol);
}

static void
put_atom(struct cg_buf *out, const struct step *s,
         const struct cg_access_record *r)
{
    uint64_t us = r->duration_us;
    switch (s->atom) {
    case 'h': put_safe(out, r->remote_addr); break;
    case 'u': put_user(out, r->authorization); break;
    case 't': put_time(out); break;
    case 'r': put_request_line(out, r); break;
    case 'm': put_safe(out, r->method); break;
    case 'U': put_safe(out, r->path); break;
    case 'q': put_safe(out, r->query); break;
    case 'H': put_safe(out, r->protocol); break;
    case 's': put_number(out, (uint64_t)r->status); break;
    case 'B':
    case 'b': put_number(out, r->body_bytes); break;
    case 'f': put_or_dash(out, r->referer); break;
    case 'a': put_or_dash(out, r->user_agent); break;
    case 'T': put_number(out, us / 1000000); break;
    case 'M': put_number(out, us / 1000); break;
    case 'D': put_number(out, us); break;
    case 'L':
        cg_buf_putf(out, "%llu.%06llu", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us % 1000000));
        break;
    case 'p': cg_buf_putf(out, "<%d>", r->pid); break;
    case 'i':
    case 'o':
    case 'e':
        put_or_dash(out, r->lookup != NULL
                             ? r->lookup(r->self, s->atom, cg_slice_of(s->name))
                             : (struct cg_slice){NULL, 0});
        break;
    default: cg_buf_putc(out, '-'); break;
    }
}

void
cg_access_format(const struct cg_access_format *f,
                 const struct cg_access_record *r, struct cg_buf *out)
{
    cg_buf_reserve(out, 256);
    for (size_t i = 0; i < f->n; i++) {
        cg_buf_put(out, f->steps[i].text, f->steps[i].text_n);
        if (f->steps[i].atom != '\0') {
            put_atom(out, &f->steps[i], r);
        }
    }
}

/* ---- records that are kept ---- */

struct cg_access_kept {
    struct cg_access_record record;
    const struct cg_access_format *format;
    struct cg_slice value[]; /* of each step of the format */
};

static bool
is_named(const struct step *s)
{
    return s->atom == 'i' || s->atom == 'o' || s->atom == 'e';
}

static struct cg_slice
kept_value(void *self, char kind, struct cg_slice name)
{
    const struct cg_access_kept *k = self;
    for (size_t i = 0; i < k->format->n; i++) {
        const struct step *s = &k->format->steps[i];
        if (s->atom == kind && cg_slice_is(name, s->name)) {
            return k->value[i];
        }
    }
    return (struct cg_slice){NULL, 0};
}

/* The slices of a record, one after the other; NULL behind the last one. */
static struct cg_slice *
slice_of(struct cg_access_record *r, size_t i)
{
    struct cg_slice *const all[] = {
        &r->remote_addr, &r->authorization, &r->method, &r->uri,
        &r->protocol,    &r->line,          &r->path,   &r->query,
        &r->referer,     &r->user_agent};
    return i < CG_COUNT(all) ? all[i] : NULL;
}

static struct cg_slice
copy(struct cg_slice s)
{
    return (struct cg_slice){s.p != NULL ? cg_strndup(s.p, s.n) : NULL, s.n};
}

struct cg_access_kept *
cg_access_keep(const struct cg_access_format *f,
               const struct cg_access_record *r)
{
    size_t n = f != NULL ? f->n : 0;
    struct cg_access_kept *k = cg_calloc(1, sizeof *k + n * sizeof k->value[0]);
    k->record = *r;
    k->format = f;
    struct cg_slice *s;
    for (size_t i = 0; (s = slice_of(&k->record, i)) != NULL; i++) {
        *s = copy(*s);
    }
    for (size_t i = 0; r->lookup != NULL && i < n; i++) {
        const struct step *step = &f->steps[i];
        if (is_named(step)) {
            k->value[i] =
                copy(r->lookup(r->self, step->atom, cg_slice_of(step->name)));
        }
    }
    k->record.lookup = f != NULL && r->lookup != NULL ? kept_value : NULL;
    k->record.self = k;
    return k;
}

struct cg_access_record *
cg_access_kept_record(struct cg_access_kept *k)
{
    return &k->record;
}

void
cg_access_kept_free(struct cg_access_kept *k)
{
    struct cg_slice *s;
    for (size_t i = 0; (s = slice_of(&k->record, i)) != NULL; i++) {
        free((void *)(size_t)s->p);
    }
    for (size_t i = 0; k->format != NULL && i < k->format->n; i++) {
        free((void *)(size_t)k->value[i].p);
    }
    free(k);
}
