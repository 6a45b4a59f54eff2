/* SPDX-License-Identifier: MIT */
/* Bytes of heads: values, names with an identity, lengths. */
#include "core/http/scan.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

START_TEST(a_bad_byte_is_found_at_every_place)
{
    for (size_t n = 1; n < 70; n++) {
        char *p = cg_malloc(n); /* the end of memory is the value's end */
        memset(p, 'v', n);
        ck_assert_uint_eq(cg_scan_value(p, n), n);
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
                p[at] = (char)c;
                ck_assert_uint_eq(cg_scan_value(p, n), bad ? at : n);
            }
            p[at] = 'v';
        }
        free(p);
    }
    ck_assert_uint_eq(cg_scan_value("", 0), 0);
}
END_TEST

START_TEST(the_first_of_two_bad_bytes_is_found)
{
    ck_assert_uint_eq(cg_scan_value("0123456789\x01\x02 34567", 18), 10);
}
END_TEST

START_TEST(token_characters_are_those_of_rfc_9110)
{
    for (int c = 0; c < 256; c++) {
        bool token = c < 128 && c > 0 &&
                     (isalnum(c) || strchr("!#$%&'*+-.^_`|~", c) != NULL);
        ck_assert_msg(cg_is_token_char((char)c) == token, "byte %d", c);
        ck_assert_int_eq((cg_token_class[c] & LOWER) != 0,
                         c >= 'a' && c <= 'z');
        ck_assert_int_eq((cg_token_class[c] & UNDERSCORE) != 0, c == '_');
        ck_assert_int_eq((cg_token_class[c] & HASH) != 0, c == '#');
    }
}
END_TEST

START_TEST(every_known_name_has_its_identity_in_any_case)
{
    static const char *const names[] = {
        [CG_FIELD_OTHER] = "",
#define CG_FIELD(ID, lower, key) lower,
#include "core/http/fields.def"
#undef CG_FIELD
    };
    for (int id = 1; id < CG_FIELD_COUNT; id++) {
        char upper[64];
        size_t n = strlen(names[id]);
        for (size_t i = 0; i <= n; i++) {
            upper[i] = (char)toupper((unsigned char)names[id][i]);
        }
        ck_assert_int_eq(cg_field_identify(names[id], n), id);
        ck_assert_int_eq(cg_field_identify(upper, n), id);
        /* one more, one less, another at the end: somebody else's */
        ck_assert_int_ne(cg_field_identify(names[id], n - 1), id);
        upper[n] = 'x';
        ck_assert_int_ne(cg_field_identify(upper, n + 1), id);
        upper[n - 1] = '!';
        ck_assert_int_eq(cg_field_identify(upper, n), CG_FIELD_OTHER);
    }
    ck_assert_int_eq(cg_field_identify("x", 1), CG_FIELD_OTHER);
}
END_TEST

START_TEST(a_length_is_read_exactly)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t want;
    } rows[] = {
        {"0", true, 0},
        {"000", true, 0},
        {"42", true, 42},
        {"9223372036854775807", true, INT64_MAX},
        {"09223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 7},
        {"9223372036854775810", false, 7},
        {"99999999999999999999", false, 7},
        {"", false, 7},
        {"-1", false, 7},
        {"1a", false, 7},
        {" 1", false, 7},
        {"/", false, 7},
        {":", false, 7},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        uint64_t got = 7;
        ck_assert_msg(cg_length_read(cg_slice_of(rows[i].text), &got) ==
                          rows[i].good,
                      "'%s'", rows[i].text);
        if (rows[i].good) {
            ck_assert_uint_eq(got, rows[i].want);
        }
    }
}
END_TEST

static bool
is_the_same(const char *name, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i]) {
            return false;
        }
    }
    return true;
}

START_TEST(a_token_is_of_its_characters_wherever_they_stand)
{
    char name[20];
    ck_assert(!cg_is_token((struct cg_slice){"", 0}));
    for (size_t n = 1; n < sizeof name; n++) {
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                memset(name, 'x', n);
                name[at] = (char)c;
                ck_assert_int_eq(cg_is_token((struct cg_slice){name, n}),
                                 cg_is_token_char((char)c));
            }
        }
    }
}
END_TEST

/* Whatever byte stands wherever in a name of whatever length. */
START_TEST(a_name_is_another_but_for_the_case_of_its_letters)
{
    static const char lower[] = "a-zm9`{|content-length:/x";
    char name[sizeof lower];
    for (size_t n = 1; n < sizeof lower; n++) {
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                memcpy(name, lower, n);
                name[at] = (char)c;
                ck_assert_int_eq(cg_name_is(name, lower, n),
                                 is_the_same(name, lower, n));
            }
        }
    }
    ck_assert(cg_name_is("CONTENT-LENGTH", "content-length", 14));
    ck_assert(cg_name_is("cOnTeNt-LeNgTh", "content-length", 14));
}
END_TEST

TESTS("scan", a_bad_byte_is_found_at_every_place,
      the_first_of_two_bad_bytes_is_found,
      token_characters_are_those_of_rfc_9110,
      every_known_name_has_its_identity_in_any_case, a_length_is_read_exactly,
      a_name_is_another_but_for_the_case_of_its_letters,
      a_token_is_of_its_characters_wherever_they_stand)
