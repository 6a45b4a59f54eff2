/* SPDX-License-Identifier: MIT */
/* Errors that explain themselves, and tracebacks beside them. */
#include "core/base/error.h"

#include <errno.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

START_TEST(an_error_keeps_its_number_and_its_text)
{
    struct cg_error err = {0};
    ck_assert_int_eq(cg_error_set(&err, ENOENT, "no '%s'", "a"), -ENOENT);
    ck_assert_str_eq(err.text, "no 'a'");
    ck_assert_int_eq(cg_error_set(&err, 0, "odd"), -EINVAL);
    ck_assert_int_eq(cg_error_set(NULL, EIO, "nobody hears"), -EIO);
}
END_TEST

START_TEST(what_it_is_about_comes_in_front_and_nothing_overflows)
{
    struct cg_error err = {0};
    cg_error_set(&err, EIO, "it is gone");
    ck_assert_int_eq(cg_error_prefix(&err, "file %d", 7), -EIO);
    ck_assert_str_eq(err.text, "file 7: it is gone");
    memset(err.text, 'x', sizeof err.text - 1);
    cg_error_prefix(&err, "long");
    ck_assert_uint_lt(strlen(err.text), sizeof err.text);
    ck_assert_int_eq(strncmp(err.text, "long: xxx", 9), 0);
}
END_TEST

#define HEAD                                                                   \
    "Traceback (most recent call last):\n  File \"a.py\", line 1\n    f()\n"

START_TEST(the_last_line_of_a_traceback_is_said_once)
{
    static const char *const rows[][3] = {
        /* traceback, text, both */
        {HEAD "OSError: gone\n", "OSError: gone", HEAD "OSError: gone"},
        {HEAD "OSError: gone\n", "OSError: gone (a.py, line 1)",
         HEAD "OSError: gone (a.py, line 1)"},
        {HEAD "shop.errors.Closed: x.y: z\n", "Closed: x.y: z; try later",
         HEAD "shop.errors.Closed: x.y: z; try later"},
        {HEAD "OSError: two\nlines\n\n", "OSError: two\nlines (a.py, line 1)",
         HEAD "OSError: two\nlines (a.py, line 1)"},
        {HEAD "KeyError\n", "KeyError", HEAD "KeyError"},
        /* a text that was cut */
        {HEAD "OSError: long\n", "OSError: lo", HEAD "OSError: long"},
        /* another one */
        {HEAD "SystemExit: 3\n", "it called sys.exit(3)",
         HEAD "SystemExit: 3\nit called sys.exit(3)"},
        {HEAD "OSError: a\n", "OSError: b", HEAD "OSError: a\nOSError: b"},
        {"", "no module 'a'", "no module 'a'"},
        {"\n", "no module 'a'", "no module 'a'"},
        {HEAD "OSError: a\n", "", HEAD "OSError: a\n"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_error_put_traceback(&b, cg_slice_of(rows[i][0]), rows[i][1]);
        ck_assert_str_eq(cg_buf_str(&b), rows[i][2]);
    }
}
END_TEST

TESTS("error", an_error_keeps_its_number_and_its_text,
      what_it_is_about_comes_in_front_and_nothing_overflows,
      the_last_line_of_a_traceback_is_said_once)
