/* SPDX-License-Identifier: MIT */
/* The small parts of the master that touch the system: pidfile, title, signal
 * pipe, notifications. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/arbiter/notify.h"
#include "core/arbiter/pidfile.h"
#include "core/arbiter/signals.h"
#include "core/base/memory.h"
#include "core/base/title.h"

static char folder[64];

static void
set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/cgunicorn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void
tear_down(void)
{
    static const char *const names[] = {"pid", "socket"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        unlink(names[i]);
        rmdir(names[i]);
    }
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left */
}

static void
write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static const char *
read_text(const char *path)
{
    static char text[64];
    memset(text, 0, sizeof text);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
    }
    return text;
}

/* A pid that nobody has any more. */
static int
dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return (int)pid;
}

/* ---- pidfile ---- */

START_TEST(the_pidfile_is_the_pid_and_a_newline_with_mode_644)
{
    struct cg_error err = {0};
    struct stat st;
    mode_t before = umask(077);
    ck_assert_int_eq(cg_pidfile_write("pid", 4711, &err), 0);
    umask(before);
    ck_assert_str_eq(read_text("pid"), "4711\n");
    ck_assert_int_eq(stat("pid", &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0644);
}
END_TEST

START_TEST(a_pidfile_of_a_live_process_is_left_alone)
{
    struct cg_error err = {0};
    char text[32];
    snprintf(text, sizeof text, "%d\n", (int)getppid());
    write_text("pid", text);
    ck_assert_int_eq(cg_pidfile_write("pid", 4711, &err), -EEXIST);
    ck_assert_ptr_nonnull(strstr(err.text, "Already running on PID"));
    ck_assert_ptr_nonnull(strstr(err.text, "'pid' is stale"));
    ck_assert_str_eq(read_text("pid"), text);
}
END_TEST

START_TEST(a_pidfile_of_a_dead_process_that_nobody_reaped_is_replaced)
{
    struct cg_error err = {0};
    siginfo_t ended;
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    cg_auto(free) char *text = cg_strf("%d\n", (int)child);
    write_text("pid", text);
    int r = cg_pidfile_write("pid", 4711, &err);
    waitpid(child, NULL, 0);
    ck_assert_msg(r == 0, "%d: %s", r, err.text);
}
END_TEST

START_TEST(what_is_no_regular_file_is_no_pidfile_and_stays)
{
    struct cg_error err = {0};
    struct stat st;
    /* opening it would wait for a writer */
    ck_assert_int_eq(mkfifo("pid", 0600), 0);
    ck_assert_int_eq(cg_pidfile_write("pid", 4711, &err), -EEXIST);
    ck_assert_ptr_nonnull(strstr(err.text, "'pid' is no regular file"));
    cg_pidfile_remove("pid", 4711);
    cg_pidfile_remove("pid", 0);
    ck_assert_int_eq(stat("pid", &st), 0);
    ck_assert_int_eq(unlink("pid"), 0);
    ck_assert_int_eq(symlink("/dev/null", "pid"), 0);
    ck_assert_int_eq(cg_pidfile_write("pid", 4711, &err), -EEXIST);
    cg_pidfile_remove("pid", 0);
    ck_assert_int_eq(lstat("pid", &st), 0);
}
END_TEST

START_TEST(a_pidfile_in_the_place_of_a_link_leaves_what_it_names)
{
    struct cg_error err = {0};
    struct stat st;
    write_text("socket", "1"); /* the pid of a live process, to read it shows */
    ck_assert_int_eq(symlink("socket", "pid"), 0);
    ck_assert_int_eq(cg_pidfile_write("pid", 4711, &err), 0);
    ck_assert_str_eq(read_text("socket"), "1");
    ck_assert_int_eq(lstat("pid", &st), 0);
    ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(stale_empty_and_senseless_pidfiles_are_replaced)
{
    struct cg_error err = {0};
    char stale[32];
    snprintf(stale, sizeof stale, "%d\n", dead_pid());
    const char *const texts[] = {stale, "", "word\n", "-5\n", "4711\n"};
    for (size_t i = 0; i < CG_COUNT(texts); i++) {
        write_text("pid", texts[i]);
        ck_assert_msg(cg_pidfile_write("pid", 4711, &err) == 0, "%zu: %s", i,
                      err.text);
        ck_assert_str_eq(read_text("pid"), "4711\n");
    }
}
END_TEST

START_TEST(a_missing_folder_is_named)
{
    struct cg_error err = {0};
    ck_assert_int_eq(cg_pidfile_write("/no/such/folder/pid", 1, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text,
                                 "/no/such/folder doesn't exist. Can't create "
                                 "pidfile"));
}
END_TEST

START_TEST(a_folder_in_the_way_is_an_error_that_leaves_nothing_behind)
{
    struct cg_error err = {0};
    ck_assert_int_eq(mkdir("pid", 0755), 0);
    ck_assert_int_lt(cg_pidfile_write("pid", 4711, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "'pid'"));
}
END_TEST

START_TEST(only_the_own_pidfile_is_removed)
{
    write_text("pid", "4711\n");
    cg_pidfile_remove("pid", 4712);
    ck_assert_str_eq(read_text("pid"), "4711\n");
    cg_pidfile_remove("pid", 4711);
    ck_assert_int_lt(access("pid", F_OK), 0);
    cg_pidfile_remove("pid", 4711);
}
END_TEST

/* ---- signals ---- */

static int
readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0);
}

START_TEST(signals_come_out_in_their_order)
{
    struct cg_error err = {0};
    int fd = -1;
    ck_assert_int_eq(cg_signals_init(&fd, &err), 0);
    ck_assert_int_eq(readable(fd), 0);
    raise(SIGHUP);
    raise(SIGTTIN);
    cg_signals_raise(SIGTERM);
    ck_assert_int_eq(readable(fd), 1);
    ck_assert_int_eq(cg_signals_next(), SIGHUP);
    ck_assert_int_eq(cg_signals_next(), SIGTTIN);
    ck_assert_int_eq(cg_signals_next(), SIGTERM);
    ck_assert_int_eq(cg_signals_next(), 0);
    ck_assert_int_eq(readable(fd), 0);
}
END_TEST

START_TEST(more_signals_than_the_pipe_holds_do_not_block)
{
    struct cg_error err = {0};
    int fd = -1, n = 0;
    ck_assert_int_eq(cg_signals_init(&fd, &err), 0);
    errno = 123;
    for (int i = 0; i < 200000; i++) {
        cg_signals_raise(SIGHUP);
    }
    ck_assert_int_eq(errno, 123);
    while (cg_signals_next() == SIGHUP) {
        n++;
    }
    ck_assert_int_gt(n, 1000);
    ck_assert_int_lt(n, 200000);
}
END_TEST

START_TEST(a_child_has_the_defaults_and_not_our_pipe)
{
    struct cg_error err = {0};
    int fd = -1, status = 0;
    ck_assert_int_eq(cg_signals_init(&fd, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        cg_signals_reset_in_child();
        raise(SIGTERM);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    /* the child's end came through, its TERM did not */
    ck_assert_int_eq(cg_signals_next(), SIGCHLD);
    ck_assert_int_eq(cg_signals_next(), 0);
}
END_TEST

/* ---- title ---- */

START_TEST(the_title_is_gunicorns)
{
    /* as the kernel lays them out: one after the other */
    char area[64] = "cgunicorn\0shop:app";
    char *argv[] = {area, area + 10, NULL};
    char name[17] = "";
    cg_title_init(2, argv);
    cg_title_set("master", "shop");
    ck_assert_str_eq(area, "gunicorn: master [");
    prctl(PR_GET_NAME, name);
    ck_assert_str_eq(name, "gunicorn");
    cg_title_set("worker", "x");
    ck_assert_str_eq(area, "gunicorn: worker [");
    prctl(PR_GET_NAME, name);
    ck_assert_str_eq(name, "gunicorn-worker");
}
END_TEST

/* In a program whose main is somebody else's. */
START_TEST(the_title_is_found_where_the_kernel_shows_it)
{
    char shown[64] = "";
    setenv("CG_TEST_TITLE", "before", 1);
    cg_title_find();
    cg_title_set("master", "found");
    FILE *f = fopen("/proc/self/cmdline", "re");
    size_t n = fread(shown, 1, sizeof shown - 1, f);
    fclose(f);
    ck_assert_uint_gt(n, 0);
    ck_assert_str_eq(shown, "gunicorn: master [found]");
    ck_assert_str_eq(getenv("CG_TEST_TITLE"), "before");
    ck_assert_ptr_nonnull(getenv("PATH"));
    ck_assert_ptr_null(strstr(getenv("PATH"), "gunicorn: "));
}
END_TEST

START_TEST(a_program_without_arguments_has_no_title)
{
    char *none[] = {NULL};
    cg_title_init(0, none);
    cg_title_set("master", "shop");
}
END_TEST

/* ---- notify ---- */

static int
service_manager(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(un.sun_path, name, strlen(name));
    if (name[0] == '@') {
        un.sun_path[0] = '\0';
    }
    socklen_t n =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, n), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *
heard(int fd)
{
    static char text[2048];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(the_service_manager_hears_of_states)
{
    cg_auto(free) char *path = cg_strf("%s/socket", folder);
    int fd = service_manager(path);
    ck_assert(cg_notify_wanted());
    ck_assert(cg_notify("READY=1\nSTATUS=%d workers", 4));
    ck_assert_str_eq(heard(fd), "READY=1\nSTATUS=4 workers");
    close(fd);
    ck_assert(!cg_notify("STOPPING=1")); /* nobody listens: no harm */
}
END_TEST

START_TEST(abstract_sockets_are_spoken_to)
{
    cg_auto(free) char *name = cg_strf("@cgunicorn-test-%d", (int)getpid());
    int fd = service_manager(name);
    ck_assert(cg_notify("READY=1"));
    ck_assert_str_eq(heard(fd), "READY=1");
    close(fd);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_cut)
{
    cg_auto(free) char *path = cg_strf("%s/socket", folder);
    int fd = service_manager(path);
    ck_assert(cg_notify("STATUS=%2000d", 1));
    ck_assert_uint_eq(strlen(heard(fd)), 1023);
    close(fd);
}
END_TEST

START_TEST(without_a_service_manager_nothing_is_sent)
{
    cg_auto(free) char *endless = cg_strf("/%0200d", 0);
    const char *const names[] = {"", "/", "@", "relative", endless};
    unsetenv("NOTIFY_SOCKET");
    ck_assert(!cg_notify_wanted());
    ck_assert(!cg_notify("READY=1"));
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        ck_assert(!cg_notify("READY=1"));
    }
}
END_TEST

START_TEST(the_watchdog_is_for_the_process_that_it_names)
{
    cg_auto(free) char *me = cg_strf("%d", (int)getpid());
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "3000000", 1);
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 1500);
    setenv("WATCHDOG_PID", me, 1);
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 1500);
    setenv("WATCHDOG_USEC", "900", 1);
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 1);
    setenv("WATCHDOG_USEC", "nonsense", 1);
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    ck_assert_uint_eq(cg_notify_watchdog_ms(), 0);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("process");
    TCase *t = tcase_create("process");
    static const TTest *const *const tests[] = {
        &the_pidfile_is_the_pid_and_a_newline_with_mode_644,
        &a_pidfile_of_a_live_process_is_left_alone,
        &a_pidfile_of_a_dead_process_that_nobody_reaped_is_replaced,
        &what_is_no_regular_file_is_no_pidfile_and_stays,
        &a_pidfile_in_the_place_of_a_link_leaves_what_it_names,
        &stale_empty_and_senseless_pidfiles_are_replaced,
        &a_missing_folder_is_named,
        &a_folder_in_the_way_is_an_error_that_leaves_nothing_behind,
        &only_the_own_pidfile_is_removed,
        &signals_come_out_in_their_order,
        &more_signals_than_the_pipe_holds_do_not_block,
        &a_child_has_the_defaults_and_not_our_pipe,
        &the_title_is_gunicorns,
        &the_title_is_found_where_the_kernel_shows_it,
        &a_program_without_arguments_has_no_title,
        &the_service_manager_hears_of_states,
        &abstract_sockets_are_spoken_to,
        &a_text_that_is_too_long_is_cut,
        &without_a_service_manager_nothing_is_sent,
        &the_watchdog_is_for_the_process_that_it_names,
    };
    tcase_add_checked_fixture(t, set_up, tear_down);
    for (size_t i = 0; i < CG_COUNT(tests); i++) {
        tcase_add_test(t, *tests[i]);
    }
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
