/* SPDX-License-Identifier: MIT */
#include "logging/access.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "logging/access_internal.h"
#include "logging/quote.h"
#include "logging/stamp.h"

enum { WIDTH_MAX = 4096 };

/* How an atom is shown: Python's %[flags][width][.precision]type. */
struct spec {
    char flags[6]; /* each of "#0- +" once at most */
    int width;     /* 0: none */
    int precision; /* -1: none */
    char type;     /* 's', or one of "dxXoeEfFgG" of a number */
};

/* One step of a compiled format: text, then an atom. */
struct step {
    char *text; /* before the atom; owned */
    size_t text_n;
    char atom;  /* a letter; 0: none; '?': unknown; 'i' 'o' 'e' 'x': by name */
    char *name; /* of {name}i; lower case for i and o; owned */
    struct spec *spec; /* NULL: as it is; owned */
};

struct cg_access_format {
    struct step *steps;
    size_t n;
    bool environ, response;
    enum { ATOMS, JSON, LOGFMT } style; /* without steps, but for ATOMS */
    struct cg_access_skip *skip;        /* NULL: every line is written */
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

/* Our own atoms, which gunicorn has not: {name}x. */
static bool
is_own(const char *name, size_t n)
{
    static const char *const names[] = {"queue", "request_id", "trace_id",
                                        "span_id"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        if (cg_slice_is((struct cg_slice){name, n}, names[i])) {
            return true;
        }
    }
    return false;
}

/* {name}i: kind 'i', 'o', 'e' or 'x'; 0 when it is none. */
static char
named_kind(const char *atom, size_t n)
{
    if (n < 4 || atom[0] != '{' || atom[n - 2] != '}') {
        return '\0';
    }
    char kind = (char)(atom[n - 1] | 32);
    if (kind == 'x') {
        return is_own(atom + 1, n - 3) ? 'x' : '\0';
    }
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
        for (char *c = s->name; strchr("io", kind) != NULL && *c != '\0'; c++) {
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

/* A number of the format, up to WIDTH_MAX. */
static const char *
read_number(const char *p, int *ret)
{
    int n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (*p - '0') < WIDTH_MAX ? n * 10 + (*p - '0') : WIDTH_MAX;
    }
    *ret = n;
    return p;
}

/* What stands behind %(atom); returns what follows it. A type that is none of
 * Python's is 's', and so is none at all. */
static const char *
read_spec(const char *p, struct spec *ret, bool *ret_good)
{
    *ret = (struct spec){.precision = -1};
    for (size_t n = 0; *p != '\0' && strchr("#0- +", *p) != NULL; p++) {
        if (memchr(ret->flags, *p, n) == NULL) {
            ret->flags[n++] = *p;
        }
    }
    p = read_number(p, &ret->width);
    if (*p == '.') {
        p = read_number(p + 1, &ret->precision);
    }
    p += *p == 'h' || *p == 'l' || *p == 'L';
    *ret_good = *p != '\0' && strchr("sradiuxXoeEfFgG", *p) != NULL;
    ret->type = !*ret_good || strchr("sra", *p) != NULL ? 's'
                : strchr("iu", *p) != NULL              ? 'd'
                                                        : *p;
    return *p != '\0' ? p + 1 : p;
}

/* B, T, M and D are numbers in gunicorn, all else is text. */
static bool
is_number(char atom)
{
    return atom != '\0' && strchr("BTMD", atom) != NULL;
}

static void
set_spec(struct step *s, const struct spec *spec)
{
    bool as_it_is =
        spec->width == 0 && spec->precision < 0 &&
        (spec->type == 's' || (spec->type == 'd' && spec->flags[0] == '\0'));
    if (!as_it_is) {
        s->spec = cg_malloc(sizeof *s->spec);
        *s->spec = *spec;
    }
}

/* %(atom)s; returns what follows. */
static const char *
compile_atom(struct cg_access_format *f, const char *p, struct cg_buf *text,
             void (*unknown)(void *self, const char *atom), void *self)
{
    const char *end = strchr(p + 2, ')');
    if (end == NULL) {
        cg_buf_putc(text, '%');
        return p + 1;
    }
    struct spec spec;
    bool good;
    const char *rest = read_spec(end + 1, &spec, &good);
    struct step *s = new_step(f);
    take_text(s, text);
    set_atom(f, s, p + 2, (size_t)(end - p) - 2, unknown, self);
    if (spec.type != 's' && !is_number(s->atom)) {
        spec.type = 's';
        good = s->atom == '?'; /* told already */
    }
    if (!good && unknown != NULL) {
        cg_auto(free) char *shown = cg_strndup(p, (size_t)(rest - p));
        unknown(self, shown);
    }
    set_spec(s, &spec);
    return rest;
}

static unsigned
style_of(const char *format)
{
    return strcmp(format, "json") == 0     ? JSON
           : strcmp(format, "logfmt") == 0 ? LOGFMT
                                           : ATOMS;
}

struct cg_access_format *
cg_access_compile(const char *format,
                  void (*unknown)(void *self, const char *atom), void *self)
{
    struct cg_access_format *f = cg_calloc(1, sizeof *f);
    struct cg_buf text = {0};
    const char *p = format != NULL ? format : "";
    f->style = style_of(p);
    p = f->style != ATOMS ? "" : p;
    while (*p != '\0') {
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
        free(f->steps[i].spec);
    }
    if (f != NULL) {
        cg_access_skip_free(f->skip);
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

bool
cg_access_is_structured(const struct cg_access_format *f)
{
    return f->style != ATOMS;
}

void
cg_access_leave_out(struct cg_access_format *f, const char *const *items)
{
    cg_access_skip_free(f->skip);
    f->skip = *items != NULL ? cg_access_skip_new(items) : NULL;
}

bool
cg_access_leaves_out(const struct cg_access_format *f, int status,
                     struct cg_slice target)
{
    return f != NULL && f->skip != NULL &&
           cg_access_skip_has(f->skip, status, target);
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

/* "[10/Oct/2000:13:55:36 -0700]" */
static void
put_time(struct cg_buf *out)
{
    static __thread struct cg_stamp stamp;
    cg_buf_puts(out, cg_stamp_now(&stamp, "[%d/%b/%Y:%H:%M:%S %z]"));
}

/* The user of HTTP Basic credentials, "-" when there is none. */
static void
put_user(struct cg_buf *out, struct cg_slice authorization)
{
    char user[CG_ACCESS_USER_MAX];
    size_t n = cg_access_user(authorization, user);
    put_or_dash(out, (struct cg_slice){n > 0 ? user : NULL, n});
}

/* Ours: %({name}x)s. */
static void
put_own(struct cg_buf *out, const char *name, const struct cg_access_record *r)
{
    struct cg_slice trace = {NULL, 0}, span = {NULL, 0};
    if (strcmp(name, "queue") == 0) {
        cg_quote_seconds(out, r->queue_us);
    } else if (strcmp(name, "request_id") == 0) {
        put_or_dash(out, r->request_id);
    } else {
        cg_access_trace(r->traceparent, &trace, &span);
        put_or_dash(out, strcmp(name, "span_id") == 0 ? span : trace);
    }
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
    case 's': cg_quote_number(out, (uint64_t)r->status); break;
    case 'B':
    case 'b': cg_quote_number(out, r->body_bytes); break;
    case 'f': put_or_dash(out, r->referer); break;
    case 'a': put_or_dash(out, r->user_agent); break;
    case 'T': cg_quote_number(out, us / 1000000); break;
    case 'M': cg_quote_number(out, us / 1000); break;
    case 'D': cg_quote_number(out, us); break;
    case 'L':
        cg_buf_putf(out, "%llu.%06llu", (unsigned long long)(us / 1000000),
                    (unsigned long long)(us % 1000000));
        break;
    case 'x': put_own(out, s->name, r); break;
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

/* ---- flags, width and precision ---- */

static uint64_t
number_of(char atom, const struct cg_access_record *r)
{
    switch (atom) {
    case 'B': return r->body_bytes;
    case 'T': return r->duration_us / 1000000;
    case 'M': return r->duration_us / 1000;
    default: return r->duration_us;
    }
}

/* C shows numbers as Python does, but for the 0o of "%#o". */
static void
put_as_number(struct cg_buf *out, const struct step *s, uint64_t n)
{
    const struct spec *p = s->spec;
    char format[48];
    char precision[16] = "", width[16] = "";
    if (p->width > 0) {
        snprintf(width, sizeof width, "%d", p->width);
    }
    if (p->precision >= 0) {
        snprintf(precision, sizeof precision, ".%d", p->precision);
    }
    bool real = strchr("eEfFgG", p->type) != NULL;
    snprintf(format, sizeof format, "%%%s%s%s%s%c", p->flags, width, precision,
             real ? "" : "ll", p->type);
    char text[2 * WIDTH_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = real ? snprintf(text, sizeof text, format, (double)n)
                   : snprintf(text, sizeof text, format, (long long)n);
#pragma GCC diagnostic pop
    cg_buf_put(out, text, len > 0 ? (size_t)len : 0);
}

static void
put_blanks(struct cg_buf *out, size_t n)
{
    if (n > 0) {
        memset(cg_buf_reserve(out, n), ' ', n);
        out->n += n;
    }
}

/* Text is cut to the precision, but not between a backslash and what it
 * escapes: that would spoil the quotes around it. */
static size_t
cut(const char *text, size_t n, int precision)
{
    if (precision < 0 || (size_t)precision >= n) {
        return n;
    }
    n = (size_t)precision;
    size_t slashes = 0;
    while (slashes < n && text[n - 1 - slashes] == '\\') {
        slashes++;
    }
    return n - slashes % 2;
}

static void
put_with_spec(struct cg_buf *out, const struct step *s,
              const struct cg_access_record *r)
{
    if (s->spec->type != 's') {
        put_as_number(out, s, number_of(s->atom, r));
        return;
    }
    cg_auto(buf) struct cg_buf b = {0};
    put_atom(&b, s, r);
    size_t n = cut(b.p, b.n, s->spec->precision);
    size_t width = (size_t)s->spec->width;
    bool left = strchr(s->spec->flags, '-') != NULL;
    put_blanks(out, !left && width > n ? width - n : 0);
    cg_buf_put(out, b.p, n);
    put_blanks(out, left && width > n ? width - n : 0);
}

void
cg_access_format(const struct cg_access_format *f,
                 const struct cg_access_record *r, struct cg_buf *out)
{
    if (f->style != ATOMS) {
        cg_access_put_fields(f->style == JSON, r, out);
        return;
    }
    cg_buf_reserve(out, 256);
    for (size_t i = 0; i < f->n; i++) {
        cg_buf_put(out, f->steps[i].text, f->steps[i].text_n);
        if (f->steps[i].spec != NULL) {
            put_with_spec(out, &f->steps[i], r);
        } else if (f->steps[i].atom != '\0') {
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
        &r->remote_addr, &r->authorization, &r->method,     &r->uri,
        &r->protocol,    &r->line,          &r->path,       &r->query,
        &r->referer,     &r->user_agent,    &r->request_id, &r->traceparent};
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
