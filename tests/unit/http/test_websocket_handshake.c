/* SPDX-License-Identifier: MIT */
/* The opening handshake: which requests are one, the key, what is offered. */
#include "core/http/websocket/handshake.h"

#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Host: a\r\nConnection: keep-alive, Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

struct head {
    struct cg_request r;
    const char *text;
};

static struct head
read_head(const char *text)
{
    struct head h = {.text = text};
    ck_assert_msg(cg_head_read(&h.r, &cg_head_policy_default, false, text,
                               strlen(text)) == CG_HEAD_DONE,
                  "%s", text);
    return h;
}

START_TEST(test_which_requests_are_handshakes)
{
    static const struct {
        const char *text;
        enum cg_ws_request want;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", CG_WS_REQUEST_NONE},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION KEY
         "\r\n",
         CG_WS_REQUEST_GOOD},
        {"GET / HTTP/1.1\r\n" UPGRADE
         "Upgrade: h2c, , WebSocket\r\n" VERSION KEY "\r\n",
         CG_WS_REQUEST_GOOD},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: h2c\r\n" VERSION KEY "\r\n",
         CG_WS_REQUEST_NONE},
        {"GET / HTTP/1.0\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION KEY
         "\r\n",
         CG_WS_REQUEST_NONE},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" VERSION KEY
         "\r\n",
         CG_WS_REQUEST_NONE},
        {"POST / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION KEY
         "Content-Length: 0\r\n\r\n",
         CG_WS_REQUEST_BAD_METHOD},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n"
         "Sec-WebSocket-Version: 12\r\n" KEY "\r\n",
         CG_WS_REQUEST_BAD_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" KEY "\r\n",
         CG_WS_REQUEST_BAD_VERSION},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION "\r\n",
         CG_WS_REQUEST_BAD_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION KEY KEY
         "\r\n",
         CG_WS_REQUEST_BAD_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n",
         CG_WS_REQUEST_BAD_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A\r\n\r\n",
         CG_WS_REQUEST_BAD_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=\r\n\r\n",
         CG_WS_REQUEST_BAD_KEY},
        {"GET / HTTP/1.1\r\n" UPGRADE "Upgrade: websocket\r\n" VERSION
         "Sec-WebSocket-Key: dGhlIHNhbXBsZS-ub25jZQ==\r\n\r\n",
         CG_WS_REQUEST_BAD_KEY},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct head h = read_head(rows[i].text);
        enum cg_ws_request got = cg_ws_request_check(&h.r, h.text);
        ck_assert_msg(got == rows[i].want, "%d, want %d, for\n%s", got,
                      rows[i].want, rows[i].text);
        cg_request_release(&h.r);
    }
}
END_TEST

START_TEST(test_what_is_said_about_a_bad_one)
{
    const char *text;
    ck_assert_int_eq(cg_ws_request_status(CG_WS_REQUEST_BAD_METHOD, &text),
                     400);
    ck_assert_int_eq(cg_ws_request_status(CG_WS_REQUEST_BAD_VERSION, &text),
                     426);
    ck_assert_str_eq(text, "Sec-WebSocket-Version is not 13");
    ck_assert_int_eq(cg_ws_request_status(CG_WS_REQUEST_BAD_KEY, &text), 400);
    ck_assert_int_eq(cg_ws_request_status(CG_WS_REQUEST_GOOD, &text), 101);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(test_the_answer_to_a_key)
{
    char accept[CG_WS_ACCEPT_SIZE]; /* RFC 6455, 1.3 */
    cg_ws_accept(CG_SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(test_protocols_in_all_fields)
{
    struct head h = read_head(
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: chat, ,\r\n"
        "X-Other: no\r\nsec-websocket-protocol: super-chat,v2\r\n\r\n");
    static const char *const want[] = {"chat", "super-chat", "v2"};
    struct cg_ws_protocols at = {0};
    struct cg_slice one;
    for (size_t i = 0; i < CG_COUNT(want); i++) {
        ck_assert(cg_ws_protocol_next(&h.r, h.text, &at, &one));
        ck_assert_msg(cg_slice_is(one, want[i]), "%.*s", (int)one.n, one.p);
    }
    ck_assert(!cg_ws_protocol_next(&h.r, h.text, &at, &one));
    cg_request_release(&h.r);
}
END_TEST

START_TEST(test_terms_in_all_fields)
{
    struct cg_ws_terms t = {0};
    struct head h = read_head(
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Extensions: x-other\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    ck_assert(cg_ws_request_terms(&h.r, h.text, &t));
    ck_assert_uint_eq(t.client_bits, 15);
    cg_request_release(&h.r);
    h = read_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert(!cg_ws_request_terms(&h.r, h.text, &t));
    cg_request_release(&h.r);
}
END_TEST

TESTS("websocket_handshake", test_which_requests_are_handshakes,
      test_what_is_said_about_a_bad_one, test_the_answer_to_a_key,
      test_protocols_in_all_fields, test_terms_in_all_fields)
