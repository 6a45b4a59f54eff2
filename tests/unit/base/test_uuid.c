/* SPDX-License-Identifier: MIT */
/* UUIDs of version 7: their form, the time in them, and that none comes twice.
 */
#include "core/base/uuid.h"

#include <ctype.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check_main.h"

enum { MANY = 2000, MS = 1764532143 };

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, CG_UUID_SIZE);
}

static void
assert_all_differ(char (*ids)[CG_UUID_SIZE], int n)
{
    qsort(ids, (size_t)n, sizeof *ids, compare);
    for (int i = 1; i < n; i++) {
        ck_assert_mem_ne(ids[i - 1], ids[i], CG_UUID_SIZE);
    }
}

static bool
is_fixed(int i)
{
    return i < 15 || i == 18 || i == 23;
}

START_TEST(they_have_the_form_of_version_7)
{
    char id[CG_UUID_SIZE];
    for (int n = 0; n < MANY; n++) {
        cg_uuid_make(id, MS);
        for (int i = 0; i < CG_UUID_SIZE; i++) {
            if (i == 8 || i == 13 || i == 18 || i == 23) {
                ck_assert_int_eq(id[i], '-');
            } else {
                ck_assert(isxdigit(id[i]) && !isupper(id[i]));
            }
        }
        ck_assert_int_eq(id[14], '7');
        ck_assert_ptr_nonnull(strchr("89ab", id[19]));
    }
}
END_TEST

START_TEST(they_begin_with_the_time_in_milliseconds)
{
    static const uint64_t times[] = {0,
                                     1,
                                     0xffff,
                                     0x10000,
                                     0x0190abcdef12,
                                     0x0190abcdef13,
                                     0x0190abce0000,
                                     0x0190abcdffff,
                                     0xffffffffffff};
    char id[CG_UUID_SIZE];
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char digits[13] = "";
        cg_uuid_make(id, times[i]);
        memcpy(digits, id, 8);
        memcpy(digits + 8, id + 9, 4);
        ck_assert_uint_eq(strtoull(digits, NULL, 16), times[i]);
    }
}
END_TEST

START_TEST(every_other_digit_is_chance)
{
    static char ids[MANY][CG_UUID_SIZE];
    for (int n = 0; n < MANY; n++) {
        cg_uuid_make(ids[n], MS);
    }
    for (int i = 0; i < CG_UUID_SIZE; i++) {
        int seen[256] = {0}, kinds = 0;
        for (int n = 0; n < MANY && !is_fixed(i); n++) {
            kinds += seen[(unsigned char)ids[n][i]]++ == 0;
        }
        ck_assert_int_eq(kinds, is_fixed(i) ? 0 : i == 19 ? 4 : 16);
        /* 2000 of 16 kinds are 125 each; 60 are six deviations below */
        for (const char *c = "0123456789abcdef"; *c != '\0' && kinds == 16;
             c++) {
            ck_assert_int_gt(seen[(unsigned char)*c], 60);
        }
    }
    assert_all_differ(ids, MANY);
}
END_TEST

static void *
make_some(void *ids)
{
    char(*to)[CG_UUID_SIZE] = ids;
    for (int i = 0; i < MANY / 2; i++) {
        cg_uuid_make(to[i], MS);
    }
    return NULL;
}

START_TEST(two_threads_make_different_ones)
{
    static char ids[MANY][CG_UUID_SIZE];
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, make_some, ids + MANY / 2),
                     0);
    make_some(ids);
    pthread_join(other, NULL);
    assert_all_differ(ids, MANY);
}
END_TEST

TESTS("uuid", they_have_the_form_of_version_7,
      they_begin_with_the_time_in_milliseconds, every_other_digit_is_chance,
      two_threads_make_different_ones)
