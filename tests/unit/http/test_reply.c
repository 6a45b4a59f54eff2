/* SPDX-License-Identifier: MIT */
/* Reply heads: status, fields, framing, persistence. RS numbers are those of
 * the rules for replies. */
#include "core/http/reply.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define FRONT(status, connection)                                              \
    "HTTP/1.1 " status "\r\nServer: gunicorn\r\nDate: " DATE                   \
    "\r\nConnection: " connection "\r\n"

static const struct cg_reply_context usual = {
    .server = "gunicorn", .date = DATE, .minor = 1, .keep_alive = true};

struct field {
    const char *name, *value;
};

/* A reply from its parts, as the text of its head. */
static char *
head_of(const struct cg_reply_context *context, const char *status,
        const struct field *fields, int64_t known, struct cg_reply *ret,
        bool *keep)
{
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    cg_reply_start(&r, &out);
    ck_assert_msg(cg_reply_status(&r, cg_slice_of(status)) == 0, "%s", r.fault);
    for (; fields != NULL && fields->name != NULL; fields++) {
        ck_assert_msg(cg_reply_field(&r, cg_slice_of(fields->name),
                                     cg_slice_of(fields->value)) == 0,
                      "%s", r.fault);
    }
    *keep = cg_reply_finish(&r, context, known);
    char *text = cg_strndup(out.p + r.begin, r.end - r.begin);
    ck_assert_uint_eq(r.end, out.n);
    *ret = r;
    cg_reply_release(&r);
    cg_buf_release(&out);
    return text;
}

#define FIELDS(...)                                                            \
    (const struct field[])                                                     \
    {                                                                          \
        __VA_ARGS__,                                                           \
        {                                                                      \
            NULL, NULL                                                         \
        }                                                                      \
    }

static void
expect(const struct cg_reply_context *context, const char *status,
       const struct field *fields, int64_t known, bool keep,
       enum cg_framing framing, const char *want)
{
    struct cg_reply r;
    bool kept;
    cg_auto(free) char *got =
        head_of(context, status, fields, known, &r, &kept);
    ck_assert_str_eq(got, want);
    ck_assert_int_eq(kept, keep);
    ck_assert_int_eq(r.framing, framing);
}

/* ---- status ---- */

static int
status_of(const char *text, size_t n)
{
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    cg_reply_start(&r, &out);
    int bad = cg_reply_status(&r, (struct cg_slice){text, n});
    ck_assert_int_eq(bad, r.fault != NULL ? -EINVAL : 0);
    int status = bad != 0 ? bad : r.status;
    cg_reply_release(&r);
    cg_buf_release(&out);
    return status;
}

START_TEST(a_status_is_three_digits_and_a_reason)
{
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"200 OK", 200},
        {"200", 200},
        {"200 ", 200},
        {"599 caf\xe9 \t~", 599},
        {"999 X", 999},
        {"101 Switching Protocols", 101},
        {"200 OK\r\nX: y", -EINVAL},
        {"200 OK\n", -EINVAL},
        {"200\tOK", -EINVAL},
        {"2000 OK", -EINVAL},
        {"20 OK", -EINVAL},
        {"20", -EINVAL},
        {"", -EINVAL},
        {"abc def", -EINVAL},
        {"099 X", -EINVAL},
        {"b'200 OK'", -EINVAL},
        {"200 O\x7fK", -EINVAL},
        {":00 X", -EINVAL},
        {"2x0 X", -EINVAL},
        {"20x X", -EINVAL},
        /* RS17: an interim status would leave the peer waiting */
        {"100 Continue", -EINVAL},
        {"103 Early Hints", -EINVAL},
        {"199 X", -EINVAL},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        ck_assert_msg(status_of(rows[i].text, strlen(rows[i].text)) ==
                          rows[i].want,
                      "'%s'", rows[i].text);
    }
    ck_assert_int_eq(status_of("200 O\0K", 7), -EINVAL);
}
END_TEST

START_TEST(a_code_alone_gets_its_blank_and_its_reason)
{
    expect(&usual, "404", NULL, 0, true, CG_FRAME_LENGTH,
           FRONT("404 Not Found", "keep-alive") "Content-Length: 0\r\n\r\n");
    expect(&usual, "404 ", NULL, 0, true, CG_FRAME_LENGTH,
           FRONT("404 Not Found", "keep-alive") "Content-Length: 0\r\n\r\n");
    expect(&usual, "299", NULL, 0, true, CG_FRAME_LENGTH,
           FRONT("299 Unknown", "keep-alive") "Content-Length: 0\r\n\r\n");
}
END_TEST

/* ---- fields ---- */

static int
field_of(const char *name, size_t name_n, const char *value, size_t value_n,
         const char **fault)
{
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    cg_reply_start(&r, &out);
    cg_reply_status(&r, CG_SLICE("200 OK"));
    size_t before = out.n;
    int bad = cg_reply_field(&r, (struct cg_slice){name, name_n},
                             (struct cg_slice){value, value_n});
    ck_assert(bad == 0 || out.n == before);
    *fault = r.fault;
    cg_reply_release(&r);
    cg_buf_release(&out);
    return bad;
}

START_TEST(names_are_tokens_and_values_without_controls)
{
    static const struct {
        const char *name, *value;
        bool good;
    } rows[] = {
        {"X", "a", true},
        {"X", "", true},
        {"!#$%&'*+-.^_`|~", "caf\xe9\t~", true},
        {"", "a", false},
        {"X:", "a", false},
        {"X\r\nY", "a", false},
        {"X Y", "a", false},
        {"X\xe9", "a", false},
        {"X", "a\r\nY: b", false},
        {"X", "a\n", false},
        {"X", "a\x7f", false},
        {"X", "a\x01", false},
        {"X", "a\r", false},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        const char *fault;
        int bad = field_of(rows[i].name, strlen(rows[i].name), rows[i].value,
                           strlen(rows[i].value), &fault);
        ck_assert_msg((bad == 0) == rows[i].good, "row %zu", i);
        /* RS05: what is wrong, never the value itself */
        ck_assert((fault == NULL) == rows[i].good);
    }
    const char *fault;
    ck_assert_int_eq(field_of("X", 1, "a\0b", 3, &fault), -EINVAL);
    ck_assert_str_eq(fault, "Invalid header value in header");
}
END_TEST

START_TEST(fields_keep_order_case_and_number)
{
    expect(
        &usual, "200 OK",
        FIELDS({"Set-Cookie", "a=1"}, {"x-B", " \t1 2\t "},
               {"set-cookie", "a=2"}, {"Set-Cookie", "a=3"}),
        0, true, CG_FRAME_LENGTH,
        FRONT("200 OK",
              "keep-alive") "Content-Length: 0\r\n"
                            "Set-Cookie: a=1\r\nx-B: 1 2\r\nset-cookie: a=2\r\n"
                            "Set-Cookie: a=3\r\n\r\n");
}
END_TEST

START_TEST(what_is_the_servers_business_is_dropped)
{
    expect(
        &usual, "200 OK",
        FIELDS({"Date", "x"}, {"SERVER", "x"}, {"Keep-Alive", "x"}, {"TE", "x"},
               {"Trailer", "X"}, {"Trailers", "X"},
               {"Transfer-Encoding", "chunked"}, {"Upgrade", "h2c"},
               {"Proxy-Authenticate", "x"}, {"Proxy-Authorization", "x"},
               {"Proxy-Connection", "close"}, {"Connection", "x"}, {"ab", "1"},
               {"abcd", "1"}, {"abcdef", "1"}, {"abcdefg", "1"},
               {"abcdefgh", "1"}, {"abcdefghij", "1"}, {"abcdefghijklmn", "1"},
               {"abcdefghijklmnop", "1"}, {"abcdefghijklmnopq", "1"},
               {"abcdefghijklmnopqr", "1"}, {"abcdefghijklmnopqrs", "1"}),
        0, true, CG_FRAME_LENGTH,
        FRONT("200 OK",
              "keep-alive") "Content-Length: 0\r\n"
                            "ab: 1\r\nabcd: 1\r\nabcdef: 1\r\nabcdefg: "
                            "1\r\nabcdefgh: 1\r\n"
                            "abcdefghij: 1\r\nabcdefghijklmn: "
                            "1\r\nabcdefghijklmnop: 1\r\n"
                            "abcdefghijklmnopq: 1\r\nabcdefghijklmnopqr: 1\r\n"
                            "abcdefghijklmnopqrs: 1\r\n\r\n");
}
END_TEST

START_TEST(a_length_is_one_number)
{
    const char *fault;
    ck_assert_int_eq(field_of("Content-Length", 14, "+3", 2, &fault), -EINVAL);
    ck_assert_int_eq(field_of("Content-Length", 14, "3x", 2, &fault), -EINVAL);
    ck_assert_int_eq(field_of("Content-Length", 14, "", 0, &fault), -EINVAL);
    ck_assert_int_eq(field_of("Content-Length", 14, "-3", 2, &fault), -EINVAL);
    ck_assert_str_eq(fault, "Content-Length is not a number");
    ck_assert_int_eq(field_of("content-length", 14, " 3\t", 3, &fault), 0);
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    cg_reply_start(&r, &out);
    cg_reply_status(&r, CG_SLICE("200 OK"));
    ck_assert_int_eq(
        cg_reply_field(&r, CG_SLICE("Content-Length"), CG_SLICE("3")), 0);
    ck_assert_int_eq(
        cg_reply_field(&r, CG_SLICE("content-length"), CG_SLICE("3")), -EINVAL);
    ck_assert_str_eq(r.fault, "Content-Length is given twice");
    cg_reply_release(&r);
    cg_buf_release(&out);
}
END_TEST

/* ---- framing ---- */

START_TEST(a_body_is_framed_in_exactly_one_way)
{
    struct cg_reply_context old = usual, closing = usual;
    old.minor = 0;
    closing.keep_alive = false;
    expect(&usual, "200 OK", FIELDS({"Content-Length", "5"}), -1, true,
           CG_FRAME_LENGTH,
           FRONT("200 OK", "keep-alive") "Content-Length: 5\r\n\r\n");
    expect(&usual, "200 OK", FIELDS({"Content-Length", "5"}), 7, true,
           CG_FRAME_LENGTH,
           FRONT("200 OK", "keep-alive") "Content-Length: 5\r\n\r\n");
    expect(&usual, "200 OK", NULL, 12345678901, true, CG_FRAME_LENGTH,
           FRONT("200 OK", "keep-alive") "Content-Length: 12345678901\r\n\r\n");
    expect(&usual, "200 OK", NULL, -1, true, CG_FRAME_CHUNKED,
           FRONT("200 OK", "keep-alive") "Transfer-Encoding: chunked\r\n\r\n");
    expect(&closing, "200 OK", NULL, -1, false, CG_FRAME_CHUNKED,
           FRONT("200 OK", "close") "Transfer-Encoding: chunked\r\n\r\n");
    expect(&old, "200 OK", NULL, -1, false, CG_FRAME_CLOSE,
           "HTTP/1.0 200 OK\r\nServer: gunicorn\r\nDate: " DATE
           "\r\nConnection: close\r\n\r\n");
    expect(&old, "200 OK", NULL, 0, true, CG_FRAME_LENGTH,
           "HTTP/1.0 200 OK\r\nServer: gunicorn\r\nDate: " DATE
           "\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(what_has_no_body_has_no_framing)
{
    struct cg_reply_context head = usual, old = usual;
    head.head_request = true;
    old.minor = 0;
    expect(&head, "200 OK", FIELDS({"Content-Length", "5"}), -1, true,
           CG_FRAME_NONE,
           FRONT("200 OK", "keep-alive") "Content-Length: 5\r\n\r\n");
    expect(&head, "200 OK", NULL, 3, true, CG_FRAME_NONE,
           FRONT("200 OK", "keep-alive") "Content-Length: 3\r\n\r\n");
    expect(&head, "200 OK", NULL, -1, true, CG_FRAME_NONE,
           FRONT("200 OK", "keep-alive") "\r\n");
    expect(&usual, "204 No Content", FIELDS({"Content-Length", "5"}), -1, true,
           CG_FRAME_NONE, FRONT("204 No Content", "keep-alive") "\r\n");
    expect(&usual, "204 No Content", NULL, 5, true, CG_FRAME_NONE,
           FRONT("204 No Content", "keep-alive") "\r\n");
    expect(&usual, "304 Not Modified", FIELDS({"Content-Length", "5"}), -1,
           true, CG_FRAME_NONE,
           FRONT("304 Not Modified", "keep-alive") "Content-Length: 5\r\n\r\n");
    expect(&usual, "304 Not Modified", NULL, 5, true, CG_FRAME_NONE,
           FRONT("304 Not Modified", "keep-alive") "\r\n");
    expect(&old, "204 No Content", NULL, -1, true, CG_FRAME_NONE,
           "HTTP/1.0 204 No Content\r\nServer: gunicorn\r\nDate: " DATE
           "\r\nConnection: keep-alive\r\n\r\n");
}
END_TEST

START_TEST(the_application_may_close)
{
    expect(&usual, "200 OK", FIELDS({"Connection", " Close "}), 0, false,
           CG_FRAME_LENGTH,
           FRONT("200 OK", "close") "Content-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(an_upgrade_to_websocket_passes)
{
    expect(&usual, "101 Switching Protocols",
           FIELDS({"Connection", "Upgrade"}, {"Upgrade", "WebSocket"}), -1,
           false, CG_FRAME_NONE,
           FRONT("101 Switching Protocols",
                 "upgrade") "Upgrade: WebSocket\r\n\r\n");
    expect(&usual, "200 OK",
           FIELDS({"Connection", "Upgrade"}, {"Upgrade", "websocket"}), 0, true,
           CG_FRAME_LENGTH,
           FRONT("200 OK", "keep-alive") "Content-Length: 0\r\n"
                                         "Upgrade: websocket\r\n\r\n");
}
END_TEST

START_TEST(the_server_field_is_optional)
{
    struct cg_reply_context silent = usual;
    silent.server = NULL;
    expect(&silent, "200 OK", NULL, 0, true, CG_FRAME_LENGTH,
           "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nConnection: keep-alive\r\n"
           "Content-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(a_front_that_is_longer_than_its_room_fits)
{
    for (size_t n = 200; n < 1200; n += 37) {
        char status[1300] = "200 ";
        memset(status + 4, 'r', n);
        status[4 + n] = '\0';
        cg_auto(free) char *want = cg_strf(
            "HTTP/1.1 %s\r\nServer: gunicorn\r\nDate: " DATE
            "\r\nConnection: keep-alive\r\nContent-Length: 0\r\nX: 1\r\n\r\n",
            status);
        expect(&usual, status, FIELDS({"X", "1"}), 0, true, CG_FRAME_LENGTH,
               want);
    }
}
END_TEST

START_TEST(a_reply_is_used_again)
{
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    for (int i = 0; i < 3; i++) {
        cg_reply_start(&r, &out);
        ck_assert_int_eq(cg_reply_status(&r, CG_SLICE("200 OK")), 0);
        ck_assert_int_eq(
            cg_reply_field(&r, CG_SLICE("Content-Length"), CG_SLICE("0")), 0);
        cg_reply_finish(&r, &usual, -1);
        cg_auto(free) char *got = cg_strndup(out.p + r.begin, r.end - r.begin);
        ck_assert_str_eq(
            got, FRONT("200 OK", "keep-alive") "Content-Length: 0\r\n\r\n");
    }
    cg_reply_release(&r);
    cg_buf_release(&out);
}
END_TEST

TESTS("reply", a_status_is_three_digits_and_a_reason,
      a_code_alone_gets_its_blank_and_its_reason,
      names_are_tokens_and_values_without_controls,
      fields_keep_order_case_and_number,
      what_is_the_servers_business_is_dropped, a_length_is_one_number,
      a_body_is_framed_in_exactly_one_way, what_has_no_body_has_no_framing,
      the_application_may_close, an_upgrade_to_websocket_passes,
      the_server_field_is_optional, a_front_that_is_longer_than_its_room_fits,
      a_reply_is_used_again)
