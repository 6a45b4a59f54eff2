/* SPDX-License-Identifier: MIT */
/* Replies from their head to their end, as the bytes that leave. */
#include "core/http/writer.h"

#include <errno.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define HEAD(status)                                                           \
    "HTTP/1.1 " status "\r\nServer: gunicorn\r\nDate: " DATE                   \
    "\r\nConnection: keep-alive\r\n"
#define CHUNKED HEAD("200 OK") "Transfer-Encoding: chunked\r\n\r\n"

static const struct cg_reply_context usual = {
    .server = "gunicorn", .date = DATE, .minor = 1, .keep_alive = true};

/* A writer, and all that it said was to be sent. */
struct wire {
    struct cg_writer w;
    struct cg_buf sent;
    struct cg_parts parts; /* the last ones */
};

static void
take(struct wire *t)
{
    for (int i = 0; i < t->parts.n; i++) {
        cg_buf_put(&t->sent, t->parts.v[i].iov_base, t->parts.v[i].iov_len);
    }
}

static bool
body(struct wire *t, const char *text, bool last)
{
    bool more = cg_writer_body(&t->w, text, strlen(text), last, &t->parts);
    take(t);
    return more;
}

static void
start(struct wire *t, const char *status)
{
    ck_assert_int_eq(cg_writer_start(&t->w, cg_slice_of(status)), 0);
}

static void
field(struct wire *t, const char *name, const char *value)
{
    ck_assert_int_eq(
        cg_writer_field(&t->w, cg_slice_of(name), cg_slice_of(value)), 0);
}

/* What was sent is `want` in all; the writer is reset for the next reply. */
static void
expect(struct wire *t, const char *want)
{
    ck_assert_str_eq(cg_buf_str(&t->sent), want);
    cg_buf_reset(&t->sent);
    cg_writer_reset(&t->w);
}

/* A reply of n bytes in usual conditions; -1: it is not known how many. */
static void
begin(struct wire *t, int64_t n)
{
    start(t, "200 OK");
    cg_writer_head(&t->w, &usual, n);
}

static void
release(struct wire *t)
{
    cg_buf_release(&t->sent);
    cg_writer_release(&t->w);
}

START_TEST(a_body_in_one_part_leaves_with_its_head_as_one_piece)
{
    struct wire t = {0};
    start(&t, "200 OK");
    field(&t, "X", "1");
    ck_assert(cg_writer_head(&t.w, &usual, 5));
    ck_assert(body(&t, "hello", true));
    ck_assert_int_eq(t.parts.n, 1);
    ck_assert(t.parts.now && !t.parts.whole && t.w.ended);
    ck_assert_uint_eq(t.w.sent, 5);
    expect(&t, HEAD("200 OK") "Content-Length: 5\r\nX: 1\r\n\r\nhello");
    release(&t);
}
END_TEST

START_TEST(a_large_body_is_a_part_of_its_own)
{
    enum { N = 8 * 1024 + 1 };
    struct wire t = {0};
    cg_auto(free) char *big = cg_malloc(N);
    memset(big, 'x', N);
    begin(&t, N);
    cg_writer_body(&t.w, big, N, true, &t.parts);
    ck_assert_int_eq(t.parts.n, 2);
    ck_assert_ptr_eq(t.parts.v[1].iov_base, big);
    ck_assert_uint_eq(t.parts.v[1].iov_len, N);
    ck_assert(t.parts.whole && t.parts.now);
    release(&t);
}
END_TEST

START_TEST(an_empty_body_is_a_head)
{
    struct wire t = {0};
    begin(&t, 0);
    body(&t, "", true);
    ck_assert(t.parts.now);
    ck_assert_int_eq(t.w.misfit, CG_FITS);
    expect(&t, HEAD("200 OK") "Content-Length: 0\r\n\r\n");
    release(&t);
}
END_TEST

START_TEST(parts_of_unknown_length_are_chunks)
{
    struct wire t = {0};
    begin(&t, -1);
    ck_assert(body(&t, "0123456789abcdef", false));
    ck_assert(!t.parts.now && !t.parts.whole);
    body(&t, "b", false);
    body(&t, "", true);
    ck_assert(t.parts.now);
    expect(&t, CHUNKED "10\r\n0123456789abcdef\r\n1\r\nb\r\n0\r\n\r\n");
    release(&t);
}
END_TEST

START_TEST(the_last_chunk_takes_the_terminator_along)
{
    struct wire t = {0};
    begin(&t, -1);
    body(&t, "a", false);
    body(&t, "bc", true);
    ck_assert_int_eq(t.parts.n, 3);
    ck_assert(t.parts.now && t.w.ended);
    expect(&t, CHUNKED "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n");
    release(&t);
}
END_TEST

START_TEST(nothing_but_the_end_follows_the_last_byte)
{
    struct wire t = {0};
    begin(&t, -1);
    body(&t, "a", true);
    cg_buf_reset(&t.sent);
    ck_assert(!body(&t, "late", false));
    ck_assert_int_eq(t.parts.n, 0);
    ck_assert(!t.parts.now);
    ck_assert_int_eq(t.w.misfit, CG_TOO_LONG);
    release(&t);
}
END_TEST

START_TEST(a_call_without_bytes_sends_the_head_and_what_waits)
{
    struct wire t = {0};
    begin(&t, -1);
    ck_assert(body(&t, "", false));
    ck_assert(t.parts.now);
    ck_assert_int_eq(t.parts.n, 1);
    body(&t, "", false);
    ck_assert(t.parts.now);
    ck_assert_int_eq(t.parts.n, 0);
    expect(&t, CHUNKED);
    release(&t);
}
END_TEST

START_TEST(bytes_beyond_the_content_length_are_cut)
{
    struct wire t = {0};
    start(&t, "200 OK");
    field(&t, "Content-Length", "3");
    cg_writer_head(&t.w, &usual, -1);
    ck_assert(body(&t, "a", false));
    ck_assert(!t.parts.now);
    ck_assert(!body(&t, "bcd", false));
    ck_assert_int_eq(t.w.misfit, CG_TOO_LONG);
    ck_assert(t.parts.now);
    ck_assert(!body(&t, "e", false));
    body(&t, "", true);
    ck_assert_uint_eq(t.w.sent, 3);
    expect(&t, HEAD("200 OK") "Content-Length: 3\r\n\r\nabc");
    release(&t);
}
END_TEST

START_TEST(a_body_of_its_length_fits)
{
    struct wire t = {0};
    start(&t, "200 OK");
    field(&t, "Content-Length", "3");
    cg_writer_head(&t.w, &usual, -1);
    ck_assert(body(&t, "abc", false));
    ck_assert(t.parts.now);
    body(&t, "", true);
    ck_assert(!t.parts.now); /* all of it left with the bytes */
    ck_assert_int_eq(t.w.misfit, CG_FITS);
    release(&t);
}
END_TEST

START_TEST(a_body_that_is_too_short_is_told)
{
    struct wire t = {0};
    start(&t, "200 OK");
    field(&t, "Content-Length", "3");
    cg_writer_head(&t.w, &usual, -1);
    body(&t, "a", false);
    body(&t, "", true);
    ck_assert(t.parts.now);
    ck_assert_int_eq(t.w.misfit, CG_TOO_SHORT);
    expect(&t, HEAD("200 OK") "Content-Length: 3\r\n\r\na");
    release(&t);
}
END_TEST

START_TEST(a_body_that_nobody_asked_for_is_dropped)
{
    struct cg_reply_context head = usual;
    struct wire t = {0};
    head.head_request = true;
    start(&t, "200 OK");
    cg_writer_head(&t.w, &head, 3);
    ck_assert(!body(&t, "abc", true));
    ck_assert_int_eq(t.w.misfit, CG_NOT_ASKED);
    ck_assert_uint_eq(t.w.sent, 0);
    expect(&t, HEAD("200 OK") "Content-Length: 3\r\n\r\n");
    start(&t, "204 No Content");
    cg_writer_head(&t.w, &usual, -1);
    ck_assert(!body(&t, "", true));
    ck_assert_int_eq(t.w.misfit, CG_FITS);
    expect(&t, HEAD("204 No Content") "\r\n");
    release(&t);
}
END_TEST

START_TEST(a_body_for_http_1_0_ends_with_the_connection)
{
    struct cg_reply_context old = usual;
    struct wire t = {0};
    old.minor = 0;
    start(&t, "200 OK");
    ck_assert(!cg_writer_head(&t.w, &old, -1));
    body(&t, "a", false);
    body(&t, "b", false);
    ck_assert(t.parts.whole);
    body(&t, "", true);
    ck_assert(t.parts.now);
    expect(&t, "HTTP/1.0 200 OK\r\nServer: gunicorn\r\nDate: " DATE
               "\r\nConnection: close\r\n\r\nab");
    release(&t);
}
END_TEST

START_TEST(a_file_is_the_whole_body)
{
    struct wire t = {0};
    size_t n = 0;
    begin(&t, 9);
    cg_writer_file(&t.w, 9, &n, &t.parts);
    take(&t);
    ck_assert_uint_eq(n, 9);
    ck_assert(t.parts.now && t.w.ended);
    expect(&t, HEAD("200 OK") "Content-Length: 9\r\n\r\n");
    start(&t, "200 OK");
    field(&t, "Content-Length", "9");
    cg_writer_head(&t.w, &usual, 4);
    cg_writer_file(&t.w, 4, &n, &t.parts);
    ck_assert_uint_eq(n, 4);
    ck_assert_int_eq(t.w.misfit, CG_TOO_SHORT);
    release(&t);
}
END_TEST

START_TEST(trailers_follow_the_last_chunk)
{
    struct cg_fields fields = {0}, none = {0};
    struct wire t = {0};
    cg_fields_add(&fields, CG_SLICE("X-Sum"), CG_SLICE("9"), true);
    begin(&t, -1);
    body(&t, "a", false);
    cg_writer_trailers(&t.w, &fields, &t.parts);
    take(&t);
    ck_assert(t.parts.now && t.w.ended);
    expect(&t, CHUNKED "1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n");
    begin(&t, -1);
    cg_writer_trailers(&t.w, &none, &t.parts);
    take(&t);
    expect(&t, CHUNKED "0\r\n\r\n");
    start(&t, "200 OK");
    field(&t, "Content-Length", "1");
    cg_writer_head(&t.w, &usual, -1);
    body(&t, "a", false);
    cg_writer_trailers(&t.w, &fields, &t.parts);
    take(&t);
    expect(&t, HEAD("200 OK") "Content-Length: 1\r\n\r\na");
    cg_fields_release(&fields);
    release(&t);
}
END_TEST

/* Of HTTP/2: the length is told, and the end still comes by itself. */
START_TEST(trailers_follow_a_body_of_a_length)
{
    static const char head[] = HEAD("200 OK") "Transfer-Encoding: chunked\r\n"
                                              "Content-Length: 2\r\n\r\n";
    struct cg_reply_context context = usual;
    struct cg_fields fields = {0};
    struct wire t = {0};
    context.trailers = true;
    cg_fields_add(&fields, CG_SLICE("X-Sum"), CG_SLICE("9"), true);
    for (int n = 0; n <= 3; n++) { /* too few, enough, one too many */
        cg_auto(buf) struct cg_buf want = {0};
        start(&t, "200 OK");
        field(&t, "Content-Length", "2");
        cg_writer_head(&t.w, &context, -1);
        for (int i = 0; i < n; i++) {
            ck_assert_int_eq(body(&t, "a", false), i < 2);
        }
        cg_writer_trailers(&t.w, &fields, &t.parts);
        take(&t);
        cg_buf_puts(&want, head);
        for (int i = 0; i < n && i < 2; i++) {
            cg_buf_puts(&want, "1\r\na\r\n");
        }
        cg_buf_puts(&want, n >= 2 ? "0\r\nX-Sum: 9\r\n\r\n" : "");
        ck_assert_int_eq(t.w.misfit, n < 2   ? CG_TOO_SHORT
                                     : n > 2 ? CG_TOO_LONG
                                             : CG_FITS);
        expect(&t, cg_buf_str(&want));
    }
    start(&t, "200 OK");
    field(&t, "Content-Length", "2");
    cg_writer_head(&t.w, &context, -1);
    body(&t, "a", true);
    ck_assert_int_eq(t.w.misfit, CG_TOO_SHORT);
    cg_auto(buf) struct cg_buf want = {0};
    cg_buf_puts(&want, head);
    cg_buf_puts(&want, "1\r\na\r\n");
    expect(&t, cg_buf_str(&want));
    cg_fields_release(&fields);
    release(&t);
}
END_TEST

START_TEST(fields_of_their_own_are_checked)
{
    static const struct {
        const char *name, *value;
        int want;
        bool trailer;
        const char *text;
    } rows[] = {
        {"Link", "</a>; rel=preload", 0, false, "Link: </a>; rel=preload\r\n"},
        {"Server", "x", 0, false, ""},
        {"Connection", "close", 0, false, ""},
        {"Content-Length", "3", 0, false, ""},
        {"Content-Length", "x", -EINVAL, false, ""},
        {"Content-Type", "a/b", 0, false, "Content-Type: a/b\r\n"},
        {"Content-Type", "a/b", 0, true, ""},
        {"Set-Cookie", "a", 0, true, ""},
        {"X-Sum", " 1 ", 0, true, "X-Sum: 1\r\n"},
        {"X Sum", "1", -EINVAL, true, ""},
        {"", "1", -EINVAL, true, ""},
        {"X", "1\r\n2", -EINVAL, false, ""},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_fields f = {0};
        int r = cg_fields_add(&f, cg_slice_of(rows[i].name),
                              cg_slice_of(rows[i].value), rows[i].trailer);
        ck_assert_int_eq(r, rows[i].want);
        ck_assert_int_eq(f.fault != NULL, r < 0);
        ck_assert_str_eq(cg_buf_str(&f.text), rows[i].text);
        cg_fields_release(&f);
    }
}
END_TEST

START_TEST(an_interim_response_is_a_head_alone)
{
    struct cg_fields fields = {0};
    cg_auto(buf) struct cg_buf out = {0};
    cg_fields_add(&fields, CG_SLICE("Link"), CG_SLICE("</a>"), false);
    cg_writer_interim(&out, 103, &fields);
    ck_assert_str_eq(cg_buf_str(&out),
                     "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    cg_fields_release(&fields);
}
END_TEST

START_TEST(a_page_replaces_what_was_started)
{
    struct cg_reply_context head = usual;
    struct wire t = {0};
    head.head_request = true;
    start(&t, "200 OK");
    field(&t, "X", "1");
    cg_writer_page(&t.w, &usual, 500, CG_SLICE(""), &t.parts);
    take(&t);
    const char *text = cg_buf_str(&t.sent);
    ck_assert_msg(strncmp(text, "HTTP/1.1 500 Internal Server Error\r\n", 36) ==
                          0 &&
                      strstr(text, "X: 1") == NULL,
                  "%s", text);
    ck_assert(t.parts.now && t.w.ended && !t.w.started);
    ck_assert_uint_gt(t.w.sent, 0);
    ck_assert(!body(&t, "more", true)); /* of the application that goes on */
    ck_assert_int_eq(t.parts.n, 0);
    cg_writer_reset(&t.w);
    cg_writer_page(&t.w, &head, 404, CG_SLICE(""), &t.parts);
    ck_assert_uint_eq(t.w.sent, 0);
    release(&t);
}
END_TEST

START_TEST(a_reply_can_be_started_anew_until_its_head_is_complete)
{
    struct wire t = {0};
    start(&t, "200 OK");
    field(&t, "X", "1");
    ck_assert_int_eq(cg_writer_start(&t.w, CG_SLICE("20 OK")), -EINVAL);
    ck_assert(!t.w.started);
    start(&t, "500 No");
    cg_writer_forget(&t.w);
    ck_assert(!t.w.started);
    start(&t, "500 No");
    field(&t, "Y", "2");
    cg_writer_head(&t.w, &usual, 0);
    ck_assert_int_eq(cg_writer_start(&t.w, CG_SLICE("200 OK")), -EINVAL);
    ck_assert_ptr_nonnull(t.w.reply.fault);
    body(&t, "", true);
    expect(&t, HEAD("500 No") "Content-Length: 0\r\nY: 2\r\n\r\n");
    release(&t);
}
END_TEST

START_TEST(the_applications_fields_can_be_read_back)
{
    struct wire t = {0};
    struct cg_slice name, value;
    size_t at = 0;
    start(&t, "200 OK");
    field(&t, "X-Long", "a: b");
    field(&t, "Date", "never");
    field(&t, "Content-Length", "2");
    field(&t, "Empty", "");
    cg_writer_head(&t.w, &usual, -1);
    ck_assert(cg_reply_next_field(&t.w.reply, &at, &name, &value));
    ck_assert(cg_slice_is(name, "X-Long") && cg_slice_is(value, "a: b"));
    ck_assert(cg_reply_next_field(&t.w.reply, &at, &name, &value));
    ck_assert(cg_slice_is(name, "Content-Length") && cg_slice_is(value, "2"));
    ck_assert(cg_reply_next_field(&t.w.reply, &at, &name, &value));
    ck_assert(cg_slice_is(name, "Empty") && cg_slice_is(value, ""));
    ck_assert(!cg_reply_next_field(&t.w.reply, &at, &name, &value));
    release(&t);
}
END_TEST

TESTS("http/writer", a_body_in_one_part_leaves_with_its_head_as_one_piece,
      a_large_body_is_a_part_of_its_own, an_empty_body_is_a_head,
      parts_of_unknown_length_are_chunks,
      the_last_chunk_takes_the_terminator_along,
      nothing_but_the_end_follows_the_last_byte,
      a_call_without_bytes_sends_the_head_and_what_waits,
      bytes_beyond_the_content_length_are_cut, a_body_of_its_length_fits,
      a_body_that_is_too_short_is_told, a_body_that_nobody_asked_for_is_dropped,
      a_body_for_http_1_0_ends_with_the_connection, a_file_is_the_whole_body,
      trailers_follow_the_last_chunk, trailers_follow_a_body_of_a_length,
      fields_of_their_own_are_checked, an_interim_response_is_a_head_alone,
      a_page_replaces_what_was_started,
      a_reply_can_be_started_anew_until_its_head_is_complete,
      the_applications_fields_can_be_read_back)
