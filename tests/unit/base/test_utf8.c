/* SPDX-License-Identifier: MIT */
/* UTF-8 in pieces: what RFC 3629 allows, and where a fault is seen. */
#include "core/base/utf8.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

enum { WHOLE = -1, PART = -2 };

/* WHOLE, PART, or the offset of the byte that is a fault. */
static int
verdict(const char *p, size_t n)
{
    struct cg_utf8 u = {0};
    for (size_t i = 0; i < n; i++) {
        if (!cg_utf8_feed(&u, p + i, 1)) {
            return (int)i;
        }
    }
    return cg_utf8_is_whole(&u) ? WHOLE : PART;
}

START_TEST(test_each_fault_is_seen_with_its_byte)
{
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"", WHOLE},
        {"plain text of more than one word", WHOLE},
        {"\xc3\xa9", WHOLE},
        {"\xe2\x82\xac!", WHOLE},
        {"\xf0\x9f\x98\x80", WHOLE},
        {"\xf4\x8f\xbf\xbf", WHOLE},
        {"\xee\x80\x80", WHOLE},
        {"\xef\xbf\xbf", WHOLE},
        {"\xe0\xa0\x80", WHOLE},
        {"\xf0\x90\x80\x80", WHOLE},
        {"\xed\x9f\xbf", WHOLE},
        {"\xc3", PART},
        {"a\xe2\x82", PART},
        {"\xf0\x9f\x98", PART},
        {"\x80", 0},
        {"\xc0\x80", 0},         /* overlong */
        {"\xc1\xbf", 0},         /* overlong */
        {"\xe0\x9f\xbf", 1},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 1}, /* overlong */
        {"\xed\xa0\x80", 1},     /* a surrogate */
        {"\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"\xf5\x80", 0},
        {"\xff", 0},
        {"ab\xc3(", 3},
        {"\xe2\x82\x28", 2},
        {"0123456789\xfe", 10},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        struct cg_utf8 u = {0};
        ck_assert_msg(verdict(rows[i].text, n) == rows[i].want,
                      "row %zu: %d, want %d", i, verdict(rows[i].text, n),
                      rows[i].want);
        ck_assert_int_eq(cg_utf8_feed(&u, rows[i].text, n), rows[i].want < 0);
    }
}
END_TEST

START_TEST(test_every_character_is_taken)
{
    char p[4];
    for (unsigned c = 0x80; c < 0x110000; c++) {
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--) {
            p[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        }
        p[0] = (char)((0xf00u >> n & 0xff) | c >> (6 * (n - 1)));
        bool surrogate = c >= 0xd800 && c < 0xe000;
        if ((verdict(p, n) == WHOLE) == surrogate) { /* an assert is slow */
            ck_abort_msg("U+%x", c);
        }
    }
}
END_TEST

TESTS("utf8", test_each_fault_is_seen_with_its_byte,
      test_every_character_is_taken)
