/* SPDX-License-Identifier: MIT */
/* Concurrency: how many calls run side by side while requests pile up. */
#include "core/engine/loop/concurrency.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { WINDOW = CG_CONCURRENCY_WINDOW_US, LEAST = CG_CONCURRENCY_LEAST };

/* An engine whose executors are all in calls, as far as they may be. */
struct at {
    struct cg_concurrency c;
    struct cg_concurrency_now now;
};

/* A window passes, in which they used, and waited for, so many percent of a
 * CPU. */
static int
after_waiting(struct at *a, int percent, int delayed)
{
    a->now.us += WINDOW;
    a->now.sum.used_us += WINDOW / 100 * (uint64_t)percent;
    a->now.sum.delayed_us += WINDOW / 100 * (uint64_t)delayed;
    cg_concurrency_measure(&a->c, &a->now);
    a->now.busy = a->c.allowed;
    return a->c.allowed;
}

static int
after(struct at *a, int percent)
{
    return after_waiting(a, percent, 0);
}

/* The first look begins a window. */
static struct at
begin(int all)
{
    struct at a = {
        .c = {.allowed = all},
        .now = {
            .us = 5000000, .all = all, .busy = all, .sum = {9000000, 9000000}}};
    ck_assert_int_eq(after(&a, 0), all);
    return a;
}

START_TEST(calls_that_compute_become_fewer_down_to_two)
{
    struct at a = begin(16);
    int allowed = 16, windows = 0;
    while (allowed > LEAST) {
        int now = after(&a, 100);
        ck_assert_int_lt(now, allowed);
        allowed = now;
        windows++;
    }
    ck_assert_int_le(windows, 8); /* within a second */
    ck_assert_int_eq(after(&a, 100), LEAST);
}
END_TEST

START_TEST(calls_that_wait_keep_their_room)
{
    struct at a = begin(16);
    for (int percent = 0; percent < 95; percent++) {
        ck_assert_int_eq(after(&a, percent), 16);
    }
}
END_TEST

/* As they wait as well: with 12 the CPU is not full any more. */
START_TEST(a_try_that_leaves_the_cpu_idle_is_taken_back)
{
    struct at a = begin(16);
    ck_assert_int_eq(after(&a, 100), 12);
    ck_assert_int_eq(after(&a, 94), 16);
}
END_TEST

START_TEST(the_next_try_is_a_second_later_and_smaller)
{
    struct at a = begin(16);
    after(&a, 100);
    after(&a, 80);
    for (int i = 1; i < CG_CONCURRENCY_PAUSE_US / WINDOW; i++) {
        ck_assert_int_eq(after(&a, 100), 16);
    }
    ck_assert_int_eq(after(&a, 100), 14);
    ck_assert_int_eq(after(&a, 80), 16);
}
END_TEST

/* Outside the host's lock. */
START_TEST(calls_that_compute_side_by_side_keep_their_room)
{
    struct at a = begin(4);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(after(&a, 380), 4);
    }
}
END_TEST

START_TEST(a_loss_that_creeps_is_a_loss)
{
    struct at a = begin(16);
    a.c.next_step = 1;
    for (int i = 0; i < 90; i++) {
        ck_assert_int_ge(after(&a, 8 * a.c.allowed), 14); /* 128 %, 112 % */
    }
}
END_TEST

/* Every call that waits for the lock looks for it now and then, and has to wait
 * for the CPU to do so. */
START_TEST(a_cpu_that_others_have_too_is_full_when_the_rest_of_it_is_used)
{
    struct at a = begin(8);
    while (a.c.allowed > LEAST) {
        int before = a.c.allowed;
        ck_assert_int_lt(after_waiting(&a, 50, 40 * before), before);
    }
    ck_assert_int_eq(after_waiting(&a, 50, 80), LEAST);
}
END_TEST

START_TEST(calls_that_begin_to_wait_get_their_room_back)
{
    struct at a = begin(8);
    while (after(&a, 100) > LEAST) {
    }
    after(&a, 100);
    ck_assert_int_eq(after(&a, 92), LEAST); /* it may be chance */
    ck_assert_int_eq(after(&a, 80), LEAST + 1);
    ck_assert_int_eq(after(&a, 10), 6);
    ck_assert_int_eq(after(&a, 10), 8);
    ck_assert_int_eq(after(&a, 10), 8);
}
END_TEST

START_TEST(no_fewer_are_tried_while_not_all_of_them_run)
{
    struct at a = begin(8);
    a.now.busy = 7;
    ck_assert_int_eq(after(&a, 100), 8);
    ck_assert_int_eq(after(&a, 100), 6);
}
END_TEST

START_TEST(threads_that_are_not_made_yet_are_not_missed)
{
    struct at a = begin(16);
    a.now.made = a.now.busy = 6;
    ck_assert_int_eq(after(&a, 100), 4);
    ck_assert_int_eq(after(&a, 50), 6);  /* they wait as well */
    ck_assert_int_eq(after(&a, 30), 12); /* so more may be made */
}
END_TEST

START_TEST(a_thread_that_ended_says_nothing)
{
    struct at a = begin(8);
    after(&a, 100);
    int allowed = a.c.allowed;
    a.now.sum.used_us -= 500000;
    ck_assert_int_eq(after(&a, 0), allowed);
}
END_TEST

/* ---- with threads ---- */

static struct world w;

/* Every call burns for a while; the lock is given up meanwhile now and then, as
 * the interpreter does. */
static void
burn(struct worker *k, struct cg_exchange *ex)
{
    char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct iovec part = {reply, sizeof reply - 1};
    uint64_t end = cg_now_us() + 20 * 1000;
    while (cg_now_us() < end) {
        uint64_t next = cg_now_us() + 1000;
        while (cg_now_us() < next) {
        }
        app_leave(k);
        sched_yield();
        app_enter(k);
    }
    ex->status = 200;
    wire_of(ex)->send(ex, &part, 1, NULL);
}

static _Atomic int piled_up, fewer; /* calls that found it so */

static void
wait_a_while(struct worker *k, struct cg_exchange *ex)
{
    int most = atomic_load(&k->engine->concurrency.most);
    const struct timespec t = {.tv_nsec = 20 * 1000000};
    char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct iovec part = {reply, sizeof reply - 1};
    app_leave(k);
    nanosleep(&t, NULL);
    app_enter(k);
    atomic_fetch_add(&piled_up, most != 0);
    atomic_fetch_add(&fewer, most != 0 && most < 4);
    ex->status = 200;
    wire_of(ex)->send(ex, &part, 1, NULL);
}

enum { CLIENTS = 24 };
static _Atomic int over;

/* Asks again and again, so that requests pile up. */
static void *
insist(void *arg)
{
    int fd = client_connect(&w);
    while (atomic_load(&over) == 0) {
        client_send(fd, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
        ck_assert_str_eq(client_read(fd), "ok");
    }
    close(fd);
    return NULL;
}

static void
pile_up(own_app *own, pthread_t *clients)
{
    w = (struct world){.own = own, .newest_first = true};
    atomic_store(&over, 0);
    world_start_set(&w, 1, 4);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(pthread_create(&clients[i], NULL, insist, NULL), 0);
    }
}

static void
calm_down(const pthread_t *clients)
{
    atomic_store(&over, 1);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
    }
    world_stop(&w);
}

START_TEST(executors_that_compute_step_aside)
{
    pthread_t clients[CLIENTS];
    pile_up(burn, clients);
    wait_for(&w.worker[0].engine->pool.n, 4 - LEAST);
    calm_down(clients);
}
END_TEST

START_TEST(executors_that_wait_all_go_on)
{
    pthread_t clients[CLIENTS];
    pile_up(wait_a_while, clients);
    wait_for(&piled_up, 100); /* as many as four do in five windows */
    calm_down(clients);
    ck_assert_int_eq(atomic_load(&fewer), 0);
}
END_TEST

TESTS("concurrency", calls_that_compute_become_fewer_down_to_two,
      calls_that_wait_keep_their_room,
      a_try_that_leaves_the_cpu_idle_is_taken_back,
      the_next_try_is_a_second_later_and_smaller,
      calls_that_compute_side_by_side_keep_their_room,
      a_loss_that_creeps_is_a_loss,
      a_cpu_that_others_have_too_is_full_when_the_rest_of_it_is_used,
      calls_that_begin_to_wait_get_their_room_back,
      no_fewer_are_tried_while_not_all_of_them_run,
      threads_that_are_not_made_yet_are_not_missed,
      a_thread_that_ended_says_nothing, executors_that_compute_step_aside,
      executors_that_wait_all_go_on)
