/* SPDX-License-Identifier: MIT */
#include "logging/quote.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"

static bool
is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes of the character at p, of which n are there; 0: none of UTF-8 (RFC
 * 3629, 4). */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char from, to, second_from, second_to, n;
    } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].from || p[0] > rows[i].to) {
            continue;
        }
        if (n < rows[i].n || p[1] < rows[i].second_from ||
            p[1] > rows[i].second_to) {
            return 0;
        }
        for (size_t at = 2; at < rows[i].n; at++) {
            if ((p[at] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].n;
    }
    return 0;
}

/* One character that is none of the plain ones; returns its bytes. */
static size_t
put_special(struct cg_buf *out, const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t length = c >= 0x80 ? utf8_length((const unsigned char *)p, n) : 0;
    if (length > 0) {
        cg_buf_put(out, p, length);
        return length;
    }
    switch (c) {
    case '"': cg_buf_puts(out, "\\\""); break;
    case '\\': cg_buf_puts(out, "\\\\"); break;
    case '\n': cg_buf_puts(out, "\\n"); break;
    case '\r': cg_buf_puts(out, "\\r"); break;
    case '\t': cg_buf_puts(out, "\\t"); break;
    default: cg_buf_putf(out, "\\u%04x", c < 0x80 ? c : 0xfffdu); break;
    }
    return 1;
}

void
cg_quote_json(struct cg_buf *out, struct cg_slice s)
{
    char *to = cg_buf_reserve(out, s.n + 2);
    size_t i = 0;
    *to++ = '"';
    while (i < s.n && is_plain((unsigned char)s.p[i])) {
        to[i] = s.p[i];
        i++;
    }
    out->n += i + 1;
    while (i < s.n) {
        size_t from = i;
        while (i < s.n && is_plain((unsigned char)s.p[i])) {
            i++;
        }
        cg_buf_put(out, s.p + from, i - from);
        if (i < s.n) {
            i += put_special(out, s.p + i, s.n - i);
        }
    }
    cg_buf_putc(out, '"');
}

void
cg_quote_logfmt(struct cg_buf *out, struct cg_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (!is_plain(c) || c == ' ' || c == '=') {
            cg_quote_json(out, s);
            return;
        }
    }
    if (s.n == 0) {
        cg_buf_puts(out, "\"\"");
    } else {
        cg_buf_put(out, s.p, s.n);
    }
}

static char *
put_digits(char *end, uint64_t n, int least)
{
    for (; n > 0 || least > 0; n /= 10, least--) {
        *--end = (char)('0' + n % 10);
    }
    return end;
}

void
cg_quote_number(struct cg_buf *out, uint64_t n)
{
    char text[24], *end = text + sizeof text;
    char *p = put_digits(end, n, 1);
    cg_buf_put(out, p, (size_t)(end - p));
}

void
cg_quote_seconds(struct cg_buf *out, uint64_t us)
{
    char text[32], *end = text + sizeof text;
    char *p = put_digits(end, us % 1000000, 6);
    *--p = '.';
    p = put_digits(p, us / 1000000, 1);
    cg_buf_put(out, p, (size_t)(end - p));
}

void
cg_quote_now(struct cg_buf *out)
{
    static __thread struct {
        time_t second;
        char text[64];
        size_t n;
    } stamp;
    uint64_t now = cg_wall_us();
    time_t second = (time_t)(now / 1000000);
    char fraction[] = ".000000Z";
    if (stamp.n == 0 || second != stamp.second) {
        struct tm tm;
        gmtime_r(&second, &tm);
        stamp.n =
            strftime(stamp.text, sizeof stamp.text, "%Y-%m-%dT%H:%M:%S", &tm);
        stamp.second = second;
    }
    put_digits(fraction + 7, now % 1000000, 6);
    cg_buf_put(out, stamp.text, stamp.n);
    cg_buf_put(out, fraction, sizeof fraction - 1);
}
