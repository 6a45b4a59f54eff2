/* SPDX-License-Identifier: MIT */
/* WebSocket frames: messages, fragments, control frames, faults, limits; the
 * groups of the Autobahn suite, for the codec alone. */
#include "core/http/websocket/websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* ---- frames of a client ---- */

static void
put_masked(struct cg_buf *out, unsigned first, const char *p, size_t n)
{
    static const char mask[4] = {0x37, (char)0xfa, 0x21, 0x3d};
    char head[CG_WS_HEAD_MAX];
    size_t head_n = cg_ws_put_head(head, CG_WS_OP_TEXT, false, n);
    head[0] = (char)first;
    head[1] = (char)(head[1] | 0x80);
    cg_buf_put(out, head, head_n);
    cg_buf_put(out, mask, sizeof mask);
    for (size_t i = 0; i < n; i++) {
        cg_buf_putc(out, (char)(p[i] ^ mask[i & 3]));
    }
}

/* "01Hel|80lo": frames, each its first byte in hex and its payload. */
static struct cg_buf
frames(const char *text)
{
    struct cg_buf out = {0};
    while (*text != '\0') {
        char hex[3] = {text[0], text[1], '\0'};
        size_t n = strcspn(text + 2, "|");
        put_masked(&out, (unsigned)strtoul(hex, NULL, 16), text + 2, n);
        text += 2 + n;
        text += *text == '|';
    }
    return out;
}

/* ---- what is told ---- */

static void
tell_bytes(struct cg_buf *told, const char *word, const char *p, size_t n)
{
    cg_buf_putf(told, "%s%s \"", told->n > 0 ? "; " : "", word);
    cg_buf_put_escaped(told, (struct cg_slice){p, n}, 100);
    cg_buf_puts(told, "\"");
}

static void
tell(struct cg_buf *told, const struct cg_ws_reader *r, enum cg_ws_event ev)
{
    char word[40];
    switch (ev) {
    case CG_WS_MORE: break;
    case CG_WS_TEXT:
        tell_bytes(told, "text", r->message.p, r->message.n);
        break;
    case CG_WS_BINARY:
        tell_bytes(told, "binary", r->message.p, r->message.n);
        break;
    case CG_WS_PING: tell_bytes(told, "ping", r->control, r->control_n); break;
    case CG_WS_PONG: tell_bytes(told, "pong", r->control, r->control_n); break;
    case CG_WS_CLOSE:
        snprintf(word, sizeof word, "close %u", r->code);
        tell_bytes(told, word, r->control, r->control_n);
        break;
    case CG_WS_FAILED:
        snprintf(word, sizeof word, "failed %u", r->code);
        tell_bytes(told, word, r->fault, strlen(r->fault));
        break;
    }
}

/* In pieces of `step` bytes, each in memory of its own. */
static char *
told_in_steps(struct cg_buf in, uint64_t limit, size_t step)
{
    struct cg_ws_inflate inflate = {.bits = 15};
    struct cg_ws_reader r = {.max_message = limit, .inflate = &inflate};
    struct cg_buf told = {0};
    for (size_t at = 0; at < in.n; at += step) {
        size_t give = in.n - at < step ? in.n - at : step, done = 0, used;
        char *p = cg_malloc(give);
        memcpy(p, in.p + at, give);
        while (done < give) {
            enum cg_ws_event ev = cg_ws_read(&r, p + done, give - done, &used);
            tell(&told, &r, ev);
            done += used;
            ck_assert(ev != CG_WS_MORE || done == give);
        }
        free(p);
    }
    cg_ws_reader_release(&r);
    cg_ws_inflate_release(&inflate);
    return cg_buf_take(&told);
}

static void
expect_bytes(struct cg_buf in, uint64_t limit, const char *want)
{
    static const size_t steps[] = {1000000, 1, 2, 3, 7, 64};
    for (size_t i = 0; i < CG_COUNT(steps); i++) {
        cg_auto(free) char *got = told_in_steps(in, limit, steps[i]);
        ck_assert_msg(strcmp(got, want) == 0, "steps of %zu: %s\n  want %s",
                      steps[i], got, want);
    }
    cg_buf_release(&in);
}

static void
expect(const char *text, const char *want)
{
    expect_bytes(frames(text), 1000, want);
}

static void
expect_raw(const char *p, size_t n, const char *want)
{
    struct cg_buf in = {0};
    cg_buf_put(&in, p, n);
    expect_bytes(in, 1u << 20, want);
}

#define RAW(text, want) expect_raw(text, sizeof(text) - 1, want)

/* ---- tests ---- */

START_TEST(test_messages_in_one_frame)
{
    expect("81Hello", "text \"Hello\"");
    expect("82Hello", "binary \"Hello\"");
    expect("81|82", "text \"\"; binary \"\"");
    expect("81a|81b|82c", "text \"a\"; text \"b\"; binary \"c\"");
    expect("82\x01\x80\xff", "binary \"\\x01\\x80\\xff\"");
}
END_TEST

START_TEST(test_fragments_with_control_frames_between)
{
    expect("01Hel|80lo", "text \"Hello\"");
    expect("01|00|80", "text \"\"");
    expect("02a|00b|00c|80d", "binary \"abcd\"");
    expect("01Hel|89x|80lo", "ping \"x\"; text \"Hello\"");
    expect("01Hel|8a|00l|8a1|80o", "pong \"\"; pong \"1\"; text \"Hello\"");
}
END_TEST

START_TEST(test_fragments_out_of_order)
{
    expect("80x", "failed 1002 \"a continuation of nothing\"");
    expect("00x", "failed 1002 \"a continuation of nothing\"");
    expect("81a|80b", "text \"a\"; failed 1002 \"a continuation of nothing\"");
    expect("01a|81b", "failed 1002 \"a new message inside another one\"");
    expect("02a|02b", "failed 1002 \"a new message inside another one\"");
}
END_TEST

START_TEST(test_control_frames)
{
    char longest[3 + CG_WS_CONTROL_MAX] = "89", want[200];
    memset(longest + 2, 'x', CG_WS_CONTROL_MAX);
    longest[sizeof longest - 1] = '\0';
    snprintf(want, sizeof want, "ping \"%.100s...\"", longest + 2);
    expect(longest, want);
    char longer[4 + CG_WS_CONTROL_MAX];
    snprintf(longer, sizeof longer, "%sx", longest);
    expect(longer, "failed 1002 \"a control frame of more than 125 bytes\"");
    expect("09x", "failed 1002 \"a control frame in fragments\"");
    expect("08", "failed 1002 \"a control frame in fragments\"");
    expect("89|89a|8ab", "ping \"\"; ping \"a\"; pong \"b\"");
}
END_TEST

START_TEST(test_reserved_bits_and_opcodes)
{
    static const char *const opcodes[] = {"83", "84", "85", "86", "87", "8b",
                                          "8c", "8d", "8e", "8f", "03", "0b"};
    for (size_t i = 0; i < CG_COUNT(opcodes); i++) {
        expect(opcodes[i], "failed 1002 \"a reserved opcode\"");
    }
    expect("91x", "failed 1002 \"a reserved bit\"");
    expect("a2x", "failed 1002 \"a reserved bit\"");
    expect("f1x", "failed 1002 \"a reserved bit\"");
    expect("c9", "failed 1002 \"a reserved bit\"");
    expect("01a|c0b", "failed 1002 \"a reserved bit\"");
}
END_TEST

START_TEST(test_rsv1_needs_the_extension)
{
    struct cg_ws_reader r = {0};
    cg_auto(buf) struct cg_buf in = frames("c1x");
    size_t used;
    ck_assert_int_eq(cg_ws_read(&r, in.p, in.n, &used), CG_WS_FAILED);
    ck_assert_str_eq(r.fault, "a reserved bit");
    ck_assert_uint_eq(used, in.n);
    ck_assert_int_eq(cg_ws_read(&r, in.p, in.n, &used), CG_WS_MORE);
    ck_assert_uint_eq(used, in.n);
}
END_TEST

START_TEST(test_lengths)
{
    RAW("\x81\x05Hello", "failed 1002 \"a frame without a mask\"");
    RAW("\x81\xfe\x00\x7d\0\0\0\0",
        "failed 1002 \"a length that is not in its shortest form\"");
    RAW("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0",
        "failed 1002 \"a length that is not in its shortest form\"");
    RAW("\x81\xff\x80\0\0\0\0\x01\0\0\0\0\0\0",
        "failed 1002 \"a length of more than 63 bits\"");
    RAW("\x81\xff\0\0\0\0\0\x10\0\x01\0\0\0\0",
        "failed 1009 \"the message is too big\"");
    RAW("\x81\xfe\x00\x7e\0\0\0\0x", "");
}
END_TEST

START_TEST(test_sizes_around_the_forms_of_a_length)
{
    static const size_t sizes[] = {125, 126, 127, 65535, 65536, 70000};
    for (size_t i = 0; i < CG_COUNT(sizes); i++) {
        cg_auto(free) char *p = cg_malloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            p[k] = (char)(k * 7 + k / 256);
        }
        cg_auto(buf) struct cg_buf in = {0};
        put_masked(&in, 0x82, p, sizes[i]);
        struct cg_ws_reader r = {0};
        size_t used;
        ck_assert_int_eq(cg_ws_read(&r, in.p, in.n, &used), CG_WS_BINARY);
        ck_assert_uint_eq(used, in.n);
        ck_assert_uint_eq(r.message.n, sizes[i]);
        ck_assert_mem_eq(r.message.p, p, sizes[i]);
        cg_ws_reader_release(&r);
    }
}
END_TEST

START_TEST(test_messages_above_the_limit)
{
    expect_bytes(frames("8212345"), 5, "binary \"12345\"");
    expect_bytes(frames("82123456"), 5,
                 "failed 1009 \"the message is too big\"");
    expect_bytes(frames("02123|00|80456"), 5,
                 "failed 1009 \"the message is too big\"");
    expect_bytes(frames("02123|89pingpong|8045|82123|8245"), 5,
                 "ping \"pingpong\"; binary \"12345\"; binary \"123\"; "
                 "binary \"45\"");
}
END_TEST

START_TEST(test_text_that_is_not_utf8)
{
    expect("81\xce\xba\xe1\xbd\xb9", "text \"\\xce\\xba\\xe1\\xbd\\xb9\"");
    expect("01\xce|80\xba", "text \"\\xce\\xba\"");
    expect("81\xce", "failed 1007 \"text that is not UTF-8\"");
    expect("81\xed\xa0\x80", "failed 1007 \"text that is not UTF-8\"");
    /* as soon as it is seen: the message is not complete */
    expect("01\xce\xba\xff", "failed 1007 \"text that is not UTF-8\"");
    expect("01\xf4|00\x90", "failed 1007 \"text that is not UTF-8\"");
    expect("01\xce|80", "failed 1007 \"text that is not UTF-8\"");
    /* the next message begins anew */
    expect("82\xff|81a", "binary \"\\xff\"; text \"a\"");
}
END_TEST

START_TEST(test_closing)
{
    expect("88", "close 1005 \"\"");
    expect("88\x03\xe8", "close 1000 \"\"");
    expect("88\x0f\xa0"
           "bye",
           "close 4000 \"bye\"");
    expect("88x", "failed 1002 \"a close frame of one byte\"");
    expect("88\x03\xe8\xff", "failed 1007 \"a reason that is not UTF-8\"");
    expect("88\x03\xe8\xce", "failed 1007 \"a reason that is not UTF-8\"");
    expect("88\x03\xe8|81after", "close 1000 \"\"");
    expect("01half|88\x03\xe9", "close 1001 \"\"");
}
END_TEST

START_TEST(test_close_codes)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                    1009, 1010, 1011, 1012, 1013, 1014,
                                    3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < CG_COUNT(good); i++) {
        ck_assert_msg(cg_ws_is_close_code(good[i]), "%u", good[i]);
    }
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        ck_assert_msg(!cg_ws_is_close_code(bad[i]), "%u", bad[i]);
    }
    expect("88\x03\xed", "failed 1002 \"a close code that is none\"");
}
END_TEST

START_TEST(test_compressed_messages)
{
    /* RFC 7692, 7.2.3: Hello, the same with the window, without it, in two
     * blocks, and with BFINAL */
    RAW("\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00"
        "\xc1\x85\0\0\0\0\xf2\x00\x11\x00\x00",
        "text \"Hello\"; text \"Hello\"");
    RAW("\xc1\x8b\0\0\0\0\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        "text \"Hello\"");
    RAW("\xc1\x8d\0\0\0\0\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        "text \"Hello\"");
    RAW("\xc1\x88\0\0\0\0\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "text \"Hello\"");
    /* in fragments: only the first has RSV1; and an empty one */
    RAW("\x41\x83\0\0\0\0\xf2\x48\xcd\x80\x84\0\0\0\0\xc9\xc9\x07\x00",
        "text \"Hello\"");
    RAW("\xc2\x81\0\0\0\0\x00", "binary \"\"");
    /* a plain one between */
    RAW("\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x81\0\0\0\0x",
        "text \"Hello\"; text \"x\"");
    RAW("\xc1\x82\0\0\0\0\xff\xff",
        "failed 1007 \"compressed data that is invalid\"");
}
END_TEST

START_TEST(test_compressed_text_is_checked_too)
{
    struct cg_ws_deflate d = {.bits = 12};
    cg_auto(buf) struct cg_buf deflated = {0};
    struct cg_buf in = {0};
    cg_ws_deflate_put(&d, CG_SLICE("ab\xff"), &deflated);
    put_masked(&in, 0xc1, deflated.p, deflated.n);
    expect_bytes(in, 1000, "failed 1007 \"text that is not UTF-8\"");
    cg_ws_deflate_release(&d);
}
END_TEST

START_TEST(test_a_bomb_is_stopped_at_the_limit)
{
    struct cg_ws_deflate d = {.bits = 12};
    cg_auto(buf) struct cg_buf deflated = {0};
    struct cg_buf in = {0};
    size_t n = 1u << 22;
    cg_auto(free) char *zeros = cg_calloc(1, n);
    cg_ws_deflate_put(&d, (struct cg_slice){zeros, n}, &deflated);
    put_masked(&in, 0xc2, deflated.p, deflated.n);
    ck_assert_uint_lt(in.n, 8192);
    expect_bytes(in, 100000, "failed 1009 \"the message is too big\"");
    cg_ws_deflate_release(&d);
}
END_TEST

START_TEST(test_memory_of_a_large_message_is_given_back)
{
    struct cg_ws_reader r = {0};
    cg_auto(buf) struct cg_buf in = {0};
    cg_auto(free) char *p = cg_calloc(1, 100000);
    put_masked(&in, 0x82, p, 100000);
    put_masked(&in, 0x82, "x", 1);
    put_masked(&in, 0x89, "", 0);
    size_t at, used;
    ck_assert_int_eq(cg_ws_read(&r, in.p, in.n, &at), CG_WS_BINARY);
    ck_assert_int_eq(cg_ws_read(&r, in.p + at, in.n - at, &used), CG_WS_BINARY);
    ck_assert_uint_lt(r.message.cap, 2000);
    at += used;
    ck_assert_int_eq(cg_ws_read(&r, in.p + at, in.n - at, &used), CG_WS_PING);
    ck_assert_uint_eq(r.message.n, 0);
    cg_ws_reader_release(&r);
}
END_TEST

/* ---- writing ---- */

static void
expect_out(struct cg_buf *out, const char *want, size_t n)
{
    ck_assert_uint_eq(out->n, n);
    ck_assert_mem_eq(out->p, want, n);
    cg_buf_release(out);
}

START_TEST(test_frames_that_are_written)
{
    struct cg_buf out = {0};
    cg_ws_put_frame(&out, CG_WS_OP_TEXT, CG_SLICE("Hello"));
    expect_out(&out, "\x81\x05Hello", 7);
    cg_ws_put_frame(&out, CG_WS_OP_PONG, CG_SLICE(""));
    expect_out(&out, "\x8a\x00", 2);
    cg_ws_put_message(&out, NULL, CG_WS_OP_BINARY, CG_SLICE("x"));
    expect_out(&out, "\x82\x01x", 3);
    cg_ws_put_close(&out, 1000, CG_SLICE("bye"));
    expect_out(&out,
               "\x88\x05\x03\xe8"
               "bye",
               7);
    cg_ws_put_close(&out, CG_WS_NO_STATUS, CG_SLICE("dropped"));
    expect_out(&out, "\x88\x00", 2);
}
END_TEST

START_TEST(test_a_reason_that_is_too_long_is_cut_between_characters)
{
    struct cg_buf out = {0};
    char reason[200];
    for (size_t i = 0; i < sizeof reason; i += 2) {
        memcpy(reason + i, "\xc3\xa9", 2);
    }
    cg_ws_put_close(&out, 1011, (struct cg_slice){reason, sizeof reason});
    ck_assert_uint_eq(out.n, 2 + 2 + 122);
    cg_buf_release(&out);
    memset(reason, 'x', sizeof reason);
    cg_ws_put_close(&out, 1011, (struct cg_slice){reason, sizeof reason});
    ck_assert_uint_eq(out.n, 2 + 125);
    cg_buf_release(&out);
    memset(reason, '\x80', sizeof reason); /* no characters at all */
    cg_ws_put_close(&out, 1011, (struct cg_slice){reason, sizeof reason});
    ck_assert_uint_eq(out.n, 2 + 2);
    cg_buf_release(&out);
}
END_TEST

/* What we write, read by our reader with a mask put on. */
static void
there_and_back(struct cg_ws_deflate *d, struct cg_ws_reader *r, size_t n)
{
    cg_auto(buf) struct cg_buf out = {0}, in = {0};
    cg_auto(free) char *p = cg_malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)(i * i >> 3);
    }
    cg_ws_put_message(&out, d, CG_WS_OP_BINARY, (struct cg_slice){p, n});
    size_t head = (out.p[1] & 0x7f) < 126    ? 2
                  : (out.p[1] & 0x7f) == 126 ? 4
                                             : 10;
    put_masked(&in, (unsigned char)out.p[0], out.p + head, out.n - head);
    size_t used;
    ck_assert_int_eq(cg_ws_read(r, in.p, in.n, &used), CG_WS_BINARY);
    ck_assert_uint_eq(r->message.n, n);
    ck_assert(n == 0 || memcmp(r->message.p, p, n) == 0);
}

START_TEST(test_messages_come_back_as_they_were)
{
    static const size_t sizes[] = {0, 1, 0, 64, 3000, 70000, 0, 3000000, 5};
    for (int forgets = 0; forgets < 2; forgets++) {
        struct cg_ws_deflate d = {.bits = 12, .forgets = forgets};
        struct cg_ws_inflate i = {.bits = 12, .forgets = forgets};
        struct cg_ws_reader r = {.inflate = &i};
        for (size_t k = 0; k < CG_COUNT(sizes); k++) {
            there_and_back(&d, &r, sizes[k]);
            there_and_back(NULL, &r, sizes[k]);
        }
        ck_assert_int_eq(i.z == NULL, forgets);
        cg_ws_reader_release(&r);
        cg_ws_inflate_release(&i);
        cg_ws_deflate_release(&d);
    }
}
END_TEST

TESTS("websocket", test_messages_in_one_frame,
      test_fragments_with_control_frames_between, test_fragments_out_of_order,
      test_control_frames, test_reserved_bits_and_opcodes,
      test_rsv1_needs_the_extension, test_lengths,
      test_sizes_around_the_forms_of_a_length, test_messages_above_the_limit,
      test_text_that_is_not_utf8, test_closing, test_close_codes,
      test_compressed_messages, test_compressed_text_is_checked_too,
      test_a_bomb_is_stopped_at_the_limit,
      test_memory_of_a_large_message_is_given_back,
      test_frames_that_are_written,
      test_a_reason_that_is_too_long_is_cut_between_characters,
      test_messages_come_back_as_they_were)
