/* SPDX-License-Identifier: MIT */
/* Counters of several workers, and quantiles of their histograms. */
#include "core/share/totals.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

START_TEST(counters_of_two_workers_are_added)
{
    struct cg_slot *a = cg_calloc(1, sizeof *a), *b = cg_calloc(1, sizeof *b);
    struct cg_totals t = {0};
    cg_slot_flight(a, 1)->requests = 3;
    a->flight[1].by_class[2].requests = 2;
    a->flight[1].by_class[2].app_hist[5] = 7;
    a->flight[1].by_class[2].app_us = 300;
    a->accepted = 4;
    cg_slot_flight(b, 0)->requests = 10;
    b->flight[0].by_class[5].requests = 1;
    b->flight[0].by_class[2].app_hist[5] = 1;
    b->flight[0].by_class[2].app_us = 20;
    b->refused = 2;
    cg_totals_add(&t, a);
    cg_totals_add(&t, b);
    ck_assert_uint_eq(t.requests, 13);
    ck_assert_uint_eq(t.by_class[2].requests, 2);
    ck_assert_uint_eq(t.by_class[5].requests, 1);
    ck_assert_uint_eq(t.by_class[2].app_hist[5], 8);
    ck_assert_uint_eq(t.by_class[2].app_us, 320);
    ck_assert_uint_eq(t.accepted, 4);
    ck_assert_uint_eq(t.refused, 2);
    free(a);
    free(b);
}
END_TEST

START_TEST(a_worker_that_lies_stays_within_its_slot)
{
    struct cg_slot *a = cg_calloc(1, sizeof *a);
    struct cg_totals t = {0};
    memset(a, 0xff, sizeof *a);
    a->executors = 1 << 30;
    cg_totals_add(&t, a); /* a sanitizer sees more */
    ck_assert_uint_ge(t.requests, 0);
    free(a);
}
END_TEST

START_TEST(quantiles_lie_in_their_bucket)
{
    uint64_t hist[CG_BOARD_HIST] = {0};
    ck_assert_uint_eq(cg_hist_quantile_us(hist, 0.5), 0);
    hist[11] = 99; /* 1024 to 2048 us */
    hist[21] = 1;  /* 1 to 2 s */
    ck_assert_uint_eq(cg_hist_count(hist), 100);
    uint64_t p50 = cg_hist_quantile_us(hist, 0.5);
    uint64_t p99 = cg_hist_quantile_us(hist, 0.99);
    uint64_t p100 = cg_hist_quantile_us(hist, 1);
    ck_assert(p50 > 1024 && p50 < 2048);
    ck_assert(p99 > p50 && p99 <= 2048);
    ck_assert_uint_eq(p100, 1 << 21);
}
END_TEST

TESTS("totals", counters_of_two_workers_are_added,
      a_worker_that_lies_stays_within_its_slot, quantiles_lie_in_their_bucket)
