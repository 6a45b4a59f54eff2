/* SPDX-License-Identifier: MIT */
/* What settings mean to the engine. */
#include "core/worker/policy.h"

#include "tests/unit/check_main.h"

static uint64_t
beat_of(int64_t timeout)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    ck_assert_msg(cg_settings_new(&s, &err) == 0, "%s", err.text);
    ck_assert_msg(cg_settings_set(s, CG_timeout, cg_value_int(timeout),
                                  CG_LAYER_FILE, "here", &err) == 0,
                  "%s", err.text);
    struct cg_policy p;
    ck_assert_msg(cg_policy_init(&p, s, "server", &err) == 0, "%s", err.text);
    uint64_t us = p.engine.beat_us;
    cg_policy_release(&p);
    cg_settings_free(s);
    return us;
}

START_TEST(a_worker_shows_life_four_times_per_timeout)
{
    ck_assert_uint_eq(beat_of(1), 250 * 1000);
    ck_assert_uint_eq(beat_of(3), 750 * 1000);
}
END_TEST

START_TEST(a_worker_shows_life_at_least_once_per_second)
{
    ck_assert_uint_eq(beat_of(4), 1000 * 1000);
    ck_assert_uint_eq(beat_of(30), 1000 * 1000);
    ck_assert_uint_eq(beat_of(0), 1000 * 1000); /* no timeout */
}
END_TEST

TESTS("policy", a_worker_shows_life_four_times_per_timeout,
      a_worker_shows_life_at_least_once_per_second)
