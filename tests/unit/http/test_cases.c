/* SPDX-License-Identifier: MIT */
/*
 * tests/cases/http-cases.json through the readers, each case in five shapes:
 * in one piece, byte by byte, split at every offset, after a good request, and
 * followed by one that must not be answered after a refusal.
 */
#include <check.h>

#include "tests/unit/http/cases.h"
#include "tests/unit/http/stream.h"

static const char good[] = "GET /g HTTP/1.1\r\nHost: a\r\n\r\n";
static const char good_told[] = "request GET /g\nbody \n";
static const char next[] = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
static const char next_told[] = "request GET /next\nbody \n";

static struct stream
fresh(const struct http_case *c)
{
    return (struct stream){.policy = &cg_head_policy_default,
                           .proxy = c->proxy ? CG_PROXY_V1 : CG_PROXY_OFF};
}

/* "refused 400\n" with 400 among the wanted ones. */
static bool
is_refusal(const char *events, const char *wanted)
{
    return strlen(events) == strlen("refused 400\n") &&
           strncmp(events, "refused ", 8) == 0 &&
           memmem(wanted, strlen(wanted), events + 8, 3) != NULL;
}

/* What has to be told once the case's bytes are there, and `after` them. */
static bool
is_right(const struct http_case *c, struct stream *s, const char *after)
{
    const char *events = cg_buf_str(&s->events);
    size_t n = strlen(c->told);
    if (strncmp(events, "proxy ", 6) == 0) {
        events = strchr(events, '\n') + 1;
    }
    if (c->expect[0] == 'W') {
        return strstr(events, "body") == NULL &&
               strstr(events, "refused") == NULL;
    }
    if (strcmp(c->expect, "R") == 0) {
        return is_refusal(events, c->status) ||
               (strncmp(events, "request ", 8) == 0 && /* in its body */
                is_refusal(strchr(events, '\n') + 1, c->status)) ||
               strstr(c->status, "A") != NULL;
    }
    if (strncmp(events, c->told, n) != 0) {
        return false;
    }
    if (strcmp(c->expect, "AR") == 0) {
        return is_refusal(events + n, "400");
    }
    /* CH49: what is behind the request is junk */
    return strcmp(c->id, "CH49") == 0
               ? s->state != INPUT_END || is_refusal(events + n, "400")
           : c->keep_alive ? strcmp(events + n, after) == 0
                           : strcmp(events + n, "end\n") == 0;
}

static void
expect(const struct http_case *c, struct stream *s, const char *after,
       const char *shape, size_t at)
{
    ck_assert_msg(is_right(c, s, after),
                  "%s, %s %zu: want %s %s\n%s%s-- got\n%s", c->id, shape, at,
                  c->expect, c->status, c->told, after, cg_buf_str(&s->events));
    stream_release(s);
}

static void
in_one_piece(const struct http_case *c, struct cg_buf raw)
{
    struct stream s = fresh(c);
    stream_feed(&s, raw.p, raw.n);
    expect(c, &s, "", "in one piece", 0);
}

static void
byte_by_byte(const struct http_case *c, struct cg_buf raw)
{
    struct stream s = fresh(c);
    for (size_t i = 0; i < raw.n; i++) {
        stream_feed(&s, raw.p + i, 1);
    }
    expect(c, &s, "", "byte by byte", 0);
}

static void
split_everywhere(const struct http_case *c, struct cg_buf raw)
{
    for (size_t i = 1; i<raw.n; i += raw.n> 8000 ? raw.n / 500 : 1) {
        struct stream s = fresh(c);
        stream_feed(&s, raw.p, i);
        stream_feed(&s, raw.p + i, raw.n - i);
        expect(c, &s, "", "split at", i);
    }
}

static void
after_a_good_one(const struct http_case *c, struct cg_buf raw)
{
    if (c->proxy) {
        return; /* a PROXY line is the first on its connection */
    }
    struct stream s = fresh(c);
    cg_auto(buf) struct cg_buf both = {0};
    cg_buf_puts(&both, good);
    cg_buf_put(&both, raw.p, raw.n);
    stream_feed(&s, both.p, both.n);
    size_t n = strlen(good_told);
    ck_assert_uint_ge(s.events.n, n);
    ck_assert_mem_eq(s.events.p, good_told, n);
    memmove(s.events.p, s.events.p + n, s.events.n - n);
    s.events.n -= n;
    expect(c, &s, "", "after a good one", 0);
}

static void
followed_by_another(const struct http_case *c, struct cg_buf raw)
{
    if (c->expect[0] == 'W') {
        return;
    }
    struct stream s = fresh(c);
    cg_auto(buf) struct cg_buf both = {0};
    cg_buf_put(&both, raw.p, raw.n);
    cg_buf_puts(&both, next);
    stream_feed(&s, both.p, both.n);
    expect(c, &s, next_told, "followed by another", 0);
}

START_TEST(a_case_has_one_verdict_in_all_shapes)
{
    const struct http_case *c = &cases[_i];
    cg_auto(buf) struct cg_buf raw = raw_of(c);
    in_one_piece(c, raw);
    byte_by_byte(c, raw);
    split_everywhere(c, raw);
    after_a_good_one(c, raw);
    followed_by_another(c, raw);
}
END_TEST

START_TEST(the_judge_can_say_no)
{
    struct http_case c = {
        .id = "x", .expect = "R", .status = "400", .told = ""};
    struct stream s = fresh(&c);
    stream_feed(&s, good, strlen(good));
    ck_assert(!is_right(&c, &s, ""));
    c = (struct http_case){
        .id = "x", .expect = "A", .keep_alive = true, .told = "other"};
    ck_assert(!is_right(&c, &s, ""));
    stream_release(&s);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cases");
    TCase *t = tcase_create("cases");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_judge_can_say_no);
    tcase_add_loop_test(t, a_case_has_one_verdict_in_all_shapes, 0,
                        (int)CG_COUNT(cases));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
