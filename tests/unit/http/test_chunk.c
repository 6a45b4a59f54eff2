/* SPDX-License-Identifier: MIT */
/* Chunked bodies: sizes, extensions, terminators, trailers, their bounds. */
#include "core/http/chunk.h"

#include <stdlib.h>

#include "tests/unit/check_main.h"
#include "tests/unit/http/heads.h"

struct row {
    const char *text, *want;
};

/* "hello" when complete ("hello +3": three bytes were not its own), "hello..."
 * while more is needed, "refused NAME". */
static char *
outcome(const struct cg_head_policy *policy, const char *text, size_t n,
        size_t step)
{
    struct cg_chunks c = {0};
    struct cg_buf told = {0};
    enum cg_chunk_status st = CG_CHUNK_MORE;
    size_t at = 0;
    while (at < n && (st == CG_CHUNK_MORE || st == CG_CHUNK_DATA)) {
        struct cg_slice data = {NULL, 0};
        size_t give = n - at < step ? n - at : step, used = 0;
        char *p = cg_malloc(give);
        memcpy(p, text + at, give);
        st = cg_chunks_read(&c, policy, p, give, &used, &data);
        if (st == CG_CHUNK_DATA) {
            cg_buf_put(&told, data.p, data.n);
        }
        ck_assert(st == CG_CHUNK_REFUSED || used > 0);
        at += used;
        free(p);
    }
    switch (st) {
    case CG_CHUNK_MORE:
    case CG_CHUNK_DATA: cg_buf_puts(&told, "..."); break;
    case CG_CHUNK_DONE:
        if (at < n) {
            cg_buf_putf(&told, " +%zu", n - at);
        }
        break;
    case CG_CHUNK_REFUSED:
        cg_buf_reset(&told);
        cg_buf_putf(&told, "refused %s", cg_refusal_name(c.refusal));
        break;
    }
    cg_chunks_release(&c);
    return cg_buf_take(&told);
}

static void
expect_n(const struct cg_head_policy *policy, const char *text, size_t n,
         const char *want)
{
    static const size_t steps[] = {100000000, 1, 2, 3, 7};
    for (size_t i = 0; i < CG_COUNT(steps); i++) {
        cg_auto(free) char *got = outcome(policy, text, n, steps[i]);
        ck_assert_msg(strcmp(got, want) == 0,
                      "%zu at a time, for\n%.100s\n  want %s\n  got  %s",
                      steps[i], text, want, got);
    }
}

static void
expect_rows(const struct cg_head_policy *policy, const struct row *rows,
            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        expect_n(policy, rows[i].text, strlen(rows[i].text), rows[i].want);
    }
}

#define CHUNKS(policy, ...)                                                    \
    do {                                                                       \
        static const struct row rows[] = {__VA_ARGS__};                        \
        expect_rows(policy, rows, CG_COUNT(rows));                             \
    } while (0)

#define LAST "0\r\n\r\n"
#define HELLO "5\r\nhello\r\n"

START_TEST(chunks_are_joined)
{
    CHUNKS(DEFAULTS, {HELLO LAST, "hello"},
           {"1\r\na\r\n002\r\nbc\r\n" LAST, "abc"}, {LAST, ""},
           {"000\r\n\r\n", ""},
           {"A\r\n0123456789\r\n00000000000000f\r\n012345678901234\r\n" LAST,
            "0123456789012345678901234"},
           {HELLO LAST "GET", "hello +3"}, {HELLO, "hello..."},
           {"5\r\nhel", "hel..."}, {"5\r\nhello", "hello..."},
           {"5\r\nhello\r", "hello..."}, {HELLO "0\r\n", "hello..."},
           {HELLO "0\r\n\r", "hello..."}, {"5", "..."});
}
END_TEST

START_TEST(a_size_is_1_to_16_hex_digits)
{
    CHUNKS(DEFAULTS, {"0000000000000005\r\nhello\r\n" LAST, "hello"},
           {"00000000000000005\r\nhello\r\n", "refused CHUNK_SIZE"},
           {"7fffffffffffffff\r\n", "..."},
           {"8000000000000000\r\n", "refused CHUNK_SIZE"},
           {"ffffffffffffffff\r\n", "refused CHUNK_SIZE"},
           {"0x5\r\n", "refused CHUNK_SIZE"}, {"+5\r\n", "refused CHUNK_SIZE"},
           {"-5\r\n", "refused CHUNK_SIZE"}, {"0_5\r\n", "refused CHUNK_SIZE"},
           {" 5\r\n", "refused CHUNK_SIZE"}, {"5 \r\n", "refused CHUNK_SIZE"},
           {"5\t\r\n", "refused CHUNK_SIZE"}, {"\r\n", "refused CHUNK_SIZE"},
           {"g\r\n", "refused CHUNK_SIZE"}, {"@\r\n", "refused CHUNK_SIZE"},
           {"\x80\r\n", "refused CHUNK_SIZE"},
           {"5 x\r\n", "refused CHUNK_SIZE"}, {"5,5\r\n", "refused CHUNK_SIZE"},
           {";a\r\n", "refused CHUNK_SIZE"},
           {"INVALID!!!\r\n", "refused CHUNK_SIZE"});
}
END_TEST

START_TEST(crlf_ends_lines_and_chunks)
{
    CHUNKS(DEFAULTS, {"5\nhello\r\n", "refused CHUNK_SIZE"},
           {"\n", "refused CHUNK_SIZE"},
           {"5\rXhello\r\n", "refused CHUNK_SIZE"},
           {"5\r\r\nhello\r\n", "refused CHUNK_SIZE"},
           {"5;\nhello\r\n", "refused CHUNK_SIZE"},
           {"5\r\nhello!!\r\n", "refused CHUNK_TERMINATOR"},
           {"5\r\nhello\n", "refused CHUNK_TERMINATOR"},
           {"5\r\nhello\rX", "refused CHUNK_TERMINATOR"},
           {"5\r\nhello" LAST, "refused CHUNK_TERMINATOR"},
           {HELLO "0\n\r\n", "refused CHUNK_SIZE"},
           {HELLO "0\r\n\n", "refused BARE_LF"},
           {HELLO "0\r\nX: a\n\r\n", "refused BARE_LF"});
}
END_TEST

START_TEST(extensions_are_checked_and_dropped)
{
    CHUNKS(DEFAULTS, {"5;a=b;c\r\nhello\r\n" LAST, "hello"},
           {"5 ; a = b ;c\r\nhello\r\n" LAST, "hello"},
           {"5\t;\ta\t=\tb\r\nhello\r\n" LAST, "hello"},
           {"5;a=\"b; \\\" \xc3\xa9\"\r\nhello\r\n" LAST, "hello"},
           {"5;a=\"\"\r\nhello\r\n" LAST, "hello"},
           {HELLO "0;a=b\r\n\r\n", "hello"},
           {"5;\r\n", "refused CHUNK_EXTENSION"},
           {"5; \r\n", "refused CHUNK_EXTENSION"},
           {"5;a;\r\n", "refused CHUNK_EXTENSION"},
           {"5;a \r\n", "refused CHUNK_EXTENSION"},
           {"5;a b\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=b=c\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\"b\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\"b\\\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\"b\"c\r\n", "refused CHUNK_EXTENSION"},
           {"5;bad[=x\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\x01\r\n", "refused CHUNK_EXTENSION"},
           {"5;a=\"\x7f\"\r\n", "refused CHUNK_EXTENSION"},
           {"5;a\rX\r\n", "refused CHUNK_EXTENSION"});
}
END_TEST

static void
expect_run(const struct cg_head_policy *policy, const char *front,
           const char *run, size_t times, const char *back, const char *want)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, front);
    while (times-- > 0) {
        cg_buf_puts(&b, run);
    }
    cg_buf_puts(&b, back);
    cg_buf_str(&b);
    expect_n(policy, b.p, b.n, want);
}

START_TEST(a_size_line_is_bounded)
{
    expect_run(DEFAULTS, "5;", "a", 255, "\r\nhello\r\n" LAST, "hello");
    expect_run(DEFAULTS, "5;", "a", 256, "\r\nhello\r\n" LAST,
               "refused CHUNK_EXTENSION");
    expect_run(DEFAULTS, "5;", "a", 65536, "", "refused CHUNK_EXTENSION");
    expect_run(DEFAULTS, "", "0", 100000, "5", "refused CHUNK_SIZE");
    expect_run(DEFAULTS, "", "0", 100000, ";", "refused CHUNK_SIZE");
}
END_TEST

START_TEST(framing_is_no_larger_than_16_kib_or_the_body)
{
    /* "1" and 4 bytes of line ends for each */
    expect_run(DEFAULTS, "", "1\r\nx\r\n", 3277, "", "refused CHUNK_OVERHEAD");
    cg_auto(free) char *got = NULL;
    cg_auto(buf) struct cg_buf b = {0};
    for (int i = 0; i < 3276; i++) {
        cg_buf_puts(&b, "1\r\nx\r\n");
    }
    got = outcome(DEFAULTS, b.p, b.n, 1000);
    ck_assert_uint_eq(strlen(got), 3276 + strlen("..."));
    /* a body that is larger than its framing may go on for ever */
    struct cg_chunks c = {0};
    for (int i = 0; i < 100000; i++) {
        static const char chunk[] = "8\r\n12345678\r\n";
        size_t at = 0;
        while (at < sizeof chunk - 1) {
            struct cg_slice data;
            size_t used;
            ck_assert_int_ne(cg_chunks_read(&c, DEFAULTS, chunk + at,
                                            sizeof chunk - 1 - at, &used,
                                            &data),
                             CG_CHUNK_REFUSED);
            at += used;
        }
    }
    ck_assert_uint_eq(c.payload, 800000);
    cg_chunks_release(&c);
}
END_TEST

/* ---- trailers ---- */

START_TEST(trailers_are_fields)
{
    CHUNKS(DEFAULTS, {HELLO "0\r\nX-Sum: abc\r\nY:\r\n\r\nGET", "hello +3"},
           {HELLO "0\r\nConnection: close\r\n\r\n", "hello"},
           {HELLO "0\r\nX : a\r\n\r\n", "refused TRAILER"},
           {HELLO "0\r\nX: a\r\n b\r\n\r\n", "refused TRAILER"},
           {HELLO "0\r\nBad Name: a\r\n\r\n", "refused TRAILER"},
           {HELLO "0\r\nX\r\n\r\n", "refused TRAILER"},
           {HELLO "0\r\nX: \x01\r\n\r\n", "refused TRAILER"});
}
END_TEST

START_TEST(what_frames_or_authorises_is_no_trailer)
{
    CHUNKS(DEFAULTS, {"0\r\nHost: a\r\n\r\n", "refused TRAILER"},
           {"0\r\ncontent-length: 5\r\n\r\n", "refused TRAILER"},
           {"0\r\nTransfer-Encoding: chunked\r\n\r\n", "refused TRAILER"},
           {"0\r\nTrailer: X\r\n\r\n", "refused TRAILER"},
           {"0\r\nAuthorization: x\r\n\r\n", "refused TRAILER"},
           {"0\r\nTE: trailers\r\n\r\n", "refused TRAILER"});
}
END_TEST

START_TEST(trailers_are_bounded_as_a_head)
{
    expect_run(DEFAULTS, "0\r\n", "X: 1\r\n", 100, "\r\n", "");
    expect_run(DEFAULTS, "0\r\n", "X: 1\r\n", 101, "\r\n",
               "refused TRAILER_LIMIT");
    expect_run(DEFAULTS, "0\r\nX: ", "a", 8190 - 5, "\r\n\r\n", "");
    expect_run(DEFAULTS, "0\r\nX: ", "a", 8190 - 3, "\r\n\r\n",
               "refused TRAILER_LIMIT");
    POLICY(small, P->limit_head = 100; P->limit_field_size = 0);
    expect_run(&small, "0\r\n", "X: 1234\r\n", 11, "\r\n", "");
    expect_run(&small, "0\r\n", "X: 1234\r\n", 12, "\r\n",
               "refused TRAILER_LIMIT");
    expect_run(&small, "0\r\nX: ", "a", 200, "", "refused TRAILER_LIMIT");
}
END_TEST

START_TEST(nothing_needs_nothing)
{
    struct cg_chunks c = {0};
    struct cg_slice data;
    size_t used = 7;
    ck_assert_int_eq(cg_chunks_read(&c, DEFAULTS, "", 0, &used, &data),
                     CG_CHUNK_MORE);
    ck_assert_uint_eq(used, 0);
    cg_chunks_release(&c);
}
END_TEST

TESTS("chunk", chunks_are_joined, a_size_is_1_to_16_hex_digits,
      crlf_ends_lines_and_chunks, extensions_are_checked_and_dropped,
      a_size_line_is_bounded, framing_is_no_larger_than_16_kib_or_the_body,
      trailers_are_fields, what_frames_or_authorises_is_no_trailer,
      trailers_are_bounded_as_a_head, nothing_needs_nothing)
