/* SPDX-License-Identifier: MIT */
/* The two formats of a scrape, where they differ. */
#include "core/control/metrics.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static void
put(struct cg_metrics *m)
{
    static const uint64_t hist[CG_BOARD_HIST] = {[0] = 1, [7] = 2, [39] = 4};
    cg_metrics_family(m, CG_METRIC_COUNTER, "x_bytes", "bytes", "Bytes.");
    cg_metrics_put(m, "who", "a\"b\\c\n\xff", 3);
    cg_metrics_one(m, CG_METRIC_GAUGE, "y", "", "Y.", 4);
    cg_metrics_family(m, CG_METRIC_HISTOGRAM, "z_seconds", "seconds", "Z.");
    cg_metrics_histogram(m, "class", "2xx", hist, 1500000);
    cg_metrics_end(m);
}

START_TEST(openmetrics_names_the_family_and_ends)
{
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_metrics m = {.out = &out, .open = true};
    put(&m);
    const char *text = cg_buf_str(&out);
    ck_assert_ptr_nonnull(strstr(text,
                                 "# HELP x_bytes Bytes.\n"
                                 "# TYPE x_bytes counter\n"
                                 "# UNIT x_bytes bytes\n"
                                 "x_bytes_total{who=\"a\\\"b\\\\c??\"} 3\n"));
    ck_assert_ptr_nonnull(strstr(text, "# TYPE y gauge\ny 4\n"));
    ck_assert_str_eq(text + out.n - 6, "# EOF\n");
}
END_TEST

START_TEST(the_older_format_names_the_sample)
{
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_metrics m = {.out = &out};
    put(&m);
    const char *text = cg_buf_str(&out);
    ck_assert_ptr_nonnull(strstr(text, "# TYPE x_bytes_total counter\n"));
    ck_assert_ptr_null(strstr(text, "# UNIT"));
    ck_assert_ptr_null(strstr(text, "# EOF"));
}
END_TEST

START_TEST(buckets_are_cumulative_and_lose_nothing)
{
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_metrics m = {.out = &out};
    put(&m);
    const char *text = cg_buf_str(&out);
    ck_assert_ptr_nonnull(
        strstr(text, "z_seconds_bucket{class=\"2xx\",le=\"0.000064\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "z_seconds_bucket{class=\"2xx\",le=\"0.000128\"} 3\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "z_seconds_bucket{class=\"2xx\",le=\"67.108864\"} 3\n"
                     "z_seconds_bucket{class=\"2xx\",le=\"+Inf\"} 7\n"
                     "z_seconds_sum{class=\"2xx\"} "
                     "1.500000\nz_seconds_count{class=\"2xx\"} 7\n"));
}
END_TEST

TESTS("metrics", openmetrics_names_the_family_and_ends,
      the_older_format_names_the_sample,
      buckets_are_cumulative_and_lose_nothing)
