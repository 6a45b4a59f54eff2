/* SPDX-License-Identifier: MIT */
/* What the writer makes is valid whatever it is given; what the reader is given
 * may be anything. */
#include "core/control/json.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static void
expect_string(struct cg_slice s, const char *wanted)
{
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_json j = {.out = &out};
    cg_json_slice(&j, s);
    ck_assert_str_eq(cg_buf_str(&out), wanted);
}

START_TEST(strings_are_escaped)
{
    expect_string(CG_SLICE("a\"b\\c\n\t\x01\x7f"),
                  "\"a\\\"b\\\\c\\n\\u0009\\u0001\\u007f\"");
    expect_string(CG_SLICE("h\xc3\xa9"), "\"h\xc3\xa9\"");
    expect_string(CG_SLICE("h\xe9"), "\"h\\u00e9\"");
    expect_string(CG_SLICE("cut \xc3"), "\"cut \\u00c3\"");
}
END_TEST

START_TEST(what_is_written_is_read)
{
    cg_auto(buf) struct cg_buf out = {0};
    cg_auto(json_tree) struct cg_json_tree t = {0};
    struct cg_json j = {.out = &out};
    cg_json_open(&j, '{');
    cg_json_put_int(&j, "n", -12);
    cg_json_put_text(&j, "s", "a \"b\"\xe9\n");
    cg_json_put_text(&j, "none", NULL);
    cg_json_put_seconds(&j, "t", 1500000);
    cg_json_key(&j, "list");
    cg_json_open(&j, '[');
    cg_json_bool(&j, true);
    cg_json_bool(&j, false);
    cg_json_close(&j, ']');
    cg_json_close(&j, '}');
    ck_assert_str_eq(cg_buf_str(&out),
                     "{\"n\":-12,\"s\":\"a \\\"b\\\"\\u00e9\\n\",\"none\":null,"
                     "\"t\":1.5,\"list\":[true,false]}");
    ck_assert_int_eq(cg_json_read((struct cg_slice){out.p, out.n}, &t), 0);
    const struct cg_json_node *root = cg_json_root(&t);
    ck_assert(cg_json_number_of(&t, root, "n") == -12);
    ck_assert(cg_json_number_of(&t, root, "t") == 1.5);
    ck_assert_str_eq(cg_json_text_of(&t, root, "s"), "a \"b\"\xc3\xa9\n");
    ck_assert_str_eq(cg_json_text_of(&t, root, "missing"), "");
    const struct cg_json_node *list = cg_json_get(&t, root, "list");
    ck_assert(cg_json_is_true(cg_json_first(&t, list)));
    ck_assert(!cg_json_is_true(cg_json_next(&t, cg_json_first(&t, list))));
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[1,",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "[1 2]",
                                      "\"",
                                      "\"\\",
                                      "\"\\u12",
                                      "\"\\x\"",
                                      "tru",
                                      "nul",
                                      "-",
                                      "{1:2}",
                                      "[1]x",
                                      "\"\\u00g0\"",
                                      "]",
                                      "{,}",
                                      "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cg_json_tree t = {0};
        ck_assert_msg(cg_json_read(cg_slice_of(bad[i]), &t) < 0, "%s", bad[i]);
    }
}
END_TEST

TESTS("json", strings_are_escaped, what_is_written_is_read, nonsense_is_refused)
