/* SPDX-License-Identifier: MIT */
/* Memory helpers, errors, descriptors, clocks. */
#include "core/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/fd.h"
#include "tests/unit/check_main.h"

/* ---- memory ---- */

START_TEST(allocations_of_nothing_are_memory)
{
    void *p[] = {cg_malloc(0), cg_calloc(0, 0), cg_realloc(NULL, 0)};
    for (size_t i = 0; i < CG_COUNT(p); i++) {
        ck_assert_ptr_nonnull(p[i]);
        free(p[i]);
    }
}
END_TEST

START_TEST(calloc_is_zero_and_realloc_keeps)
{
    char *p = cg_calloc(10, 10);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(p[i], 0);
    }
    memcpy(p, "abc", 3);
    p = cg_realloc(p, 100000);
    ck_assert_mem_eq(p, "abc", 3);
    free(p);
}
END_TEST

START_TEST(text_is_copied_and_printed)
{
    cg_auto(free) char *a = cg_strdup("abc");
    cg_auto(free) char *b = cg_strndup("abcdef", 3);
    cg_auto(free) char *c = cg_strf("%s-%d", "x", 7);
    cg_auto(free) char *d = cg_strf("%0*d", 5000, 1);
    ck_assert_str_eq(a, "abc");
    ck_assert_str_eq(b, "abc");
    ck_assert_str_eq(c, "x-7");
    ck_assert_uint_eq(strlen(d), 5000);
}
END_TEST

START_TEST(cleanup_keeps_errno)
{
    char *p = cg_strdup("x");
    errno = ENOENT;
    cg_cleanup_free(&p);
    ck_assert_int_eq(errno, ENOENT);
    int fd = 1000000; /* closing it fails */
    cg_cleanup_fd_close(&fd);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(fd, -1);
}
END_TEST

/* What `action` writes to standard error before it ends its process. */
static char *
last_words(void (*action)(void), int *status)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        action();
        _exit(0);
    }
    close(ends[1]);
    char *text = cg_calloc(1, 1000);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n < 999; n += (size_t)got) {
        got = read(ends[0], text + n, 999 - n);
        ck_assert_int_ge(got, 0);
    }
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, status, 0), pid);
    return text;
}

static void
die(void)
{
    cg_die("no luck");
}

START_TEST(the_last_words_are_one_line)
{
    int status;
    cg_auto(free) char *text = last_words(die, &status);
    ck_assert_str_eq(text, "cgunicorn: fatal: no luck\n");
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 255);
}
END_TEST

static void
believe_wrongly(void)
{
    CG_ASSERT(1 + 1 == 2);
    CG_ASSERT(1 + 1 == 3);
}

START_TEST(a_false_belief_names_itself_and_aborts)
{
    int status;
    cg_auto(free) char *text = last_words(believe_wrongly, &status);
    ck_assert_ptr_nonnull(
        strstr(text, "assertion failed: 1 + 1 == 3 (tests/unit/base/"));
    ck_assert_ptr_nonnull(strstr(text, "test_memory.c:"));
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&         \
    !defined(__has_feature)
#define CAN_RUN_OUT 1 /* sanitizers end the process themselves */
#endif

#ifdef CAN_RUN_OUT
static void
ask_for_too_much(void)
{
    free(cg_malloc(SIZE_MAX / 2));
}
static void
ask_for_too_many(void)
{
    free(cg_calloc(SIZE_MAX / 2, 4));
}
static void
grow_too_much(void)
{
    free(cg_realloc(NULL, SIZE_MAX / 2));
}

START_TEST(without_memory_the_process_ends)
{
    void (*const actions[])(void) = {ask_for_too_much, ask_for_too_many,
                                     grow_too_much};
    for (size_t i = 0; i < CG_COUNT(actions); i++) {
        int status;
        cg_auto(free) char *text = last_words(actions[i], &status);
        ck_assert_str_eq(text, "cgunicorn: fatal: out of memory\n");
        ck_assert_int_eq(WEXITSTATUS(status), 255);
    }
}
END_TEST
#endif

/* ---- errors ---- */

START_TEST(an_error_has_a_code_and_a_sentence)
{
    struct cg_error err = {0};
    ck_assert_int_eq(cg_error_set(&err, ENOENT, "no %s", "file"), -ENOENT);
    ck_assert_int_eq(err.code, -ENOENT);
    ck_assert_str_eq(err.text, "no file");
    ck_assert_int_eq(cg_error_set(&err, 0, "odd"), -EINVAL);
    ck_assert_int_eq(err.code, -EINVAL);
    ck_assert_int_eq(cg_error_set(NULL, EPERM, "unheard"), -EPERM);
}
END_TEST

START_TEST(a_prefix_is_put_in_front)
{
    struct cg_error err = {0};
    cg_error_set(&err, ENOENT, "no file");
    ck_assert_int_eq(cg_error_prefix(&err, "pidfile %d", 7), -ENOENT);
    ck_assert_str_eq(err.text, "pidfile 7: no file");
}
END_TEST

START_TEST(an_error_that_is_too_long_is_cut)
{
    struct cg_error err = {0};
    cg_error_set(&err, EIO, "%0*d", 5000, 1);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    cg_error_prefix(&err, "%0*d", 900, 1);
    ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
    ck_assert_mem_eq(err.text + 511, ": 000", 5);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(a_descriptor_is_moved_and_closed_once)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int copy = cg_fd_take(&fd);
    ck_assert_int_eq(fd, -1);
    cg_fd_close(&fd);
    ck_assert_int_ge(fcntl(copy, F_GETFD), 0);
    int number = copy;
    cg_fd_close(&copy);
    ck_assert_int_eq(copy, -1);
    ck_assert_int_eq(fcntl(number, F_GETFD), -1);
}
END_TEST

START_TEST(flags_of_descriptors_are_set)
{
    cg_auto(fd_close) int fd = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(cg_fd_set_nonblock(fd), 0);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(cg_fd_set_cloexec(fd, 1), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(cg_fd_set_cloexec(fd, 0), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(cg_fd_set_nonblock(-1), -EBADF);
    ck_assert_int_eq(cg_fd_set_cloexec(-1, 1), -EBADF);
}
END_TEST

/* ---- clocks ---- */

START_TEST(the_clock_does_not_go_back)
{
    uint64_t before = cg_now_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = cg_now_us();
        ck_assert_uint_ge(now, before);
        before = now;
    }
    ck_assert_uint_gt(before, 0);
}
END_TEST

START_TEST(a_date_is_that_of_rfc_9110)
{
    static const struct {
        time_t at;
        const char *want;
    } rows[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {1709251199, "Thu, 29 Feb 2024 23:59:59 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        char date[CG_HTTP_DATE_SIZE + 1] = "";
        cg_http_date(rows[i].at, date);
        ck_assert_str_eq(date, rows[i].want);
    }
    for (int day = 0; day < 800; day++) { /* as the C library says it */
        char date[CG_HTTP_DATE_SIZE + 1] = "", want[64];
        time_t at = day * 86400L + 12345;
        struct tm tm;
        gmtime_r(&at, &tm);
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        cg_http_date(at, date);
        ck_assert_str_eq(date, want);
    }
}
END_TEST

TESTS("memory", allocations_of_nothing_are_memory,
      calloc_is_zero_and_realloc_keeps, text_is_copied_and_printed,
      cleanup_keeps_errno, the_last_words_are_one_line,
      a_false_belief_names_itself_and_aborts,
#ifdef CAN_RUN_OUT
      without_memory_the_process_ends,
#endif
      an_error_has_a_code_and_a_sentence, a_prefix_is_put_in_front,
      an_error_that_is_too_long_is_cut, a_descriptor_is_moved_and_closed_once,
      flags_of_descriptors_are_set, the_clock_does_not_go_back,
      a_date_is_that_of_rfc_9110)
