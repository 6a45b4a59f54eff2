/* SPDX-License-Identifier: MIT */
#include "core/control/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/base/utf8.h"

enum { DEPTH_MOST = 16, NODES_MOST = 1 << 20 };

/* ---- writing ---- */

static void
separate(struct cg_json *j)
{
    if (j->follows) {
        cg_buf_putc(j->out, ',');
    }
    j->follows = true;
}

void
cg_json_open(struct cg_json *j, char bracket)
{
    separate(j);
    cg_buf_putc(j->out, bracket);
    j->follows = false;
}

void
cg_json_close(struct cg_json *j, char bracket)
{
    cg_buf_putc(j->out, bracket);
    j->follows = true;
}

static bool
is_utf8(struct cg_slice s)
{
    struct cg_utf8 state = {0};
    return cg_utf8_feed(&state, s.p, s.n) && cg_utf8_is_whole(&state);
}

static void
put_string(struct cg_buf *out, struct cg_slice s)
{
    bool utf8 = is_utf8(s);
    cg_buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            cg_buf_putc(out, '\\');
            cg_buf_putc(out, (char)c);
        } else if (c == '\n') {
            cg_buf_puts(out, "\\n");
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            cg_buf_putf(out, "\\u%04x", c);
        } else {
            cg_buf_putc(out, (char)c);
        }
    }
    cg_buf_putc(out, '"');
}

void
cg_json_key(struct cg_json *j, const char *key)
{
    separate(j);
    put_string(j->out, cg_slice_of(key));
    cg_buf_putc(j->out, ':');
    j->follows = false;
}

void
cg_json_slice(struct cg_json *j, struct cg_slice s)
{
    separate(j);
    put_string(j->out, s);
}

void
cg_json_text(struct cg_json *j, const char *s)
{
    if (s == NULL) {
        cg_json_null(j);
    } else {
        cg_json_slice(j, cg_slice_of(s));
    }
}

void
cg_json_int(struct cg_json *j, int64_t n)
{
    separate(j);
    cg_buf_putf(j->out, "%" PRId64, n);
}

void
cg_json_bool(struct cg_json *j, bool b)
{
    separate(j);
    cg_buf_puts(j->out, b ? "true" : "false");
}

void
cg_json_null(struct cg_json *j)
{
    separate(j);
    cg_buf_puts(j->out, "null");
}

/* Without the locale, whose decimal point may be a comma. */
static void
put_micros(struct cg_buf *out, uint64_t us)
{
    cg_buf_putf(out, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (out->p[out->n - 1] == '0' && out->p[out->n - 2] != '.') {
        out->n--;
    }
}

void
cg_json_seconds(struct cg_json *j, uint64_t us)
{
    separate(j);
    put_micros(j->out, us);
}

void
cg_json_real(struct cg_json *j, double x)
{
    separate(j);
    if (x < 0) {
        cg_buf_putc(j->out, '-');
        x = -x;
    }
    put_micros(j->out, x < 1e12 ? (uint64_t)(x * 1e6 + 0.5) : 0);
}

void
cg_json_put_int(struct cg_json *j, const char *key, int64_t n)
{
    cg_json_key(j, key);
    cg_json_int(j, n);
}

void
cg_json_put_text(struct cg_json *j, const char *key, const char *s)
{
    cg_json_key(j, key);
    cg_json_text(j, s);
}

void
cg_json_put_bool(struct cg_json *j, const char *key, bool b)
{
    cg_json_key(j, key);
    cg_json_bool(j, b);
}

void
cg_json_put_seconds(struct cg_json *j, const char *key, uint64_t us)
{
    cg_json_key(j, key);
    cg_json_seconds(j, us);
}

/* ---- reading ---- */

/* Strings are decoded in place: the text only gets shorter. */
struct reader {
    struct cg_json_tree *tree;
    char *p, *end;
    int cap;
};

static int read_value(struct reader *r, int depth);

static void
skip_space(struct reader *r)
{
    while (r->p < r->end && strchr(" \t\r\n", *r->p) != NULL && *r->p != '\0') {
        r->p++;
    }
}

static bool
take(struct reader *r, char c)
{
    skip_space(r);
    bool is = r->p < r->end && *r->p == c;
    r->p += is;
    return is;
}

static bool
take_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    bool is = (size_t)(r->end - r->p) >= n && memcmp(r->p, word, n) == 0;
    r->p += is ? n : 0;
    return is;
}

static int
add_node(struct reader *r, enum cg_json_kind kind)
{
    struct cg_json_tree *t = r->tree;
    if (t->n >= NODES_MOST) {
        return -EINVAL;
    }
    if (t->n == r->cap) {
        r->cap *= 2;
        t->nodes = cg_realloc(t->nodes, (size_t)r->cap * sizeof *t->nodes);
    }
    t->nodes[t->n] = (struct cg_json_node){.kind = kind};
    return t->n++;
}

static int
hex(const char *p)
{
    int x = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        x = x * 16 + digit;
    }
    return x;
}

/* Of the basic plane; our writer makes none above it that way. */
static char *
put_utf8(char *to, int c)
{
    if (c == 0) {
        *to++ = '?';
    } else if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

static char *
put_escape(struct reader *r, char *to)
{
    static const char from[] = "\"\\/bfnrt", as[] = "\"\\/\b\f\n\r\t";
    char c = *r->p++;
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    if (found != NULL) {
        *to++ = as[found - from];
        return to;
    }
    int code = c == 'u' && r->end - r->p >= 4 ? hex(r->p) : -1;
    if (code < 0) {
        return NULL;
    }
    r->p += 4;
    return put_utf8(to, code);
}

/* After the opening quote. NULL: it does not end, or not well. */
static const char *
read_string(struct reader *r)
{
    char *start = r->p, *to = r->p;
    while (r->p < r->end && *r->p != '"') {
        char c = *r->p++;
        if (c == '\0' || (c == '\\' && r->p >= r->end)) {
            return NULL;
        }
        if (c != '\\') {
            *to++ = c;
        } else if ((to = put_escape(r, to)) == NULL) {
            return NULL;
        }
    }
    if (r->p >= r->end) {
        return NULL;
    }
    r->p++;
    *to = '\0';
    return start;
}

static int
read_members(struct reader *r, int self, bool named, int depth)
{
    char end = named ? '}' : ']';
    int last = 0;
    if (take(r, end)) {
        return self;
    }
    do {
        const char *key = NULL;
        if (named && (!take(r, '"') || (key = read_string(r)) == NULL ||
                      !take(r, ':'))) {
            return -EINVAL;
        }
        int i = read_value(r, depth + 1);
        if (i < 0) {
            return i;
        }
        r->tree->nodes[i].key = key;
        *(last != 0 ? &r->tree->nodes[last].next
                    : &r->tree->nodes[self].first) = i;
        last = i;
    } while (take(r, ','));
    return take(r, end) ? self : -EINVAL;
}

static int
read_number(struct reader *r)
{
    /* by hand: strtod looks at the locale */
    double x = 0, unit = 1;
    bool minus = r->p < r->end && *r->p == '-';
    r->p += minus;
    char *start = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        x = x * 10 + (*r->p - '0');
    }
    if (r->p < r->end && *r->p == '.') {
        for (r->p++; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
            unit /= 10;
            x += (*r->p - '0') * unit;
        }
    }
    int i = r->p > start ? add_node(r, CG_JSON_NUMBER) : -EINVAL;
    if (i > 0) {
        r->tree->nodes[i].x = minus ? -x : x;
    }
    return i;
}

static int
read_text(struct reader *r)
{
    const char *s = read_string(r);
    int i = s != NULL ? add_node(r, CG_JSON_STRING) : -EINVAL;
    if (i > 0) {
        r->tree->nodes[i].s = s;
    }
    return i;
}

static int
read_list(struct reader *r, bool named, int depth)
{
    int i = depth < DEPTH_MOST
                ? add_node(r, named ? CG_JSON_OBJECT : CG_JSON_ARRAY)
                : -EINVAL;
    return i > 0 ? read_members(r, i, named, depth) : i;
}

static int
read_any(struct reader *r, int depth)
{
    if (take(r, '{')) {
        return read_list(r, true, depth);
    }
    if (take(r, '[')) {
        return read_list(r, false, depth);
    }
    if (take(r, '"')) {
        return read_text(r);
    }
    if (take_word(r, "true")) {
        return add_node(r, CG_JSON_TRUE);
    }
    if (take_word(r, "false")) {
        return add_node(r, CG_JSON_FALSE);
    }
    return take_word(r, "null") ? add_node(r, CG_JSON_NULL) : read_number(r);
}

static int
read_value(struct reader *r, int depth)
{
    skip_space(r);
    const char *from = r->p;
    int i = read_any(r, depth);
    if (i > 0) {
        r->tree->nodes[i].at = (size_t)(from - r->tree->text);
        r->tree->nodes[i].n = (size_t)(r->p - from);
    }
    return i;
}

int
cg_json_read(struct cg_slice text, struct cg_json_tree *ret)
{
    struct cg_json_tree t = {.text = cg_malloc(text.n + 1), .n = 1};
    struct reader r = {.tree = &t, .cap = 64};
    t.nodes = cg_calloc((size_t)r.cap, sizeof *t.nodes);
    if (text.n > 0) {
        memcpy(t.text, text.p, text.n);
    }
    t.text[text.n] = '\0';
    r.p = t.text;
    r.end = t.text + text.n;
    int root = read_value(&r, 0);
    skip_space(&r);
    if (root < 0 || r.p != r.end) {
        cg_json_release(&t);
        return -EINVAL;
    }
    *ret = t;
    return 0;
}

void
cg_json_release(struct cg_json_tree *t)
{
    free(t->nodes);
    free(t->text);
    *t = (struct cg_json_tree){0};
}

void
cg_cleanup_json_tree(struct cg_json_tree *t)
{
    cg_json_release(t);
}

/* ---- looking ---- */

static const struct cg_json_node *
node_at(const struct cg_json_tree *t, int i)
{
    return i > 0 && i < t->n ? &t->nodes[i] : NULL;
}

const struct cg_json_node *
cg_json_root(const struct cg_json_tree *t)
{
    return node_at(t, 1);
}

const struct cg_json_node *
cg_json_first(const struct cg_json_tree *t, const struct cg_json_node *list)
{
    return list != NULL ? node_at(t, list->first) : NULL;
}

const struct cg_json_node *
cg_json_next(const struct cg_json_tree *t, const struct cg_json_node *node)
{
    return node != NULL ? node_at(t, node->next) : NULL;
}

const struct cg_json_node *
cg_json_get(const struct cg_json_tree *t, const struct cg_json_node *object,
            const char *key)
{
    const struct cg_json_node *n = cg_json_first(t, object);
    while (n != NULL && (n->key == NULL || strcmp(n->key, key) != 0)) {
        n = cg_json_next(t, n);
    }
    return n;
}

double
cg_json_number_of(const struct cg_json_tree *t,
                  const struct cg_json_node *object, const char *key)
{
    const struct cg_json_node *n = cg_json_get(t, object, key);
    return n != NULL && n->kind == CG_JSON_NUMBER ? n->x : 0;
}

const char *
cg_json_text_of(const struct cg_json_tree *t, const struct cg_json_node *object,
                const char *key)
{
    const struct cg_json_node *n = cg_json_get(t, object, key);
    return n != NULL && n->kind == CG_JSON_STRING ? n->s : "";
}

bool
cg_json_is_true(const struct cg_json_node *node)
{
    return node != NULL && node->kind == CG_JSON_TRUE;
}
