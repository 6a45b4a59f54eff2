/* SPDX-License-Identifier: MIT */
/*
 * The cases over sockets, to an engine without Python: the same verdicts as the
 * readers alone, cut as a seed says, after a good request and before another.
 */
#include "tests/unit/http/cases.h"

#include "tests/unit/check_main.h"
#include "tests/unit/engine/connection.h"

enum { SEEDS = 8 };

static void
check_text(const char *text, size_t n)
{
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        connection_check((struct fuzz_input){text, n}, seed << 28);
    }
}

START_TEST(a_case_is_answered_as_it_reads)
{
    static const char good[] = "GET /g HTTP/1.1\r\nHost: a\r\n\r\n";
    cg_auto(buf) struct cg_buf raw = raw_of(&cases[_i]);
    cg_auto(buf) struct cg_buf more = {0};
    check_text(raw.p, raw.n);
    cg_buf_puts(&more, good);
    cg_buf_put(&more, raw.p, raw.n);
    cg_buf_puts(&more, good);
    check_text(more.p, more.n);
}
END_TEST

/* The first byte of a path chooses the application, see connection.h. */
START_TEST(applications_of_every_kind_are_heard_in_order)
{
    cg_auto(buf) struct cg_buf b = {0};
    for (int i = 0; i < 40; i++) {
        cg_buf_putf(&b,
                    "%s /%c HTTP/1.1\r\nHost: a\r\nContent-Length: %d"
                    "\r\n\r\n%0*d",
                    i % 7 == 3 ? "HEAD" : "POST", 'f' + i % 4, 1 + i * 50,
                    1 + i * 50, i);
    }
    check_text(b.p, b.n);
}
END_TEST

START_TEST(an_answer_that_ends_the_connection_is_the_last)
{
    static const char *const last[] = {"d", "e"}; /* CLOSING, CUT_SHORT */
    for (size_t i = 0; i < CG_COUNT(last); i++) {
        cg_auto(free) char *text = cg_strf("GET /f HTTP/1.1\r\nHost: a\r\n\r\n"
                                           "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
                                           "GET /f HTTP/1.1\r\nHost: a\r\n\r\n",
                                           last[i]);
        check_text(text, strlen(text));
    }
}
END_TEST

START_TEST(what_replies_held_is_dropped)
{
    static const char text[] = "GET /h HTTP/1.1\r\nHost: a\r\n\r\n";
    ck_assert_int_eq(kind_of('h'), HELD);
    check_text(text, sizeof text - 1);
    ck_assert_int_gt(atomic_load(&fake.held), 0);
    /* dropped by the engine's thread, once it is back in the host */
    while (atomic_load(&fake.held) != atomic_load(&fake.dropped)) {
        check_text("GET /f HTTP/1.1\r\nHost: a\r\n\r\n", 29);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("connection");
    TCase *t = tcase_create("connection");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_case_is_answered_as_it_reads, 0,
                        (int)CG_COUNT(cases));
    tcase_add_test(t, applications_of_every_kind_are_heard_in_order);
    tcase_add_test(t, an_answer_that_ends_the_connection_is_the_last);
    tcase_add_test(t, what_replies_held_is_dropped);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
