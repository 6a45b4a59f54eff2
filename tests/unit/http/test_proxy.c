/* SPDX-License-Identifier: MIT */
/* PROXY preambles: lines of version 1, blocks of version 2, their bounds. */
#include "core/http/proxy/proxy.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* "TCP4 1.2.3.4 1111 > 5.6.7.8 80 +3": three bytes behind it; "none", "more",
 * "refused NAME". Each byte comes with a call, at the end of its memory. */
static char *
told(enum cg_proxy_mode mode, const char *text, size_t n)
{
    static const char *const kinds[] = {"LOCAL", "TCP4", "TCP6"};
    struct cg_proxy proxy, untouched;
    enum cg_refusal why = CG_REFUSE_NONE;
    enum cg_proxy_status st = CG_PROXY_MORE;
    memset(&proxy, 0x5a, sizeof proxy);
    untouched = proxy;
    size_t have = 0;
    while (st == CG_PROXY_MORE && have < n) {
        have++;
        char *p = cg_malloc(have);
        memcpy(p, text, have);
        st = cg_proxy_read(mode, p, have, &proxy, &why);
        free(p);
    }
    /* the same in one piece */
    struct cg_proxy at_once = untouched;
    ck_assert_int_eq(cg_proxy_read(mode, text, n, &at_once, &why), st);
    ck_assert_mem_eq(&at_once, &proxy, sizeof proxy);
    ck_assert(st == CG_PROXY_DONE ||
              memcmp(&proxy, &untouched, sizeof proxy) == 0);
    switch (st) {
    case CG_PROXY_MORE: return cg_strdup("more");
    case CG_PROXY_NONE: return cg_strdup("none");
    case CG_PROXY_REFUSED: return cg_strf("refused %s", cg_refusal_name(why));
    case CG_PROXY_DONE: break;
    }
    ck_assert_uint_eq(proxy.n, have);
    return cg_strf("%s %s %u > %s %u +%zu", kinds[proxy.kind], proxy.client,
                   proxy.client_port, proxy.server, proxy.server_port,
                   n - proxy.n);
}

static void
expect_n(enum cg_proxy_mode mode, const char *text, size_t n, const char *want)
{
    cg_auto(free) char *got = told(mode, text, n);
    ck_assert_msg(strcmp(got, want) == 0, "for %.120s\n  want %s\n  got  %s",
                  text, want, got);
}

static void
expect(enum cg_proxy_mode mode, const char *text, const char *want)
{
    expect_n(mode, text, strlen(text), want);
}

START_TEST(a_line_tells_both_ends)
{
    expect(CG_PROXY_V1, "PROXY TCP4 1.2.3.4 5.6.7.8 1111 80\r\nGET",
           "TCP4 1.2.3.4 1111 > 5.6.7.8 80 +3");
    expect(CG_PROXY_AUTO, "PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n",
           "TCP6 2001:DB8::1 0 > ::1 65535 +0");
    expect(CG_PROXY_V1, "PROXY UNKNOWN\r\nGET", "LOCAL  0 >  0 +3");
    expect(CG_PROXY_V1, "PROXY UNKNOWN 1.2.3.4 x y z\r\n", "LOCAL  0 >  0 +0");
}
END_TEST

START_TEST(a_line_is_exact)
{
    static const char *const bad[] = {
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1111 8_0\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1111 +80\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 80\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 65536 80\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 000001\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 x 1 2\r\n",
        "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY \r\n",
        "PROXY \n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n",
    };
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        expect(CG_PROXY_V1, bad[i], "refused PROXY_LINE");
    }
    /* longer than any address is */
    expect(CG_PROXY_V1,
           "PROXY TCP6 0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1 ::1 1 "
           "2\r\n",
           "refused PROXY_LINE");
}
END_TEST

START_TEST(a_line_has_107_bytes_at_most)
{
    char line[200] = "PROXY UNKNOWN ";
    size_t n = strlen(line);
    memset(line + n, 'x', sizeof line - n);
    memcpy(line + 105, "\r\n", 2);
    expect_n(CG_PROXY_V1, line, 107, "LOCAL  0 >  0 +0");
    memcpy(line + 105, "x\r\n", 3);
    expect_n(CG_PROXY_V1, line, 106, "more");
    expect_n(CG_PROXY_V1, line, 108, "refused PROXY_LINE");
}
END_TEST

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(command, how, length, rest)                                         \
    SIGNATURE command how length rest,                                         \
        sizeof(SIGNATURE command how length rest) - 1
#define ENDS4 "\x01\x02\x03\x04\x05\x06\x07\x08\x04\x57\x00\x50"
#define ONE "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"

START_TEST(a_block_tells_both_ends)
{
    expect_n(CG_PROXY_V2, V2("\x21", "\x11", "\0\x0c", ENDS4 "GET"),
             "TCP4 1.2.3.4 1111 > 5.6.7.8 80 +3");
    /* TLVs behind the addresses are skipped */
    expect_n(CG_PROXY_AUTO, V2("\x21", "\x11", "\0\x11", ENDS4 "\x04\0\x02hi"),
             "TCP4 1.2.3.4 1111 > 5.6.7.8 80 +0");
    expect_n(CG_PROXY_V2, V2("\x21", "\x21", "\0\x24", ONE ONE "\0\x01\0\x02X"),
             "TCP6 ::1 1 > ::1 2 +1");
}
END_TEST

START_TEST(a_block_without_addresses_leaves_the_sockets)
{
    expect_n(CG_PROXY_V2, V2("\x20", "\0", "\0\0", "GET"), "LOCAL  0 >  0 +3");
    expect_n(CG_PROXY_V2, V2("\x20", "\x11", "\0\x0c", ENDS4),
             "LOCAL  0 >  0 +0");
    expect_n(CG_PROXY_V2, V2("\x21", "\0", "\0\0", ""), "LOCAL  0 >  0 +0");
    expect_n(CG_PROXY_V2, V2("\x21", "\x01", "\0\x02", "xy"),
             "LOCAL  0 >  0 +0");
    expect_n(CG_PROXY_V2, V2("\x21", "\x31", "\0\x02", "xy"),
             "LOCAL  0 >  0 +0");
}
END_TEST

START_TEST(a_block_is_exact)
{
    expect_n(CG_PROXY_V2, V2("\x11", "\x11", "\0\x0c", ENDS4),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x22", "\x11", "\0\x0c", ENDS4),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x21", "\x12", "\0\x0c", ENDS4),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x21", "\x41", "\0\x0c", ENDS4),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x21", "\x11", "\0\x0b", "01234567890"),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x21", "\x21", "\0\x0c", ENDS4),
             "refused PROXY_HEADER");
    /* a length beyond the bound is refused before its bytes come */
    expect_n(CG_PROXY_V2, V2("\x21", "\x11", "\xff\xff", ""),
             "refused PROXY_HEADER");
    expect_n(CG_PROXY_V2, V2("\x21", "\x11", "\x3f\xf0", ""), "more");
    expect_n(CG_PROXY_V2, V2("\x21", "\x11", "\x3f\xf1", ""),
             "refused PROXY_HEADER");
}
END_TEST

START_TEST(what_is_no_preamble_is_a_request)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\n", "PROPFIND", "PROXYX", "\r\nGET",
        "\r\n\r\nGET",        "\n"};
    for (int mode = CG_PROXY_V1; mode <= CG_PROXY_AUTO; mode++) {
        for (size_t i = 0; i < CG_COUNT(requests); i++) {
            expect((enum cg_proxy_mode)mode, requests[i], "none");
        }
    }
    expect(CG_PROXY_OFF, "PROXY UNKNOWN\r\n", "none");
    expect(CG_PROXY_V2, "PROXY UNKNOWN\r\n", "none");
    expect_n(CG_PROXY_V1, V2("\x20", "\0", "\0\0", ""), "none");
    expect_n(CG_PROXY_OFF, V2("\x20", "\0", "\0\0", ""), "none");
    expect(CG_PROXY_AUTO, "PROX", "more");
    expect(CG_PROXY_AUTO, "\r\n\r\n", "more");
}
END_TEST

START_TEST(a_preamble_is_known_by_its_start)
{
    ck_assert(cg_proxy_begins(CG_PROXY_V1, "PROXY ", 6));
    ck_assert(!cg_proxy_begins(CG_PROXY_V1, "PROXY", 5));
    ck_assert(!cg_proxy_begins(CG_PROXY_V2, "PROXY ", 6));
    ck_assert(cg_proxy_begins(CG_PROXY_AUTO, SIGNATURE, 12));
    ck_assert(!cg_proxy_begins(CG_PROXY_AUTO, SIGNATURE, 11));
    ck_assert(!cg_proxy_begins(CG_PROXY_V1, SIGNATURE, 12));
    ck_assert(!cg_proxy_begins(CG_PROXY_AUTO, "GET / HTTP/1.1", 14));
}
END_TEST

TESTS("proxy", a_line_tells_both_ends, a_line_is_exact,
      a_line_has_107_bytes_at_most, a_block_tells_both_ends,
      a_block_without_addresses_leaves_the_sockets, a_block_is_exact,
      what_is_no_preamble_is_a_request, a_preamble_is_known_by_its_start)
