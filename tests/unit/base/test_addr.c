/* SPDX-License-Identifier: MIT */
/* Bind addresses: gunicorn's grammar and its error texts. */
#include "core/base/addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* "tcp HOST PORT", "unix PATH", "fd N" or "error TEXT". */
static char *
told(const char *text)
{
    struct cg_addr a;
    struct cg_error err = {0};
    memset(&a, 0x5a, sizeof a);
    struct cg_addr before = a;
    if (cg_addr_parse(text, &a, &err) < 0) {
        ck_assert_int_lt(err.code, 0);
        ck_assert_mem_eq(&a, &before, sizeof a); /* untouched */
        return cg_strf("error %s", err.text);
    }
    ck_assert_str_eq(a.text, text);
    switch (a.kind) {
    case CG_ADDR_TCP:
        return cg_strf("tcp%s %s %u", a.v6 ? "6" : "", a.host, a.port);
    case CG_ADDR_UNIX: return cg_strf("unix %s", a.path);
    case CG_ADDR_FD: return cg_strf("fd %d", a.fd);
    }
    return NULL;
}

static void
expect(const char *text, const char *want)
{
    cg_auto(free) char *got = told(text);
    ck_assert_msg(strcmp(got, want) == 0, "'%s'\n  want %s\n  got  %s", text,
                  want, got);
}

START_TEST(hosts_and_ports)
{
    expect("127.0.0.1:8000", "tcp 127.0.0.1 8000");
    expect("127.0.0.1", "tcp 127.0.0.1 8000");
    expect("localhost:80", "tcp localhost 80");
    expect("LocalHost", "tcp localhost 8000");
    expect(":9000", "tcp  9000");
    expect("", "tcp 0.0.0.0 8000");
    expect("tcp://1.2.3.4:5", "tcp 1.2.3.4 5");
    expect("tcp://", "tcp 0.0.0.0 8000");
    expect("0.0.0.0:0", "tcp 0.0.0.0 0");
    expect("0.0.0.0:65535", "tcp 0.0.0.0 65535");
    expect("a:1:2", "tcp a 1"); /* as gunicorn: what follows is ignored */
}
END_TEST

START_TEST(ipv6_is_written_in_brackets)
{
    expect("[::1]:8000", "tcp6 ::1 8000");
    expect("[::1]", "tcp6 ::1 8000");
    expect("[::]:80", "tcp6 :: 80");
    expect("[FE80::1%eth0]:80", "tcp6 fe80::1%eth0 80");
    expect("tcp://[::1]:5", "tcp6 ::1 5");
    expect("[a]:5", "tcp a 5");
    expect("[::1]:5]:6", "tcp6 ::1 5");
    expect("][", "tcp  8000");
    expect("::1", "error '' is not a valid port number. IPv6 addresses need "
                  "brackets: [::1]:8000.");
}
END_TEST

START_TEST(ports_read_as_python_reads_integers)
{
    expect("a: 80 ", "tcp a 80");
    expect("a:+80", "tcp a 80");
    expect("a:8_0", "tcp a 80");
    expect("a:0080", "tcp a 80");
    expect("a:-0", "tcp a 0");
    expect("a:", "error '' is not a valid port number.");
    expect("a:x", "error 'x' is not a valid port number.");
    expect("a:8__0", "error '8__0' is not a valid port number.");
    expect("a:_8", "error '_8' is not a valid port number.");
    expect("a:8_", "error '8_' is not a valid port number.");
    expect("a:+", "error '+' is not a valid port number.");
    expect("a:8 0", "error '8 0' is not a valid port number.");
    expect("a:65536", "error '65536' is not a valid port number. Ports go "
                      "from 0 (any free one) to 65535.");
    expect("a:-1", "error '-1' is not a valid port number. Ports go from 0 "
                   "(any free one) to 65535.");
    expect("a:99999999999999999999",
           "error '99999999999999999999' is not a valid port number. Ports go "
           "from 0 (any free one) to 65535.");
    expect("[::1]:x", "error 'x' is not a valid port number.");
}
END_TEST

START_TEST(unix_paths)
{
    expect("unix:/run/a.sock", "unix /run/a.sock");
    expect("unix://run/a.sock", "unix run/a.sock");
    expect("unix:///run/a.sock", "unix /run/a.sock");
    expect("unix:a.sock", "unix a.sock");
    expect("unix:@name", "unix @name");
    expect("unix:\\0name", "unix @name");
    expect("unix:", "error 'unix:' has no path. Write unix:/run/app.sock, or "
                    "unix:@name for an abstract socket.");
    expect("unix://", "error 'unix://' has no path. Write unix:/run/app.sock, "
                      "or unix:@name for an abstract socket.");
}
END_TEST

START_TEST(a_path_is_as_long_as_the_system_allows)
{
    char text[200] = "unix:", want[400];
    memset(text + 5, 'p', 107);
    snprintf(want, sizeof want, "unix %s", text + 5);
    expect(text, want);
    text[5 + 107] = 'p';
    snprintf(want, sizeof want,
             "error the unix socket path '%s' is 108 bytes long and the system "
             "allows 107. Choose a shorter path, or a relative one together "
             "with chdir.",
             text + 5);
    expect(text, want);
}
END_TEST

START_TEST(descriptors)
{
    expect("fd://3", "fd 3");
    expect("fd://web-2.x@y_", "fd -1");
    expect("fd://_", "fd -1");
    expect("fd://a:b", "error 'a:b' is not a valid file descriptor.");
    expect("fd://a b", "error 'a b' is not a valid file descriptor.");
    expect("fd://", "error '' is not a valid file descriptor.");
    expect("fd://-1", "error '-1' is not a valid file descriptor.");
    expect("fd://99999999999", "error '99999999999' is not a valid file "
                               "descriptor.");
}
END_TEST

START_TEST(what_is_too_long_is_no_address)
{
    char text[400];
    memset(text, 'h', sizeof text);
    text[256] = '\0';
    cg_auto(free) char *host = told(text);
    ck_assert_ptr_nonnull(
        strstr(host, "is 256 bytes long and the system allows 255."));
    text[256] = 'h';
    text[300] = '\0';
    cg_auto(free) char *all = told(text);
    ck_assert_ptr_nonnull(
        strstr(all, "is 300 bytes long, which no socket address can be."));
    memset(text, '1', 100);
    text[100] = '\0';
    cg_auto(free) char *digits = told(text);
    ck_assert_ptr_eq(strstr(digits, "tcp 111"), digits);
}
END_TEST

/* ---- names ---- */

static void
expect_name(const void *sa, socklen_t n, int secure, const char *want)
{
    char out[200];
    cg_addr_describe(sa, n, secure, out, sizeof out);
    ck_assert_str_eq(out, want);
}

START_TEST(a_bound_socket_is_described)
{
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_port = htons(80),
                                   .sin_addr = {htonl(0x7f000001)}};
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                                     .sin6_port = htons(80)};
    expect_name(&in, sizeof in, 0, "http://127.0.0.1:80");
    expect_name(&in, sizeof in, 1, "https://127.0.0.1:80");
    expect_name(&in6, sizeof in6, 0, "http://[::]:80");
    expect_name(&in6, sizeof in6, 1, "http://[::]:80");
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/a"};
    size_t front = offsetof(struct sockaddr_un, sun_path);
    expect_name(&un, sizeof un, 0, "unix:/a");
    expect_name(&un, (socklen_t)(front + 3), 0, "unix:/a");
    expect_name(&un, (socklen_t)front, 0, "unix:");
    memset(un.sun_path, 'p', sizeof un.sun_path); /* no NUL at its end */
    cg_auto(free) char *full = cg_strf("unix:%.108s", un.sun_path);
    expect_name(&un, sizeof un, 0, full);
    memcpy(un.sun_path, "\0name", 5);
    expect_name(&un, (socklen_t)(front + 5), 0, "unix:@name");
    const struct sockaddr other = {.sa_family = AF_PACKET};
    expect_name(&other, sizeof other, 0, "family 17");
}
END_TEST

START_TEST(an_address_has_gunicorns_tuple)
{
    static const char *const rows[][2] = {
        {"1.2.3.4:5", "('1.2.3.4', 5)"}, {"unix:/a", "/a"}, {"fd://3", "3"}};
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_addr a;
        char out[100];
        ck_assert_int_eq(cg_addr_parse(rows[i][0], &a, NULL), 0);
        cg_addr_tuple(&a, out, sizeof out);
        ck_assert_str_eq(out, rows[i][1]);
    }
}
END_TEST

TESTS("addr", hosts_and_ports, ipv6_is_written_in_brackets,
      ports_read_as_python_reads_integers, unix_paths,
      a_path_is_as_long_as_the_system_allows, descriptors,
      what_is_too_long_is_no_address, a_bound_socket_is_described,
      an_address_has_gunicorns_tuple)
