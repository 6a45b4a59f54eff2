/* SPDX-License-Identifier: MIT */
/* Trust lists: what is a network, and whom it covers. */
#include "core/http/proxy/trust.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static struct cg_trust *
trust_of(const char *const *items)
{
    struct cg_trust *t = NULL;
    struct cg_error err = {0};
    ck_assert_msg(cg_trust_new(items, &t, &err) == 0, "%s", err.text);
    return t;
}

static bool
has(const struct cg_trust *t, const char *peer)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, peer, &in.sin_addr) == 1) {
        return cg_trust_has(t, (const struct sockaddr *)&in);
    }
    ck_assert_int_eq(inet_pton(AF_INET6, peer, &in6.sin6_addr), 1);
    return cg_trust_has(t, (const struct sockaddr *)&in6);
}

START_TEST(a_list_covers_addresses_and_networks)
{
    static const struct {
        const char *item, *in, *out;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.2"},
        {"127.0.0.1", "::ffff:127.0.0.1", "::1"},
        {"10.0.0.0/8", "10.255.1.2", "11.0.0.0"},
        {"10.128.0.0/9", "10.128.0.1", "10.127.255.255"},
        {"192.168.1.4/31", "192.168.1.5", "192.168.1.6"},
        {"0.0.0.0/0", "1.2.3.4", "::1"},
        {"10.0.0.0/255.0.0.0", "10.1.2.3", "11.1.2.3"},
        {"10.0.0.0/0.255.255.255", "10.1.2.3", "11.1.2.3"},
        {"0.0.0.0/0.0.0.0", "1.2.3.4", "::1"},
        {"1.2.3.4/255.255.255.255", "1.2.3.4", "1.2.3.5"},
        {"10.0.0.0/08", "10.1.2.3", "11.1.2.3"},
        {"::1", "::1", "::2"},
        {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"::/0", "fe80::1", "1.2.3.4"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const char *items[] = {rows[i].item, NULL};
        struct cg_trust *t = trust_of(items);
        ck_assert_msg(has(t, rows[i].in), "%s in %s", rows[i].in, rows[i].item);
        ck_assert_msg(!has(t, rows[i].out), "%s not in %s", rows[i].out,
                      rows[i].item);
        cg_trust_free(t);
    }
}
END_TEST

START_TEST(an_asterisk_covers_all_and_an_empty_list_nobody)
{
    const char *any[] = {"10.0.0.0/8", "*", NULL}, *none[] = {NULL};
    const char *two[] = {"10.0.0.0/8", "1.1.1.1", NULL};
    struct cg_trust *t = trust_of(any);
    ck_assert(has(t, "1.2.3.4"));
    ck_assert(has(t, "::9"));
    cg_trust_free(t);
    t = trust_of(none);
    ck_assert(!has(t, "127.0.0.1"));
    cg_trust_free(t);
    t = trust_of(two);
    ck_assert(has(t, "1.1.1.1"));
    ck_assert(!has(t, "1.1.1.2"));
    cg_trust_free(t);
}
END_TEST

START_TEST(a_unix_peer_is_trusted_and_none_of_a_kind_to_come)
{
    const char *none[] = {NULL};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_un other = {.sun_family = AF_PACKET};
    struct cg_trust *t = trust_of(none);
    ck_assert(cg_trust_has(t, (const struct sockaddr *)&un));
    ck_assert(!cg_trust_has(t, (const struct sockaddr *)&other));
    cg_trust_free(t);
}
END_TEST

START_TEST(what_is_no_network_is_named)
{
    static const char *const bad[] = {
        "x",
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4/33",
        "1.2.3.4/",
        "1.2.3.4/-1",
        "1.2.3.4/8x",
        "::1/129",
        "::1/1x",
        "::/255.0.0.0",
        "1.2.3.4/8/8",
        "256.0.0.1",
        "01.2.3.4",
        "10.0.0.0/255.0.255.0",
        "10.0.0.0/1.2.3",
        "::1/99999999999999999999",
        "localhost",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        const char *items[] = {"127.0.0.1", bad[i], NULL};
        struct cg_trust *t = (struct cg_trust *)&t;
        struct cg_error err = {0};
        cg_auto(free) char *want = cg_strf(
            "'%s' does not appear to be an IPv4 or IPv6 network", bad[i]);
        ck_assert_int_lt(cg_trust_new(items, &t, &err), 0);
        ck_assert_str_eq(err.text, want);
        ck_assert_ptr_eq(t, &t); /* untouched */
    }
}
END_TEST

START_TEST(host_bits_are_a_mistake)
{
    const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/4", "::1/64"};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        const char *items[] = {bad[i], NULL};
        struct cg_trust *t = NULL;
        struct cg_error err = {0};
        cg_auto(free) char *want = cg_strf("%s has host bits set", bad[i]);
        ck_assert_int_lt(cg_trust_new(items, &t, &err), 0);
        ck_assert_str_eq(err.text, want);
    }
}
END_TEST

TESTS("trust", a_list_covers_addresses_and_networks,
      an_asterisk_covers_all_and_an_empty_list_nobody,
      a_unix_peer_is_trusted_and_none_of_a_kind_to_come,
      what_is_no_network_is_named, host_bits_are_a_mistake)
