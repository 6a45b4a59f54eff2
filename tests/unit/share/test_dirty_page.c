/* SPDX-License-Identifier: MIT */
/* What a dirty worker shows, also one that lies. */
#include "core/share/dirty_page.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static void
put_seat(char *page, int seat, uint64_t since, uint64_t calls, uint64_t failed,
         const char *what)
{
    char *p = page + CG_DIRTY_HEAD + seat * CG_DIRTY_SEAT;
    memcpy(p, &since, 8);
    memcpy(p + 8, &calls, 8);
    memcpy(p + 16, &failed, 8);
    memcpy(p + CG_DIRTY_WHAT, what, strlen(what) + 1);
}

START_TEST(calls_of_all_seats_are_added)
{
    size_t n = cg_dirty_page_size(3);
    cg_auto(free) char *page = cg_calloc(1, n);
    struct cg_dirty_call call;
    put_seat(page, 0, 0, 5, 1, "");
    put_seat(page, 2, 77, 4, 2, "m:A.f");
    page[0] = 1;
    struct cg_dirty_look look = cg_dirty_look(page, n);
    ck_assert_int_eq(look.seats, 3);
    ck_assert_int_eq(look.booted, 1);
    ck_assert_int_eq((int)look.calls, 9);
    ck_assert_int_eq((int)look.failed, 3);
    ck_assert_int_eq(look.busy, 1);
    ck_assert_int_eq(cg_dirty_read_call(page, n, 0, &call), 0);
    ck_assert_int_eq(cg_dirty_read_call(page, n, 2, &call), 1);
    ck_assert_int_eq((int)call.since_us, 77);
    ck_assert_str_eq(call.what, "m:A.f");
    ck_assert_int_eq(cg_dirty_read_call(page, n, 3, &call), 0);
}
END_TEST

START_TEST(names_end_where_they_end)
{
    size_t n = cg_dirty_page_size(1);
    cg_auto(free) char *page = cg_calloc(1, n);
    char name[16];
    memcpy(page + CG_DIRTY_NAMES, "m:A\0m:B\0", 9);
    ck_assert_int_eq(cg_dirty_app(page, n, 1, name, sizeof name), 1);
    ck_assert_str_eq(name, "m:B");
    ck_assert_int_eq(cg_dirty_app(page, n, 2, name, sizeof name), 0);
    memset(page, 'x', n); /* a worker that lies */
    ck_assert_int_eq(cg_dirty_app(page, n, 0, name, sizeof name), 1);
    ck_assert_str_eq(name, "xxxxxxxxxxxxxxx");
    ck_assert_int_eq(cg_dirty_app(page, n, 1, name, sizeof name), 0);
    struct cg_dirty_call call;
    ck_assert_int_eq(cg_dirty_read_call(page, n, 0, &call), 1);
    ck_assert_int_eq((int)strlen(call.what), (int)sizeof call.what - 1);
}
END_TEST

START_TEST(no_page_shows_nothing)
{
    struct cg_dirty_call call;
    char name[8];
    ck_assert_int_eq(cg_dirty_look(NULL, 0).seats, 0);
    ck_assert_int_eq(cg_dirty_read_call(NULL, 0, 0, &call), 0);
    ck_assert_int_eq(cg_dirty_app(NULL, 0, 0, name, sizeof name), 0);
    ck_assert_int_eq((int)cg_dirty_page_size(0), (int)cg_dirty_page_size(1));
}
END_TEST

TESTS("dirty_page", calls_of_all_seats_are_added, names_end_where_they_end,
      no_page_shows_nothing)
