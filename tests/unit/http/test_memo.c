/* SPDX-License-Identifier: MIT */
/* Lines that were read before: the same verdict, and http-parser is not asked
 * twice. */
#include <stdio.h>

#include "core/http/memo.h"
#include "tests/unit/http/heads.h"

#include "tests/unit/check_main.h"

#define GET "GET /g HTTP/1.1\r\nHost: a\r\n"
#define MANY GET "A: 1\r\nB: 2\r\nC: 3\r\n\r\n"

static struct cg_head_memo memo;

/* Which fields were known: "Host A -B +C" is all but B. */
static char *
known(const char *text)
{
    struct cg_request r = {0};
    struct cg_buf b = {0};
    ck_assert_int_eq(
        cg_head_read_with(&r, &memo, DEFAULTS, false, text, strlen(text)),
        CG_HEAD_DONE);
    for (int i = 0; i < r.nfields; i++) {
        cg_buf_puts(&b, r.proven >> i & 1 ? "+" : "-");
        cg_buf_put(&b, text + r.fields[i].name, r.fields[i].name_n);
    }
    cg_request_release(&r);
    return cg_buf_take(&b);
}

static void
expect_known(const char *text, const char *want)
{
    cg_auto(free) char *got = known(text);
    ck_assert_str_eq(got, want);
}

static void
learn(const char *text)
{
    memo = (struct cg_head_memo){0};
    cg_auto(free) char *ignored = known(text);
}

START_TEST(a_line_that_comes_again_is_known)
{
    learn(MANY);
    expect_known(MANY, "+Host+A+B+C");
    expect_known("PUT /other?q HTTP/1.0\r\nHost: a\r\nA: 1\r\n\r\n", "+Host+A");
    expect_known("\r\n" MANY, "+Host+A+B+C");
}
END_TEST

START_TEST(a_line_that_differs_is_read)
{
    learn(MANY);
    expect_known(GET "A: 1\r\nB: x\r\nC: 3\r\n\r\n", "+Host+A-B+C");
    expect_known(GET "A: 1\r\nC: 3\r\n\r\n", "+Host+A+C");
    expect_known(GET "A: 1\r\nNew: 0\r\nB: 2\r\n\r\n", "+Host+A-New+B");
    expect_known(GET "a: 1\r\nB: 2 \r\nC: 33\r\n\r\n", "+Host-a-B-C");
}
END_TEST

START_TEST(what_is_a_clients_own_is_not_compared)
{
#define OWN GET "Cookie: a=b\r\nAuthorization: x\r\nA: 1\r\n\r\n"
    learn(OWN);
    expect_known(OWN, "+Host-Cookie-Authorization+A");
}
END_TEST

/* A name with '_' may be dropped or kept: that depends on the peer. */
START_TEST(what_trust_decides_is_not_learned)
{
    learn(GET "A_B: 1\r\nC: 2\r\n\r\n");
    ck_assert_int_eq(memo.n, 0);
    POLICY(keeping, P->header_map = CG_HEADER_DANGEROUS);
    static const char text[] = GET "A_B: 1\r\n\r\n";
    struct cg_request r = {0};
    ck_assert_int_eq(
        cg_head_read_with(&r, &memo, &keeping, false, text, sizeof text - 1),
        CG_HEAD_DONE);
    ck_assert_int_eq(r.nfields, 2);
    ck_assert_int_eq(memo.n, 0);
    cg_request_release(&r);
}
END_TEST

START_TEST(what_http_parser_does_not_know_is_not_learned)
{
    learn("QUERY / HTTP/1.1\r\nHost: a\r\nA: 1\r\n\r\n");
    ck_assert_int_eq(memo.n, 0);
}
END_TEST

START_TEST(a_head_is_learned_when_as_many_lines_were_missed)
{
    learn(MANY);
    for (int i = 0; i < 4; i++) {
        char text[100];
        snprintf(text, sizeof text, GET "A: 1\r\nB: new %d\r\nC: 3\r\n\r\n", i);
        expect_known(text, "+Host+A-B+C");
    }
    expect_known(GET "A: 1\r\nB: new 3\r\nC: 3\r\n\r\n", "+Host+A+B+C");
}
END_TEST

START_TEST(heads_that_are_too_large_are_not_learned)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, GET "X: ");
    for (int i = 0; i < CG_MEMO_BYTES; i++) {
        cg_buf_putc(&b, 'x');
    }
    cg_buf_puts(&b, "\r\n\r\n");
    learn(cg_buf_str(&b));
    ck_assert_int_eq(memo.n, 0);
    cg_buf_reset(&b);
    cg_buf_puts(&b, GET);
    for (int i = 0; i < CG_MEMO_LINES; i++) {
        cg_buf_puts(&b, "X: 1\r\n");
    }
    cg_buf_puts(&b, "\r\n");
    learn(cg_buf_str(&b));
    ck_assert_int_eq(memo.n, 0);
}
END_TEST

static enum cg_head_status
read_known(const struct cg_head_policy *policy, const char *text,
           struct cg_request *r)
{
    *r = (struct cg_request){0};
    return cg_head_read_with(r, &memo, policy, false, text, strlen(text));
}

START_TEST(limits_hold_for_what_is_known)
{
    struct cg_request r;
    learn(MANY);
    POLICY(few, P->limit_fields = 3);
    ck_assert_int_eq(read_known(&few, MANY, &r), CG_HEAD_REFUSED);
    ck_assert_str_eq(cg_refusal_name(r.refusal), "FIELDS_LIMIT");
    cg_request_release(&r);
    POLICY(small, P->limit_head = sizeof(MANY) - 4);
    ck_assert_int_eq(read_known(&small, MANY, &r), CG_HEAD_REFUSED);
    ck_assert_str_eq(cg_refusal_name(r.refusal), "HEAD_SIZE");
    cg_request_release(&r);
}
END_TEST

START_TEST(a_known_line_can_be_folded)
{
    struct cg_request r;
    learn(MANY);
    ck_assert_int_eq(read_known(DEFAULTS, GET "A: 1\r\n x\r\n\r\n", &r),
                     CG_HEAD_REFUSED);
    ck_assert_str_eq(cg_refusal_name(r.refusal), "FOLDING");
    cg_request_release(&r);
    POLICY(folding, P->permit_folding = true);
    char text[] = GET "A: 1\r\n x\r\nB: 2\r\n\r\n";
    ck_assert_int_eq(read_known(&folding, text, &r), CG_HEAD_DONE);
    ck_assert_int_eq(r.nfields, 3);
    ck_assert_int_eq(r.fields[1].value_n, 3);
    ck_assert_mem_eq(text + r.fields[1].value, "1 x", 3);
    cg_request_release(&r);
}
END_TEST

START_TEST(framing_is_decided_anew)
{
    struct cg_request r;
    learn("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    ck_assert_int_eq(read_known(DEFAULTS,
                                "POST / HTTP/1.1\r\nHost: a\r\n"
                                "Content-Length: 5\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n",
                                &r),
                     CG_HEAD_REFUSED);
    cg_request_release(&r);
    ck_assert_int_eq(read_known(DEFAULTS,
                                "POST / HTTP/1.1\r\nHost: a\r\n"
                                "Content-Length: 5\r\n"
                                "Content-Length: 5\r\n\r\n",
                                &r),
                     CG_HEAD_REFUSED);
    cg_request_release(&r);
}
END_TEST

TESTS("memo", a_line_that_comes_again_is_known, a_line_that_differs_is_read,
      what_is_a_clients_own_is_not_compared, what_trust_decides_is_not_learned,
      what_http_parser_does_not_know_is_not_learned,
      a_head_is_learned_when_as_many_lines_were_missed,
      heads_that_are_too_large_are_not_learned, limits_hold_for_what_is_known,
      a_known_line_can_be_folded, framing_is_decided_anew)
