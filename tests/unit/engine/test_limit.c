/* SPDX-License-Identifier: MIT */
/*
 * request_timeout: who waits for a request that takes too long is told, from
 * whatever thread; what the application sends for it later reaches nobody; and
 * all others are served.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { SHORT_US = 20 * 1000, NEVER_US = 600 * 1000000 };

static struct world w;

static void
send_get(int fd, const char *path)
{
    char text[128];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(fd, text);
}

/* Exactly one complete 504, and the end. */
static void
expect_504(int fd)
{
    bool reset;
    const char *all = client_rest(fd, &reset);
    ck_assert_msg(strncmp(all, "HTTP/1.1 504 Gateway Time", 25) == 0, "%s",
                  all);
    ck_assert_ptr_nonnull(strstr(all, "Connection: close\r\n"));
    const char *body = strstr(all, "\r\n\r\n");
    const char *length = strstr(all, "Content-Length: ");
    ck_assert(body != NULL && length != NULL);
    ck_assert_uint_eq(strlen(body + 4), (size_t)atoll(length + 16));
    ck_assert(!reset);
}

START_TEST(a_request_that_takes_too_long_is_answered_504)
{
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    send_get(fd, "/block");
    expect_504(fd);
    ck_assert_int_eq(atomic_load(&w.worker[0].blocked), 1);
    wait_for(&w.worker[0].fake.late, CG_LATE_ANSWERED);
    close(fd);
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.overdue), 1);
}
END_TEST

START_TEST(what_is_answered_later_reaches_nobody)
{
    world_start_limited(&w, 1, 1, SHORT_US);
    int late = client_connect(&w), next = client_connect(&w);
    ck_assert_str_eq(client_get(next, "/"), "ok 0");
    send_get(late, "/block");
    wait_for(&w.worker[0].fake.overdue, 1);
    send_get(next, "/");
    world_unblock(&w);
    wait_for(&w.worker[0].ran, 3);
    expect_504(late);
    ck_assert_str_eq(client_read(next), "ok 0");
    ck_assert(!client_hears(next, 0));
    close(late);
    close(next);
    world_stop(&w);
}
END_TEST

START_TEST(a_client_that_left_does_not_hand_its_descriptor_on)
{
    world_start_limited(&w, 1, 2, SHORT_US);
    int late = client_connect(&w);
    send_get(late, "/block");
    wait_for(&w.worker[0].fake.overdue, 1);
    expect_504(late);
    close(late);
    /* would get the number of the one that is gone, were it free */
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = client_connect(&w);
        ck_assert_str_eq(client_get(fds[i], "/"), "ok 0");
    }
    world_unblock(&w);
    wait_for(&w.worker[0].ran, 9);
    for (int i = 0; i < 8; i++) {
        ck_assert_str_eq(client_get(fds[i], "/"), "ok 0");
        ck_assert(!client_hears(fds[i], 0));
        close(fds[i]);
    }
    world_stop(&w);
}
END_TEST

START_TEST(a_reply_that_has_begun_is_cut)
{
    bool reset;
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    send_get(fd, "/half");
    wait_for(&w.worker[0].fake.overdue, 1);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.late), CG_LATE_CUT);
    world_unblock(&w);
    wait_for(&w.worker[0].ran, 1);
    const char *all = client_rest(fd, &reset);
    ck_assert_msg(reset, "a clean end after: %s", all);
    ck_assert_ptr_null(strstr(all, "rest"));
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(early_hints_are_no_head)
{
    bool reset;
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    send_get(fd, "/hints");
    const char *all = client_rest(fd, &reset);
    ck_assert(!reset);
    ck_assert_ptr_nonnull(
        strstr(all, "103 Early Hints\r\n\r\nHTTP/1.1 504 Gateway Time"));
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_complete_reply_is_left_alone)
{
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    ck_assert_str_eq(client_get(fd, "/whole"), "ok 0");
    wait_for(&w.worker[0].fake.overdue, 1);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.late), CG_LATE_SENT);
    world_unblock(&w);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_socket_that_was_taken_over_has_no_limit)
{
    world_start_limited(&w, 1, 2, SHORT_US);
    int fd = client_connect(&w), other = client_connect(&w);
    client_send(fd, "GET /take HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                    "Upgrade: x\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    send_get(other, "/block"); /* began later and is overdue first */
    expect_504(other);
    wait_for(&w.worker[0].fake.overdue, 1);
    world_unblock(&w);
    ck_assert_str_eq(client_read(fd), "ok 0");
    close(fd);
    close(other);
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.overdue), 1);
}
END_TEST

START_TEST(one_that_does_not_come_back_is_told_as_stuck)
{
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    send_get(fd, "/block");
    wait_for(&w.worker[0].fake.stuck, 1);
    expect_504(fd);
    close(fd);
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.stuck), 1);
}
END_TEST

START_TEST(all_threads_may_be_late_and_the_next_one_is_served)
{
    enum { THREADS_HERE = 3 };
    world_start_limited(&w, 1, THREADS_HERE, SHORT_US);
    int fds[THREADS_HERE];
    for (int i = 0; i < THREADS_HERE; i++) {
        fds[i] = client_connect(&w);
        send_get(fds[i], "/block");
    }
    for (int i = 0; i < THREADS_HERE; i++) {
        expect_504(fds[i]);
        close(fds[i]);
    }
    int fd = client_connect(&w);
    world_unblock(&w);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(requests_in_time_are_not_touched)
{
    world_start_limited(&w, 1, 2, NEVER_US);
    int fd = client_connect(&w), a = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    for (int i = 0; i < 100; i++) {
        ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    }
    world_unblock(&w);
    ck_assert_str_eq(client_read(a), "ok 0");
    ck_assert_str_eq(client_get(a, "/"), "ok 0");
    close(fd);
    close(a);
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.overdue), 0);
}
END_TEST

START_TEST(a_stop_waits_for_a_late_one_to_come_back)
{
    world_start_limited(&w, 1, 1, SHORT_US);
    int fd = client_connect(&w);
    send_get(fd, "/block");
    expect_504(fd);
    cg_engine_stop(w.worker[0].engine, 20 * 1000000u);
    ck_assert(!cg_engine_is_over(w.worker[0].engine));
    world_unblock(&w);
    wait_for(&w.worker[0].fake.ended, 1);
    ck_assert_int_eq(cg_engine_end(w.worker[0].engine), CG_END_STOPPED);
    close(fd);
    world_stop(&w);
}
END_TEST

/* ---- at the very limit: for the sanitizers ---- */

enum { CLIENTS = 6, ROUNDS = 60 };

/* Whatever happens: one whole reply, or one whole 504 and the end. Of the
 * request behind it on the same connection the same may become late, whose
 * reply is cut when it has begun. */
static void *
client_at_the_limit(void *arg)
{
    bool reset;
    for (int i = 0; i < ROUNDS; i++) {
        int fd = client_connect(&w);
        send_get(fd, "/about"); /* as long as the limit, about */
        const char *all;
        client_send(fd, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n");
        all = client_rest(fd, &reset);
        bool late = strncmp(all, "HTTP/1.1 504 ", 13) == 0;
        bool good = strncmp(all, "HTTP/1.1 200 ", 13) == 0;
        ck_assert_msg(late || good, "%s", all);
        ck_assert_msg(late ? strstr(all, "200 OK") == NULL && !reset
                           : strstr(all, "\r\n\r\nok ") != NULL,
                      "%s", all);
        close(fd);
    }
    return NULL;
}

static void
storm(int workers, int threads)
{
    pthread_t clients[CLIENTS];
    world_start_limited(&w, workers, threads, 2000);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(
            pthread_create(&clients[i], NULL, client_at_the_limit, NULL), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    world_stop(&w);
}

START_TEST(no_reply_is_mixed_at_the_limit)
{
    storm(2, 1);
}
END_TEST

START_TEST(nor_with_threads)
{
    storm(1, 4);
}
END_TEST

TESTS("limit", a_request_that_takes_too_long_is_answered_504,
      what_is_answered_later_reaches_nobody,
      a_client_that_left_does_not_hand_its_descriptor_on,
      a_reply_that_has_begun_is_cut, early_hints_are_no_head,
      a_complete_reply_is_left_alone, a_socket_that_was_taken_over_has_no_limit,
      one_that_does_not_come_back_is_told_as_stuck,
      all_threads_may_be_late_and_the_next_one_is_served,
      requests_in_time_are_not_touched,
      a_stop_waits_for_a_late_one_to_come_back, no_reply_is_mixed_at_the_limit,
      nor_with_threads)
