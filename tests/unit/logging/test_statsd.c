/* SPDX-License-Identifier: MIT */
/* Statsd's datagrams: names, values, prefix and tags as gunicorn sends them. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "logging/log.h"

static int server = -1;
static char host[64], dir[64];

static void
open_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    server = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(server, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(getsockname(server, (struct sockaddr *)&a, &n), 0);
    snprintf(host, sizeof host, "127.0.0.1:%d", ntohs(a.sin_port));
    snprintf(dir, sizeof dir, "/tmp/cg_statsd_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
close_server(void)
{
    cg_auto(free) char *command = cg_strf("rm -rf %s", dir);
    close(server);
    ck_assert_int_eq(system(command), 0);
}

static void
expect(const char *want)
{
    char got[9000];
    ssize_t n = recv(server, got, sizeof got - 1, 0);
    ck_assert_int_ge(n, 0);
    got[n] = '\0';
    ck_assert_str_eq(got, want);
}

static struct cg_statsd *
make(const char *prefix, const char *tags)
{
    struct cg_statsd *s = NULL;
    struct cg_error err = {0};
    const struct cg_statsd_options o = {host, prefix, tags};
    ck_assert_msg(cg_statsd_new(&o, &s, &err) == 0, "%s", err.text);
    ck_assert_int_eq(err.code, 0);
    return s;
}

static const struct {
    const char *text, *host, *port, *path;
} good[] = {
    {"localhost:8125", "localhost", "8125", ""},
    {"127.0.0.1", "127.0.0.1", "8125", ""},
    {"[::1]:99", "::1", "99", ""},
    {"[::1]", "::1", "8125", ""},
    {"unix:///run/statsd.sock", "", "8125", "/run/statsd.sock"},
    {"unix:run/s", "", "8125", "run/s"},
    {"unix:8126", "unix", "8126", ""}, /* a host of that name */
    {"", "0.0.0.0", "8125", ""},
    {":99", "0.0.0.0", "99", ""},
    {"a:99:1", "a", "99", ""}, /* a second colon counts for nothing */
};

START_TEST(an_address_is_a_host_or_a_path)
{
    struct cg_statsd_target t;
    struct cg_error err = {0};
    ck_assert_msg(cg_statsd_parse(good[_i].text, &t, &err) == 0, "%s",
                  err.text);
    ck_assert_str_eq(t.is_unix ? "" : t.host, good[_i].host);
    ck_assert_str_eq(t.port, good[_i].port);
    ck_assert_str_eq(t.is_unix ? t.path : "", good[_i].path);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"unix://", "Value must be one of ('host:port', 'unix://PATH')"},
    {"[::1", "Value must be one of"},
    {"[::1]x", "Value must be one of"},
    {"host:", "'' is not a valid port number."},
    {"host:port", "'port' is not a valid port number."},
    {"host:70000", "'70000' is not a valid port number."},
};

START_TEST(a_bad_address_is_named)
{
    struct cg_statsd_target t = {.port = "kept"};
    struct cg_error err = {0};
    ck_assert_int_eq(cg_statsd_parse(bad[_i].text, &t, &err), -EINVAL);
    ck_assert_msg(strncmp(err.text, "statsd_host: ", 13) == 0, "%s", err.text);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s", err.text);
    ck_assert_str_eq(t.port, "kept");
}
END_TEST

START_TEST(a_name_that_cannot_be_resolved_is_a_note)
{
    struct cg_statsd *s = NULL;
    struct cg_error err = {0};
    const struct cg_statsd_options o = {"no-such-host.invalid:1", "", ""};
    ck_assert_int_eq(cg_statsd_new(&o, &s, &err), 0);
    ck_assert_int_ne(err.code, 0);
    ck_assert_ptr_nonnull(
        strstr(err.text, "cannot resolve 'no-such-host.invalid'"));
    ck_assert_int_eq(cg_statsd_count(s, "x"), 0);
    cg_statsd_free(s);
}
END_TEST

START_TEST(a_request_is_three_datagrams)
{
    struct cg_statsd *s = make("", "");
    ck_assert_int_eq(cg_statsd_request(s, 404, 1234567), 0);
    expect("gunicorn.request.duration:1234.567|ms");
    expect("gunicorn.requests:1|c|@1.0");
    expect("gunicorn.request.status.404:1|c|@1.0");
    cg_statsd_free(s);
}
END_TEST

static const struct {
    uint64_t us;
    const char *shown;
} durations[] = {{0, "0.0"},      {1, "0.001"},       {500, "0.5"},
                 {1000, "1.0"},   {1230, "1.23"},     {90, "0.09"},
                 {12000, "12.0"}, {999999, "999.999"}};

START_TEST(a_duration_is_written_as_python_writes_it)
{
    struct cg_statsd *s = make("", "");
    cg_auto(free) char *want =
        cg_strf("gunicorn.request.duration:%s|ms", durations[_i].shown);
    ck_assert_int_eq(cg_statsd_request(s, 200, durations[_i].us), 0);
    expect(want);
    cg_statsd_free(s);
}
END_TEST

static const struct {
    const char *given, *used;
} prefixes[] = {{"shop", "shop."}, {"shop.", "shop."}, {"a.b..", "a.b."},
                {"", ""},          {"a", "a"},         {"ab", "ab."},
                {"a.", "a."},      {"..", ".."},       {NULL, ""}};

START_TEST(a_prefix_ends_with_one_dot)
{
    struct cg_statsd *s = make(prefixes[_i].given, "");
    cg_auto(free) char *want = cg_strf("%sn:1|c|@1.0", prefixes[_i].used);
    ck_assert_int_eq(cg_statsd_count(s, "n"), 0);
    expect(want);
    cg_statsd_free(s);
}
END_TEST

START_TEST(tags_follow)
{
    struct cg_statsd *s = make("p.", "env:test,dc:x");
    ck_assert_int_eq(cg_statsd_value(s, "gunicorn.workers", 3, "g"), 0);
    expect("p.gunicorn.workers:3|g|#env:test,dc:x");
    ck_assert_int_eq(cg_statsd_send(s, CG_SLICE("mine:1|h")), 0);
    expect("mine:1|h|#env:test,dc:x");
    cg_statsd_free(s);
}
END_TEST

START_TEST(a_unix_socket_may_come_and_go)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct cg_statsd *s = NULL;
    struct cg_error err = {0};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", dir);
    cg_auto(free) char *address = cg_strf("unix://%s", a.sun_path);
    const struct cg_statsd_options o = {address, "", ""};
    ck_assert_int_eq(cg_statsd_new(&o, &s, &err), 0);
    ck_assert_int_eq(cg_statsd_count(s, "n"), -ENOENT);
    for (int i = 0; i < 2; i++) {
        close(server);
        unlink(a.sun_path);
        server = socket(AF_UNIX, SOCK_DGRAM, 0);
        ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof a), 0);
        ck_assert_int_eq(cg_statsd_count(s, "n"), 0);
        expect("n:1|c|@1.0");
    }
    cg_statsd_free(s);
}
END_TEST

START_TEST(a_server_that_reads_nothing_blocks_nobody)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct cg_statsd *s = NULL;
    struct cg_error err = {0};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", dir);
    cg_auto(free) char *address = cg_strf("unix://%s", a.sun_path);
    const struct cg_statsd_options o = {address, "", ""};
    close(server);
    server = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(cg_statsd_new(&o, &s, &err), 0);
    int r = 0;
    for (int i = 0; i < 10000 && r == 0; i++) {
        r = cg_statsd_request(s, 200, 1);
    }
    ck_assert_int_eq(r, -EAGAIN);
    cg_statsd_free(s);
}
END_TEST

/* ---- through the log ---- */

START_TEST(the_log_counts_its_lines_whatever_it_shows)
{
    struct cg_log *log = NULL;
    struct cg_error err = {0};
    cg_auto(free) char *path = cg_strf("%s/error.log", dir);
    const struct cg_statsd_options statsd = {host, "", ""};
    const struct cg_log_options o = {.errorlog = path,
                                     .level = "critical",
                                     .uid = -1,
                                     .gid = -1,
                                     .statsd = &statsd};
    ck_assert_int_eq(cg_log_new(&o, &log, &err), 0);
    ck_assert(cg_log_wants_requests(log));
    ck_assert(!cg_log_has_access(log));
    cg_log_line(log, CG_INFO, "not counted");
    cg_log_line(log, CG_WARNING, "w");
    cg_log_line(log, CG_ERROR, "e");
    cg_log_line(log, CG_CRITICAL, "c");
    cg_log_exception(log, CG_SLICE("x"));
    cg_log_metric(log, CG_DEBUG, "gunicorn.workers", 2, "g", "2 workers");
    expect("gunicorn.log.warning:1|c|@1.0");
    expect("gunicorn.log.error:1|c|@1.0");
    expect("gunicorn.log.critical:1|c|@1.0");
    expect("gunicorn.log.exception:1|c|@1.0");
    expect("gunicorn.workers:2|g");
    const struct cg_access_record r = {.status = 200, .duration_us = 1000};
    cg_log_request(log, NULL, &r); /* without an access log */
    expect("gunicorn.request.duration:1.0|ms");
    expect("gunicorn.requests:1|c|@1.0");
    expect("gunicorn.request.status.200:1|c|@1.0");
    cg_log_free(log);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("statsd");
    TCase *t = tcase_create("datagrams");
    tcase_add_checked_fixture(t, open_server, close_server);
    tcase_add_loop_test(t, an_address_is_a_host_or_a_path, 0, CG_COUNT(good));
    tcase_add_loop_test(t, a_bad_address_is_named, 0, CG_COUNT(bad));
    tcase_add_test(t, a_name_that_cannot_be_resolved_is_a_note);
    tcase_add_test(t, a_request_is_three_datagrams);
    tcase_add_loop_test(t, a_duration_is_written_as_python_writes_it, 0,
                        CG_COUNT(durations));
    tcase_add_loop_test(t, a_prefix_ends_with_one_dot, 0, CG_COUNT(prefixes));
    tcase_add_test(t, tags_follow);
    tcase_add_test(t, a_unix_socket_may_come_and_go);
    tcase_add_test(t, a_server_that_reads_nothing_blocks_nobody);
    tcase_add_test(t, the_log_counts_its_lines_whatever_it_shows);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
