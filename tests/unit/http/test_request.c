/* SPDX-License-Identifier: MIT */
/* Heads line by line: ends of lines, limits, fields, folding, underscores. */
#include <stdio.h>

#include "tests/unit/http/heads.h"

#include "tests/unit/check_main.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n"
#define GOT "GET /g 1.1 keep path=/g | Host=a"

/* ---- ends of lines ---- */

START_TEST(only_crlf_ends_a_line)
{
    HEADS(DEFAULTS, false, {GET "\r\n", GOT},
          {"GET /g HTTP/1.1\nHost: a\r\n\r\n", "refused BARE_LF"},
          {"\nGET /g HTTP/1.1\r\n", "refused BARE_LF"},
          {GET "X: a\n\r\n", "refused BARE_LF"},
          {GET "X: 1\r\n\n", "refused BARE_LF"},
          {GET "X: a\rb\r\n\r\n", "refused HEADER_VALUE"},
          {GET "X: a\r\r\n\r\n", "refused HEADER_VALUE"},
          {"GET /g HTTP/1.1\r\r\nHost: a\r\n\r\n", "refused VERSION"},
          {"\rGET /g HTTP/1.1\r\n", "refused METHOD"},
          {"\r\r\n", "refused METHOD"});
}
END_TEST

START_TEST(two_empty_lines_before_a_request_are_borne)
{
    HEADS(DEFAULTS, false, {"\r\n" GET "\r\n", GOT},
          {"\r\n\r\n" GET "\r\n", GOT},
          {"\r\n\r\n\r\n" GET "\r\n", "refused LINE"}, {"\r\n", "more"},
          {"\r", "more"});
}
END_TEST

START_TEST(a_part_of_a_head_waits)
{
    static const char text[] = GET "X: 1\r\n\r\n";
    for (size_t n = 1; n + 1 < sizeof text; n++) {
        expect_head_n(DEFAULTS, false, text, n, "more");
    }
}
END_TEST

START_TEST(what_follows_the_head_is_left_alone)
{
    static const char text[] = GET "\r\nGET /next \n\n\r";
    struct cg_request r = {0};
    ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, text, sizeof text - 1),
                     CG_HEAD_DONE);
    ck_assert_uint_eq(r.head_n, strlen(GET) + 2);
    cg_request_release(&r);
}
END_TEST

/* ---- limits ---- */

static void
expect_repeated(const struct cg_head_policy *policy, const char *front,
                const char *run, size_t times, const char *back,
                const char *want)
{
    struct cg_buf b = {0};
    cg_buf_puts(&b, front);
    while (times-- > 0) {
        cg_buf_puts(&b, run);
    }
    cg_buf_puts(&b, back);
    cg_auto(free) char *whole = told_in_steps(policy, false, b.p, b.n, b.n);
    cg_auto(free) char *parts = told_in_steps(policy, false, b.p, b.n, 7);
    if (strcmp(want, "GET") == 0) { /* accepted: the fields are of no matter */
        whole[strcspn(whole, " ")] = parts[strcspn(parts, " ")] = '\0';
    }
    ck_assert_str_eq(whole, want);
    ck_assert_str_eq(parts, want);
    cg_buf_release(&b);
}

START_TEST(a_request_line_has_a_limit)
{
    static const char front[] = "GET /",
                      back[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t room = 4094 - strlen("GET / HTTP/1.1");
    expect_repeated(DEFAULTS, front, "a", room, back, "GET");
    expect_repeated(DEFAULTS, front, "a", room + 1, back, "refused LINE_LIMIT");
    /* as soon as it is passed, without an end in sight */
    expect_repeated(DEFAULTS, front, "a", 4090, "", "more");
    expect_repeated(DEFAULTS, front, "a", 4091, "", "refused LINE_LIMIT");
    expect_repeated(DEFAULTS, front, "a", 200000, "", "refused LINE_LIMIT");
    POLICY(unlimited, P->limit_line = 0);
    expect_repeated(&unlimited, front, "a", 60000, back, "GET");
    expect_repeated(&unlimited, front, "a", 70000, back, "refused HEAD_SIZE");
}
END_TEST

START_TEST(fields_are_counted)
{
    expect_repeated(DEFAULTS, GET, "X: 1\r\n", 99, "\r\n", "GET");
    expect_repeated(DEFAULTS, GET, "X: 1\r\n", 100, "", "refused FIELDS_LIMIT");
    /* dropped ones are not, as in gunicorn */
    expect_repeated(DEFAULTS, GET, "X_Y: 1\r\n", 150, "\r\n", "GET");
    POLICY(many, P->limit_fields = 1000);
    expect_repeated(&many, GET, "X: 1\r\n", 999, "\r\n", "GET");
}
END_TEST

START_TEST(a_field_has_a_limit)
{
    size_t room = 8190 - strlen("X: \r\n");
    expect_repeated(DEFAULTS, GET "X: ", "a", room, "\r\n\r\n", "GET");
    expect_repeated(DEFAULTS, GET "X: ", "a", room + 1, "\r\n\r\n",
                    "refused FIELD_SIZE");
    expect_repeated(DEFAULTS, GET "X: ", "a", 9000, "", "refused FIELD_SIZE");
    POLICY(unlimited, P->limit_field_size = 0);
    expect_repeated(&unlimited, GET "X: ", "a", 60000, "\r\n\r\n", "GET");
    expect_repeated(&unlimited, GET, "a", 65000, ": 1\r\n\r\n", "GET");
}
END_TEST

START_TEST(a_folded_field_is_measured_as_one)
{
    POLICY(folding, P->permit_folding = true; P->limit_field_size = 21);
    HEADS(&folding, false,
          {GET "X: 123456\r\n 1234567\r\n\r\n", GOT " X=123456 1234567"},
          {GET "X: 123456\r\n 12345678\r\n\r\n", "refused FIELD_SIZE"},
          {GET "X: 1\r\n 2\r\n 3\r\n 4\r\n 5\r\n\r\n", "refused FIELD_SIZE"},
          {GET "X: 123456\r\nY: 12345678\r\n\r\n", GOT " X=123456 Y=12345678"});
}
END_TEST

START_TEST(a_head_has_a_limit)
{
    POLICY(small, P->limit_head = 200);
    size_t room = 200 - strlen(GET "\r\n") - 8;
    expect_repeated(&small, GET "XY: ", "a", room + 2, "\r\n\r\n", "GET");
    expect_repeated(&small, GET "XY: ", "a", room + 3, "\r\n\r\n",
                    "refused HEAD_SIZE");
    expect_repeated(&small, GET "XY: ", "a", 300, "", "refused HEAD_SIZE");
    expect_repeated(DEFAULTS, GET "X: ", "a", 8000, "\r\nY: 1\r\n\r\n", "GET");
    expect_repeated(DEFAULTS, GET, "X: 1234567890\r\n", 99, "\r\n", "GET");
}
END_TEST

START_TEST(a_name_longer_than_its_counter_is_refused)
{
    POLICY(large, P->limit_field_size = 0; P->limit_head = 200000);
    expect_repeated(&large, GET, "a", 65535, ": 1\r\n\r\n", "GET");
    expect_repeated(&large, GET, "a", 65536, ": 1\r\n\r\n",
                    "refused FIELDS_LIMIT");
}
END_TEST

/* ---- linear time ---- */

/* Bytes behind `scanned` are not searched again: what stands there while more
 * bytes come does not matter, as long as it is back when its line ends. */
START_TEST(bytes_are_searched_once_however_they_arrive)
{
    POLICY(any, P->permit_unconventional_method = true; P->limit_line = 0;
           P->limit_field_size = 0);
    enum { N = 60000, HEAD_OF_LINE = 32 };
    static char text[N + 64];
    int n = snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n",
                     N, 0);
    struct cg_request r = {0};
    char *shown = cg_malloc((size_t)n);
    for (int have = 1; have <= N; have++) {
        /* all but a line's first bytes and the newest one is gone */
        memset(shown, '\n', (size_t)have);
        memcpy(shown, text, have < HEAD_OF_LINE ? (size_t)have : HEAD_OF_LINE);
        shown[have - 1] = text[have - 1];
        ck_assert_int_eq(cg_head_read(&r, &any, false, shown, (size_t)have),
                         CG_HEAD_MORE);
        ck_assert_uint_eq(r.scanned, (unsigned)have);
    }
    ck_assert_int_eq(cg_head_read(&r, &any, false, text, (size_t)n),
                     CG_HEAD_DONE);
    free(shown);
    cg_request_release(&r);
}
END_TEST

START_TEST(lines_that_are_done_are_not_looked_at_before_the_end)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
    struct cg_request r = {0};
    char shown[sizeof text];
    memcpy(shown, text, sizeof text);
    for (size_t have = 1; have < sizeof text - 1; have++) {
        ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, shown, have),
                         CG_HEAD_MORE);
        if (text[have - 1] == '\n') {
            memset(shown, '\n', have);
        }
    }
    ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, text, sizeof text - 1),
                     CG_HEAD_DONE);
    ck_assert_int_eq(r.nfields, 2);
    cg_request_release(&r);
}
END_TEST

/* ---- field lines ---- */

START_TEST(a_field_is_a_token_a_colon_and_a_value)
{
    HEADS(
        DEFAULTS, false,
        {GET "X.!#$%&'*+^`|~-9: ok\r\n\r\n", GOT " X.!#$%&'*+^`|~-9=ok"},
        {GET "X:1\r\nY:\t 2 \t\r\nZ:\r\nW:  \r\n\r\n", GOT " X=1 Y=2 Z= W="},
        {GET "X: caf\xc3\xa9 \t a:b\r\n\r\n", GOT " X=caf\\xc3\\xa9 \\x09 a:b"},
        {GET ": x\r\n\r\n", "refused HEADER"},
        {GET "X\r\n\r\n", "refused HEADER"},
        {GET "X 5\r\n\r\n", "refused HEADER"},
        {GET "X y: 5\r\n\r\n", "refused HEADER_NAME"},
        {GET "X : 5\r\n\r\n", "refused HEADER_NAME"},
        {GET "X\t: 5\r\n\r\n", "refused HEADER_NAME"},
        {GET "X\xdf: 3\r\n\r\n", "refused HEADER_NAME"},
        {GET "X: a\vb\r\n\r\n", "refused HEADER_VALUE"},
        {GET "X: a\x7f\r\n\r\n", "refused HEADER_VALUE"},
        {GET "X: 0123456789abcdef\x01\r\n\r\n", "refused HEADER_VALUE"});
    expect_head_n(DEFAULTS, false, GET "X: a\0b\r\n\r\n",
                  sizeof(GET "X: a\0b\r\n\r\n") - 1, "refused HEADER_VALUE");
}
END_TEST

START_TEST(blanks_before_a_colon_can_be_permitted)
{
    POLICY(strip, P->strip_header_spaces = true);
    HEADS(&strip, false, {GET "X \t : 5\r\n\r\n", GOT " X=5"},
          {GET " X: 5\r\n\r\n", "refused FOLDING"},
          {"GET /g HTTP/1.1\r\nHost : a\r\n\r\n", GOT},
          {GET "X y: 5\r\n\r\n", "refused HEADER_NAME"},
          {GET "X \r\n\r\n", "refused HEADER"},
          {GET " : 5\r\n\r\n", "refused FOLDING"},
          {GET "Content-Length : 5\r\n\r\n",
           "GET /g 1.1 keep length=5 path=/g | Host=a Content-Length=5"});
}
END_TEST

/* ---- folding ---- */

START_TEST(folding_is_refused)
{
    HEADS(DEFAULTS, false, {GET "X: a\r\n b\r\n\r\n", "refused FOLDING"},
          {GET "X: a\r\n\tb\r\n\r\n", "refused FOLDING"},
          {"GET /g HTTP/1.1\r\n Host: a\r\n\r\n", "refused HEADER_NAME"},
          {"GET /g HTTP/1.1\r\n\tX: 1\r\nHost: a\r\n\r\n",
           "refused HEADER_NAME"});
}
END_TEST

START_TEST(folding_can_be_permitted)
{
    POLICY(folding, P->permit_folding = true);
    HEADS(&folding, false,
          {GET "X: a\r\n b\r\n\t \tc \r\nY: d\r\n\r\n", GOT " X=a b c Y=d"},
          {GET "X: a\r\n \r\n\t\r\n b\r\n\r\n", GOT " X=a b"},
          {GET "X:\r\n b\r\n\r\n", GOT " X=b"},
          {GET "X: a  \r\n\t\r\n   b\t\r\n \r\n  c   \r\n d\r\nY: e\r\n\r\n",
           GOT " X=a b c d Y=e"},
          {GET "Content-Length:\r\n 5\r\n\r\n",
           "GET /g 1.1 keep length=5 path=/g | Host=a Content-Length=5"},
          {GET "Content-Length: 1\r\n 5\r\n\r\n", "refused CONTENT_LENGTH"},
          {GET "X_Y: a\r\n b\r\nZ: 1\r\n c\r\n\r\n", GOT " Z=1 c"},
          {GET "X: a\r\n b\x01\r\n\r\n", "refused HEADER_VALUE"},
          {"GET /g HTTP/1.1\r\n Host: a\r\n\r\n", "refused HEADER_NAME"});
}
END_TEST

/* ---- underscores ---- */

START_TEST(names_with_an_underscore_are_dropped)
{
    HEADS(DEFAULTS, false, {GET "X_Y: 1\r\nX-Y: 2\r\n\r\n", GOT " X-Y=2"},
          {GET "Transfer_Encoding: chunked\r\nContent_Length: 7\r\n\r\n", GOT},
          {GET "X_Y: \x01\r\n\r\n", "refused HEADER_VALUE"});
}
END_TEST

START_TEST(names_with_an_underscore_can_be_refused_or_kept)
{
    POLICY(refusing, P->header_map = CG_HEADER_REFUSE);
    HEADS(&refusing, false, {GET "X_Y: 1\r\n\r\n", "refused HEADER_NAME"},
          {GET "X-Y: 1\r\n\r\n", GOT " X-Y=1"});
    POLICY(keeping, P->header_map = CG_HEADER_DANGEROUS);
    HEADS(&keeping, false, {GET "X_Y: 1\r\n\r\n", GOT " X_Y=1"});
    POLICY(unknown, P->header_map = (enum cg_header_map)9);
    HEADS(&unknown, false, {GET "X_Y: 1\r\n\r\n", GOT});
}
END_TEST

START_TEST(a_trusted_peer_may_send_what_forwarder_headers_names)
{
    HEADS(DEFAULTS, true,
          {GET "SCRIPT_NAME: /app\r\nPath_Info: /x\r\nREMOTE_USER: b\r\n\r\n",
           "GET /g 1.1 keep path=/g script=/app | Host=a SCRIPT_NAME=/app "
           "Path_Info=/x"});
    HEADS(DEFAULTS, false, {GET "SCRIPT_NAME: /app\r\n\r\n", GOT});
    static const char *const names[] = {"remote_user", NULL};
    POLICY(named, P->forwarder_headers = names);
    HEADS(&named, true,
          {GET "SCRIPT_NAME: /a\r\nREMOTE_USER: b\r\n\r\n",
           GOT " REMOTE_USER=b"});
    POLICY(any, P->forwarder_any = true);
    HEADS(&any, true, {GET "A_B: 1\r\n\r\n", GOT " A_B=1"});
    POLICY(none, P->forwarder_headers = NULL);
    HEADS(&none, true, {GET "SCRIPT_NAME: /a\r\n\r\n", GOT});
    POLICY(refusing, P->header_map = CG_HEADER_REFUSE);
    HEADS(&refusing, true, {GET "A_B: 1\r\n\r\n", "refused HEADER_NAME"});
}
END_TEST

/* ---- life ---- */

START_TEST(a_request_is_used_again_and_moved)
{
    static const char text[] = GET "X: 1\r\n\r\n";
    struct cg_request r = {0}, other = {0};
    ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, text, sizeof text - 1),
                     CG_HEAD_DONE);
    struct cg_field *fields = r.fields;
    cg_request_reset(&r);
    ck_assert_int_eq(r.nfields, 0);
    ck_assert_ptr_eq(r.fields, fields);
    ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, text, sizeof text - 1),
                     CG_HEAD_DONE);
    cg_request_move(&other, &r);
    ck_assert_ptr_null(r.fields);
    ck_assert_int_eq(other.nfields, 2);
    ck_assert_ptr_nonnull(cg_request_field(&other, CG_FIELD_HOST));
    ck_assert_ptr_null(cg_request_field(&other, CG_FIELD_COOKIE));
    cg_request_release(&other);
    cg_request_release(&r);
}
END_TEST

TESTS("request", only_crlf_ends_a_line,
      two_empty_lines_before_a_request_are_borne, a_part_of_a_head_waits,
      what_follows_the_head_is_left_alone, a_request_line_has_a_limit,
      fields_are_counted, a_field_has_a_limit,
      a_folded_field_is_measured_as_one, a_head_has_a_limit,
      a_name_longer_than_its_counter_is_refused,
      bytes_are_searched_once_however_they_arrive,
      lines_that_are_done_are_not_looked_at_before_the_end,
      a_field_is_a_token_a_colon_and_a_value,
      blanks_before_a_colon_can_be_permitted, folding_is_refused,
      folding_can_be_permitted, names_with_an_underscore_are_dropped,
      names_with_an_underscore_can_be_refused_or_kept,
      a_trusted_peer_may_send_what_forwarder_headers_names,
      a_request_is_used_again_and_moved)
