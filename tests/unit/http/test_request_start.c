/* SPDX-License-Identifier: MIT */
/* X-Request-Start, in the forms that fronts send it. */
#include <check.h>

#include "core/base/memory.h"
#include "core/http/request_start.h"
#include "tests/unit/check_main.h"

static const struct {
    const char *value;
    uint64_t us;
} rows[] = {
    {"t=1700000000.123", 1700000000123000},  /* nginx */
    {"1700000000.123456", 1700000000123456}, /* others */
    {"1700000000123", 1700000000123000},     /* Heroku */
    {"t=1700000000123456", 1700000000123456} /* Apache */,
    {"t=1700000000", 1700000000000000},
    {"1700000000.1234567", 1700000000123456},
    {"", 0},
    {"t=", 0},
    {"t", 0},
    {"now", 0},
    {"1700000000.", 0},
    {"1700000000.x", 0},
    {"1700000000 ", 0},
    {"-1700000000", 0},
    {"17000000001234567", 0},
    {"99999999999999999999999999", 0},
};

START_TEST(a_stamp_is_read)
{
    ck_assert_uint_eq(cg_request_start_us(cg_slice_of(rows[_i].value)),
                      rows[_i].us);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("request start");
    TCase *t = tcase_create("stamps");
    tcase_add_loop_test(t, a_stamp_is_read, 0, CG_COUNT(rows));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
