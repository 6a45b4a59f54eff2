/* SPDX-License-Identifier: MIT */
/* Deadlines: order, moves, and how late one may be. */
#include "core/engine/loop/deadline.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

enum { SECOND = 1000000, SLACK = SECOND / 2 };

static struct cg_deadlines
fresh(struct cg_deadlines *d)
{
    *d = (struct cg_deadlines){0};
    cg_deadlines_init(d);
    d->length_us[DEADLINE_HEAD] = 10 * SECOND;
    d->length_us[DEADLINE_KEEP] = 2 * SECOND;
    d->length_us[DEADLINE_BODY] = 0; /* never */
    return *d;
}

/* The next one that is over at `now`, and the time to the next look. */
static struct cg_deadline *
over(struct cg_deadlines *d, uint64_t now, uint64_t *next)
{
    return cg_deadlines_expired(d, now, next);
}

START_TEST(without_deadlines_there_is_nothing_to_wait_for)
{
    struct cg_deadlines d;
    uint64_t next = 0;
    fresh(&d);
    ck_assert_ptr_null(over(&d, 5 * SECOND, &next));
    ck_assert_uint_eq(next, UINT64_MAX);
    ck_assert_ptr_null(cg_deadlines_oldest(&d, DEADLINE_HEAD));
}
END_TEST

START_TEST(the_first_one_set_is_the_first_one_over)
{
    struct cg_deadlines d;
    struct cg_deadline a = {0}, b = {0}, c = {0};
    uint64_t next;
    fresh(&d);
    cg_deadline_set(&d, &a, DEADLINE_HEAD, 1 * SECOND);
    cg_deadline_set(&d, &b, DEADLINE_HEAD, 2 * SECOND);
    cg_deadline_set(&d, &c, DEADLINE_KEEP, 9 * SECOND + 1);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_HEAD), &a);
    ck_assert_ptr_null(over(&d, 11 * SECOND - 1, &next));
    ck_assert_uint_eq(next, 1);
    ck_assert_ptr_eq(over(&d, 11 * SECOND, &next), &a);
    ck_assert_ptr_null(a.next); /* out of its list */
    ck_assert_ptr_null(over(&d, 11 * SECOND, &next));
    ck_assert_uint_eq(next, 1); /* c */
    ck_assert_ptr_eq(over(&d, 12 * SECOND, &next), &b);
    ck_assert_ptr_eq(over(&d, 12 * SECOND, &next), &c);
    ck_assert_ptr_null(over(&d, 99 * SECOND, &next));
    ck_assert_uint_eq(next, UINT64_MAX);
}
END_TEST

START_TEST(a_length_of_zero_is_never_over)
{
    struct cg_deadlines d;
    struct cg_deadline a = {0};
    uint64_t next;
    fresh(&d);
    cg_deadline_set(&d, &a, DEADLINE_BODY, 1);
    ck_assert_ptr_null(over(&d, UINT64_MAX - 1, &next));
    ck_assert_uint_eq(next, UINT64_MAX);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_BODY), &a);
    cg_deadline_clear(&a);
    ck_assert_ptr_null(cg_deadlines_oldest(&d, DEADLINE_BODY));
    cg_deadline_clear(&a); /* once more does no harm */
}
END_TEST

START_TEST(a_deadline_that_moves_is_not_early_and_little_late)
{
    struct cg_deadlines d;
    struct cg_deadline a = {0};
    uint64_t now = 0, next, last = 0;
    fresh(&d);
    for (; now < 30 * SECOND; now += SECOND / 10) {
        ck_assert_ptr_null(over(&d, now, &next));
        cg_deadline_set(&d, &a, DEADLINE_KEEP, now);
        last = now;
    }
    uint64_t due = last + 2 * SECOND;
    for (now = last; over(&d, now, &next) == NULL; now += 1000) {
        ck_assert_uint_le(now, due + SLACK);
    }
    ck_assert_uint_ge(now, due);
}
END_TEST

START_TEST(one_that_moved_a_little_does_not_wait_for_the_others)
{
    struct cg_deadlines d;
    struct cg_deadline moved = {0}, later = {0};
    uint64_t next;
    fresh(&d);
    cg_deadline_set(&d, &moved, DEADLINE_KEEP, 0);
    cg_deadline_set(&d, &moved, DEADLINE_KEEP, SLACK - 1);
    cg_deadline_set(&d, &later, DEADLINE_KEEP, 19 * SECOND / 10);
    ck_assert_ptr_null(over(&d, 2 * SECOND, &next));
    ck_assert_uint_eq(next, SLACK - 1);
    ck_assert_ptr_eq(over(&d, 2 * SECOND + SLACK - 1, &next), &moved);
}
END_TEST

START_TEST(a_move_within_the_slack_costs_no_relinking)
{
    struct cg_deadlines d;
    struct cg_deadline a = {0}, b = {0};
    fresh(&d);
    cg_deadline_set(&d, &a, DEADLINE_KEEP, 0);
    cg_deadline_set(&d, &b, DEADLINE_KEEP, 10);
    cg_deadline_set(&d, &a, DEADLINE_KEEP, 20);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_KEEP), &a);
    cg_deadline_set(&d, &a, DEADLINE_KEEP, SLACK + 20);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_KEEP), &b);
    /* and one that changes its list leaves the old one */
    cg_deadline_set(&d, &b, DEADLINE_HEAD, 30);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_HEAD), &b);
    ck_assert_ptr_eq(cg_deadlines_oldest(&d, DEADLINE_KEEP), &a);
}
END_TEST

START_TEST(a_list_is_shortened_with_what_is_in_it)
{
    struct cg_deadlines d;
    struct cg_deadline a = {0}, b = {0};
    uint64_t next;
    fresh(&d);
    cg_deadline_set(&d, &a, DEADLINE_HEAD, 0);
    cg_deadline_set(&d, &b, DEADLINE_HEAD, 9 * SECOND);
    cg_deadlines_shorten(&d, DEADLINE_HEAD, SECOND, 9 * SECOND + 1);
    ck_assert_ptr_eq(over(&d, 10 * SECOND, &next), &a); /* it was due anyway */
    ck_assert_ptr_null(over(&d, 10 * SECOND, &next));
    ck_assert_uint_eq(next, 1);
    ck_assert_ptr_eq(over(&d, 10 * SECOND + 1, &next), &b);
}
END_TEST

/* Many connections, moved at random: none is lost, none early, none later than
 * the slack. */
START_TEST(none_is_lost_among_many)
{
    enum { N = 300, STEPS = 20000 };
    static struct cg_deadline all[N];
    static bool running[N];
    struct cg_deadlines d;
    uint64_t now = 0, next;
    unsigned seed = 7;
    fresh(&d);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1103515245 + 12345;
        int k = (int)((seed >> 8) % N);
        enum cg_deadline_list list = seed >> 30 ? DEADLINE_KEEP : DEADLINE_HEAD;
        cg_deadline_set(&d, &all[k], list, now);
        running[k] = true;
        now += (seed >> 20) % 20000;
        for (struct cg_deadline *n; (n = over(&d, now, &next)) != NULL;) {
            ck_assert(running[n - all]);
            ck_assert_uint_le(n->at, now);
            running[n - all] = false;
        }
        bool in_time = true;
        for (k = 0; k < N; k++) {
            in_time = in_time && (!running[k] || all[k].at + SLACK >= now);
        }
        ck_assert(in_time);
    }
}
END_TEST

TESTS("deadline", without_deadlines_there_is_nothing_to_wait_for,
      the_first_one_set_is_the_first_one_over, a_length_of_zero_is_never_over,
      a_deadline_that_moves_is_not_early_and_little_late,
      one_that_moved_a_little_does_not_wait_for_the_others,
      a_move_within_the_slack_costs_no_relinking,
      a_list_is_shortened_with_what_is_in_it, none_is_lost_among_many)
