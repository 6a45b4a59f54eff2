/* SPDX-License-Identifier: MIT */
/*
 * What the engine promises while calls of the application are long: others'
 * bytes are read and written, an idle executor or an idle sibling answers, and
 * nothing is lost when everybody stops.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

static struct world w;

/* Requests on new connections until one of that worker answers, which is
 * returned, or MANY are open. They stay open meanwhile, since who has fewer
 * takes the next. */
static int
try_to_pin(int worker)
{
    enum { MANY = 200 };
    int fds[MANY], n = 0, found = -1;
    while (found < 0 && n < MANY) {
        fds[n] = client_connect(&w);
        if (worker_of(client_get(fds[n], "/")) == worker) {
            found = fds[n];
        } else {
            n++;
        }
    }
    for (int i = 0; i < n; i++) {
        close(fds[i]);
    }
    return found;
}

/* A worker whose thread has just been made may come late. */
static int
pinned(int worker)
{
    uint64_t end = cg_now_us() + 30 * 1000000u;
    int fd = -1;
    while (fd < 0) {
        ck_assert_msg(cg_now_us() < end, "no connection went to worker %d",
                      worker);
        fd = try_to_pin(worker);
    }
    return fd;
}

static void
send_get(int fd, const char *path)
{
    char text[128];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    client_send(fd, text);
}

START_TEST(requests_are_answered_in_order_on_one_connection)
{
    world_start(&w, 1, 1);
    int fd = client_connect(&w);
    for (int i = 0; i < 100; i++) {
        ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    }
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(pipelined_requests_are_all_answered)
{
    enum { DEPTH = 16 };
    world_start(&w, 1, 1);
    int fd = client_connect(&w);
    char text[DEPTH * 40] = "";
    for (int i = 0; i < DEPTH; i++) {
        strcat(text, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    client_send(fd, text);
    for (int i = 0; i < DEPTH; i++) {
        ck_assert_str_eq(client_read(fd), "ok 0");
    }
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_slow_reader_is_served_while_the_application_is_blocked)
{
    world_start(&w, 1, 1);
    int reader = client_connect(&w), other = client_connect(&w);
    send_get(reader, "/big");
    wait_for(&w.worker[0].ran, 1);
    send_get(other, "/block");
    wait_for(&w.worker[0].blocked, 1);
    /* all 4 MiB come although the only executor stands still */
    ck_assert_uint_eq(strlen(client_read(reader)), 0);
    ck_assert_int_eq(atomic_load(&w.worker[0].blocked), 1);
    world_unblock(&w);
    ck_assert_str_eq(client_read(other), "ok 0");
    close(reader);
    close(other);
    world_stop(&w);
}
END_TEST

START_TEST(bad_requests_are_refused_while_the_application_is_blocked)
{
    world_start(&w, 1, 1);
    int blocked = client_connect(&w), bad = client_connect(&w);
    ck_assert_str_eq(client_get(bad, "/"), "ok 0");
    send_get(blocked, "/block");
    wait_for(&w.worker[0].blocked, 1);
    client_send(bad, "GET /\x01 HTTP/1.1\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_read(bad), "Bad Request"));
    world_unblock(&w);
    client_read(blocked);
    close(blocked);
    close(bad);
    world_stop(&w);
}
END_TEST

START_TEST(a_request_of_a_blocked_worker_is_answered_by_an_idle_one)
{
    world_start(&w, 2, 1);
    int first = pinned(0), second = pinned(0);
    send_get(first, "/block");
    wait_for(&w.worker[0].blocked, 1);
    for (int i = 0; i < 20; i++) {
        ck_assert_str_eq(client_get(second, "/"), "ok 1");
    }
    ck_assert_uint_eq(atomic_load(&cg_board_slot(w.board, 0)->given), 1);
    ck_assert_uint_eq(atomic_load(&cg_board_slot(w.board, 1)->adopted), 1);
    world_unblock(&w);
    ck_assert_str_eq(client_read(first), "ok 0");
    close(first);
    close(second);
    world_stop(&w);
}
END_TEST

START_TEST(a_body_moves_with_its_request)
{
    enum { SMALL = 5, MEDIUM = 40000, LARGE = 300000 };
    static const int sizes[] = {SMALL, MEDIUM, LARGE};
    static char data[LARGE + 200];
    world_start(&w, 2, 1);
    int blocked = pinned(0);
    int fds[3] = {pinned(0), pinned(0), pinned(0)};
    send_get(blocked, "/block");
    wait_for(&w.worker[0].blocked, 1);
    for (int i = 0; i < 3; i++) {
        char wanted[32];
        int n = snprintf(data, 200,
                         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
                         "%d\r\n\r\n",
                         sizes[i]);
        memset(data + n, 'x', (size_t)sizes[i]);
        data[n + sizes[i]] = '\0';
        client_send(fds[i], data);
        snprintf(wanted, sizeof wanted, "body %d", sizes[i]);
        ck_assert_str_eq(client_read(fds[i]), wanted);
        ck_assert_str_eq(client_get(fds[i], "/"), "ok 1");
        close(fds[i]);
    }
    world_unblock(&w);
    client_read(blocked);
    close(blocked);
    world_stop(&w);
}
END_TEST

START_TEST(pipelined_requests_move_together)
{
    world_start(&w, 2, 1);
    int blocked = pinned(0), fd = pinned(0);
    send_get(blocked, "/block");
    wait_for(&w.worker[0].blocked, 1);
    client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                    "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                    "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(client_read(fd), "ok 1");
    }
    world_unblock(&w);
    client_read(blocked);
    close(blocked);
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(what_waits_in_the_queue_is_answered_when_all_were_blocked)
{
    enum { CLIENTS = 6 };
    world_start(&w, 2, 1);
    int a = pinned(0), b = pinned(1), fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = pinned(i % 2);
    }
    send_get(a, "/block");
    send_get(b, "/block");
    wait_for(&w.worker[0].blocked, 1);
    wait_for(&w.worker[1].blocked, 1);
    for (int i = 0; i < CLIENTS; i++) {
        send_get(fds[i], "/");
    }
    wait_for_count(&cg_board_slot(w.board, 0)->given, CLIENTS / 2);
    wait_for_count(&cg_board_slot(w.board, 1)->given, CLIENTS / 2);
    world_unblock(&w);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_ge(worker_of(client_read(fds[i])), 0);
        close(fds[i]);
    }
    client_read(a);
    client_read(b);
    close(a);
    close(b);
    world_stop(&w);
}
END_TEST

START_TEST(what_waits_in_the_queue_is_answered_at_a_stop)
{
    world_start(&w, 2, 1);
    int a = pinned(0), b = pinned(1), fd = pinned(0);
    send_get(a, "/block");
    send_get(b, "/block");
    wait_for(&w.worker[0].blocked, 1);
    wait_for(&w.worker[1].blocked, 1);
    send_get(fd, "/");
    wait_for_count(&cg_board_slot(w.board, 0)->given, 1);
    cg_engine_stop(w.worker[0].engine, 20 * 1000000u);
    cg_engine_stop(w.worker[1].engine, 20 * 1000000u);
    world_unblock(&w);
    ck_assert_int_ge(worker_of(client_read(fd)), 0);
    client_read(a);
    client_read(b);
    close(a);
    close(b);
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(an_idle_thread_goes_on_when_another_is_blocked)
{
    world_start(&w, 1, 3);
    int a = client_connect(&w), b = client_connect(&w), c = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    send_get(b, "/block");
    wait_for(&w.worker[0].blocked, 2);
    for (int i = 0; i < 20; i++) {
        ck_assert_str_eq(client_get(c, "/"), "ok 0");
    }
    ck_assert_int_eq(atomic_load(&w.worker[0].blocked), 2);
    world_unblock(&w);
    client_read(a);
    client_read(b);
    close(a);
    close(b);
    close(c);
    world_stop(&w);
}
END_TEST

/* Each request of the chain is refused by who leads, who finds the next one at
 * once, and so never waits: with the first one the blocked executor goes on. */
enum { CHAIN = 200, LINK_MS = 5 };
static int chain[CHAIN];
static _Atomic int links;

static void
refuse_link(void *self, const struct cg_refused *why)
{
    const struct timespec pause = {.tv_nsec = LINK_MS * 1000000};
    int n = atomic_load(&links);
    world_unblock(&w);
    nanosleep(&pause, NULL);
    if (n < CHAIN && atomic_load(&w.worker[0].ran) < 2) {
        atomic_store(&links, n + 1);
        client_send(chain[n], "GET /\x01 HTTP/1.1\r\n\r\n");
    }
}

START_TEST(who_comes_back_from_a_call_does_not_wait_for_a_busy_loop)
{
    world_start(&w, 1, 2);
    w.worker[0].fake.host.refused = refuse_link;
    for (int i = 0; i < CHAIN; i++) {
        chain[i] = client_connect(&w);
    }
    int fd = client_connect(&w);
    client_send(fd, "GET /block HTTP/1.1\r\nHost: a\r\n\r\n"
                    "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    wait_for_count(&cg_board_slot(w.board, 0)->promotions, 1);
    atomic_store(&links, 1);
    client_send(chain[0], "GET /\x01 HTTP/1.1\r\n\r\n");
    client_read(fd);
    client_read(fd);
    ck_assert_int_lt(atomic_load(&links), CHAIN);
    for (int i = 0; i < CHAIN; i++) {
        close(chain[i]);
    }
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(an_executor_is_asked_for_when_all_are_blocked)
{
    world_start_with(&w, 1, 2, 3);
    int a = client_connect(&w), b = client_connect(&w), c = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    send_get(b, "/block");
    wait_for(&w.worker[0].blocked, 2);
    send_get(c, "/");
    wait_for(&w.worker[0].fake.wanted, 1);
    world_unblock(&w);
    client_read(a);
    client_read(b);
    client_read(c);
    close(a);
    close(b);
    close(c);
    world_stop(&w);
}
END_TEST

START_TEST(a_stop_waits_for_the_blocked_and_answers_them)
{
    world_start(&w, 1, 2);
    int a = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    cg_engine_stop(w.worker[0].engine, 20 * 1000000u);
    ck_assert(!client_hears(a, 0));
    world_unblock(&w);
    ck_assert_str_eq(client_read(a), "ok 0");
    close(a);
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.ended), 1);
}
END_TEST

START_TEST(an_abort_does_not_wait)
{
    world_start(&w, 1, 2);
    int a = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    cg_engine_abort(w.worker[0].engine);
    wait_for(&w.worker[0].fake.ended, 1);
    ck_assert(cg_engine_is_over(w.worker[0].engine));
    ck_assert_int_eq(cg_engine_end(w.worker[0].engine), CG_END_FORCED);
    close(a);
    world_stop(&w);
}
END_TEST

/* ---- executors that come with need ---- */

static int
executors_now(void)
{
    return atomic_load(&w.worker[0].engine->slot->executors_now);
}

/* With one that leads: the least is that and one that sleeps. */
START_TEST(executors_that_are_idle_for_long_leave_down_to_the_least)
{
    w.least = 2;
    w.idle_us = 1000;
    world_start_set(&w, 1, 4);
    wait_for(&w.worker[0].surplus, 2);
    ck_assert_int_eq(executors_now(), 2);
    int a = client_connect(&w), b = client_connect(&w);
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    ck_assert_str_eq(client_get(b, "/"), "ok 0"); /* there is another one */
    world_unblock(&w);
    client_read(a);
    close(a);
    close(b);
    world_stop(&w);
}
END_TEST

START_TEST(executors_are_wanted_while_the_calls_of_all_wait)
{
    w.least = 2;
    w.most = 4;
    world_start_set(&w, 1, 2);
    int a = client_connect(&w), b = client_connect(&w);
    send_get(a, "/block");
    send_get(b, "/block");
    wait_for(&w.worker[0].blocked, 2);
    wait_for(&w.worker[0].fake.wanted, 1);
    world_unblock(&w);
    client_read(a);
    client_read(b);
    close(a);
    close(b);
    world_stop(&w);
}
END_TEST

/* Whoever shows it has to wake for that. */
START_TEST(that_the_lock_is_free_is_asked_a_few_times_a_second)
{
    world_start(&w, 1, 2);
    int a = client_connect(&w), b = client_connect(&w);
    uint64_t since_us = cg_now_us();
    send_get(a, "/block");
    wait_for(&w.worker[0].blocked, 1);
    for (int i = 0; i < 200; i++) {
        ck_assert_str_eq(client_get(b, "/"), "ok 0");
    }
    wait_for(&w.worker[0].fake.proved, 1);
    int most = (int)((cg_now_us() - since_us) / 250000) + 1;
    ck_assert_int_le(atomic_load(&w.worker[0].fake.proved), most);
    world_unblock(&w);
    client_read(a);
    close(a);
    close(b);
    world_stop(&w);
}
END_TEST

/* ---- many at once: for the sanitizers ---- */

enum { CLIENTS = 8, ROUNDS = 150 };

static void *
busy_client(void *arg)
{
    int number = (int)(size_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int fd = client_connect(&w);
        for (int j = 0; j < 4; j++) {
            ck_assert_int_ge(worker_of(client_get(fd, "/")), 0);
        }
        if (i % 16 == number) {
            client_get(fd, "/big");
        }
        ck_assert_int_ge(worker_of(client_get(fd, "/close")), 0);
        close(fd);
    }
    return NULL;
}

static void
storm(int workers, int threads)
{
    pthread_t clients[CLIENTS];
    world_start(&w, workers, threads);
    int blocked = client_connect(&w);
    send_get(blocked, "/block");
    for (size_t i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(
            pthread_create(&clients[i], NULL, busy_client, (void *)i), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    world_unblock(&w);
    client_read(blocked);
    close(blocked);
    world_stop(&w);
}

/* ---- lines of answered requests ---- */

START_TEST(lines_are_written_when_nothing_is_left_to_do)
{
    world_start(&w, 1, 1);
    int fd = client_connect(&w);
    for (int i = 1; i <= 20; i++) {
        client_get(fd, "/");
        wait_for(&w.worker[0].fake.written, i);
    }
    close(fd);
    world_stop(&w);
}
END_TEST

static void
answer_and_stay(int threads)
{
    world_start(&w, 1, threads);
    int fd = client_connect(&w);
    send_get(fd, "/whole"); /* has its line, and stays */
    wait_for(&w.worker[0].blocked, 1);
    wait_for(&w.worker[0].fake.written, 1);
    ck_assert_int_eq(atomic_load(&w.worker[0].blocked), 1);
    world_unblock(&w);
    client_read(fd);
    close(fd);
    world_stop(&w);
}

START_TEST(relief_writes_the_lines_from_before_a_long_call)
{
    answer_and_stay(1);
}
END_TEST

START_TEST(an_idle_thread_writes_the_lines_from_before_a_long_call)
{
    answer_and_stay(3);
}
END_TEST

START_TEST(workers_hand_over_under_load_without_a_loss)
{
    storm(3, 1);
}
END_TEST

START_TEST(threads_take_turns_under_load_without_a_loss)
{
    storm(1, 4);
}
END_TEST

START_TEST(workers_with_threads_lose_nothing_under_load)
{
    storm(2, 3);
}
END_TEST

/* ---- calls that run at the same time ---- */

static _Atomic int warm, entered, opened;

static void
take_a_millisecond(void)
{
    uint64_t least = cg_now_us() + 1000;
    while (cg_now_us() < least) {
    }
}

enum { WARM = 3 };

/* Some show that calls are long. The next one is, too, and until it may end;
 * the others last until both of them are here. */
static void
meet(struct worker *k, struct cg_exchange *ex)
{
    int n = atomic_load(&warm) == WARM ? atomic_fetch_add(&entered, 1) + 1 : 0;
    char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct iovec part = {reply, sizeof reply - 1};
    app_leave(k);
    if (n > 0) {
        wait_for(n == 1 ? &opened : &entered, n == 1 ? 1 : 3);
    }
    if (n <= 1) {
        take_a_millisecond();
    }
    app_enter(k);
    ex->status = 200;
    wire_of(ex)->send(ex, &part, 1, NULL);
}

START_TEST(an_idle_thread_runs_the_other_request_of_two)
{
    w = (struct world){.parallel = true, .own = meet};
    world_start_set(&w, 1, 2);
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = client_connect(&w);
        ck_assert_str_eq(client_get(fd[i], "/"), "ok 0");
    }
    wait_for(&w.worker[0].engine->pool.n, 1);
    for (int i = 0; i < WARM; i++) {
        ck_assert_str_eq(client_get(fd[0], "/own"), "ok");
        atomic_fetch_add(&warm, 1);
    }
    send_get(fd[0], "/own");
    wait_for(&entered, 1);
    send_get(fd[1], "/own");
    send_get(fd[2], "/own");
    atomic_store(&opened, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(client_read(fd[i]), "ok");
        close(fd[i]);
    }
    world_stop(&w);
}
END_TEST

TESTS("relief", an_idle_thread_runs_the_other_request_of_two,
      requests_are_answered_in_order_on_one_connection,
      pipelined_requests_are_all_answered,
      a_slow_reader_is_served_while_the_application_is_blocked,
      bad_requests_are_refused_while_the_application_is_blocked,
      a_request_of_a_blocked_worker_is_answered_by_an_idle_one,
      a_body_moves_with_its_request, pipelined_requests_move_together,
      what_waits_in_the_queue_is_answered_when_all_were_blocked,
      what_waits_in_the_queue_is_answered_at_a_stop,
      an_idle_thread_goes_on_when_another_is_blocked,
      who_comes_back_from_a_call_does_not_wait_for_a_busy_loop,
      an_executor_is_asked_for_when_all_are_blocked,
      a_stop_waits_for_the_blocked_and_answers_them, an_abort_does_not_wait,
      executors_that_are_idle_for_long_leave_down_to_the_least,
      executors_are_wanted_while_the_calls_of_all_wait,
      that_the_lock_is_free_is_asked_a_few_times_a_second,
      lines_are_written_when_nothing_is_left_to_do,
      relief_writes_the_lines_from_before_a_long_call,
      an_idle_thread_writes_the_lines_from_before_a_long_call,
      workers_hand_over_under_load_without_a_loss,
      threads_take_turns_under_load_without_a_loss,
      workers_with_threads_lose_nothing_under_load)
