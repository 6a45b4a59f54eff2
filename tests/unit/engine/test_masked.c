/* SPDX-License-Identifier: MIT */
/*
 * An engine whose connections are not plain: no byte of a client goes around
 * the transport, on no way that a reply or a request takes, and what was not
 * taken is offered again unchanged (the mask ends the test otherwise).
 */
#include "tests/unit/engine/masked_client.h"

static struct world w;

static void
start(int workers)
{
    memset(&w, 0, sizeof w);
    w.transports = &mask_maker;
    world_start_set(&w, workers, 1);
}

static void
stop(void)
{
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&mask_made), atomic_load(&mask_released));
}

START_TEST(requests_and_replies_pass_the_transport)
{
    start(1);
    struct client c = begin(&w);
    for (int i = 0; i < 3; i++) {
        ask(&c, "/");
        hear(&c, "ok 0");
    }
    say(&c, "GET / HTTP/1.1\r\nHo", 18); /* in pieces */
    c.n = 0;
    c.text[0] = '\0';
    say(&c, "st: a\r\n\r\n", 9);
    hear(&c, "ok 0");
    ask(&c, "/close");
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "ok 0"));
    end(&c);
    stop();
}
END_TEST

START_TEST(a_body_that_fills_its_room_passes_it)
{
    enum { N = 600000 };
    static char body[N];
    start(1);
    struct client c = begin(&w);
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n"
        "Expect: 100-continue\r\n\r\n";
    say(&c, head, sizeof head - 1);
    hear(&c, "100 Continue");
    for (size_t at = 0; at < N; at += N / 6) {
        say(&c, body, N / 6);
    }
    hear(&c, "body 600000");
    end(&c);
    stop();
}
END_TEST

START_TEST(what_waits_for_a_slow_client_passes_it)
{
    start(1);
    struct client c = begin(&w);
    ask(&c, "/big");
    wait_for(&w.worker[0].ran, 1);
    const char *body = hear_body(&c, BIG);
    size_t wrong = 0;
    for (size_t i = 0; i < BIG; i++) {
        wrong += body[i] != 0;
    }
    ck_assert_uint_eq(wrong, 0);
    ask(&c, "/");
    hear(&c, "ok 0");
    end(&c);
    stop();
}
END_TEST

START_TEST(a_refusal_passes_it_and_ends_properly)
{
    start(1);
    struct client c = begin(&w);
    say(&c, "GET / HTTP/9.9\r\n\r\n", 18);
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "HTTP/1.1 "));
    ck_assert_ptr_nonnull(strstr(c.text, "</html>"));
    ck_assert_int_eq(atomic_load(&mask_ended), 1);
    end(&c);
    stop();
}
END_TEST

TESTS("masked", requests_and_replies_pass_the_transport,
      a_body_that_fills_its_room_passes_it,
      what_waits_for_a_slow_client_passes_it,
      a_refusal_passes_it_and_ends_properly)
