/* SPDX-License-Identifier: MIT */
/* Range: which bytes a client asks for, and how many parts it gets. */
#include "core/http/files/range.h"

#include <stdio.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* "0+10 90+10", "ignored", "beyond". */
static const char *
ranges_of(const char *value, uint64_t size)
{
    static char text[600];
    struct cg_ranges r;
    char *to = text;
    *to = '\0';
    switch (cg_ranges_read(&r, cg_slice_of(value), size)) {
    case CG_RANGES_IGNORED: return "ignored";
    case CG_RANGES_BEYOND: return "beyond";
    case CG_RANGES_GIVEN: break;
    }
    for (int i = 0; i < r.count; i++) {
        to += sprintf(to, "%s%llu+%llu", i > 0 ? " " : "",
                      (unsigned long long)r.each[i].at,
                      (unsigned long long)r.each[i].n);
    }
    return text;
}

START_TEST(ranges_are_read_as_rfc_9110_has_them)
{
    static const struct {
        const char *value, *ranges;
    } rows[] = {
        {"bytes=0-9", "0+10"},
        {"bytes=90-", "90+10"},
        {"bytes=-10", "90+10"},
        {"bytes=-1000", "0+100"},
        {"bytes=95-1000", "95+5"},
        {"bytes=99-99", "99+1"},
        {"Bytes=0-0", "0+1"},
        {"bytes=0-9,90-", "0+10 90+10"},
        {"bytes= 0-1 ,\t5-6 ", "0+2 5+2"},
        {"bytes=,0-1,,", "0+2"},
        {"bytes=0-1,500-600", "0+2"},
        {"bytes=99999999999999999999999-", "beyond"},
        {"bytes=0-99999999999999999999999", "0+100"},
        {"bytes=100-", "beyond"},
        {"bytes=-0", "beyond"},
        {"bytes=100-,200-", "beyond"},
        {"bytes=", "ignored"},
        {"bytes=,", "ignored"},
        {"bytes=5-4", "ignored"},
        {"bytes=a-b", "ignored"},
        {"bytes=1", "ignored"},
        {"bytes=1-2x", "ignored"},
        {"bytes=--1", "ignored"},
        {"bytes=-", "ignored"},
        {"bytes 0-9", "ignored"},
        {"lines=0-9", "ignored"},
        {"", "ignored"},
        {"bytes=0-99,0-0", "ignored"}, /* more bytes than there are */
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        ck_assert_str_eq(ranges_of(rows[i].value, 100), rows[i].ranges);
    }
}
END_TEST

START_TEST(nothing_lies_inside_of_an_empty_file)
{
    ck_assert_str_eq(ranges_of("bytes=0-", 0), "beyond");
    ck_assert_str_eq(ranges_of("bytes=-1", 0), "beyond");
}
END_TEST

START_TEST(too_many_ranges_are_ignored)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "bytes=");
    for (int i = 0; i < CG_RANGES_MAX; i++) {
        cg_buf_putf(&b, "%d-%d,", 3 * i, 3 * i);
    }
    ck_assert_int_eq(strncmp(ranges_of(cg_buf_str(&b), 1000), "0+1 3+1", 7), 0);
    cg_buf_puts(&b, "900-901");
    ck_assert_str_eq(ranges_of(cg_buf_str(&b), 1000), "ignored");
}
END_TEST

TESTS("range", ranges_are_read_as_rfc_9110_has_them,
      nothing_lies_inside_of_an_empty_file, too_many_ranges_are_ignored)
