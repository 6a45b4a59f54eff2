/* SPDX-License-Identifier: MIT */
/* Overload: when a queue stands, which one is next then, what is told of it. */
#include "core/engine/loop/overload.h"

#include <string.h>

#include "core/engine/state.h"
#include "tests/unit/check_main.h"

enum {
    MS = 1000,
    TARGET = CG_OVERLOAD_TARGET_US,
    INTERVAL = CG_OVERLOAD_INTERVAL_US,
    START = 9000 * MS
};

static struct cg_engine e;
static struct cg_engine_config config;
static struct cg_host host;
static struct cg_slot slot;
static int begins, ends;
static struct cg_overload_tale last;

static void
told(void *self, const struct cg_overload_tale *tale, bool begin, int waiting)
{
    *(begin ? &begins : &ends) += 1;
    last = *tale;
}

static void
fresh(bool newest_first)
{
    memset(&e, 0, sizeof e);
    memset(&slot, 0, sizeof slot);
    config = (struct cg_engine_config){.newest_first = newest_first};
    host = (struct cg_host){.overloaded = told};
    e.config = &config;
    e.host = &host;
    e.slot = &slot;
    e.now_us = START;
    begins = ends = 0;
}

/* So much later the oldest has been waiting for `waited`. */
static bool
later(uint64_t us, uint64_t waited)
{
    e.now_us += us;
    cg_overload_observe(&e, e.now_us - waited);
    return e.overload.standing;
}

static void
stand(void)
{
    fresh(true);
    ck_assert(!later(0, TARGET + 1));
    ck_assert(later(INTERVAL, TARGET + 1));
}

/* What is due is told, as the timers do it. */
static void
tell(void)
{
    if (e.overload.tell_us != 0 && e.now_us >= e.overload.tell_us) {
        cg_overload_tell(&e);
    }
}

START_TEST(a_burst_that_is_worked_off_does_not_stand)
{
    fresh(true);
    ck_assert(!later(0, TARGET + 1));
    ck_assert(!later(INTERVAL - 1, 3 * TARGET));
    ck_assert(!later(1, TARGET)); /* the oldest has not waited too long */
    ck_assert(!later(INTERVAL - 1, TARGET + 1));
    ck_assert_uint_eq(atomic_load(&slot.overloads), 0);
}
END_TEST

START_TEST(a_queue_whose_oldest_waits_too_long_for_an_interval_stands)
{
    stand();
    ck_assert_uint_eq(atomic_load(&slot.overloads), 1);
    ck_assert_uint_eq(atomic_load(&slot.overloaded), 1);
    ck_assert(later(10 * INTERVAL, 99 * TARGET)); /* it is one, still */
    ck_assert_uint_eq(atomic_load(&slot.overloads), 1);
}
END_TEST

START_TEST(a_moment_without_a_queue_begins_the_interval_anew)
{
    fresh(true);
    later(0, TARGET + 1);
    e.now_us += INTERVAL / 2;
    cg_overload_drained(&e);
    ck_assert(!later(INTERVAL / 2, TARGET + 1));
    ck_assert(!later(INTERVAL - 1, TARGET + 1));
    ck_assert(later(1, TARGET + 1));
}
END_TEST

START_TEST(it_is_over_as_soon_as_nobody_waits_too_long)
{
    stand();
    ck_assert(!later(1, TARGET));
    ck_assert_uint_eq(atomic_load(&slot.overloaded), 0);
    stand();
    cg_overload_drained(&e);
    ck_assert(!e.overload.standing);
    ck_assert(!cg_overload_newest_first(&e));
}
END_TEST

/* The next one runs and takes so long; whether it was the oldest. */
static bool
run(uint64_t us)
{
    bool oldest = !cg_overload_newest_first(&e);
    cg_overload_spent(&e, oldest, us);
    return oldest;
}

START_TEST(one_of_sixteen_is_the_oldest_while_it_stands)
{
    int oldest = 0;
    stand();
    e.overload.debt_us = 0;
    for (int i = 0; i < 160; i++) {
        oldest += run(10 * MS);
    }
    ck_assert_int_eq(oldest, 10);
    for (int i = 0; i < 160; i++) {
        oldest += run(0); /* too short to be measured */
    }
    ck_assert_int_eq(oldest, 20);
}
END_TEST

/* Those that take long have the patience to become the oldest. */
START_TEST(the_oldest_have_a_sixteenth_of_the_time)
{
    uint64_t of_oldest = 0, of_all = 0;
    stand();
    e.overload.debt_us = 0;
    for (int i = 0; i < 16 * 160; i++) {
        bool oldest = !cg_overload_newest_first(&e);
        uint64_t us = oldest ? 1000 * MS : 10 * MS;
        cg_overload_spent(&e, oldest, us);
        of_oldest += oldest ? us : 0;
        of_all += us;
    }
    ck_assert_uint_ge(of_oldest, of_all / 20);
    ck_assert_uint_le(of_oldest, of_all / 16 + 1000 * MS);
}
END_TEST

START_TEST(none_of_the_oldest_begins_while_another_one_runs)
{
    stand();
    e.overload.debt_us = 0;
    ck_assert(!cg_overload_newest_first(&e));
    e.overload.oldest_run = 1;
    ck_assert(cg_overload_newest_first(&e));
}
END_TEST

START_TEST(without_the_setting_no_queue_stands)
{
    fresh(false);
    later(0, 99 * TARGET);
    ck_assert(!later(99 * INTERVAL, 99 * TARGET));
    ck_assert(!cg_overload_newest_first(&e));
}
END_TEST

START_TEST(what_lasts_for_a_second_is_told_and_so_is_its_end)
{
    stand();
    later(999 * MS, TARGET + 1);
    tell();
    ck_assert_int_eq(begins, 0);
    later(1 * MS, TARGET + 1);
    tell();
    ck_assert_int_eq(begins, 1);
    ck_assert_uint_eq(last.begun_us, START + INTERVAL);
    e.overload.tale.run = 7;
    cg_overload_drained(&e);
    tell();
    ck_assert_int_eq(ends, 0);
    e.now_us += 1000 * MS;
    tell();
    ck_assert_int_eq(ends, 1);
    ck_assert_uint_eq(last.run, 7);
    ck_assert_uint_eq(last.ended_us, START + INTERVAL + 1000 * MS);
    tell();
    ck_assert_int_eq(begins + ends, 2);
}
END_TEST

START_TEST(what_is_over_within_a_second_is_not_told)
{
    stand();
    later(500 * MS, TARGET + 1);
    cg_overload_drained(&e);
    e.now_us += 9000 * MS;
    tell();
    cg_overload_end(&e);
    ck_assert_int_eq(begins + ends, 0);
}
END_TEST

/* As one that came and went would fill the log. */
START_TEST(one_that_comes_back_within_a_second_goes_on)
{
    stand();
    later(1000 * MS, TARGET + 1);
    tell();
    cg_overload_drained(&e);
    later(100 * MS, TARGET + 1);
    ck_assert(later(INTERVAL, TARGET + 1));
    e.now_us += 5000 * MS;
    tell();
    ck_assert_int_eq(begins, 1);
    ck_assert_int_eq(ends, 0);
    ck_assert_uint_eq(e.overload.tale.begun_us, START + INTERVAL);
}
END_TEST

START_TEST(the_end_of_the_worker_is_its_end_too)
{
    stand();
    later(1000 * MS, TARGET + 1);
    tell();
    cg_overload_end(&e);
    ck_assert_int_eq(ends, 1);
    ck_assert_uint_eq(atomic_load(&slot.overloaded), 0);
}
END_TEST

TESTS("overload", a_burst_that_is_worked_off_does_not_stand,
      a_queue_whose_oldest_waits_too_long_for_an_interval_stands,
      a_moment_without_a_queue_begins_the_interval_anew,
      it_is_over_as_soon_as_nobody_waits_too_long,
      one_of_sixteen_is_the_oldest_while_it_stands,
      the_oldest_have_a_sixteenth_of_the_time,
      none_of_the_oldest_begins_while_another_one_runs,
      without_the_setting_no_queue_stands,
      what_lasts_for_a_second_is_told_and_so_is_its_end,
      what_is_over_within_a_second_is_not_told,
      one_that_comes_back_within_a_second_goes_on,
      the_end_of_the_worker_is_its_end_too)
