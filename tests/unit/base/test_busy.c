/* SPDX-License-Identifier: MIT */
/* How much CPU this process wants. */
#include "core/base/busy.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

static uint64_t
used_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static void
burn(uint64_t us)
{
    uint64_t end = used_us() + us;
    while (used_us() < end) {
    }
}

START_TEST(what_one_thread_used_is_counted_to_the_moment)
{
    uint64_t used = used_us(), before = cg_busy_of((int)gettid()).used_us;
    ck_assert_uint_ge(before, used);
    burn(20000);
    ck_assert_uint_ge(cg_busy_of((int)gettid()).used_us, before + 20000);
    ck_assert_uint_le(cg_busy_of((int)gettid()).used_us, used_us());
}
END_TEST

START_TEST(a_thread_that_there_is_not_wants_nothing)
{
    ck_assert_uint_eq(cg_busy_of(1).used_us, 0); /* it is of another process */
}
END_TEST

static int pipe_fd[2];

static void *
burn_and_stay(void *arg)
{
    char byte;
    burn(60000);
    ck_assert_int_eq(write(pipe_fd[1], "b", 1), 1);
    ck_assert_int_eq(read(*(int *)arg, &byte, 1), 1);
    return NULL;
}

enum { TICK_US = 20000 }; /* a running thread is counted up to its last one */

START_TEST(what_was_used_is_counted)
{
    uint64_t before = cg_busy_look().us;
    burn(80000);
    ck_assert_uint_ge(cg_busy_look().us, before + 80000 - TICK_US);
}
END_TEST

START_TEST(of_every_thread)
{
    pthread_t thread;
    int end[2];
    char byte;
    ck_assert_int_eq(pipe(pipe_fd), 0);
    ck_assert_int_eq(pipe(end), 0);
    uint64_t before = cg_busy_look().us;
    ck_assert_int_eq(pthread_create(&thread, NULL, burn_and_stay, &end[0]), 0);
    ck_assert_int_eq(read(pipe_fd[0], &byte, 1), 1);
    ck_assert_uint_ge(cg_busy_look().us, before + 60000 - TICK_US);
    ck_assert_int_eq(write(end[1], "e", 1), 1);
    pthread_join(thread, NULL);
}
END_TEST

/* A thread that was joined still runs a moment, on its way out of the kernel.
 */
static bool
becomes_calm(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int left = 10000; left > 0 && cg_busy_look().now; left--) {
        nanosleep(&pause, NULL);
    }
    return !cg_busy_look().now;
}

/* This one does not count, though it runs. */
START_TEST(nobody_wants_the_cpu_while_all_others_wait)
{
    pthread_t thread;
    int end[2];
    char byte;
    ck_assert(!cg_busy_look().now);
    ck_assert_int_eq(pipe(pipe_fd), 0);
    ck_assert_int_eq(pipe(end), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, burn_and_stay, &end[0]), 0);
    ck_assert(cg_busy_look().now);
    ck_assert_int_eq(read(pipe_fd[0], &byte, 1), 1);
    ck_assert_int_eq(write(end[1], "e", 1), 1);
    pthread_join(thread, NULL);
    ck_assert(becomes_calm());
}
END_TEST

TESTS("busy", what_was_used_is_counted,
      what_one_thread_used_is_counted_to_the_moment,
      a_thread_that_there_is_not_wants_nothing, of_every_thread,
      nobody_wants_the_cpu_while_all_others_wait)
