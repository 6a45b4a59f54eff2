/* SPDX-License-Identifier: MIT */
/* Slices and buffers. */
#include "core/base/bytes.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

START_TEST(slices_compare_whole_and_without_case)
{
    ck_assert(cg_slice_is(CG_SLICE("abc"), "abc"));
    ck_assert(!cg_slice_is(CG_SLICE("abc"), "ab"));
    ck_assert(!cg_slice_is(CG_SLICE("abc"), "abd"));
    ck_assert(cg_slice_is(cg_slice_of(""), ""));
    ck_assert(cg_slice_is_nocase(CG_SLICE("aBc-Z9"), "abc-z9"));
    ck_assert(!cg_slice_is_nocase(CG_SLICE("abc"), "ab"));
    ck_assert(!cg_slice_is_nocase(CG_SLICE("ab"), "abc"));
    ck_assert(!cg_slice_is_nocase(CG_SLICE("abd"), "abc"));
    /* only letters fold: @ and ` differ by the same bit */
    ck_assert(!cg_slice_is_nocase(CG_SLICE("@"), "`"));
    ck_assert(!cg_slice_is_nocase(CG_SLICE("["), "{"));
    ck_assert(!cg_slice_is_nocase(CG_SLICE("a\0b"), "a"));
}
END_TEST

START_TEST(a_word_is_found_in_a_list_whole)
{
    ck_assert(cg_has_word("cpu", ',', "cpu"));
    ck_assert(cg_has_word("cpu,cpuacct", ',', "cpu"));
    ck_assert(cg_has_word("cpuacct,cpu", ',', "cpu"));
    ck_assert(!cg_has_word("cpuset,cpuacct", ',', "cpu"));
    ck_assert(!cg_has_word("cpu", ' ', "cpuset"));
    ck_assert(!cg_has_word("", ' ', "cpu"));
    ck_assert(!cg_has_word("off on", ' ', ""));
    ck_assert(!cg_has_word(NULL, ' ', "cpu"));
}
END_TEST

START_TEST(the_end_of_a_text_is_compared)
{
    ck_assert(cg_ends_with("a.yaml", ".yaml"));
    ck_assert(cg_ends_with(".yml", ".yml"));
    ck_assert(!cg_ends_with("yml", ".yml"));
    ck_assert(!cg_ends_with("a.yml.py", ".yml"));
    ck_assert(cg_ends_with("a", ""));
}
END_TEST

START_TEST(a_buffer_that_fits_has_room_for_its_bytes_only)
{
    struct cg_buf b = {0};
    cg_buf_fit(&b);
    ck_assert_ptr_null(b.p);
    cg_buf_put(&b, "abcdef", 6);
    cg_buf_reserve(&b, 1000);
    cg_buf_fit(&b);
    ck_assert_uint_eq(b.cap, 6);
    cg_buf_put(&b, "g", 1);
    ck_assert_str_eq(cg_buf_str(&b), "abcdefg");
    cg_buf_reset(&b);
    cg_buf_fit(&b);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.cap, 0);
}
END_TEST

START_TEST(blanks_are_trimmed)
{
    static const char *const rows[][2] = {
        {" \ta b\t ", "a b"}, {"a", "a"}, {" \t", ""}, {"", ""},
        {"\na\r", "\na\r"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        ck_assert(
            cg_slice_is(cg_slice_trim(cg_slice_of(rows[i][0])), rows[i][1]));
    }
}
END_TEST

START_TEST(newlines_at_the_end_are_taken_off)
{
    static const char *const rows[][2] = {
        {"a\n", "a"}, {"\na\nb\n\n", "\na\nb"}, {"\n\n", ""},
        {"", ""},     {"a\n ", "a\n "},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        ck_assert(
            cg_slice_is(cg_slice_chomp(cg_slice_of(rows[i][0])), rows[i][1]));
    }
}
END_TEST

START_TEST(a_buffer_grows_and_keeps_its_bytes)
{
    struct cg_buf b = {0};
    cg_buf_put(&b, NULL, 0);
    ck_assert_ptr_null(b.p);
    for (int i = 0; i < 1000; i++) {
        cg_buf_putc(&b, (char)i);
        cg_buf_put(&b, "xy", 2);
        cg_buf_puts(&b, "z");
    }
    ck_assert_uint_eq(b.n, 4000);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(b.p[i * 4], (char)i);
        ck_assert_mem_eq(b.p + i * 4 + 1, "xyz", 3);
    }
    cg_buf_release(&b);
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.cap, 0);
}
END_TEST

START_TEST(room_is_reserved_without_a_change_in_length)
{
    struct cg_buf b = {0};
    char *p = cg_buf_reserve(&b, 5000);
    memset(p, 'a', 5000);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_uint_ge(b.cap, 5000);
    b.n = 5000;
    ck_assert_ptr_eq(cg_buf_reserve(&b, 0), b.p + 5000);
    cg_buf_release(&b);
}
END_TEST

START_TEST(text_is_printed_to_its_full_length)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "<");
    cg_buf_putf(&b, "%0*d %s", 500, 7, "end");
    cg_buf_putf(&b, "%s", "");
    ck_assert_uint_eq(b.n, 505);
    ck_assert_str_eq(cg_buf_str(&b) + 500, "7 end");
    ck_assert_uint_eq(b.n, 505);
}
END_TEST

START_TEST(the_front_is_dropped_and_memory_with_the_last_byte)
{
    struct cg_buf b = {0};
    cg_buf_puts(&b, "abcdef");
    cg_buf_drop(&b, 2);
    ck_assert(cg_slice_is((struct cg_slice){b.p, b.n}, "cdef"));
    cg_buf_drop(&b, 0);
    ck_assert_uint_eq(b.n, 4);
    cg_buf_drop(&b, 4);
    ck_assert_ptr_null(b.p);
    cg_buf_puts(&b, "x");
    size_t cap = b.cap;
    cg_buf_reset(&b);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_uint_eq(b.cap, cap);
    cg_buf_release(&b);
}
END_TEST

START_TEST(memory_is_taken_out)
{
    struct cg_buf b = {0};
    cg_auto(free) char *empty = cg_buf_take(&b);
    ck_assert_str_eq(empty, "");
    cg_buf_puts(&b, "abc");
    cg_auto(free) char *p = cg_buf_take(&b);
    ck_assert_str_eq(p, "abc");
    ck_assert_ptr_null(b.p);
    ck_assert_uint_eq(b.n, 0);
}
END_TEST

START_TEST(a_peers_bytes_are_escaped_and_cut)
{
    static const struct {
        const char *text;
        size_t n, limit;
        const char *want;
    } rows[] = {
        {"abc ~", 5, 100, "abc ~"},
        {"a\"b\\c", 5, 100, "a\\\"b\\\\c"},
        {"\0\x1f\x7f\x80\xff\r\n", 7, 100,
         "\\x00\\x1f\\x7f\\x80\\xff\\x0d\\x0a"},
        {"abcdef", 6, 6, "abcdef"},
        {"abcdef", 6, 5, "abcde..."},
        {"abc", 3, 0, "..."},
        {"", 0, 0, ""},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_put_escaped(&b, (struct cg_slice){rows[i].text, rows[i].n},
                           rows[i].limit);
        ck_assert_str_eq(cg_buf_str(&b), rows[i].want);
    }
}
END_TEST

START_TEST(text_of_others_gives_a_terminal_no_commands)
{
    static const struct {
        const char *text;
        size_t n;
        const char *kept, *want;
    } rows[] = {
        {"File \"a.py\"\n\tx\n", 15, "\n\t", "File \"a.py\"\n\tx\n"},
        {"File \"a.py\"\n\tx\n", 15, "\n", "File \"a.py\"\n\\x09x\n"},
        {"a\n\tb", 4, "\t", "a\\x0a\tb"},
        {"a\0\r\x1b[2J\x7f", 8, "\n", "a\\x00\\x0d\\x1b[2J\\x7f"},
        {"a\\b", 3, "", "a\\b"},
        /* U+009B, the one-character form of ESC [; its neighbours stay */
        {"\xc2\x9b\x32J \xc2\xa0 \xc3\x9b", 10, "",
         "\\xc2\\x9b\x32J \xc2\xa0 \xc3\x9b"},
        {"\xc2", 1, "", "\xc2"},
        {"", 0, "\n", ""},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_put_harmless(&b, (struct cg_slice){rows[i].text, rows[i].n},
                            rows[i].kept);
        ck_assert_str_eq(cg_buf_str(&b), rows[i].want);
    }
}
END_TEST

TESTS("bytes", slices_compare_whole_and_without_case,
      a_word_is_found_in_a_list_whole, the_end_of_a_text_is_compared,
      a_buffer_that_fits_has_room_for_its_bytes_only, blanks_are_trimmed,
      newlines_at_the_end_are_taken_off,
      text_of_others_gives_a_terminal_no_commands,
      a_buffer_grows_and_keeps_its_bytes,
      room_is_reserved_without_a_change_in_length,
      text_is_printed_to_its_full_length,
      the_front_is_dropped_and_memory_with_the_last_byte, memory_is_taken_out,
      a_peers_bytes_are_escaped_and_cut)
