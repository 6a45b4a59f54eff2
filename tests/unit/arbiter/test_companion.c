/* SPDX-License-Identifier: MIT */
/* The life of a companion: every time given, no process made. */
#include "core/arbiter/plan/companion.h"
#include "tests/unit/check_main.h"

static struct cg_companion_life life;

static void
start_at(uint64_t now)
{
    ck_assert_int_eq(cg_companion_due(&life, true, now), COMPANION_START);
    cg_companion_started(&life, now);
}

START_TEST(it_waits_until_the_server_may_have_one)
{
    life = (struct cg_companion_life){0};
    ck_assert_int_eq(cg_companion_due(&life, false, 1000), COMPANION_NOTHING);
    ck_assert_int_eq(cg_companion_patience(&life, false, 1000), -1);
    ck_assert_int_eq(cg_companion_patience(&life, true, 1000), 0);
    start_at(1000);
    ck_assert_int_eq(cg_companion_due(&life, true, 9000), COMPANION_NOTHING);
}
END_TEST

START_TEST(pauses_double_up_to_a_minute_and_a_long_life_ends_that)
{
    static const uint64_t pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
    uint64_t now = 1000;
    life = (struct cg_companion_life){0};
    for (int i = 0; i < 8; i++) {
        start_at(now);
        ck_assert_uint_eq(cg_companion_ended(&life, now + 10),
                          pauses[i] * 1000);
        ck_assert_int_eq(cg_companion_due(&life, true, now + 1000),
                         COMPANION_NOTHING);
        now += 10 + pauses[i] * 1000;
    }
    start_at(now);
    ck_assert_uint_eq(cg_companion_ended(&life, now + 5000), 1000);
    ck_assert_int_eq(life.quick, 0);
}
END_TEST

START_TEST(one_that_is_told_is_killed_once_and_replaced_without_a_pause)
{
    life = (struct cg_companion_life){0};
    start_at(1000);
    ck_assert(cg_companion_stop(&life, false, 3000, 2000));
    ck_assert(!cg_companion_stop(&life, false, 3000, 2500));
    ck_assert_int_eq(cg_companion_due(&life, true, 4999), COMPANION_NOTHING);
    ck_assert_int_eq(cg_companion_patience(&life, true, 4999), 1);
    ck_assert_int_eq(cg_companion_due(&life, true, 5000), COMPANION_KILL);
    ck_assert_int_eq(cg_companion_due(&life, true, 6000), COMPANION_NOTHING);
    ck_assert_int_eq(cg_companion_patience(&life, true, 6000), -1);
    ck_assert_uint_eq(cg_companion_ended(&life, 6001), 0);
    start_at(6001);
    ck_assert_int_eq(life.starts, 2);
}
END_TEST

START_TEST(a_shorter_patience_counts_and_a_longer_one_does_not)
{
    life = (struct cg_companion_life){0};
    start_at(1000);
    cg_companion_stop(&life, true, 30000, 2000);
    cg_companion_stop(&life, true, 1000, 3000);
    cg_companion_stop(&life, true, 90000, 3100);
    ck_assert_int_eq(cg_companion_due(&life, true, 4000), COMPANION_KILL);
}
END_TEST

START_TEST(one_that_is_dismissed_is_gone_when_it_has_ended)
{
    life = (struct cg_companion_life){0};
    start_at(1000);
    cg_companion_stop(&life, true, 1000, 2000);
    ck_assert_uint_eq(cg_companion_ended(&life, 2001), 0);
    ck_assert_str_eq(cg_companion_word(life.state), "gone");
    ck_assert_int_eq(cg_companion_due(&life, true, 9000), COMPANION_NOTHING);
    life = (struct cg_companion_life){0};
    cg_companion_stop(&life, true, 1000, 2000); /* while it waits */
    ck_assert_str_eq(cg_companion_word(life.state), "gone");
}
END_TEST

TESTS("companion", it_waits_until_the_server_may_have_one,
      pauses_double_up_to_a_minute_and_a_long_life_ends_that,
      one_that_is_told_is_killed_once_and_replaced_without_a_pause,
      a_shorter_patience_counts_and_a_longer_one_does_not,
      one_that_is_dismissed_is_gone_when_it_has_ended)
