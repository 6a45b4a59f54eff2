/* SPDX-License-Identifier: MIT */
/* The second opinion agrees with what our reader found, and says so when it
 * does not. */
#include <stdlib.h>

#include "core/http/scan.h"
#include "tests/unit/check_main.h"
#include "tests/unit/http/heads.h"

static struct cg_request
read_good(const char *text)
{
    struct cg_request r = {0};
    ck_assert_int_eq(cg_head_read(&r, DEFAULTS, false, text, strlen(text)),
                     CG_HEAD_DONE);
    return r;
}

#define CHUNKED                                                                \
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LENGTH "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"

START_TEST(another_framing_is_a_disagreement)
{
    struct cg_request r = read_good(CHUNKED);
    ck_assert(cg_crosscheck(&r, CHUNKED, 2, true));
    ck_assert(cg_crosscheck(&r, CHUNKED, 2, false));
    r.chunked = false;
    ck_assert(!cg_crosscheck(&r, CHUNKED, 2, true));
    cg_request_release(&r);
    r = read_good(LENGTH);
    ck_assert(cg_crosscheck(&r, LENGTH, 2, true));
    r.content_length = 6;
    ck_assert(!cg_crosscheck(&r, LENGTH, 2, true));
    r.has_length = false;
    ck_assert(!cg_crosscheck(&r, LENGTH, 2, true));
    cg_request_release(&r);
}
END_TEST

START_TEST(another_version_is_a_disagreement_in_the_first_try)
{
    struct cg_request r = read_good(LENGTH);
    r.minor = 0;
    /* the second try writes our version itself and asks for the framing */
    ck_assert(cg_crosscheck(&r, LENGTH, 2, true));
    r.minor = 7;
    r.content_length = 4;
    ck_assert(!cg_crosscheck(&r, LENGTH, 2, true));
    cg_request_release(&r);
}
END_TEST

START_TEST(what_http_parser_does_not_know_is_asked_plainly)
{
    /* an unknown method, HTAB behind a coding, a name that begins like one */
    HEADS(DEFAULTS, false,
          {"QUERY / HTTP/1.1\r\nHost: a\r\n\r\n",
           "QUERY / 1.1 keep path=/ | Host=a"},
          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\t\r\n\r\n",
           "POST / 1.1 keep length=5 path=/ | Host=a Content-Length=5"},
          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
           "Transfer-Encoding-X: y\r\n\r\n",
           "POST / 1.1 keep chunked path=/ | Host=a Transfer-Encoding=chunked "
           "Transfer-Encoding-X=y"});
}
END_TEST

/* The reader and http-parser cannot be made to differ by bytes alone, as far as
 * we know; if they ever do, it is a refusal. http-parser is set up to refuse
 * heads that ours allows to be larger. */
START_TEST(a_disagreement_is_refused)
{
    POLICY(large, P->limit_head = 400000; P->limit_field_size = 0);
    cg_auto(buf) struct cg_buf b = {0};
    /* as long as http-parser's own bound, in a field that frames */
    cg_buf_puts(&b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ");
    for (int i = 0; i < 90000; i++) {
        cg_buf_putc(&b, '0');
    }
    cg_buf_puts(&b, "5\r\n\r\n");
    struct cg_request r = {0};
    ck_assert_int_eq(cg_head_read(&r, &large, false, b.p, b.n),
                     CG_HEAD_REFUSED);
    ck_assert_str_eq(cg_refusal_name(r.refusal), "DISAGREEMENT");
    cg_request_release(&r);
}
END_TEST

/* Lines that were agreed upon before are left out, but never the framing. */
START_TEST(what_is_proven_is_not_asked_again)
{
#define FOUR                                                                   \
    "POST /p HTTP/1.1\r\nHost: a\r\nX: 1\r\nContent-Length: 5\r\nY: 2\r\n\r\n"
    struct cg_request r = read_good(FOUR);
    for (unsigned proven = 0; proven < 16; proven++) {
        r.proven = proven;
        ck_assert_int_eq(cg_crosscheck(&r, FOUR, 4, true), CG_AGREES);
    }
    r.content_length = 6;
    for (unsigned proven = 0; proven < 16; proven++) {
        r.proven = proven;
        ck_assert(!cg_crosscheck(&r, FOUR, 4, true));
    }
    cg_request_release(&r);
}
END_TEST

START_TEST(fields_at_other_places_are_no_agreement)
{
    struct cg_request r = read_good(FOUR);
    r.fields[3].name++;
    ck_assert_int_eq(cg_crosscheck(&r, FOUR, 4, true), CG_AGREES_ON_FRAMING);
    cg_request_release(&r);
}
END_TEST

TESTS("crosscheck", fields_at_other_places_are_no_agreement,
      what_is_proven_is_not_asked_again, another_framing_is_a_disagreement,
      another_version_is_a_disagreement_in_the_first_try,
      what_http_parser_does_not_know_is_asked_plainly,
      a_disagreement_is_refused)
