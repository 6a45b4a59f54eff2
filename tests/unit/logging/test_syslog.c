/* SPDX-License-Identifier: MIT */
/*
 * Syslog: addresses and facilities, the bytes of a line over each transport,
 * and servers that are away, slow, or come back.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/log.h"

static char dir[64], path[100];

static void
make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/cg_syslog_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
}

static void
remove_dir(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- words ---- */

static const struct {
    const char *text;
    enum cg_syslog_kind kind;
    const char *host, *port, *path;
    bool dgram_only;
} good[] = {
    {"unix:///dev/log", CG_SYSLOG_UNIX, "", "", "/dev/log", false},
    {"unix:///dev/log#dgram", CG_SYSLOG_UNIX, "", "", "/dev/log", true},
    {"unix:///dev/log#stream", CG_SYSLOG_UNIX, "", "", "/dev/log", false},
    {"udp://", CG_SYSLOG_UDP, "localhost", "514", "", false},
    {"udp://loghost", CG_SYSLOG_UDP, "loghost", "514", "", false},
    {"udp://loghost:5140", CG_SYSLOG_UDP, "loghost", "5140", "", false},
    {"udp://:5140", CG_SYSLOG_UDP, "localhost", "5140", "", false},
    {"tcp://loghost:601", CG_SYSLOG_TCP, "loghost", "601", "", false},
    {"tcp://[::1]:601", CG_SYSLOG_TCP, "::1", "601", "", false},
    {"udp://[::1]", CG_SYSLOG_UDP, "::1", "514", "", false},
};

START_TEST(an_address_is_unix_udp_or_tcp)
{
    struct cg_syslog_target t;
    struct cg_error err = {0};
    ck_assert_msg(cg_syslog_parse(good[_i].text, &t, &err) == 0, "%s",
                  err.text);
    ck_assert_int_eq(t.kind, good[_i].kind);
    ck_assert_str_eq(t.host, good[_i].host);
    ck_assert_str_eq(t.port, good[_i].port);
    ck_assert_str_eq(t.path, good[_i].path);
    ck_assert_int_eq(t.dgram_only, good[_i].dgram_only);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "invalid syslog address ''"},
    {"localhost:514", "invalid syslog address 'localhost:514'"},
    {"unix://", "invalid syslog address"},
    {"udp://[::1]x", "invalid syslog address"},
    {"udp://host:", "'' is not a valid port number."},
    {"tcp://host:syslog", "'syslog' is not a valid port number."},
    {"tcp://host:99999", "'99999' is not a valid port number."},
    {NULL, "invalid syslog address ''"},
};

START_TEST(a_bad_address_is_named)
{
    struct cg_syslog_target t = {.port = "kept"};
    struct cg_error err = {0};
    ck_assert_int_eq(cg_syslog_parse(bad[_i].text, &t, &err), -EINVAL);
    ck_assert_msg(strncmp(err.text, "syslog_addr: ", 13) == 0, "%s", err.text);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
    ck_assert_str_eq(t.port, "kept");
}
END_TEST

START_TEST(a_facility_is_a_word)
{
    ck_assert_int_eq(cg_syslog_facility("user"), 1);
    ck_assert_int_eq(cg_syslog_facility("LOCAL7"), 23);
    ck_assert_int_eq(cg_syslog_facility("security"), 4);
    ck_assert_int_eq(cg_syslog_facility("nonsense"), -1);
    ck_assert_int_eq(cg_syslog_facility(NULL), -1);
}
END_TEST

START_TEST(a_bad_facility_is_refused)
{
    struct cg_syslog *s = NULL;
    struct cg_error err = {0};
    const struct cg_syslog_options o = {"unix:///dev/null", "nonsense", "x",
                                        true};
    ck_assert_int_eq(cg_syslog_new(&o, &s, &err), -EINVAL);
    ck_assert_ptr_nonnull(
        strstr(err.text, "syslog_facility: unknown facility name 'nonsense'"));
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(a_name_that_cannot_be_resolved_is_refused)
{
    struct cg_syslog *s = NULL;
    struct cg_error err = {0};
    const struct cg_syslog_options o = {"udp://no-such-host.invalid", "user",
                                        "x", true};
    ck_assert_int_lt(cg_syslog_new(&o, &s, &err), 0);
    ck_assert_ptr_nonnull(
        strstr(err.text, "syslog_addr: cannot resolve 'no-such-host.invalid'"));
}
END_TEST

/* ---- lines ---- */

static struct cg_syslog *
make(const char *address)
{
    struct cg_syslog *s = NULL;
    struct cg_error err = {0};
    const struct cg_syslog_options o = {address, "user", "shop.app", true};
    ck_assert_msg(cg_syslog_new(&o, &s, &err) == 0, "%s", err.text);
    return s;
}

static void
expect_bytes(const char *got, size_t n, const char *want)
{
    /* the NUL at the end is sent too */
    ck_assert_msg(n == strlen(want) + 1 && memcmp(got, want, n) == 0,
                  "'%.*s' (%zu bytes) is not '%s'", (int)n, got, n, want);
}

static void
expect(int fd, const char *format)
{
    char got[70000];
    cg_auto(free) char *want = cg_strf("%s[%d] hello", format, (int)getpid());
    ssize_t n = recv(fd, got, strlen(want) + 1, 0);
    ck_assert_int_ge(n, 0);
    expect_bytes(got, (size_t)n, want);
}

static int
bind_tcp(int type, char *url, size_t size, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int on = 1, fd = socket(AF_INET, type, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(url, size, "%s://127.0.0.1:%d", type == SOCK_DGRAM ? "udp" : "tcp",
             ntohs(a.sin_port));
    return fd;
}

static int
bind_unix(int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, type, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    if (type == SOCK_STREAM) {
        ck_assert_int_eq(listen(fd, 5), 0);
    }
    return fd;
}

static const struct {
    int level;
    bool access;
    const char *begins;
} lines[] = {
    {CG_DEBUG, false, "<15>gunicorn.shop.app.error: "},
    {CG_INFO, false, "<14>gunicorn.shop.app.error: "},
    {CG_WARNING, false, "<12>gunicorn.shop.app.error: "},
    {CG_ERROR, false, "<11>gunicorn.shop.app.error: "},
    {CG_CRITICAL, false, "<10>gunicorn.shop.app.error: "},
    {CG_INFO, true, "<14>gunicorn.shop.app.access: "},
};

START_TEST(a_line_has_priority_name_and_process)
{
    char url[64];
    int fd = bind_tcp(SOCK_DGRAM, url, sizeof url, 0);
    struct cg_syslog *s = make(url);
    ck_assert_int_eq(
        cg_syslog_send(s, lines[_i].access, lines[_i].level, CG_SLICE("hello")),
        0);
    expect(fd, lines[_i].begins);
    cg_syslog_free(s);
    close(fd);
}
END_TEST

START_TEST(a_unix_datagram_socket_may_be_made_anew)
{
    cg_auto(free) char *url = cg_strf("unix://%s", path);
    struct cg_syslog *s = make(url);
    ck_assert_int_lt(cg_syslog_send(s, false, CG_INFO, CG_SLICE("lost")), 0);
    for (int i = 0; i < 2; i++) {
        unlink(path);
        int fd = bind_unix(SOCK_DGRAM);
        ck_assert_int_eq(cg_syslog_send(s, false, CG_INFO, CG_SLICE("hello")),
                         0);
        expect(fd, "<14>gunicorn.shop.app.error: ");
        close(fd);
    }
    cg_syslog_free(s);
}
END_TEST

START_TEST(a_unix_stream_socket_is_found_out)
{
    cg_auto(free) char *url = cg_strf("unix://%s", path);
    int listener = bind_unix(SOCK_STREAM);
    struct cg_syslog *s = make(url);
    ck_assert_int_eq(cg_syslog_send(s, true, CG_INFO, CG_SLICE("hello")), 0);
    int fd = accept(listener, NULL, NULL);
    expect(fd, "<14>gunicorn.shop.app.access: ");
    cg_syslog_free(s);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(only_datagrams_means_only_datagrams)
{
    cg_auto(free) char *url = cg_strf("unix://%s#dgram", path);
    int listener = bind_unix(SOCK_STREAM);
    struct cg_syslog *s = make(url);
    ck_assert_int_eq(cg_syslog_send(s, true, CG_INFO, CG_SLICE("hello")),
                     -EPROTOTYPE);
    cg_syslog_free(s);
    close(listener);
}
END_TEST

START_TEST(lines_over_tcp_end_with_a_nul)
{
    char url[64];
    int listener = bind_tcp(SOCK_STREAM, url, sizeof url, 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    struct cg_syslog *s = make(url);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(cg_syslog_send(s, false, CG_ERROR, CG_SLICE("hello")),
                         0);
    }
    int fd = accept(listener, NULL, NULL);
    cg_syslog_drain(s, 10000);
    for (int i = 0; i < 3; i++) {
        expect(fd, "<11>gunicorn.shop.app.error: ");
    }
    cg_syslog_free(s);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(a_tcp_server_that_comes_back_gets_the_lines)
{
    char url[64];
    int listener = bind_tcp(SOCK_STREAM, url, sizeof url, 0);
    int port = atoi(strrchr(url, ':') + 1);
    close(listener); /* away: connecting is refused */
    struct cg_syslog *s = make(url);
    ck_assert_int_eq(cg_syslog_send(s, false, CG_INFO, CG_SLICE("hello")), 0);
    while (cg_syslog_fault(s) == 0) {
        poll(NULL, 0, 1);
    }
    ck_assert_int_eq(cg_syslog_fault(s), -ECONNREFUSED);
    for (int i = 0; i < 2; i++) { /* comes, goes, and comes again */
        listener = bind_tcp(SOCK_STREAM, url, sizeof url, port);
        ck_assert_int_eq(listen(listener, 5), 0);
        if (i > 0) {
            ck_assert_int_eq(
                cg_syslog_send(s, false, CG_INFO, CG_SLICE("hello")), 0);
        }
        int fd = accept(listener, NULL, NULL);
        expect(fd, "<14>gunicorn.shop.app.error: ");
        cg_syslog_drain(s, 10000);
        close(fd);
        close(listener);
    }
    ck_assert_uint_eq(cg_syslog_lost(s), 0);
    cg_syslog_free(s);
}
END_TEST

START_TEST(a_tcp_server_that_reads_nothing_blocks_nobody)
{
    static char text[1000];
    char url[64];
    int listener = bind_tcp(SOCK_STREAM, url, sizeof url, 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    struct cg_syslog *s = make(url);
    memset(text, 'x', sizeof text);
    int r = 0;
    for (int i = 0; i < 100000 && r == 0; i++) {
        r = cg_syslog_send(s, false, CG_INFO,
                           (struct cg_slice){text, sizeof text});
    }
    ck_assert_int_eq(r, -ENOBUFS);
    cg_syslog_free(s);
    close(listener);
}
END_TEST

START_TEST(a_child_has_a_connection_of_its_own)
{
    char url[64];
    int listener = bind_tcp(SOCK_STREAM, url, sizeof url, 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    struct cg_syslog *s = make(url);
    ck_assert_int_eq(cg_syslog_send(s, false, CG_INFO, CG_SLICE("hello")), 0);
    int parents = accept(listener, NULL, NULL);
    expect(parents, "<14>gunicorn.shop.app.error: ");
    pid_t pid = fork();
    if (pid == 0) {
        int sent = cg_syslog_send(s, false, CG_INFO, CG_SLICE("child"));
        cg_syslog_drain(s, 10000);
        _exit(sent == 0 ? 0 : 1);
    }
    char got[200], want[200];
    int childs = accept(listener, NULL, NULL);
    int n = snprintf(want, sizeof want,
                     "<14>gunicorn.shop.app.error: [%d] child", (int)pid);
    ck_assert_int_eq(recv(childs, got, (size_t)n + 1, MSG_WAITALL), n + 1);
    expect_bytes(got, (size_t)n + 1, want);
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(cg_syslog_send(s, false, CG_INFO, CG_SLICE("hello")), 0);
    expect(parents, "<14>gunicorn.shop.app.error: ");
    cg_syslog_free(s);
    close(parents);
    close(childs);
    close(listener);
}
END_TEST

enum { CHILDS_THREADS = 8 };

static void *
say_hello(void *syslog)
{
    return cg_syslog_send(syslog, false, CG_INFO, CG_SLICE("hello")) == 0
               ? NULL
               : syslog;
}

/* The queue that it has of its parent's is dropped once. */
static int
in_child_of_threads(struct cg_syslog *s)
{
    pthread_t threads[CHILDS_THREADS];
    int failed = 0;
    cg_syslog_forked(s);
    for (int i = 0; i < CHILDS_THREADS; i++) {
        failed += pthread_create(&threads[i], NULL, say_hello, s) != 0;
    }
    for (int i = 0; i < CHILDS_THREADS; i++) {
        void *wrong = s;
        failed += pthread_join(threads[i], &wrong) != 0 || wrong != NULL;
    }
    return failed;
}

START_TEST(threads_of_a_child_may_be_first_at_once)
{
    static char text[1000];
    char url[64];
    int listener = bind_tcp(SOCK_STREAM, url, sizeof url, 0);
    ck_assert_int_eq(listen(listener, 5), 0);
    struct cg_syslog *s = make(url);
    int r = 0;
    for (int i = 0; i < 100000 && r == 0; i++) { /* until the queue is full */
        r = cg_syslog_send(s, false, CG_INFO,
                           (struct cg_slice){text, sizeof text});
    }
    pid_t pid = fork();
    if (pid == 0) {
        _exit(in_child_of_threads(s));
    }
    int status = 0;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    cg_syslog_free(s);
    close(listener);
}
END_TEST

/* ---- through the log ---- */

START_TEST(the_log_sends_both_kinds_of_lines)
{
    char url[64];
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    int fd = bind_tcp(SOCK_DGRAM, url, sizeof url, 0);
    for (int access = 0; access < 2; access++) {
        const struct cg_syslog_options syslog = {url, "local0", "p",
                                                 access == 1};
        const struct cg_log_options o = {
            .errorlog = path, .uid = -1, .gid = -1, .syslog = &syslog};
        ck_assert_int_eq(cg_log_new(&o, &log, &err), 0);
        ck_assert_int_eq(cg_log_has_access(log), access);
        cg_log_line(log, CG_DEBUG, "below the level");
        cg_log_access(log, CG_SLICE("hello"));
        cg_log_line(log, CG_INFO, "hello");
        if (access == 1) {
            expect(fd, "<134>gunicorn.p.access: ");
        }
        expect(fd, "<134>gunicorn.p.error: ");
        cg_log_free(log);
    }
    close(fd);
}
END_TEST

START_TEST(the_log_tells_once_that_syslog_is_away)
{
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    cg_auto(free) char *url = cg_strf("unix://%s/nowhere", dir);
    const struct cg_syslog_options syslog = {url, "local0", "p", true};
    const struct cg_log_options o = {
        .errorlog = path, .uid = -1, .gid = -1, .syslog = &syslog};
    ck_assert_int_eq(cg_log_new(&o, &log, &err), 0);
    for (int i = 0; i < 5; i++) {
        cg_log_line(log, CG_INFO, "line");
    }
    ck_assert_uint_eq(cg_log_dropped(log), 5);
    cg_log_free(log);
    char got[4096];
    FILE *f = fopen(path, "r");
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    got[n] = '\0';
    const char *told = "[WARNING] syslog does not take lines: No such file or "
                       "directory (1 lost so far)\n";
    char *first = strstr(got, told);
    ck_assert_msg(first != NULL, "%s", got);
    ck_assert_msg(strstr(first + strlen(told), "WARNING") == NULL, "%s", got);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("syslog");
    TCase *t = tcase_create("words");
    tcase_add_loop_test(t, an_address_is_unix_udp_or_tcp, 0, CG_COUNT(good));
    tcase_add_loop_test(t, a_bad_address_is_named, 0, CG_COUNT(bad));
    tcase_add_test(t, a_facility_is_a_word);
    tcase_add_test(t, a_bad_facility_is_refused);
    tcase_add_test(t, a_name_that_cannot_be_resolved_is_refused);
    suite_add_tcase(suite, t);
    t = tcase_create("lines");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_loop_test(t, a_line_has_priority_name_and_process, 0,
                        CG_COUNT(lines));
    tcase_add_test(t, a_unix_datagram_socket_may_be_made_anew);
    tcase_add_test(t, a_unix_stream_socket_is_found_out);
    tcase_add_test(t, only_datagrams_means_only_datagrams);
    tcase_add_test(t, lines_over_tcp_end_with_a_nul);
    tcase_add_test(t, a_tcp_server_that_comes_back_gets_the_lines);
    tcase_add_test(t, a_tcp_server_that_reads_nothing_blocks_nobody);
    tcase_add_test(t, a_child_has_a_connection_of_its_own);
    tcase_add_test(t, threads_of_a_child_may_be_first_at_once);
    tcase_add_test(t, the_log_sends_both_kinds_of_lines);
    tcase_add_test(t, the_log_tells_once_that_syslog_is_away);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
