/* SPDX-License-Identifier: MIT */
/* Demand: how many calls may last side by side. */
#include "core/engine/loop/demand.h"

#include "tests/unit/check_main.h"

enum { WINDOW = CG_DEMAND_WINDOW_US };

static uint64_t wanted_us;
static bool wants; /* now */

static struct cg_busy
busy(void)
{
    return (struct cg_busy){wanted_us, wants};
}

/* An engine of 2 to 16 executors, all of which are in calls. */
struct at {
    struct cg_demand d;
    uint64_t now_us;
    int made, busy;
};

static struct at
begin(int made)
{
    wanted_us = 1000000;
    wants = false;
    return (struct at){.now_us = 5000000, .made = made, .busy = made};
}

/* A window passes in which so much of one CPU was wanted. */
static int
after(struct at *a, int percent)
{
    a->now_us += WINDOW;
    wanted_us += WINDOW / 100 * (uint64_t)percent;
    const struct cg_demand_crew crew = {
        .least = 2, .most = 16, .made = a->made, .busy = a->busy};
    return cg_demand_allows(&a->d, &crew, a->now_us, busy);
}

/* The first question begins a window. */
static struct at
asked(int made)
{
    struct at a = begin(made);
    ck_assert_int_eq(after(&a, 0), made);
    return a;
}

START_TEST(calls_that_wait_are_joined_by_twice_as_many)
{
    struct at a = asked(2);
    ck_assert_int_eq(after(&a, 1), 4);
    a.made = a.busy = 4;
    ck_assert_int_eq(after(&a, 2), 8);
    a.made = a.busy = 8;
    ck_assert_int_eq(after(&a, 4), 16);
    a.made = a.busy = 16;
    ck_assert_int_eq(after(&a, 8), 16); /* the most */
}
END_TEST

START_TEST(calls_that_compute_are_joined_by_nobody)
{
    struct at a = asked(2);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(after(&a, 100), 2);
    }
    ck_assert_int_eq(after(&a, 180), 2); /* the lock was given up meanwhile */
}
END_TEST

START_TEST(as_many_are_allowed_as_the_cpu_is_good_for)
{
    struct at a = asked(4);
    ck_assert_int_eq(after(&a, 60), 5);
    a.made = a.busy = 5;
    ck_assert_int_eq(after(&a, 75), 5);
    ck_assert_int_eq(after(&a, 90), 5); /* no more, and no fewer */
}
END_TEST

/* They came for calls that waited, and now calls compute. */
START_TEST(too_many_become_fewer_down_to_the_least)
{
    struct at a = asked(16);
    int allowed = 16;
    for (int i = 0; i < 10; i++) {
        int now = after(&a, 100);
        ck_assert(now < allowed || now == 2);
        allowed = a.busy = now;
    }
    ck_assert_int_eq(allowed, 2);
}
END_TEST

START_TEST(those_that_there_are_may_run_after_a_pause)
{
    struct at a = asked(8);
    a.busy = 2;
    ck_assert_int_eq(after(&a, 100), 2);
    a.now_us += 10 * WINDOW;
    ck_assert_int_eq(after(&a, 100), 8);
}
END_TEST

START_TEST(a_question_within_the_window_measures_nothing)
{
    struct at a = asked(2);
    const struct cg_demand_crew crew = {
        .least = 2, .most = 16, .made = 2, .busy = 2};
    ck_assert_int_eq(cg_demand_allows(&a.d, &crew, a.now_us + 1, busy), 2);
}
END_TEST

/* Others have the CPU for longer than a window: nothing was used in it. */
START_TEST(a_thread_that_is_kept_waiting_for_the_cpu_makes_no_room)
{
    struct at a = begin(2);
    wants = true;
    after(&a, 0);
    ck_assert_int_eq(after(&a, 0), 2);
    ck_assert_int_eq(after(&a, 0), 2);
    wants = false;
    ck_assert_int_eq(after(&a, 0), 4);
}
END_TEST

/* What it had used is missing in the sum. */
START_TEST(a_thread_that_ended_makes_no_room)
{
    struct at a = asked(2);
    wanted_us -= 500000;
    ck_assert_int_eq(after(&a, 0), 2);
    ck_assert_int_eq(after(&a, 0), 4);
}
END_TEST

TESTS("demand", calls_that_wait_are_joined_by_twice_as_many,
      calls_that_compute_are_joined_by_nobody,
      as_many_are_allowed_as_the_cpu_is_good_for,
      too_many_become_fewer_down_to_the_least,
      those_that_there_are_may_run_after_a_pause,
      a_question_within_the_window_measures_nothing,
      a_thread_that_is_kept_waiting_for_the_cpu_makes_no_room,
      a_thread_that_ended_makes_no_room)
