/* SPDX-License-Identifier: MIT */
/* The end of every test program: TESTS(name, test, test, …). */
#ifndef CG_TESTS_CHECK_MAIN_H
#define CG_TESTS_CHECK_MAIN_H

#include <check.h>

/* `before` and `after` run in the process of each test; either may be NULL. */
static inline int
run_tests_between(const char *name, void (*before)(void), void (*after)(void),
                  const TTest *const *tests, unsigned n)
{
    Suite *suite = suite_create(name);
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, before, after);
    for (unsigned i = 0; i < n; i++) {
        tcase_add_test(t, tests[i]);
    }
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

static inline int
run_tests_in(const char *name, void (*before)(void), const TTest *const *tests,
             unsigned n)
{
    return run_tests_between(name, before, NULL, tests, n);
}

static inline int
run_tests(const char *name, const TTest *const *tests, unsigned n)
{
    return run_tests_in(name, NULL, tests, n);
}

#define TESTS(name, ...)                                                       \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        return run_tests(name, tests, sizeof tests / sizeof tests[0]);         \
    }

#define TESTS_BETWEEN(name, before, after, ...)                                \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        return run_tests_between(name, before, after, tests,                   \
                                 sizeof tests / sizeof tests[0]);              \
    }

#endif
