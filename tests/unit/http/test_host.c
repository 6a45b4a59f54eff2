/* SPDX-License-Identifier: MIT */
/* Hosts with ports: the grammar of RFC 3986, and which of them are the same. */
#include "core/http/host.h"

#include <check.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* ---- the grammar ---- */

static void
expect_read(const char *text, const char *host, int port)
{
    struct cg_authority got = {.port = -2};
    bool good = cg_authority_read(cg_slice_of(text), &got);
    ck_assert_msg(good, "'%s' is refused", text);
    ck_assert_msg(cg_slice_is(got.host, host), "'%s': host '%.*s'", text,
                  (int)got.host.n, got.host.p);
    ck_assert_msg(got.port == port, "'%s': port %d", text, got.port);
}

static void
expect_refused(const char *text)
{
    struct cg_authority got;
    ck_assert_msg(!cg_authority_read(cg_slice_of(text), &got), "'%s' is read",
                  text);
}

START_TEST(a_host_may_have_a_port)
{
    expect_read("", "", -1);
    expect_read("a", "a", -1);
    expect_read("a:", "a", -1);
    expect_read(":", "", -1);
    expect_read(":80", "", 80);
    expect_read("a:0", "a", 0);
    expect_read("a:65535", "a", 65535);
    expect_read("a:00080", "a", 80);
    expect_read("[::1]", "[::1]", -1);
    expect_read("[::1]:", "[::1]", -1);
    expect_read("[::1]:80", "[::1]", 80);
    static const char *const bad[] = {
        "a:65536", "a:-1",    "a:+1",    "a:b",      "a:1:2",
        "a: 1",    "[::1]80", "[::1]:x", "[::1]a:1", "a:123456789012345",
    };
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        expect_refused(bad[i]);
    }
}
END_TEST

START_TEST(a_name_is_of_legal_and_encoded_bytes)
{
    static const char *const good[] = {
        "a.b", "a-b_c", "127.0.0.1", "1.2.3.400", "xn--a",  "a,b;c=d",
        "a.",  "~a!$&", "'()*+",     "a%41",      "%aF%00", "%25",
    };
    static const char *const bad[] = {
        "a b",   "a/b", "u@a",  "a\\b", "a#b",  "a?b",  "a\"", "a\x7f",
        "a\x80", "<a>", "a[b]", "a^",   "a`",   "a{",   "a|",  "a}",
        "::1",   "a%",  "a%4",  "a%zz", "a%4z", "%%41", "a\t", " a",
    };
    for (size_t i = 0; i < CG_COUNT(good); i++) {
        expect_read(good[i], good[i], -1);
    }
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        expect_refused(bad[i]);
    }
    struct cg_authority got;
    ck_assert(!cg_authority_read((struct cg_slice){"a\0b", 3}, &got));
}
END_TEST

START_TEST(an_ipv6_address_has_eight_groups)
{
    static const char *const good[] = {
        "[::]",
        "[1::]",
        "[1:2:3:4:5:6:7:8]",
        "[::2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7::]",
        "[ABCD:ef98::7654]",
        "[::ffff:1.2.3.4]",
        "[1:2:3:4:5:6:7.8.9.10]",
        "[::255.255.255.255]",
    };
    static const char *const bad[] = {
        "[]",
        "[::1",
        "[a",
        "[1]",
        "[:]",
        "[1:]",
        "[:1]",
        "[:::]",
        "[g::1]",
        "[12345::]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:8::]",
        "[4711::abcd::]",
        "[::ffff:1.2.3.400]",
        "[::ffff:1.2.3]",
        "[::1.2.3.04]",
        "[1.2.3.4]",
        "[1:2:3:4:5:6:7:1.2.3.4]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[ ::1]",
        "[0000:0000:0000:0000:0000:ffff:255.255.255.255:0000]",
    };
    for (size_t i = 0; i < CG_COUNT(good); i++) {
        expect_read(good[i], good[i], -1);
    }
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        expect_refused(bad[i]);
    }
    struct cg_authority got;
    ck_assert(!cg_authority_read((struct cg_slice){"[::1\0]", 6}, &got));
}
END_TEST

START_TEST(an_address_of_the_future_has_its_version)
{
    expect_read("[v1.a]:5", "[v1.a]", 5);
    expect_read("[V1F.a:b~!]", "[V1F.a:b~!]", -1);
    static const char *const bad[] = {"[v]",   "[v1]",    "[v1.]",
                                      "[v.a]", "[vg.a]",  "[v1.%]",
                                      "[v1a]", "[v1.a/]", "[v1.%41]"};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        expect_refused(bad[i]);
    }
}
END_TEST

/* ---- the same ---- */

static bool
is_same(const char *a, const char *b, int default_port)
{
    struct cg_authority x, y;
    ck_assert(cg_authority_read(cg_slice_of(a), &x));
    ck_assert(cg_authority_read(cg_slice_of(b), &y));
    bool same = cg_authority_is(&x, &y, default_port);
    ck_assert(same == cg_authority_is(&y, &x, default_port));
    return same;
}

START_TEST(a_missing_port_is_that_of_the_scheme)
{
    ck_assert(is_same("a", "a", 80));
    ck_assert(is_same("a", "A:", 80));
    ck_assert(is_same("a", "a:80", 80));
    ck_assert(is_same("a:", "a:080", 80));
    ck_assert(is_same("a", "a:443", 443));
    ck_assert(is_same("[::A]:8", "[::a]:8", 80));
    ck_assert(!is_same("a", "a:443", 80));
    ck_assert(!is_same("a", "a:80", 443));
    ck_assert(!is_same("a:8", "a:80", 80));
    ck_assert(!is_same("a", "b", 80));
    ck_assert(!is_same("a", "ab", 80));
    ck_assert(!is_same("", "a", 80));
}
END_TEST

TESTS("host", a_host_may_have_a_port, a_name_is_of_legal_and_encoded_bytes,
      an_ipv6_address_has_eight_groups,
      an_address_of_the_future_has_its_version,
      a_missing_port_is_that_of_the_scheme)
