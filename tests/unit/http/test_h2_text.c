/* SPDX-License-Identifier: MIT */
/* HTTP/2's fields as HTTP/1.1's head, and HTTP/1.1's replies as its pieces. */
#include "core/http/h2/text.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static bool
add(struct cg_h2_head *h, const char *name, const char *value)
{
    return cg_h2_head_add(h, cg_slice_of(name), cg_slice_of(value));
}

static void
add_usual(struct cg_h2_head *h)
{
    ck_assert(add(h, ":method", "GET"));
    ck_assert(add(h, ":scheme", "https"));
    ck_assert(add(h, ":path", "/a?b"));
    ck_assert(add(h, ":authority", "x.test"));
}

START_TEST(a_head_is_written_as_http1)
{
    struct cg_h2_head h = {0};
    cg_auto(buf) struct cg_buf out = {0};
    add_usual(&h);
    ck_assert(add(&h, "cookie", "a=1"));
    ck_assert(add(&h, "x-a", "b"));
    ck_assert(add(&h, "cookie", "b=2"));
    ck_assert(cg_h2_head_text(&h, true, &out));
    ck_assert_str_eq(cg_buf_str(&out), "GET /a?b HTTP/1.1\r\nhost: x.test\r\n"
                                       "x-a: b\r\ncookie: a=1; b=2\r\n\r\n");
    cg_h2_head_release(&h);
}
END_TEST

START_TEST(a_body_of_unknown_length_comes_in_chunks)
{
    struct cg_h2_head h = {0};
    cg_auto(buf) struct cg_buf out = {0};
    add_usual(&h);
    ck_assert(cg_h2_head_text(&h, false, &out));
    ck_assert_ptr_nonnull(
        strstr(cg_buf_str(&out), "transfer-encoding: chunked\r\n\r\n"));
    cg_buf_reset(&out);
    ck_assert(add(&h, "content-length", "3"));
    ck_assert(cg_h2_head_text(&h, false, &out));
    ck_assert_ptr_null(strstr(cg_buf_str(&out), "chunked"));
    cg_h2_head_release(&h);
}
END_TEST

START_TEST(what_could_begin_another_line_is_malformed)
{
    static const char *const bad[][2] = {
        {":path", "/ x"},           {":path", "/\r\n"},    {":path", ""},
        {":method", "G T"},         {":authority", "a b"}, {":other", "x"},
        {"x-a", "b\r\nc: d"},       {"x-a", "b\nc"},       {"", "x"},
        {"transfer-encoding", "x"}, {"connection", "x"},   {"upgrade", "h2c"},
        {":path", "/\x7f"}};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        struct cg_h2_head h = {0};
        ck_assert_msg(!add(&h, bad[i][0], bad[i][1]), "%s", bad[i][0]);
        cg_h2_head_release(&h);
    }
}
END_TEST

static void
add_connect(struct cg_h2_head *h, const char *protocol)
{
    ck_assert(add(h, ":method", "CONNECT"));
    ck_assert(add(h, ":protocol", protocol));
    ck_assert(add(h, ":scheme", "https"));
    ck_assert(add(h, ":path", "/chat"));
    ck_assert(add(h, ":authority", "x.test"));
}

START_TEST(an_extended_connect_is_a_handshake)
{
    struct cg_h2_head h = {0};
    cg_auto(buf) struct cg_buf out = {0};
    add_connect(&h, "websocket");
    ck_assert(add(&h, "sec-websocket-version", "13"));
    ck_assert(add(&h, "sec-websocket-key", "of the client's"));
    ck_assert(!cg_h2_head_is_foreign(&h));
    ck_assert(cg_h2_head_text(&h, false, &out));
    ck_assert_str_eq(cg_buf_str(&out),
                     "GET /chat HTTP/1.1\r\nhost: x.test\r\n"
                     "sec-websocket-version: 13\r\nupgrade: websocket\r\n"
                     "connection: upgrade\r\n"
                     "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    ck_assert(add(&h, "content-length", "1"));
    ck_assert(!cg_h2_head_text(&h, false, &out));
    cg_h2_head_release(&h);
}
END_TEST

START_TEST(a_tunnel_of_another_protocol_is_foreign)
{
    struct cg_h2_head h = {0};
    cg_auto(buf) struct cg_buf out = {0};
    add_connect(&h, "connect-udp");
    ck_assert(cg_h2_head_is_foreign(&h));
    ck_assert(!cg_h2_head_text(&h, false, &out));
    ck_assert(!add(&h, ":protocol", "websocket"));
    cg_h2_head_release(&h);
}
END_TEST

START_TEST(a_head_needs_a_method_a_path_and_one_host)
{
    struct cg_h2_head h = {0};
    cg_auto(buf) struct cg_buf out = {0};
    ck_assert(!cg_h2_head_text(&h, true, &out));
    add_usual(&h);
    ck_assert(!add(&h, ":path", "/again"));
    ck_assert(add(&h, "host", "other.test"));
    ck_assert(!cg_h2_head_text(&h, true, &out));
    cg_h2_head_release(&h);
}
END_TEST

/* Every piece as text: "head 200 [name: value]", "data ...", "end". */
static char *
told(const char *text, size_t step, bool head_request)
{
    struct cg_h2_reply r = {.head_request = head_request};
    struct cg_buf out = {0};
    cg_auto(buf) struct cg_buf data = {0};
    size_t n = strlen(text), at = 0;
    while (at < n) {
        size_t give = n - at < step ? n - at : step, used = 0, i = 0;
        struct cg_slice what = {NULL, 0}, name, value;
        enum cg_h2_piece piece =
            cg_h2_reply_next(&r, text + at, give, &used, &what);
        ck_assert(used > 0);
        at += used;
        switch (piece) {
        case CG_H2_HEAD: cg_buf_putf(&out, "head %d", r.status); break;
        case CG_H2_TRAILERS: cg_buf_puts(&out, "trailers"); break;
        case CG_H2_DATA: cg_buf_put(&data, what.p, what.n); break;
        case CG_H2_BAD: ck_abort_msg("no reply"); break;
        case CG_H2_NOTHING:
        case CG_H2_END: break;
        }
        if (piece != CG_H2_HEAD && piece != CG_H2_TRAILERS) {
            continue;
        }
        while (cg_h2_reply_field(what, &i, &name, &value)) {
            cg_buf_putf(&out, " [%.*s: %.*s]", (int)name.n, name.p,
                        (int)value.n, value.p);
        }
        cg_buf_puts(&out, ", ");
    }
    cg_buf_putf(&out, "body '%.*s'%s", (int)data.n, data.n > 0 ? data.p : "",
                cg_h2_reply_has_ended(&r) ? " end" : "");
    cg_h2_reply_release(&r);
    return cg_buf_take(&out);
}

START_TEST(a_reply_is_taken_apart_wherever_it_is_split)
{
    static const struct {
        const char *text, *want;
        bool head_request;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nServer: x\r\nConnection: keep-alive\r\n"
         "Content-Length: 5\r\n\r\nhello",
         "head 200 [server: x] [content-length: 5], body 'hello' end", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: B\r\n\r\n"
         "3\r\nabc\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
         "head 200 [a: B], body 'abcabcdefghijklmnopqrstuvwxyz' end", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "1\r\nx\r\n0\r\nX-Sum: 9\r\n\r\n",
         "head 200, trailers [x-sum: 9], body 'x' end", false},
        {"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
         "HTTP/1.1 204 No Content\r\n\r\n",
         "head 103 [link: <a>], head 204, body '' end", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
         "head 200 [content-length: 5], body '' end", true},
        {"HTTP/1.1 200 OK\r\n\r\nup to the end",
         "head 200, body 'up to the end'", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         "head 200 [content-length: 0], body '' end", false},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].text); step++) {
            char *got = told(rows[i].text, step, rows[i].head_request);
            ck_assert_str_eq(got, rows[i].want);
            free(got);
        }
    }
}
END_TEST

/* What a worker that borrowed the request may send. */
START_TEST(what_is_no_reply_is_told)
{
    static const char *const bad[] = {"\n\r\n\r\n",
                                      "HTTP/1.1\r\n\r\n",
                                      "HTTP/1.1 2x0 OK\r\n\r\n",
                                      "HTTP/1.1 099 OK\r\n\r\n",
                                      "HTTP/1.1 \xff\xff\xff\r\n\r\n",
                                      "HTTP/2.0 200 OK\r\n\r\n"};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        struct cg_h2_reply r = {0};
        struct cg_slice what;
        size_t used;
        ck_assert_msg(cg_h2_reply_next(&r, bad[i], strlen(bad[i]), &used,
                                       &what) == CG_H2_BAD,
                      "%zu", i);
        cg_h2_reply_release(&r);
    }
}
END_TEST

/* How much is kept of a reply that begins with `first` and goes on with
 * `more`. */
static size_t
kept_of(const char *first, const char *more)
{
    struct cg_h2_reply r = {0};
    struct cg_slice what;
    size_t used, n = strlen(more), most = 0;
    enum cg_h2_piece piece = CG_H2_NOTHING;
    for (const char *p = first; *p != '\0'; p += used) {
        piece = cg_h2_reply_next(&r, p, strlen(p), &used, &what);
    }
    for (int i = 0; i < 4 << 20 && piece != CG_H2_BAD; i++) {
        piece = cg_h2_reply_next(&r, more, n, &used, &what);
        most = r.text.n > most ? r.text.n : most;
    }
    ck_assert_int_eq(piece, CG_H2_BAD);
    cg_h2_reply_release(&r);
    return most;
}

START_TEST(lines_without_an_end_are_not_kept_for_ever)
{
    enum { MOST = 2 << 20 };
    static const char chunked[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    cg_auto(free) char *trailers = cg_strf("%s0\r\n", chunked);
    cg_auto(free) char *chunk = cg_strf("%s1\r\nx", chunked);
    ck_assert_uint_lt(kept_of("HTTP/1.1 200 OK\r\n", "a: b\r\n"), MOST);
    ck_assert_uint_lt(kept_of("", "HTTP/1.1 103 A\r\n\r\n"), MOST);
    ck_assert_uint_lt(kept_of(chunked, "12345678"), MOST);
    ck_assert_uint_lt(kept_of(chunk, "12345678"), MOST);
    ck_assert_uint_lt(kept_of(trailers, "a: b\r\n"), MOST);
}
END_TEST

TESTS("h2_text", a_head_is_written_as_http1,
      a_body_of_unknown_length_comes_in_chunks,
      what_could_begin_another_line_is_malformed,
      an_extended_connect_is_a_handshake,
      a_tunnel_of_another_protocol_is_foreign,
      a_head_needs_a_method_a_path_and_one_host,
      a_reply_is_taken_apart_wherever_it_is_split, what_is_no_reply_is_told,
      lines_without_an_end_are_not_kept_for_ever)
