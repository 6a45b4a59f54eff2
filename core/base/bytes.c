/* SPDX-License-Identifier: MIT */
#include "core/base/bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/memory.h"

bool
cg_slice_is_nocase(struct cg_slice a, const char *lower)
{
    for (size_t i = 0; i < a.n; i++) {
        char c = a.p[i];
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c + 32);
        }
        if (lower[i] == '\0' || c != lower[i]) {
            return false;
        }
    }
    return lower[a.n] == '\0';
}

bool
cg_has_word(const char *list, char separator, const char *word)
{
    size_t n = strlen(word);
    for (const char *w = list; w != NULL && *w != '\0';) {
        const char *end = strchrnul(w, separator);
        if ((size_t)(end - w) == n && memcmp(w, word, n) == 0) {
            return true;
        }
        w = *end != '\0' ? end + 1 : end;
    }
    return false;
}

bool
cg_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}

struct cg_slice
cg_slice_trim(struct cg_slice a)
{
    while (a.n > 0 && (a.p[0] == ' ' || a.p[0] == '\t')) {
        a.p++;
        a.n--;
    }
    while (a.n > 0 && (a.p[a.n - 1] == ' ' || a.p[a.n - 1] == '\t')) {
        a.n--;
    }
    return a;
}

struct cg_slice
cg_slice_chomp(struct cg_slice a)
{
    while (a.n > 0 && a.p[a.n - 1] == '\n') {
        a.n--;
    }
    return a;
}

/* The capacity that room for more bytes asks for. */
static size_t
grown(const struct cg_buf *b, size_t more)
{
    CG_ASSERT(more < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    size_t cap = b->cap + b->cap / 2;
    if (cap < b->n + more) {
        cap = b->n + more;
    }
    return cap < 64 ? 64 : cap;
}

void
cg_buf_grow(struct cg_buf *b, size_t more)
{
    size_t cap = grown(b, more);
    b->p = cg_realloc(b->p, cap);
    b->cap = cap;
}

char *
cg_buf_try_reserve(struct cg_buf *b, size_t more)
{
    if (b->cap - b->n < more) {
        size_t cap = grown(b, more);
        char *p = realloc(b->p, cap);
        if (p == NULL) {
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    return b->p + b->n;
}

void
cg_buf_put(struct cg_buf *b, const void *p, size_t n)
{
    if (n > 0) {
        memcpy(cg_buf_reserve(b, n), p, n);
        b->n += n;
    }
}

void
cg_buf_puts(struct cg_buf *b, const char *s)
{
    cg_buf_put(b, s, strlen(s));
}

void
cg_buf_putc(struct cg_buf *b, char c)
{
    *cg_buf_reserve(b, 1) = c;
    b->n++;
}

void
cg_buf_putf(struct cg_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CG_ASSERT(n >= 0);
    vsnprintf(cg_buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

void
cg_buf_drop(struct cg_buf *b, size_t n)
{
    CG_ASSERT(n <= b->n);
    if (n == b->n) {
        cg_buf_release(b);
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

void
cg_buf_reset(struct cg_buf *b)
{
    b->n = 0;
}

void
cg_buf_release(struct cg_buf *b)
{
    free(b->p);
    *b = (struct cg_buf){0};
}

void
cg_buf_fit(struct cg_buf *b)
{
    if (b->n == 0) {
        cg_buf_release(b);
    } else {
        b->p = cg_realloc(b->p, b->n);
        b->cap = b->n;
    }
}

const char *
cg_buf_str(struct cg_buf *b)
{
    *cg_buf_reserve(b, 1) = '\0';
    return b->p;
}

char *
cg_buf_take(struct cg_buf *b)
{
    *cg_buf_reserve(b, 1) = '\0';
    char *p = b->p;
    *b = (struct cg_buf){0};
    return p;
}

void
cg_cleanup_buf(struct cg_buf *b)
{
    cg_buf_release(b);
}

static void
put_hex(struct cg_buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char *q = cg_buf_reserve(b, 4);
    q[0] = '\\';
    q[1] = 'x';
    q[2] = hex[c >> 4];
    q[3] = hex[c & 15];
    b->n += 4;
}

void
cg_buf_put_escaped(struct cg_buf *b, struct cg_slice s, size_t limit)
{
    size_t n = s.n < limit ? s.n : limit;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            cg_buf_putc(b, '\\');
            cg_buf_putc(b, (char)c);
        } else if (c < 0x20 || c > 0x7e) {
            put_hex(b, c);
        } else {
            cg_buf_putc(b, (char)c);
        }
    }
    if (n < s.n) {
        cg_buf_puts(b, "...");
    }
}

/* U+0080 to U+009F, of which one begins what terminals obey. */
static bool
is_c1(const unsigned char *p, size_t left)
{
    return left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
}

void
cg_buf_put_harmless(struct cg_buf *b, struct cg_slice text, const char *kept)
{
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < text.n; i++) {
        bool stays = p[i] != '\0' && strchr(kept, p[i]) != NULL;
        if (is_c1(p + i, text.n - i)) {
            put_hex(b, p[i++]);
            put_hex(b, p[i]);
        } else if (!stays && (p[i] < 0x20 || p[i] == 0x7f)) {
            put_hex(b, p[i]);
        } else {
            cg_buf_putc(b, (char)p[i]);
        }
    }
}
