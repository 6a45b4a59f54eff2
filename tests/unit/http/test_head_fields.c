/* SPDX-License-Identifier: MIT */
/* What fields say together: Host, framing, persistence, expectations, trust. */
#include "tests/unit/check_main.h"
#include "tests/unit/http/heads.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define OLD "GET /g HTTP/1.0\r\nHost: a\r\n"
#define END "\r\n\r\n"

/* ---- Host ---- */

START_TEST(http_1_1_needs_one_host)
{
    HEADS(DEFAULTS, false, {"GET /g HTTP/1.1" END, "refused NO_HOST"},
          {"GET /g HTTP/1.2" END, "refused NO_HOST"},
          {"GET /g HTTP/1.0" END, "GET /g 1.0 path=/g |"},
          {GET "Host: a" END, "refused HOST"},
          {GET "Host: b" END, "refused HOST"},
          {"GET /g HTTP/1.1\r\nHost:" END, "GET /g 1.1 keep path=/g | Host="},
          {"GET /g HTTP/1.1\r\nhOST: a.b-c_d:80" END,
           "GET /g 1.1 keep path=/g | hOST=a.b-c_d:80"});
    POLICY(lenient, P->allow_missing_host = true);
    HEADS(&lenient, false, {"GET /g HTTP/1.1" END, "GET /g 1.1 keep path=/g |"},
          {"GET http://b/g HTTP/1.1" END,
           "GET http://b/g 1.1 keep path=/g authority=b |"},
          {GET "Host: b" END, "refused HOST"});
}
END_TEST

START_TEST(a_host_is_a_host_and_a_port)
{
    HEADS(DEFAULTS, false, {"GET / HTTP/1.1\r\nHost: u@a" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: a/b" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: [::1" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: \xff" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: a b" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: a:b" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: [::1::]" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: [fe80::1%eth0]" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: a%zz" END, "refused HOST"},
          {"GET / HTTP/1.1\r\nHost: [::1]:8000" END,
           "GET / 1.1 keep path=/ | Host=[::1]:8000"});
}
END_TEST

START_TEST(content_type_comes_once)
{
    HEADS(
        DEFAULTS, false,
        {GET "Content-Type: a" END,
         "GET /g 1.1 keep path=/g | Host=a Content-Type=a"},
        {GET "Content-Type: a\r\nContent-Type: a" END, "refused CONTENT_TYPE"});
}
END_TEST

/* ---- Content-Length ---- */

START_TEST(a_length_is_digits)
{
    HEADS(DEFAULTS, false,
          {POST "Content-Length: 5" END,
           "POST /p 1.1 keep length=5 path=/p | Host=a Content-Length=5"},
          {POST "Content-Length: 005" END,
           "POST /p 1.1 keep length=5 path=/p | Host=a Content-Length=005"},
          {POST "content-length:\t5\t" END,
           "POST /p 1.1 keep length=5 path=/p | Host=a content-length=5"},
          {POST "Content-Length: 0" END,
           "POST /p 1.1 keep length=0 path=/p | Host=a Content-Length=0"},
          {POST "Content-Length: 9223372036854775807" END,
           "POST /p 1.1 keep length=9223372036854775807 path=/p | Host=a "
           "Content-Length=9223372036854775807"},
          {POST "Content-Length: 9223372036854775808" END,
           "refused CONTENT_LENGTH"},
          {POST "Content-Length: 18446744073709551621" END,
           "refused CONTENT_LENGTH"},
          {POST "Content-Length: +5" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: -5" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 0x5" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 1_0" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 5 5" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 5,5" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: \"5\"" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 5a" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length:" END, "refused CONTENT_LENGTH"},
          {POST "Content-Length: 5\r\nContent-Length: 5" END,
           "refused CONTENT_LENGTH"},
          {POST "X-Content-Length: 9\r\nContent-LengthX: 9" END,
           "POST /p 1.1 keep path=/p | Host=a X-Content-Length=9 "
           "Content-LengthX=9"});
}
END_TEST

/* ---- Transfer-Encoding ---- */

START_TEST(chunked_is_the_last_coding_and_comes_once)
{
    HEADS(
        DEFAULTS, false,
        {POST "Transfer-Encoding: chunked" END,
         "POST /p 1.1 keep chunked path=/p | Host=a Transfer-Encoding=chunked"},
        {POST "Transfer-Encoding: ChunKed\t" END,
         "POST /p 1.1 keep chunked path=/p | Host=a Transfer-Encoding=ChunKed"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding-X: y" END,
         "POST /p 1.1 keep chunked path=/p | Host=a Transfer-Encoding=chunked "
         "Transfer-Encoding-X=y"},
        {POST "Transfer-Encoding: identity" END, "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: identity, chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: Identity\r\nTransfer-Encoding: chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: identity, x, chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: gzip" END, "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked, identity" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked, gzip" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked, chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked,,chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked, gzip, chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding:" END, "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: ,chunked" END, "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: chunked," END, "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: x, , chunked" END,
         "refused TRANSFER_ENCODING"},
        {POST "Transfer-Encoding: blegh" END, "refused UNSUPPORTED_CODING"},
        {POST "Transfer-Encoding: x, chunked" END,
         "refused UNSUPPORTED_CODING"},
        {POST "Transfer-Encoding: chunked;q=1" END,
         "refused UNSUPPORTED_CODING"},
        {POST "Transfer-Encoding: chun ked" END, "refused UNSUPPORTED_CODING"},
        {POST "Transfer-Encoding: \xa0"
              "chunked" END,
         "refused UNSUPPORTED_CODING"});
}
END_TEST

START_TEST(codings_before_chunked_close_the_connection)
{
    HEADS(DEFAULTS, false,
          {POST "Transfer-Encoding: gzip, chunked" END,
           "POST /p 1.1 keep chunked force-close path=/p | Host=a "
           "Transfer-Encoding=gzip, chunked"},
          {POST "Transfer-Encoding: deflate,compress, chunked" END,
           "POST /p 1.1 keep chunked force-close path=/p | Host=a "
           "Transfer-Encoding=deflate,compress, chunked"},
          {POST "Transfer-Encoding: gzip,\tchunked" END,
           "POST /p 1.1 keep chunked force-close path=/p | Host=a "
           "Transfer-Encoding=gzip,\\x09chunked"},
          {POST "Transfer-Encoding: gzip\t , \tchunked" END,
           "POST /p 1.1 keep chunked force-close path=/p | Host=a "
           "Transfer-Encoding=gzip\\x09 , \\x09chunked"},
          {POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked" END,
           "POST /p 1.1 keep chunked force-close path=/p | Host=a "
           "Transfer-Encoding=gzip Transfer-Encoding=chunked"});
}
END_TEST

START_TEST(chunked_and_a_length_exclude_each_other)
{
    HEADS(DEFAULTS, false,
          {POST "Transfer-Encoding: chunked\r\nContent-Length: 5" END,
           "refused TRANSFER_ENCODING"},
          {POST "Content-Length: 5\r\nTransfer-Encoding: identity" END,
           "refused TRANSFER_ENCODING"},
          {"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked" END,
           "refused TRANSFER_ENCODING"},
          {"POST /p HTTP/1.0\r\nContent-Length: 5" END,
           "POST /p 1.0 length=5 path=/p | Content-Length=5"});
}
END_TEST

/* ---- persistence ---- */

START_TEST(connection_is_a_list_in_which_close_wins)
{
    HEADS(DEFAULTS, false,
          {GET "Connection: close" END,
           "GET /g 1.1 path=/g | Host=a Connection=close"},
          {GET "Connection: te, Close" END,
           "GET /g 1.1 path=/g | Host=a Connection=te, Close"},
          {GET "Connection: te\r\nConnection: close" END,
           "GET /g 1.1 path=/g | Host=a Connection=te Connection=close"},
          {GET "Connection: ,close" END,
           "GET /g 1.1 path=/g | Host=a Connection=,close"},
          {GET "Connection: closed" END,
           "GET /g 1.1 keep path=/g | Host=a Connection=closed"},
          {GET "Proxy-Connection: close" END,
           "GET /g 1.1 keep path=/g | Host=a Proxy-Connection=close"},
          {OLD "\r\n", "GET /g 1.0 path=/g | Host=a"},
          {OLD "Connection: x, keep-alive" END,
           "GET /g 1.0 keep path=/g | Host=a Connection=x, keep-alive"},
          {OLD "Connection: keep-alive, close" END,
           "GET /g 1.0 path=/g | Host=a Connection=keep-alive, close"});
}
END_TEST

START_TEST(an_upgrade_needs_both_fields_and_http_1_1)
{
    HEADS(DEFAULTS, false,
          {GET "Connection: Upgrade\r\nUpgrade: websocket" END,
           "GET /g 1.1 keep upgrade path=/g | Host=a Connection=Upgrade "
           "Upgrade=websocket"},
          {GET "Upgrade: websocket" END,
           "GET /g 1.1 keep path=/g | Host=a Upgrade=websocket"},
          {GET "Connection: upgrade" END,
           "GET /g 1.1 keep path=/g | Host=a Connection=upgrade"},
          {OLD "Connection: upgrade\r\nUpgrade: websocket" END,
           "GET /g 1.0 path=/g | Host=a Connection=upgrade "
           "Upgrade=websocket"});
}
END_TEST

START_TEST(only_100_continue_is_expected)
{
    HEADS(DEFAULTS, false,
          {POST "Content-Length: 5\r\nExpect: 100-Continue" END,
           "POST /p 1.1 keep expect length=5 path=/p | Host=a "
           "Content-Length=5 Expect=100-Continue"},
          {POST "Expect: 100-continue\r\nExpect: 100-continue" END,
           "POST /p 1.1 keep expect path=/p | Host=a Expect=100-continue "
           "Expect=100-continue"},
          {POST "Expect: 100-continue, 100-Continue" END,
           "POST /p 1.1 keep expect path=/p | Host=a Expect=100-continue, "
           "100-Continue"},
          {POST "Expect: ,\t100-continue ," END,
           "POST /p 1.1 keep expect path=/p | Host=a Expect=,\\x09100-continue "
           ","},
          {POST "Expect:" END, "POST /p 1.1 keep path=/p | Host=a Expect="},
          {POST "Expect: 100-continue, 200-ok" END, "refused EXPECTATION"},
          {POST "Expect: 100-continue\r\nExpect: 200-ok" END,
           "refused EXPECTATION"},
          {POST "Expect: 100-continue; a" END, "refused EXPECTATION"},
          {POST "Expect: 200-ok" END, "refused EXPECTATION"},
          {POST "Expect: y 100-continue" END, "refused EXPECTATION"},
          {OLD "Expect: 200-ok" END,
           "GET /g 1.0 path=/g | Host=a Expect=200-ok"});
}
END_TEST

/* ---- trust ---- */

START_TEST(a_trusted_peer_says_the_scheme)
{
    HEADS(DEFAULTS, true,
          {GET "X-Forwarded-Proto: https" END,
           "GET /g 1.1 keep https path=/g | Host=a X-Forwarded-Proto=https"},
          {GET "X-Forwarded-Ssl: on\r\nX-Forwarded-Protocol: ssl" END,
           "GET /g 1.1 keep https path=/g | Host=a X-Forwarded-Ssl=on "
           "X-Forwarded-Protocol=ssl"},
          {GET "X-Forwarded-Proto: http" END,
           "GET /g 1.1 keep http path=/g | Host=a X-Forwarded-Proto=http"},
          {GET "X-Forwarded-Proto: HTTPS" END,
           "GET /g 1.1 keep http path=/g | Host=a X-Forwarded-Proto=HTTPS"},
          {GET "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off" END,
           "refused SCHEMES"},
          {GET "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http" END,
           "refused SCHEMES"});
    HEADS(DEFAULTS, false,
          {GET "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off" END,
           "GET /g 1.1 keep path=/g | Host=a X-Forwarded-Proto=https "
           "X-Forwarded-Ssl=off"});
    static const struct cg_scheme_rule rules[] = {{"x-proto", "tls"},
                                                  {NULL, NULL}};
    POLICY(other, P->schemes = rules);
    HEADS(&other, true,
          {GET "X-Proto: tls\r\nX-Forwarded-Proto: http" END,
           "GET /g 1.1 keep https path=/g | Host=a X-Proto=tls "
           "X-Forwarded-Proto=http"});
    POLICY(none, P->schemes = NULL);
    HEADS(&none, true,
          {GET "X-Forwarded-Proto: https" END,
           "GET /g 1.1 keep path=/g | Host=a X-Forwarded-Proto=https"});
}
END_TEST

START_TEST(script_name_counts_from_a_trusted_peer)
{
    HEADS(DEFAULTS, true,
          {GET "SCRIPT_NAME: /a" END,
           "GET /g 1.1 keep path=/g script=/a | Host=a SCRIPT_NAME=/a"});
    POLICY(dangerous, P->header_map = CG_HEADER_DANGEROUS);
    HEADS(&dangerous, false,
          {GET "SCRIPT_NAME: /a" END,
           "GET /g 1.1 keep path=/g | Host=a SCRIPT_NAME=/a"});
}
END_TEST

TESTS("head_fields", http_1_1_needs_one_host, a_host_is_a_host_and_a_port,
      content_type_comes_once, a_length_is_digits,
      chunked_is_the_last_coding_and_comes_once,
      codings_before_chunked_close_the_connection,
      chunked_and_a_length_exclude_each_other,
      connection_is_a_list_in_which_close_wins,
      an_upgrade_needs_both_fields_and_http_1_1, only_100_continue_is_expected,
      a_trusted_peer_says_the_scheme, script_name_counts_from_a_trusted_peer)
