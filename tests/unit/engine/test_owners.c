/* SPDX-License-Identifier: MIT */
/*
 * Builds with a sanitizer and with DEBUG=1 notice who touches what is not
 * theirs. Check runs each test in a process of its own, which has to end by
 * SIGABRT here.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "core/engine/exchange/call.h"
#include "core/engine/state.h"

#ifdef CG_CHECK_OWNERS

static struct cg_engine engine;

/* The baton in LOOP is another thread's. */
static void
lose_baton(void)
{
    atomic_store(&engine.baton.word, cg_baton_make(BATON_LOOP, 2, 1));
}

START_TEST(a_connection_is_not_disarmed_without_the_baton)
{
    static struct cg_conn c;
    lose_baton();
    cg_conn_disarm(&engine, &c);
}
END_TEST

START_TEST(nobody_takes_from_the_ready_queue_without_the_baton)
{
    lose_baton();
    cg_ready_pop(&engine);
}
END_TEST

/* A call whose stream is in that state, in front of the wire. */
static bool
enter_wire(enum cg_stream_state state)
{
    static struct cg_stream s;
    static struct cg_executor x;
    static struct cg_call call;
    s.state = (uint8_t)state;
    x.engine = &engine;
    call.stream = &s;
    call.executor = &x;
    return cg_wire_enter(&call.ex);
}

START_TEST(nothing_is_sent_on_a_stream_that_is_the_engine_s)
{
    enter_wire(STREAM_FLUSH);
}
END_TEST

START_TEST(the_owner_goes_on)
{
    static struct cg_conn c;
    cg_baton_take(&engine.baton, 1);
    cg_conn_disarm(&engine, &c);
    ck_assert_ptr_null(cg_ready_pop(&engine));
    cg_baton_open(&engine.baton, 1, BATON_APP);
    ck_assert(enter_wire(STREAM_RUN));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("owners");
    TCase *t = tcase_create("owners");
    atomic_store(&engine.baton.word, cg_baton_make(BATON_FREE, 0, 1));
    tcase_add_test_raise_signal(
        t, a_connection_is_not_disarmed_without_the_baton, SIGABRT);
    tcase_add_test_raise_signal(
        t, nobody_takes_from_the_ready_queue_without_the_baton, SIGABRT);
    tcase_add_test_raise_signal(
        t, nothing_is_sent_on_a_stream_that_is_the_engine_s, SIGABRT);
    tcase_add_test(t, the_owner_goes_on);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#else

int
main(void)
{
    puts("100%: skipped: this build does not assert who owns what");
    return 0;
}

#endif
