/* SPDX-License-Identifier: MIT */
/* Refusals: every one has a status, a name and a message; error pages. */
#include <ctype.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/http/reply.h"
#include "core/http/request.h"
#include "tests/unit/check_main.h"

static char *
text_of(enum cg_refusal why, const char *base, struct cg_span at)
{
    struct cg_request r = {.refusal = why, .refused_at = at};
    struct cg_buf b = {0};
    cg_refusal_text(&r, base, &b);
    return cg_buf_take(&b);
}

START_TEST(every_refusal_is_complete)
{
    for (int why = 1; why < CG_REFUSAL_COUNT; why++) {
        int status = cg_refusal_status((enum cg_refusal)why);
        ck_assert(status == 400 || status == 403 || status == 413 ||
                  status == 414 || status == 417 || status == 421 ||
                  status == 431 || status == 501);
        ck_assert_str_ne(cg_reason(status), "Unknown");
        ck_assert_uint_gt(strlen(cg_refusal_name((enum cg_refusal)why)), 3);
        cg_auto(free) char *text =
            text_of((enum cg_refusal)why, "", (struct cg_span){0, 0});
        ck_assert_uint_gt(strlen(text), 8);
        ck_assert_ptr_null(strchr(text, '%'));
    }
    ck_assert_int_eq(cg_refusal_status(CG_REFUSE_NONE), 0);
    ck_assert_str_eq(cg_refusal_name(CG_REFUSE_NONE), "none");
}
END_TEST

START_TEST(messages_are_gunicorns)
{
    static const struct {
        enum cg_refusal why;
        int status;
        const char *want;
    } rows[] = {
        {CG_REFUSE_LINE, 400,
         "Invalid Request Line 'Invalid HTTP request line: 'x''"},
        {CG_REFUSE_METHOD, 400, "Invalid Method 'Invalid HTTP method: 'x''"},
        {CG_REFUSE_VERSION, 400,
         "Invalid HTTP Version 'Invalid HTTP Version: 'x''"},
        {CG_REFUSE_HEADER, 400, "Invalid HTTP Header: 'x'"},
        {CG_REFUSE_HEADER_NAME, 400, "Invalid HTTP header name: 'x'"},
        {CG_REFUSE_FOLDING, 400, "Obsolete line folding is unacceptable: 'X'"},
        {CG_REFUSE_FIELDS_LIMIT, 431,
         "Error parsing headers: 'limit request headers fields'"},
        {CG_REFUSE_UNSUPPORTED_CODING, 501, "Unsupported transfer coding: 'x'"},
        {CG_REFUSE_EXPECTATION, 417, "Unable to comply with expectation: 'x'"},
        {CG_REFUSE_SCHEMES, 400, "Contradictory scheme headers"},
        {CG_REFUSE_BARE_LF, 400, "bare LF as line terminator"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        cg_auto(free) char *got =
            text_of(rows[i].why, "axb", (struct cg_span){1, 1});
        ck_assert_str_eq(got, rows[i].want);
        ck_assert_int_eq(cg_refusal_status(rows[i].why), rows[i].status);
    }
}
END_TEST

START_TEST(the_peers_bytes_are_escaped_and_cut)
{
    cg_auto(free) char *got = text_of(CG_REFUSE_HEADER, "a\x1b[31m\r\n\"'\xff",
                                      (struct cg_span){0, 11});
    ck_assert_str_eq(got,
                     "Invalid HTTP Header: 'a\\x1b[31m\\x0d\\x0a\\\"'\\xff'");
    char longest[1000];
    memset(longest, 'y', sizeof longest);
    cg_auto(free) char *cut =
        text_of(CG_REFUSE_HEADER, longest, (struct cg_span){0, sizeof longest});
    ck_assert_uint_eq(strlen(cut), strlen("Invalid HTTP Header: ''") + 203);
}
END_TEST

/* What gunicorn says of the same head, as far as it says it in one line. */
START_TEST(names_are_shown_and_values_never)
{
    static const char *const rows[][2] = {
        {"GE /secret HTTP/1.1\r\n",
         "Invalid Method 'Invalid HTTP method: 'GE''"},
        {"GET / HTTP/1.1\r\nX-Key: secret\x01\r\n",
         "Invalid HTTP Header: 'X-KEY'"},
        {"GET / HTTP/1.1\r\nX-Key : secret\r\n",
         "Invalid HTTP header name: 'X-Key '"},
        {"GET / HTTP/1.1\r\nX-K\xdf: secret\r\n",
         "Invalid HTTP header name: 'X-K\\xdf'"},
        {"GET / HTTP/1.1\r\n X-Key: secret\r\n",
         "Invalid HTTP header name: ' X-Key'"},
        {"GET / HTTP/1.1\r\nX-Key: secret\r\n secret\r\n",
         "Obsolete line folding is unacceptable: 'X-KEY'"},
        {"GET / HTTP/1.1\r\nX_Key: secret\r\n secret\r\n",
         "Obsolete line folding is unacceptable: 'X_KEY'"},
        {"GET / HTTP/1.1\r\n: x\r\n", "Invalid HTTP Header: ': x'"},
        {"GET / HTTP/1.1\r\nx\r\n", "Invalid HTTP Header: 'x'"},
        {"GET * HTTP/1.1\r\n",
         "Invalid Request Line 'Invalid HTTP request line: 'GET * HTTP/1.1''"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_request r = {0};
        struct cg_buf b = {0};
        ck_assert_int_eq(cg_head_read(&r, &cg_head_policy_default, false,
                                      rows[i][0], strlen(rows[i][0])),
                         CG_HEAD_REFUSED);
        cg_refusal_text(&r, rows[i][0], &b);
        cg_auto(free) char *got = cg_buf_take(&b);
        ck_assert_str_eq(got, rows[i][1]);
        ck_assert_ptr_null(strstr(got, "secret"));
        cg_request_release(&r);
    }
}
END_TEST

START_TEST(a_name_in_upper_case_is_cut_and_escaped_too)
{
    char longest[1000];
    memset(longest, 'y', sizeof longest);
    longest[0] = '\n';
    cg_auto(free) char *cut = text_of(CG_REFUSE_FOLDING, longest,
                                      (struct cg_span){0, sizeof longest});
    ck_assert_ptr_nonnull(strstr(cut, "'\\x0aYYY"));
    ck_assert_ptr_nonnull(strstr(cut, "YYY...'"));
    ck_assert_uint_lt(strlen(cut), 300);
}
END_TEST

/* ---- reasons and pages ---- */

START_TEST(reasons_are_those_of_the_registry)
{
    ck_assert_str_eq(cg_reason(200), "OK");
    ck_assert_str_eq(cg_reason(404), "Not Found");
    ck_assert_str_eq(cg_reason(413), "Content Too Large");
    ck_assert_str_eq(cg_reason(414), "URI Too Long");
    ck_assert_str_eq(cg_reason(431), "Request Header Fields Too Large");
    ck_assert_str_eq(cg_reason(501), "Not Implemented");
    ck_assert_str_eq(cg_reason(299), "Unknown");
    static const struct {
        int code;
        const char *reason;
    } all[] = {
#define CG_STATUS(code, reason) {code, reason},
#include "core/http/statuses.def"
#undef CG_STATUS
    };
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        ck_assert_str_eq(cg_reason(all[i].code), all[i].reason);
        ck_assert(i == 0 || all[i].code > all[i - 1].code);
    }
}
END_TEST

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static char *
page_of(int status, const char *message, const char *server, uint8_t minor,
        bool head, size_t *body)
{
    struct cg_buf b = {0};
    *body = cg_error_page(&b, status, cg_slice_of(message), server, DATE, minor,
                          head);
    return cg_buf_take(&b);
}

START_TEST(an_error_page_is_complete_and_escaped)
{
    static const char want_body[] =
        "<!doctype html>\n<html>\n<head><title>Bad Request</title></head>\n"
        "<body>\n<h1>Bad Request</h1>\n"
        "<p>&lt;b&gt; &amp; &quot;x&quot; &#x27;y&#x27;</p>\n"
        "</body>\n</html>\n";
    size_t n;
    cg_auto(free) char *got =
        page_of(400, "<b> & \"x\" 'y'", "gunicorn", 1, false, &n);
    cg_auto(free) char *want =
        cg_strf("HTTP/1.1 400 Bad Request\r\nServer: gunicorn\r\nDate: " DATE
                "\r\nConnection: close\r\nContent-Type: text/html\r\n"
                "Content-Length: %zu\r\n\r\n%s",
                strlen(want_body), want_body);
    ck_assert_str_eq(got, want);
    ck_assert_uint_eq(n, strlen(want_body));
}
END_TEST

START_TEST(an_error_page_follows_the_request)
{
    size_t n;
    cg_auto(free) char *old = page_of(501, "", NULL, 0, false, &n);
    ck_assert_mem_eq(old, "HTTP/1.0 501 Not Implemented\r\nDate: ", 36);
    ck_assert_ptr_null(strstr(old, "<p>"));
    cg_auto(free) char *newer = page_of(500, "", NULL, 7, false, &n);
    ck_assert_mem_eq(newer, "HTTP/1.1 500 ", 13);
    cg_auto(free) char *head = page_of(500, "", NULL, 1, true, &n);
    ck_assert_mem_eq(head + strlen(head) - 4, "\r\n\r\n", 4);
    ck_assert_uint_gt(n, 0); /* Content-Length is as for GET */
}
END_TEST

TESTS("refusal", every_refusal_is_complete, messages_are_gunicorns,
      the_peers_bytes_are_escaped_and_cut, names_are_shown_and_values_never,
      a_name_in_upper_case_is_cut_and_escaped_too,
      reasons_are_those_of_the_registry, an_error_page_is_complete_and_escaped,
      an_error_page_follows_the_request)
