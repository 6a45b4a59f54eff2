/* SPDX-License-Identifier: MIT */
/* Sessions of HTTP/2, with frames by hand: requests wherever they are split,
 * replies, and what a peer may not do. */
#include "core/http/h2/h2.h"

#include <stdlib.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static const struct cg_h2_policy policy = {100, 65535, 16384, 65536, true};

struct told {
    struct cg_buf text;
    struct cg_h2_stream *last;
};

static void *
on_head(void *self, struct cg_h2_stream *s, struct cg_slice text, bool ends)
{
    struct told *t = self;
    cg_buf_putf(&t->text, "%.*s%s|", (int)text.n, text.p, ends ? "" : "...");
    t->last = s;
    return self;
}

static void
on_body(void *self, void *owner, const char *p, size_t n, bool chunked)
{
    cg_buf_put(&((struct told *)self)->text, p, n);
}

static void
on_end(void *self, void *owner, bool chunked, struct cg_slice trailers)
{
    cg_buf_putf(&((struct told *)self)->text, "end %.*s|", (int)trailers.n,
                trailers.n > 0 ? trailers.p : "");
}

static void
on_moved(void *self, void *owner)
{
}

static void
on_gone(void *self, void *owner, uint32_t code)
{
    struct told *t = self;
    cg_buf_putf(&t->text, "gone %u|", code);
    t->last = NULL;
}

static const struct cg_h2_events events = {on_head, on_body, on_end, on_moved,
                                           on_gone};

static void
put_frame(struct cg_buf *b, unsigned kind, unsigned flags, uint32_t stream,
          const char *p, size_t n)
{
    const unsigned char head[9] = {(unsigned char)(n >> 16),
                                   (unsigned char)(n >> 8),
                                   (unsigned char)n,
                                   (unsigned char)kind,
                                   (unsigned char)flags,
                                   (unsigned char)(stream >> 24),
                                   (unsigned char)(stream >> 16),
                                   (unsigned char)(stream >> 8),
                                   (unsigned char)stream};
    cg_buf_put(b, head, sizeof head);
    cg_buf_put(b, p, n);
}

/* A literal field without a place in the table (RFC 7541, 6.2.2). */
static void
put_field(struct cg_buf *b, const char *name, const char *value)
{
    cg_buf_putc(b, 0);
    cg_buf_putc(b, (char)strlen(name));
    cg_buf_puts(b, name);
    cg_buf_putc(b, (char)strlen(value));
    cg_buf_puts(b, value);
}

static void
put_request(struct cg_buf *b, uint32_t stream, const char *method, bool ends)
{
    cg_auto(buf) struct cg_buf block = {0};
    put_field(&block, ":method", method);
    put_field(&block, ":scheme", "http");
    put_field(&block, ":path", "/");
    put_field(&block, ":authority", "x");
    put_frame(b, 1, ends ? 5 : 4, stream, block.p, block.n);
}

static void
begin(struct cg_buf *b)
{
    cg_buf_puts(b, PREFACE);
    put_frame(b, 4, 0, 0, "", 0);
}

/* How many frames of that kind there are to pull, and the last one's end. */
static int
pulled(struct cg_h2 *h, unsigned kind, struct cg_buf *last)
{
    cg_auto(buf) struct cg_buf all = {0};
    const uint8_t *p;
    ssize_t n;
    int count = 0;
    while ((n = cg_h2_pull(h, &p)) > 0) {
        cg_buf_put(&all, p, (size_t)n);
    }
    for (size_t at = 0; at + 9 <= all.n;) {
        const unsigned char *f = (const unsigned char *)all.p + at;
        size_t size = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        if (f[3] == kind) {
            count++;
            cg_buf_reset(last);
            cg_buf_put(last, f + 9, size);
        }
        at += 9 + size;
    }
    return count;
}

START_TEST(a_request_is_read_wherever_it_is_split)
{
    cg_auto(buf) struct cg_buf bytes = {0};
    begin(&bytes);
    put_request(&bytes, 1, "POST", false);
    put_frame(&bytes, 0, 0, 1, "hello ", 6);
    put_frame(&bytes, 0, 1, 1, "world", 5);
    for (size_t step = 1; step <= bytes.n; step++) {
        struct told t = {0};
        struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
        for (size_t at = 0; at < bytes.n; at += step) {
            size_t n = bytes.n - at < step ? bytes.n - at : step;
            ck_assert_int_eq(cg_h2_feed(h, bytes.p + at, n, 0), 0);
        }
        ck_assert_str_eq(cg_buf_str(&t.text),
                         "POST / HTTP/1.1\r\nhost: x\r\n"
                         "transfer-encoding: chunked\r\n\r\n...|"
                         "hello worldend |");
        cg_h2_free(h);
        cg_buf_release(&t.text);
    }
}
END_TEST

START_TEST(a_reply_leaves_as_frames)
{
    cg_auto(buf) struct cg_buf bytes = {0}, last = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    begin(&bytes);
    put_request(&bytes, 1, "GET", true);
    ck_assert_int_eq(cg_h2_feed(h, bytes.p, bytes.n, 0), 0);
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                                "Connection: keep-alive\r\n\r\nhello";
    for (size_t i = 0; i < sizeof reply - 1; i++) {
        ck_assert_int_eq(cg_h2_reply(t.last, reply + i, 1), 0);
    }
    ck_assert_uint_eq(cg_h2_unsent(t.last), 5);
    ck_assert_int_eq(pulled(h, 0, &last), 1);
    ck_assert_str_eq(cg_buf_str(&last), "hello");
    ck_assert_ptr_nonnull(strstr(cg_buf_str(&t.text), "gone 0|"));
    cg_h2_free(h);
    cg_buf_release(&t.text);
}
END_TEST

START_TEST(a_reply_that_breaks_off_is_a_reset)
{
    cg_auto(buf) struct cg_buf bytes = {0}, last = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    static const char part[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    begin(&bytes);
    put_request(&bytes, 1, "GET", true);
    cg_h2_feed(h, bytes.p, bytes.n, 0);
    cg_h2_reply(t.last, part, sizeof part - 1);
    cg_h2_end(t.last);
    ck_assert_int_eq(pulled(h, 3, &last), 1);
    ck_assert_int_eq(last.p[3], CG_H2_INTERNAL_ERROR);
    cg_h2_free(h);
    cg_buf_release(&t.text);
}
END_TEST

/* Whether so many of them end the session. */
static bool
ends_with(struct cg_buf *unit, int count)
{
    cg_auto(buf) struct cg_buf bytes = {0}, last = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    begin(&bytes);
    int r = cg_h2_feed(h, bytes.p, bytes.n, 0);
    for (int i = 0; r == 0 && i < count; i++) {
        r = cg_h2_feed(h, unit->p, unit->n, 1000);
        pulled(h, 7, &last);
    }
    bool ends = r < 0 && cg_h2_fault(h) != NULL;
    cg_h2_free(h);
    cg_buf_release(&t.text);
    return ends;
}

START_TEST(control_frames_are_bounded)
{
    cg_auto(buf) struct cg_buf ping = {0}, settings = {0}, window = {0};
    put_frame(&ping, 6, 0, 0, "12345678", 8);
    put_frame(&settings, 4, 0, 0, "", 0);
    put_frame(&window, 8, 0, 0, "\0\0\0\1", 4);
    ck_assert(!ends_with(&ping, 900));
    ck_assert(ends_with(&ping, 1100));
    ck_assert(ends_with(&settings, 1100));
    ck_assert(ends_with(&window, 1100));
}
END_TEST

START_TEST(padding_is_weighed)
{
    cg_auto(buf) struct cg_buf bytes = {0}, unit = {0}, last = {0};
    char padding[256] = {(char)255};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    begin(&bytes);
    put_request(&bytes, 1, "POST", false);
    put_frame(&unit, 0, 8, 1, padding, sizeof padding);
    int r = cg_h2_feed(h, bytes.p, bytes.n, 0), n = 0;
    for (; r == 0 && n < 10000; n++) {
        r = cg_h2_feed(h, unit.p, unit.n, 0);
        pulled(h, 7, &last);
    }
    ck_assert_int_lt(n, 5000);
    cg_h2_free(h);
    cg_buf_release(&t.text);
}
END_TEST

START_TEST(what_was_counted_decays)
{
    cg_auto(buf) struct cg_buf bytes = {0}, ping = {0}, last = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    begin(&bytes);
    put_frame(&ping, 6, 0, 0, "12345678", 8);
    ck_assert_int_eq(cg_h2_feed(h, bytes.p, bytes.n, 0), 0);
    for (uint64_t i = 0; i < 5000; i++) {
        ck_assert_int_eq(cg_h2_feed(h, ping.p, ping.n, i * 20 * 1000), 0);
        pulled(h, 6, &last);
    }
    cg_h2_free(h);
    cg_buf_release(&t.text);
}
END_TEST

/* Streams that are reset before they are answered; answered ones do not count.
 */
START_TEST(resets_of_what_was_begun_are_bounded)
{
    struct told t = {0};
    cg_auto(buf) struct cg_buf last = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    int r = 0, n = 0;
    for (uint32_t id = 1; r == 0 && id < 2001; id += 2, n++) {
        cg_auto(buf) struct cg_buf bytes = {0};
        if (id == 1) {
            begin(&bytes);
        }
        put_request(&bytes, id, "GET", true);
        put_frame(&bytes, 3, 0, id, "\0\0\0\10", 4);
        r = cg_h2_feed(h, bytes.p, bytes.n, 0);
    }
    ck_assert_int_eq(n, 201);
    ck_assert_str_eq(cg_h2_fault(h), "too many streams were reset");
    ck_assert_int_eq(pulled(h, 7, &last), 1);
    ck_assert_int_eq(last.p[7], CG_H2_ENHANCE_YOUR_CALM);
    cg_h2_free(h);
    cg_buf_release(&t.text);
}
END_TEST

/* What is sent in pieces, to a session whose request is answered meanwhile. The
 * code of the GOAWAY; -1: it goes on. */
static int
code_for(const struct cg_buf *before, const struct cg_buf *after, size_t step)
{
    static const char reply[] = "HTTP/1.1 204 None\r\n\r\n";
    cg_auto(buf) struct cg_buf last = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    int r = cg_h2_feed(h, before->p, before->n, 0);
    ck_assert_int_eq(r, 0);
    if (t.last != NULL) {
        cg_h2_reply(t.last, reply, sizeof reply - 1);
        cg_h2_end(t.last);
    }
    pulled(h, 7, &last);
    for (size_t at = 0; r == 0 && at < after->n; at += step) {
        size_t n = after->n - at < step ? after->n - at : step;
        r = cg_h2_feed(h, after->p + at, n, 0);
    }
    int code = pulled(h, 7, &last) == 0 ? -1 : last.p[7];
    ck_assert_int_eq(code >= 0, r < 0);
    cg_h2_free(h);
    cg_buf_release(&t.text);
    return code;
}

/* RFC 9113, 5.1: "closed". Who has ended or reset a stream sends no more. */
START_TEST(data_of_a_stream_that_its_peer_has_left)
{
    cg_auto(buf) struct cg_buf ended = {0}, reset = {0}, open = {0}, data = {0},
                               both = {0};
    begin(&ended);
    put_request(&ended, 1, "GET", true);
    begin(&reset);
    put_request(&reset, 1, "POST", false);
    put_frame(&reset, 3, 0, 1, "\0\0\0\10", 4);
    begin(&open);
    put_frame(&data, 6, 0, 0, "12345678", 8);
    put_frame(&data, 0, 1, 1, "late", 4);
    put_frame(&data, 6, 0, 0, "12345678", 8);
    put_request(&both, 1, "POST", false);
    put_frame(&both, 0, 0, 1, "some", 4);
    put_frame(&both, 0, 1, 1, "", 0);
    put_frame(&both, 3, 0, 1, "\0\0\0\10", 4);
    put_request(&both, 3, "POST", false);
    put_frame(&both, 0, 1, 3, "some", 4);
    for (size_t step = 1; step <= data.n; step++) {
        ck_assert_int_eq(code_for(&ended, &data, step), CG_H2_STREAM_CLOSED);
        ck_assert_int_eq(code_for(&reset, &data, step), CG_H2_STREAM_CLOSED);
    }
    for (size_t step = 1; step <= both.n; step++) {
        ck_assert_int_eq(code_for(&open, &both, step), -1);
    }
}
END_TEST

/* The rest of a body that was answered before it was whole is on its way. */
START_TEST(data_of_a_stream_that_we_have_left)
{
    cg_auto(buf) struct cg_buf bytes = {0}, data = {0};
    begin(&bytes);
    put_request(&bytes, 1, "POST", false);
    put_frame(&data, 0, 0, 1, "late", 4);
    put_frame(&data, 0, 1, 1, "", 0);
    ck_assert_int_eq(code_for(&bytes, &data, data.n), -1);
}
END_TEST

START_TEST(nothing_is_told_after_the_end)
{
    cg_auto(buf) struct cg_buf bytes = {0}, more = {0};
    struct told t = {0};
    struct cg_h2 *h = cg_h2_new(&policy, &events, &t);
    begin(&bytes);
    cg_h2_feed(h, bytes.p, bytes.n, 0);
    cg_h2_terminate(h, CG_H2_NO_ERROR);
    put_request(&more, 1, "GET", true);
    ck_assert_int_lt(cg_h2_feed(h, more.p, more.n, 0), 0);
    ck_assert_uint_eq(t.text.n, 0);
    cg_h2_free(h);
}
END_TEST

TESTS("h2", a_request_is_read_wherever_it_is_split, a_reply_leaves_as_frames,
      a_reply_that_breaks_off_is_a_reset, control_frames_are_bounded,
      padding_is_weighed, what_was_counted_decays,
      resets_of_what_was_begun_are_bounded,
      data_of_a_stream_that_its_peer_has_left,
      data_of_a_stream_that_we_have_left, nothing_is_told_after_the_end)
