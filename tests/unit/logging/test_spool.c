/* SPDX-License-Identifier: MIT */
/*
 * Access lines that wait: when they are written and in which order, what a
 * process that dies leaves, and what happens to them if they cannot be written.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/log.h"
#include "logging/spool.h"

static char dir[64];
static struct cg_spool *spool;
static struct cg_log *log_;

static struct cg_log *
open_log(const char *access)
{
    const struct cg_log_options o = {
        .errorlog = "error.log", .accesslog = access, .uid = -1, .gid = -1};
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    ck_assert_msg(cg_log_new(&o, &log, &err) == 0, "%s", err.text);
    return log;
}

static void
begin(void)
{
    snprintf(dir, sizeof dir, "/tmp/cg_spool_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    spool = mmap(NULL, sizeof *spool, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(spool, MAP_FAILED);
    log_ = open_log("access.log");
    cg_log_set_spool(log_, spool);
}

static void
end(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", dir);
    cg_log_set_spool(log_, NULL);
    cg_log_free(log_);
    munmap(spool, sizeof *spool);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(command), 0);
}

static char *
content(const char *path)
{
    cg_auto(buf) struct cg_buf b = {0};
    FILE *f = fopen(path, "r");
    int c;
    ck_assert_msg(f != NULL, "no %s", path);
    while ((c = getc(f)) != EOF) {
        cg_buf_putc(&b, (char)c);
    }
    fclose(f);
    return b.n > 0 ? cg_buf_take(&b) : cg_strdup("");
}

static void
expect_content(const char *path, const char *want)
{
    cg_auto(free) char *got = content(path);
    ck_assert_str_eq(got, want);
}

static void
put(const char *line)
{
    cg_log_access(log_, cg_slice_of(line));
}

/* ---- the spool itself ---- */

START_TEST(a_spool_takes_lines_until_it_is_full)
{
    char line[1000];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 4; i++) {
        ck_assert(cg_spool_put(spool, line, sizeof line));
    }
    ck_assert(!cg_spool_put(spool, line, sizeof line));
    ck_assert(cg_spool_put(spool, line + sizeof line - 32, 32));
    ck_assert(!cg_spool_put(spool, "\n", 1));
    ck_assert_uint_eq(cg_spool_view(spool).n, CG_SPOOL_SIZE);
    cg_spool_reset(spool);
    ck_assert(cg_spool_is_empty(spool));
    ck_assert_uint_eq(cg_spool_view(spool).n, 0);
}
END_TEST

/* As a process that writes wildly before it dies may leave it. */
static const struct {
    const char *bytes;
    uint32_t used;
    size_t seen;
} broken[] = {
    {"whole\nhalf", 10, 6},
    {"no end", 6, 0},
    {"whole\n", UINT32_MAX, 6},
    {"whole\n", CG_SPOOL_SIZE + 1, 6},
};

START_TEST(what_is_left_is_read_as_whole_lines_within_bounds)
{
    memset(spool->bytes, 0, sizeof spool->bytes);
    memcpy(spool->bytes, broken[_i].bytes, strlen(broken[_i].bytes));
    atomic_store(&spool->used, broken[_i].used);
    ck_assert_uint_eq(cg_spool_view(spool).n, broken[_i].seen);
    if (broken[_i].used > CG_SPOOL_SIZE) {
        ck_assert(!cg_spool_put(spool, "\n", 1));
    }
    cg_spool_reset(spool);
}
END_TEST

/* ---- of a log ---- */

START_TEST(lines_wait_until_they_are_written_together_in_order)
{
    ck_assert(!cg_log_has_spooled(log_));
    put("one");
    put("two");
    ck_assert(cg_log_has_spooled(log_));
    expect_content("access.log", "");
    cg_log_write_spool(log_);
    ck_assert(!cg_log_has_spooled(log_));
    expect_content("access.log", "one\ntwo\n");
    cg_log_write_spool(log_);
    expect_content("access.log", "one\ntwo\n");
}
END_TEST

START_TEST(without_a_spool_each_line_is_written_at_once)
{
    put("waits");
    cg_log_set_spool(log_, NULL);
    expect_content("access.log", "waits\n");
    put("does not");
    expect_content("access.log", "waits\ndoes not\n");
}
END_TEST

START_TEST(a_full_spool_is_written_before_the_next_line)
{
    cg_auto(buf) struct cg_buf want = {0};
    char line[301];
    for (int i = 0; i < 50; i++) {
        snprintf(line, sizeof line, "%0300d", i);
        put(line);
        cg_buf_putf(&want, "%s\n", line);
    }
    cg_auto(free) char *got = content("access.log");
    ck_assert_uint_ge(strlen(got), 50 * 301 - CG_SPOOL_SIZE);
    ck_assert_uint_lt(strlen(got), want.n);
    cg_log_write_spool(log_);
    expect_content("access.log", cg_buf_str(&want));
}
END_TEST

START_TEST(a_line_that_no_spool_holds_keeps_its_place)
{
    cg_auto(buf) struct cg_buf want = {0};
    char line[2 * CG_SPOOL_SIZE];
    memset(line, 'x', sizeof line);
    put("before");
    cg_log_access(log_, (struct cg_slice){line, sizeof line});
    put("behind");
    cg_log_write_spool(log_);
    cg_buf_puts(&want, "before\n");
    cg_buf_put(&want, line, sizeof line);
    cg_buf_puts(&want, "\nbehind\n");
    expect_content("access.log", cg_buf_str(&want));
}
END_TEST

START_TEST(lines_of_the_error_log_come_behind_those_that_wait)
{
    cg_log_set_spool(log_, NULL);
    cg_log_free(log_);
    log_ = open_log("error.log");
    cg_log_set_spool(log_, spool);
    put("request");
    cg_log_line(log_, CG_INFO, "told later");
    put("another");
    cg_log_write(log_, false, CG_SLICE("printed\n"));
    cg_auto(free) char *got = content("error.log");
    const char *at = got;
    for (const char *const *want =
             (const char *const[]){"request\n", "told later\n", "another\n",
                                   "printed\n", NULL};
         *want != NULL; want++) {
        at = strstr(at, *want);
        ck_assert_msg(at != NULL, "no %s in its place in %s", *want, got);
    }
}
END_TEST

START_TEST(a_file_that_is_opened_again_gets_what_comes_then)
{
    put("old");
    ck_assert_int_eq(rename("access.log", "access.log.1"), 0);
    cg_log_reopen(log_);
    put("new");
    cg_log_write_spool(log_);
    expect_content("access.log.1", "old\n");
    expect_content("access.log", "new\n");
}
END_TEST

START_TEST(bytes_of_other_writers_are_written_at_once_behind_what_waits)
{
    put("request");
    cg_log_write(log_, true, CG_SLICE("no line "));
    ck_assert(!cg_log_has_spooled(log_));
    cg_log_write(log_, true, CG_SLICE("yet\n"));
    expect_content("access.log", "request\nno line yet\n");
}
END_TEST

START_TEST(a_device_gets_each_line_at_once)
{
    cg_log_set_spool(log_, NULL);
    cg_log_free(log_);
    log_ = open_log("/dev/full");
    cg_log_set_spool(log_, spool);
    put("lost");
    ck_assert_uint_eq(cg_log_dropped(log_), 1);
    ck_assert(!cg_log_has_spooled(log_));
}
END_TEST

/* ---- processes that end ---- */

static void
in_child(void (*act)(void), int how)
{
    pid_t pid = fork();
    if (pid == 0) {
        act();
        if (how != 0) {
            kill(getpid(), how);
        }
        _exit(0);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

static void
put_three(void)
{
    put("one");
    put("two");
    cg_log_write_spool(log_);
    put("three");
}

START_TEST(lines_of_a_process_that_was_killed_are_rescued)
{
    in_child(put_three, SIGKILL);
    expect_content("access.log", "one\ntwo\n");
    cg_log_rescue(log_, spool);
    expect_content("access.log", "one\ntwo\nthree\n");
    cg_log_rescue(log_, spool);
    expect_content("access.log", "one\ntwo\nthree\n");
}
END_TEST

START_TEST(what_is_left_goes_to_the_error_log_if_there_is_no_other)
{
    cg_log_set_spool(log_, NULL);
    cg_log_free(log_);
    log_ = open_log(NULL);
    ck_assert(cg_spool_put(spool, "left\n", 5));
    cg_log_rescue(log_, spool);
    expect_content("error.log", "left\n");
    ck_assert(cg_spool_is_empty(spool));
}
END_TEST

/* Dies when its lines are in the file and the spool does not say so yet. */
static void
write_and_die(void)
{
    struct cg_slice lines = cg_spool_view(spool);
    ck_assert_int_eq(write(cg_log_access_fd(log_), lines.p, lines.n),
                     (ssize_t)lines.n);
}

START_TEST(who_dies_behind_the_write_has_its_lines_twice)
{
    put("one");
    in_child(write_and_die, SIGKILL);
    cg_log_rescue(log_, spool);
    expect_content("access.log", "one\none\n");
}
END_TEST

static void
go_its_own_way(void)
{
    cg_log_forked(log_);
    cg_log_write_spool(log_);
    put("child's");
    cg_log_set_spool(log_, NULL);
    cg_log_drain(log_);
}

START_TEST(a_child_does_not_write_what_its_parent_keeps)
{
    put("parent's");
    in_child(go_its_own_way, 0);
    expect_content("access.log", "child's\n");
    ck_assert(cg_log_has_spooled(log_));
    cg_log_write_spool(log_);
    expect_content("access.log", "child's\nparent's\n");
}
END_TEST

static void *
hold(void *running)
{
    while (atomic_load((_Atomic bool *)running)) {
        put("thread's");
        cg_log_write_spool(log_);
    }
    return NULL;
}

START_TEST(a_child_never_waits_for_a_lock_of_its_parents_threads)
{
    _Atomic bool running = true;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, hold, &running), 0);
    for (int i = 0; i < 100; i++) {
        in_child(go_its_own_way, 0);
    }
    running = false;
    pthread_join(thread, NULL);
}
END_TEST

/* ---- what cannot be written ---- */

START_TEST(a_pipe_takes_what_waits_as_a_whole_or_not_at_all)
{
    char line[200], got[65536];
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    cg_log_set_spool(log_, NULL);
    cg_log_free(log_);
    log_ = open_log("pipe");
    cg_log_set_spool(log_, spool);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 1000; i++) {
        cg_log_access(log_, (struct cg_slice){line, sizeof line});
    }
    cg_log_write_spool(log_);
    unsigned long dropped = cg_log_dropped(log_);
    size_t bytes = 0;
    ssize_t n;
    while ((n = read(reader, got, sizeof got)) > 0) {
        bytes += (size_t)n;
    }
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_eq(bytes % (sizeof line + 1), 0);
    ck_assert_uint_eq(bytes / (sizeof line + 1) + dropped, 1000);
    close(reader);
}
END_TEST

/* Of three lines of ten bytes; the file ends after `room` bytes. */
static const struct {
    rlim_t room;
    const char *kept;
    unsigned long lost;
} cuts[] = {
    {25, "aaaaaaaaa\nbbbbbbbbb\nccccc\n", 1},
    {20, "aaaaaaaaa\nbbbbbbbbb\n", 1},
    {14, "aaaaaaaaa\nbbbb\n", 2},
    {0, "", 3},
};

START_TEST(a_full_disk_costs_the_lines_that_did_not_fit)
{
    struct rlimit old, tight;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = cuts[_i].room;
    put("aaaaaaaaa");
    put("bbbbbbbbb");
    put("ccccccccc");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    cg_log_write_spool(log_);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_uint_ge(cg_log_dropped(log_), cuts[_i].lost);
    ck_assert(!cg_log_has_spooled(log_));
    put("after");
    cg_log_write_spool(log_);
    cg_auto(free) char *want = cg_strf("%safter\n", cuts[_i].kept);
    expect_content("access.log", want);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("spool");
    TCase *t = tcase_create("spool");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_spool_takes_lines_until_it_is_full);
    tcase_add_loop_test(t, what_is_left_is_read_as_whole_lines_within_bounds, 0,
                        CG_COUNT(broken));
    tcase_add_test(t, lines_wait_until_they_are_written_together_in_order);
    tcase_add_test(t, without_a_spool_each_line_is_written_at_once);
    tcase_add_test(t, a_full_spool_is_written_before_the_next_line);
    tcase_add_test(t, a_line_that_no_spool_holds_keeps_its_place);
    tcase_add_test(t, lines_of_the_error_log_come_behind_those_that_wait);
    tcase_add_test(t, a_file_that_is_opened_again_gets_what_comes_then);
    tcase_add_test(
        t, bytes_of_other_writers_are_written_at_once_behind_what_waits);
    tcase_add_test(t, a_device_gets_each_line_at_once);
    tcase_add_test(t, lines_of_a_process_that_was_killed_are_rescued);
    tcase_add_test(t, what_is_left_goes_to_the_error_log_if_there_is_no_other);
    tcase_add_test(t, who_dies_behind_the_write_has_its_lines_twice);
    tcase_add_test(t, a_child_does_not_write_what_its_parent_keeps);
    tcase_add_test(t, a_child_never_waits_for_a_lock_of_its_parents_threads);
    tcase_add_test(t, a_pipe_takes_what_waits_as_a_whole_or_not_at_all);
    tcase_add_loop_test(t, a_full_disk_costs_the_lines_that_did_not_fit, 0,
                        CG_COUNT(cuts));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
