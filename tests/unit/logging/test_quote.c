/* SPDX-License-Identifier: MIT */
/* Quotes: others' bytes as values of JSON and logfmt. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "logging/quote.h"
#include "tests/unit/check_main.h"

static const struct {
    const char *bytes, *json, *logfmt;
} rows[] = {
    {"", "\"\"", "\"\""},
    {"abc", "\"abc\"", "abc"},
    {"a b", "\"a b\"", "\"a b\""},
    {"a=b", "\"a=b\"", "\"a=b\""},
    {"a\"b\\c", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""},
    {"a\nb\r\t", "\"a\\nb\\r\\t\"", "\"a\\nb\\r\\t\""},
    {"\x01\x7f", "\"\\u0001\\u007f\"", "\"\\u0001\\u007f\""},
    {"\xc3\xa9", "\"\xc3\xa9\"", "\"\xc3\xa9\""},
    {"\xf0\x9f\x98\x80!", "\"\xf0\x9f\x98\x80!\"", "\"\xf0\x9f\x98\x80!\""},
    {"\xff", "\"\\ufffd\"", "\"\\ufffd\""},
    {"\xc3", "\"\\ufffd\"", "\"\\ufffd\""},
    {"\xc0\xaf", "\"\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\""},
    {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\\ufffd\""},
};

START_TEST(a_value_is_quoted)
{
    cg_auto(buf) struct cg_buf json = {0};
    cg_auto(buf) struct cg_buf logfmt = {0};
    cg_quote_json(&json, cg_slice_of(rows[_i].bytes));
    cg_quote_logfmt(&logfmt, cg_slice_of(rows[_i].bytes));
    ck_assert_str_eq(cg_buf_str(&json), rows[_i].json);
    ck_assert_str_eq(cg_buf_str(&logfmt), rows[_i].logfmt);
}
END_TEST

START_TEST(seconds_have_six_places)
{
    static const struct {
        uint64_t us;
        const char *text;
    } times[] = {{0, "0.000000"},
                 {1, "0.000001"},
                 {1234567, "1.234567"},
                 {UINT64_MAX, "18446744073709.551615"}};
    for (size_t i = 0; i < CG_COUNT(times); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_quote_seconds(&b, times[i].us);
        ck_assert_str_eq(cg_buf_str(&b), times[i].text);
    }
}
END_TEST

START_TEST(numbers_reach_their_ends)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_quote_number(&b, 0);
    cg_buf_putc(&b, ' ');
    cg_quote_number(&b, UINT64_MAX);
    ck_assert_str_eq(cg_buf_str(&b), "0 18446744073709551615");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("quotes");
    TCase *t = tcase_create("quotes");
    tcase_add_loop_test(t, a_value_is_quoted, 0, CG_COUNT(rows));
    tcase_add_test(t, seconds_have_six_places);
    tcase_add_test(t, numbers_reach_their_ends);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
