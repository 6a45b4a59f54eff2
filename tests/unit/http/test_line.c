/* SPDX-License-Identifier: MIT */
/* Request lines: methods, the four forms of a target, versions. */
#include "tests/unit/check_main.h"
#include "tests/unit/http/heads.h"

#define LINE(line) line "\r\nHost: a\r\n\r\n"

START_TEST(a_line_has_three_parts)
{
    HEADS(DEFAULTS, false,
          {LINE("GET /g HTTP/1.1"), "GET /g 1.1 keep path=/g | Host=a"},
          {LINE(" GET /g HTTP/1.1"), "refused METHOD"},
          {LINE("GET  /g HTTP/1.1"), "refused VERSION"},
          {LINE("GET /g  HTTP/1.1"), "refused VERSION"},
          {LINE("GET\t/g HTTP/1.1"), "refused METHOD"},
          {LINE("GET /g HTTP/1.1 "), "refused VERSION"},
          {LINE("GET /g HTTP/1.1 HTTP/1.1"), "refused VERSION"},
          {LINE("GET HTTP/1.1"), "refused LINE"},
          {LINE("GET /g"), "refused LINE"}, {LINE("GET "), "refused LINE"},
          {LINE("GET"), "refused LINE"},
          {LINE("GET /a b HTTP/1.1"), "refused VERSION"},
          {LINE("GET  HTTP/1.1"), "refused TARGET"});
}
END_TEST

/* ---- methods ---- */

START_TEST(a_method_is_a_token_of_3_to_20_without_lower_case)
{
    HEADS(DEFAULTS, false,
          {LINE("-BLARGH /g HTTP/1.1"), "-BLARGH /g 1.1 keep path=/g | Host=a"},
          {LINE("VERSION-CONTROL /g HTTP/1.1"),
           "VERSION-CONTROL /g 1.1 keep path=/g | Host=a"},
          {LINE("ABCDEFGHIJKLMNOPQRST /g HTTP/1.1"),
           "ABCDEFGHIJKLMNOPQRST /g 1.1 keep path=/g | Host=a"},
          {LINE("ABCDEFGHIJKLMNOPQRSTU /g HTTP/1.1"), "refused METHOD"},
          {LINE("GE /g HTTP/1.1"), "refused METHOD"},
          {LINE("get /g HTTP/1.1"), "refused METHOD"},
          {LINE("GEt /g HTTP/1.1"), "refused METHOD"},
          {LINE("GE# /g HTTP/1.1"), "refused METHOD"},
          {LINE("GET: /g HTTP/1.1"), "refused METHOD"},
          {LINE("GET\xff /g HTTP/1.1"), "refused METHOD"},
          {LINE("HEAD /g HTTP/1.1"), "HEAD /g 1.1 keep head path=/g | Host=a"},
          {"ABCDEFGHIJKLMNOPQRSTU", "refused METHOD"},
          {"\x16\x03\x01", "refused METHOD"});
}
END_TEST

START_TEST(unconventional_methods_can_be_permitted)
{
    POLICY(any, P->permit_unconventional_method = true);
    HEADS(&any, false,
          {LINE("G /g HTTP/1.1"), "G /g 1.1 keep path=/g | Host=a"},
          {LINE("get# /g HTTP/1.1"), "get# /g 1.1 keep path=/g | Host=a"},
          {LINE("ABCDEFGHIJKLMNOPQRSTUVW /g HTTP/1.1"),
           "ABCDEFGHIJKLMNOPQRSTUVW /g 1.1 keep path=/g | Host=a"},
          {LINE("ABCDEFGHIJKLMNOPQRSTUV: /g HTTP/1.1"), "refused METHOD"},
          {LINE("G: /g HTTP/1.1"), "refused METHOD"},
          {LINE(" /g HTTP/1.1"), "refused METHOD"});
}
END_TEST

START_TEST(the_case_of_a_method_can_be_folded)
{
    POLICY(both, P->permit_unconventional_method = true;
           P->casefold_method = true);
    HEADS(&both, false, {LINE("get-az{ /g HTTP/1.1"), "refused METHOD"},
          {LINE("get /g HTTP/1.1"), "GET /g 1.1 keep path=/g | Host=a"},
          {LINE("gEt-a|~ /g HTTP/1.1"), "GET-A|~ /g 1.1 keep path=/g | Host=a"},
          {LINE("connect a:1 HTTP/1.1"),
           "CONNECT a:1 1.1 keep force-close connect authority=a:1 | Host=a"});
    /* lower case needs the other permission too, as in gunicorn */
    POLICY(fold, P->casefold_method = true);
    HEADS(&fold, false, {LINE("get /g HTTP/1.1"), "refused METHOD"});
}
END_TEST

/* ---- targets ---- */

START_TEST(an_origin_form_is_a_path_and_a_query)
{
    HEADS(
        DEFAULTS, false,
        {LINE("GET / HTTP/1.1"), "GET / 1.1 keep path=/ | Host=a"},
        {LINE("GET //a//b?x=1?y HTTP/1.1"),
         "GET //a//b?x=1?y 1.1 keep has-query path=//a//b query=x=1?y | "
         "Host=a"},
        {LINE("GET /? HTTP/1.1"), "GET /? 1.1 keep has-query path=/ | Host=a"},
        {LINE("GET /%41?%42 HTTP/1.1"),
         "GET /%41?%42 1.1 keep percent has-query path=/%41 query=%42 | "
         "Host=a"},
        {LINE("GET /a?%42 HTTP/1.1"),
         "GET /a?%42 1.1 keep has-query path=/a query=%42 | Host=a"},
        {LINE("GET /a#f?x%41 HTTP/1.1"),
         "GET /a#f?x%41 1.1 keep path=/a | Host=a"},
        {LINE("GET /a?b#f#g HTTP/1.1"),
         "GET /a?b#f#g 1.1 keep has-query path=/a query=b | Host=a"},
        {LINE("GET /\"<>{}|^`\\..\\b HTTP/1.1"),
         "GET /\\\"<>{}|^`\\\\..\\\\b 1.1 keep path=/\\\"<>{}|^`\\\\..\\\\b | "
         "Host=a"},
        {LINE("GET /\xc3\xa9 HTTP/1.1"),
         "GET /\\xc3\\xa9 1.1 keep path=/\\xc3\\xa9 | Host=a"},
        {LINE("GET /a\tb HTTP/1.1"), "refused TARGET"},
        {LINE("GET /a\x01 HTTP/1.1"), "refused TARGET"},
        {LINE("GET /a\x7f HTTP/1.1"), "refused TARGET"},
        {LINE("GET a HTTP/1.1"), "refused TARGET"},
        {LINE("GET a:443 HTTP/1.1"), "refused TARGET"},
        {LINE("GET ?a HTTP/1.1"), "refused TARGET"},
        {LINE("GET #a HTTP/1.1"), "refused TARGET"});
}
END_TEST

START_TEST(an_absolute_form_names_host_and_path)
{
    HEADS(
        DEFAULTS, false,
        {LINE("GET http://a/x?y=1 HTTP/1.1"),
         "GET http://a/x?y=1 1.1 keep has-query path=/x query=y=1 authority=a "
         "| Host=a"},
        {LINE("GET HTTPS://A/x HTTP/1.1"),
         "GET HTTPS://A/x 1.1 keep path=/x authority=A | Host=a"},
        {LINE("GET http://a HTTP/1.1"),
         "GET http://a 1.1 keep authority=a | Host=a"},
        {LINE("GET http://a?q HTTP/1.1"),
         "GET http://a?q 1.1 keep has-query query=q authority=a | Host=a"},
        {LINE("GET http://a#/q HTTP/1.1"),
         "GET http://a#/q 1.1 keep authority=a | Host=a"},
        {LINE("GET http://u:p@a/x HTTP/1.1"),
         "GET http://u:p@a/x 1.1 keep path=/x authority=a | Host=a"},
        {LINE("GET http://A:80/x HTTP/1.1"),
         "GET http://A:80/x 1.1 keep path=/x authority=A:80 | Host=a"},
        {LINE("GET https://a:443/x HTTP/1.1"),
         "GET https://a:443/x 1.1 keep path=/x authority=a:443 | Host=a"},
        {LINE("GET http://a:/x HTTP/1.1"),
         "GET http://a:/x 1.1 keep path=/x authority=a: | Host=a"},
        {"GET http://a/x HTTP/1.1\r\nHost: a:80\r\n\r\n",
         "GET http://a/x 1.1 keep path=/x authority=a | Host=a:80"},
        {"GET HTTPS://a/x HTTP/1.1\r\nHost: a:443\r\n\r\n",
         "GET HTTPS://a/x 1.1 keep path=/x authority=a | Host=a:443"},
        {LINE("GET http://a:443/x HTTP/1.1"), "refused HOST_MISMATCH"},
        {LINE("GET https://a:80/x HTTP/1.1"), "refused HOST_MISMATCH"},
        {LINE("GET http://b/x HTTP/1.1"), "refused HOST_MISMATCH"},
        {LINE("GET http://ab/x HTTP/1.1"), "refused HOST_MISMATCH"},
        {LINE("GET ftp://a/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http:// HTTP/1.1"), "refused TARGET"},
        {LINE("GET http:///x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://: HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://:80/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://[::1::]/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://a%z/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET https:// HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://u@/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://[::1/x HTTP/1.1"), "refused TARGET"},
        {LINE("GET http://a:99999/x HTTP/1.1"), "refused TARGET"},
        {"GET http://[::1]:80/x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
         "GET http://[::1]:80/x 1.1 keep path=/x authority=[::1]:80 | "
         "Host=[::1]:80"});
}
END_TEST

START_TEST(an_asterisk_is_for_options_alone)
{
    HEADS(DEFAULTS, false,
          {LINE("OPTIONS * HTTP/1.1"), "OPTIONS * 1.1 keep path=* | Host=a"},
          {LINE("GET * HTTP/1.1"), "refused TARGET"},
          {LINE("M-SEARCH * HTTP/1.1"), "refused TARGET"},
          {LINE("OPTIONS *x HTTP/1.1"), "refused TARGET"});
}
END_TEST

START_TEST(an_authority_is_for_connect_alone)
{
    HEADS(DEFAULTS, false,
          {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
           "CONNECT a:443 1.1 keep force-close connect authority=a:443 | "
           "Host=a:443"},
          {LINE("CONNECT [::1]:443 HTTP/1.1"),
           "CONNECT [::1]:443 1.1 keep force-close connect "
           "authority=[::1]:443 | Host=a"},
          {LINE("CONNECT a HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT a: HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT [::1] HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT [::1]: HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT :443 HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT [::1::]:443 HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT /x HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT * HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT u@a:443 HTTP/1.1"), "refused TARGET"},
          {LINE("CONNECT a:70000 HTTP/1.1"), "refused TARGET"});
}
END_TEST

/* ---- versions ---- */

START_TEST(the_version_is_http_1_and_a_digit)
{
    HEADS(DEFAULTS, false,
          {LINE("GET / HTTP/1.0"), "GET / 1.0 path=/ | Host=a"},
          {LINE("GET / HTTP/1.2"), "GET / 1.2 keep path=/ | Host=a"},
          {LINE("GET / HTTP/1.9"), "GET / 1.9 keep path=/ | Host=a"},
          {LINE("GET / HTTP/2.0"), "refused VERSION"},
          {LINE("GET / HTTP/0.9"), "refused VERSION"},
          {LINE("GET / HTTP/1"), "refused VERSION"},
          {LINE("GET / HTTP/1.10"), "refused VERSION"},
          {LINE("GET / HTTP/01.1"), "refused VERSION"},
          {LINE("GET / HTTP/1,1"), "refused VERSION"},
          {LINE("GET / HTTP/x.1"), "refused VERSION"},
          {LINE("GET / HTTP/1.x"), "refused VERSION"},
          {LINE("GET / http/1.1"), "refused VERSION"},
          {LINE("SOURCE / ICE//1.0"), "refused VERSION"},
          {LINE("PRI * HTTP/2.0"), "refused VERSION"});
}
END_TEST

START_TEST(unconventional_versions_can_be_permitted)
{
    POLICY(any, P->permit_unconventional_version = true);
    HEADS(&any, false,
          {LINE("GET / HTTP/2.0"), "GET / 1.1 keep path=/ | Host=a"},
          {LINE("GET / HTTP/3.7"), "GET / 1.1 keep path=/ | Host=a"},
          {LINE("GET / HTTP/0.9"), "GET / 1.0 path=/ | Host=a"},
          {LINE("GET / HTTP/1.0"), "GET / 1.0 path=/ | Host=a"},
          {LINE("GET / HTTP/x.1"), "refused VERSION"});
}
END_TEST

TESTS("line", a_line_has_three_parts,
      a_method_is_a_token_of_3_to_20_without_lower_case,
      unconventional_methods_can_be_permitted,
      the_case_of_a_method_can_be_folded, an_origin_form_is_a_path_and_a_query,
      an_absolute_form_names_host_and_path, an_asterisk_is_for_options_alone,
      an_authority_is_for_connect_alone, the_version_is_http_1_and_a_digit,
      unconventional_versions_can_be_permitted)
