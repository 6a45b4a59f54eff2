/* SPDX-License-Identifier: MIT */
/* Temporary files: in which folder, and that nothing of them is left. */
#include "core/base/tmpfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

START_TEST(the_folder_is_the_one_named_or_that_of_the_environment)
{
    unsetenv("TMPDIR");
    ck_assert_str_eq(cg_tmpfile_dir(NULL), "/tmp");
    ck_assert_str_eq(cg_tmpfile_dir(""), "/tmp");
    setenv("TMPDIR", "", 1);
    ck_assert_str_eq(cg_tmpfile_dir(NULL), "/tmp");
    setenv("TMPDIR", "/var/tmp", 1);
    ck_assert_str_eq(cg_tmpfile_dir(NULL), "/var/tmp");
    ck_assert_str_eq(cg_tmpfile_dir("/here"), "/here");
    unsetenv("TMPDIR");
}
END_TEST

static int
entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n - 2; /* . and .. */
}

START_TEST(a_file_has_no_name_and_is_nobody_elses)
{
    char dir[] = "/tmp/cgunicorn-test-XXXXXX", c;
    struct stat st;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    int fd = cg_tmpfile_open(dir, "test");
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(entries(dir), 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_uint_eq(st.st_nlink, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(pwrite(fd, "a", 1, 0), 1);
    ck_assert_int_eq(pread(fd, &c, 1, 0), 1);
    close(fd);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
    ck_assert_int_eq(cg_tmpfile_open("/nowhere/at/all", "test"), -ENOENT);
}
END_TEST

/* ---- the end: close() tells which thread called it ---- */

static _Atomic int closed_by, watched = -1;

int
close(int fd)
{
    int r = (int)syscall(SYS_close, fd);
    if (fd == watched) {
        closed_by = (int)syscall(SYS_gettid);
    }
    return r;
}

/* Returns the thread that closed a file of n bytes. */
static int
closer_of(size_t n)
{
    static const char zeros[1 << 16];
    const struct timespec ms = {.tv_nsec = 1000000};
    int fd = cg_tmpfile_open("/tmp", "test");
    for (size_t at = 0; at < n; at += sizeof zeros) {
        ck_assert_int_eq(write(fd, zeros, sizeof zeros), sizeof zeros);
    }
    closed_by = 0;
    watched = fd;
    cg_tmpfile_close(&fd);
    ck_assert_int_eq(fd, -1);
    while (closed_by == 0) {
        nanosleep(&ms, NULL);
    }
    ck_assert_int_eq(fcntl(watched, F_GETFD), -1);
    watched = -1;
    return closed_by;
}

START_TEST(a_large_file_is_closed_by_another_thread)
{
    int us = (int)syscall(SYS_gettid);
    ck_assert_int_ne(closer_of(16 << 20), us);
    ck_assert_int_eq(closer_of(1 << 20), us);
    ck_assert_int_eq(closer_of(0), us);
    int none = -1;
    cg_tmpfile_close(&none);
    ck_assert_int_eq(none, -1);
}
END_TEST

START_TEST(without_a_thread_the_caller_closes_it)
{
    pthread_attr_t vast;
    pthread_attr_init(&vast);
    ck_assert_int_eq(pthread_attr_setstacksize(&vast, (size_t)1 << 47), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&vast), 0);
    ck_assert_int_eq(closer_of(16 << 20), (int)syscall(SYS_gettid));
}
END_TEST

TESTS("tmpfile", the_folder_is_the_one_named_or_that_of_the_environment,
      a_file_has_no_name_and_is_nobody_elses,
      a_folder_that_is_not_there_is_told,
      a_large_file_is_closed_by_another_thread,
      without_a_thread_the_caller_closes_it)
