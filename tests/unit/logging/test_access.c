/* SPDX-License-Identifier: MIT */
/*
 * Access lines: what each of gunicorn's atoms shows, what is done with atoms
 * that are none, and that no peer writes a line of its own.
 */
#include <check.h>
#include <regex.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/memory.h"
#include "logging/access.h"

static char unknown_seen[256];

static void
note_unknown(void *self, const char *atom)
{
    strncat(unknown_seen, atom, sizeof unknown_seen - 2 - strlen(unknown_seen));
    strcat(unknown_seen, ";");
}

static struct cg_slice
fields(void *self, char kind, struct cg_slice name)
{
    const struct {
        char kind;
        const char *name, *value;
    } known[] = {{'i', "x-in", "inward"},
                 {'i', "empty", ""},
                 {'i', "nasty", "a\"b\n\x1b\xff\\"},
                 {'o', "x-out", "outward"},
                 {'e', "REMOTE_ADDR", "environ"}};
    for (size_t i = 0; i < CG_COUNT(known); i++) {
        if (known[i].kind == kind && cg_slice_is(name, known[i].name)) {
            return cg_slice_of(known[i].value);
        }
    }
    return (struct cg_slice){NULL, 0};
}

static const struct cg_access_record *
sample(void)
{
    static struct cg_access_record r;
    r = (struct cg_access_record){
        .remote_addr = CG_SLICE("192.0.2.7"),
        .authorization = CG_SLICE("Basic YWRhOnNlY3JldA=="),
        .method = CG_SLICE("GET"),
        .uri = CG_SLICE("/a%20b?q=1"),
        .protocol = CG_SLICE("HTTP/1.1"),
        .path = CG_SLICE("/a b"),
        .query = CG_SLICE("q=1"),
        .referer = CG_SLICE("http://shop/"),
        .user_agent = CG_SLICE("test/1"),
        .status = 200,
        .body_bytes = 1234,
        .duration_us = 2345678,
        .pid = 4711,
        .lookup = fields,
    };
    return &r;
}

static char *
line_of(const char *format, const struct cg_access_record *r)
{
    cg_auto(buf) struct cg_buf out = {0};
    unknown_seen[0] = '\0';
    struct cg_access_format *f = cg_access_compile(format, note_unknown, NULL);
    cg_access_format(f, r, &out);
    cg_access_free(f);
    return cg_buf_take(&out);
}

static void
expect(const char *format, const struct cg_access_record *r, const char *want)
{
    cg_auto(free) char *got = line_of(format, r);
    ck_assert_msg(strcmp(got, want) == 0, "'%s' gives '%s', not '%s'", format,
                  got, want);
}

static const struct {
    const char *format, *want;
} atoms[] = {
    {"%(h)s", "192.0.2.7"},
    {"%(l)s", "-"},
    {"%(u)s", "ada"},
    {"%(r)s", "GET /a%20b?q=1 HTTP/1.1"},
    {"%(m)s", "GET"},
    {"%(U)s", "/a b"},
    {"%(q)s", "q=1"},
    {"%(H)s", "HTTP/1.1"},
    {"%(s)s", "200"},
    {"%(B)s", "1234"},
    {"%(b)s", "1234"},
    {"%(f)s", "http://shop/"},
    {"%(a)s", "test/1"},
    {"%(T)s", "2"},
    {"%(M)s", "2345"},
    {"%(D)s", "2345678"},
    {"%(L)s", "2.345678"},
    {"%(p)s", "<4711>"},
    {"%({x-in}i)s", "inward"},
    {"%({X-In}i)s", "inward"},
    {"%({X-IN}I)s", "inward"},
    {"%({x-out}o)s", "outward"},
    {"%({X-Out}O)s", "outward"},
    {"%({REMOTE_ADDR}e)s", "environ"},
    {"%({nothing}i)s", "-"},
    {"%({nothing}o)s", "-"},
    {"%({nothing}e)s", "-"},
    {"%({empty}i)s", ""},
};

START_TEST(an_atom_shows_its_value)
{
    expect(atoms[_i].format, sample(), atoms[_i].want);
    ck_assert_str_eq(unknown_seen, "");
}
END_TEST

START_TEST(text_stays_and_two_percents_are_one)
{
    expect("a%%b 100%% %(s)s%%", sample(), "a%b 100% 200%");
    expect("", sample(), "");
    expect("no atom", sample(), "no atom");
}
END_TEST

/* What Python's % makes of the same values. */
START_TEST(flags_width_and_precision_are_pythons)
{
    expect("[%(s)5s|%(D)d|%(T)03d|%(a)-10.4s|%(h)15s]", sample(),
           "[  200|2345678|002|test      |      192.0.2.7]");
    expect("[%(B)05d|%(B)-6d|%(B)+d|%(B) d|%(B)x|%(B)#X|%(B).6d|%(B)8s]",
           sample(), "[01234|1234  |+1234| 1234|4d2|0X4D2|001234|    1234]");
    expect("[%(D).3f|%(D)10.1e|%(D)g|%(M)i|%(T)u|%(D)ld]", sample(),
           "[2345678.000|   2.3e+06|2.34568e+06|2345|2|2345678]");
    expect("[%(a).0s|%(l)3s|%({x-in}i)-8s|%({none}e)3s|%(h)05s]", sample(),
           "[|  -|inward  |  -|192.0.2.7]");
    ck_assert_str_eq(unknown_seen, "");
    cg_auto(free) char *wide = line_of("%(m)999999999s", sample());
    ck_assert_uint_eq(strlen(wide), 4096);
}
END_TEST

START_TEST(a_type_that_an_atom_has_not_is_named)
{
    expect("%(h)d %(s)03d %(B)y %(T)", sample(), "192.0.2.7 200 1234 2");
    ck_assert_str_eq(unknown_seen, "%(h)d;%(s)03d;%(B)y;%(T);");
    expect("%(nope)d", sample(), "-");
    ck_assert_str_eq(unknown_seen, "nope;");
}
END_TEST

START_TEST(a_cut_does_not_part_an_escape)
{
    struct cg_access_record r = *sample();
    r.user_agent = CG_SLICE("ab\"c\\");
    expect("\"%(a).3s\"", &r, "\"ab\"");
    expect("\"%(a).4s\"", &r, "\"ab\\\"\"");
    expect("\"%(a).6s\"", &r, "\"ab\\\"c\"");
    expect("\"%(a).7s\"", &r, "\"ab\\\"c\\\\\"");
}
END_TEST

START_TEST(an_unknown_atom_is_a_dash_and_is_named)
{
    expect("%(x)s %(nosuch)s %({name}z)s %()s %({}i)s", sample(), "- - - - -");
    ck_assert_str_eq(unknown_seen, "x;nosuch;{name}z;;{}i;");
}
END_TEST

START_TEST(a_format_that_ends_early_loses_nothing)
{
    expect("%", sample(), "%");
    expect("%(h", sample(), "%(h");
    ck_assert_str_eq(unknown_seen, "");
    expect("%(s)", sample(), "200");
    ck_assert_str_eq(unknown_seen, "%(s);");
    expect("%h %l", sample(), "%h %l");
    ck_assert_str_eq(unknown_seen, "%h;%l;");
}
END_TEST

START_TEST(what_is_missing_is_a_dash)
{
    struct cg_access_record r = *sample();
    r.authorization = r.referer = r.user_agent = (struct cg_slice){NULL, 0};
    r.lookup = NULL;
    expect("%(u)s %(f)s %(a)s %({x-in}i)s", &r, "- - - -");
}
END_TEST

START_TEST(an_empty_field_is_empty)
{
    struct cg_access_record r = *sample();
    r.referer = r.user_agent = CG_SLICE("");
    expect("[%(f)s] [%(a)s]", &r, "[] []");
}
END_TEST

START_TEST(the_peer_of_a_unix_socket_is_empty)
{
    struct cg_access_record r = *sample();
    r.remote_addr = CG_SLICE("");
    expect("[%(h)s]", &r, "[]");
}
END_TEST

START_TEST(numbers_reach_their_ends)
{
    struct cg_access_record r = *sample();
    r.body_bytes = UINT64_MAX;
    r.duration_us = 0;
    expect("%(B)s %(D)s %(M)s %(T)s %(L)s", &r,
           "18446744073709551615 0 0 0 0.000000");
    r.body_bytes = 0;
    r.duration_us = 999;
    expect("%(b)s %(D)s %(M)s %(L)s", &r, "0 999 0 0.000999");
}
END_TEST

static const struct {
    const char *field, *user;
} credentials[] = {
    {"Basic YWRhOnNlY3JldA==", "ada"},
    {"basic  YWRhOnNlY3JldA==  ", "ada"},
    {"BASIC YWRhOg==", "ada"},
    {"Basic YWRh", "ada"},       /* no colon: all of it */
    {"Basic OnNlY3JldA==", "-"}, /* an empty user */
    {"Basic", "-"},
    {"Basic ", "-"},
    {"Basic !!!!", "-"},
    {"Bearer YWRhOnNlY3JldA==", "-"},
    {"", "-"},
    {"Basic YSJiCjpj", "a\\\"b\\x0a"}, /* a"b and a line feed */
};

START_TEST(the_user_is_that_of_basic_credentials)
{
    struct cg_access_record r = *sample();
    r.authorization = cg_slice_of(credentials[_i].field);
    expect("%(u)s", &r, credentials[_i].user);
}
END_TEST

START_TEST(a_long_user_is_cut_and_its_password_is_not_shown)
{
    cg_auto(buf) struct cg_buf field = {0};
    struct cg_access_record r = *sample();
    cg_buf_puts(&field, "Basic ");
    for (int i = 0; i < 2000; i++) {
        cg_buf_puts(&field, "YWFh");
    }
    cg_buf_puts(&field, "OnNlY3JldA==");
    r.authorization = (struct cg_slice){field.p, field.n};
    cg_auto(free) char *got = line_of("%(u)s", &r);
    ck_assert_uint_eq(strlen(got), 256);
    ck_assert_ptr_null(strstr(got, "secret"));
}
END_TEST

START_TEST(peers_bytes_are_escaped)
{
    struct cg_access_record r = *sample();
    r.method = CG_SLICE("G\"ET");
    r.uri = CG_SLICE("/\r\nx\x7f");
    r.path = CG_SLICE("/\n\xc3\xa9");
    r.query = CG_SLICE("\t");
    r.referer = CG_SLICE("\\");
    r.user_agent = CG_SLICE("\x1b[31m");
    expect("%(r)s|%(m)s|%(U)s|%(q)s|%(f)s|%(a)s", &r,
           "G\\\"ET /\\x0d\\x0ax\\x7f HTTP/1.1|G\\\"ET|/\\x0a\\xc3\\xa9|\\x09|"
           "\\\\|\\x1b[31m");
    expect("%({nasty}i)s", &r, "a\\\"b\\x0a\\x1b\\xff\\\\");
}
END_TEST

START_TEST(the_time_is_the_common_log_formats)
{
    cg_auto(free) char *got = line_of("%(t)s", sample());
    regex_t re;
    ck_assert_int_eq(regcomp(&re,
                             "^\\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:"
                             "[0-9]{2}:[0-9]{2} [+-][0-9]{4}\\]$",
                             REG_EXTENDED),
                     0);
    ck_assert_msg(regexec(&re, got, 0, NULL, 0) == 0, "'%s'", got);
    regfree(&re);
}
END_TEST

START_TEST(the_time_is_local_and_says_its_zone)
{
    setenv("TZ", "XYZ-05:30", 1);
    tzset();
    cg_auto(free) char *got = line_of("%(t)s", sample());
    unsetenv("TZ");
    tzset();
    ck_assert_msg(strstr(got, " +0530]") != NULL, "'%s'", got);
}
END_TEST

START_TEST(the_default_format_is_combined)
{
    cg_auto(free) char *got = line_of("%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s "
                                      "%(b)s \"%(f)s\" \"%(a)s\"",
                                      sample());
    const char *want_begin = "192.0.2.7 - ada [";
    const char *want_end =
        "] \"GET /a%20b?q=1 HTTP/1.1\" 200 1234 \"http://shop/\" \"test/1\"";
    ck_assert_msg(strncmp(got, want_begin, strlen(want_begin)) == 0, "%s", got);
    ck_assert_str_eq(got + strlen(got) - strlen(want_end), want_end);
}
END_TEST

START_TEST(a_format_says_what_it_needs)
{
    struct cg_access_format *plain = cg_access_compile("%(h)s", NULL, NULL);
    struct cg_access_format *e = cg_access_compile("%({X}e)s", NULL, NULL);
    struct cg_access_format *o = cg_access_compile("%({X}o)s", NULL, NULL);
    ck_assert(!cg_access_needs_environ(plain));
    ck_assert(!cg_access_needs_response_fields(plain));
    ck_assert(cg_access_needs_environ(e));
    ck_assert(!cg_access_needs_response_fields(e));
    ck_assert(cg_access_needs_response_fields(o));
    ck_assert(!cg_access_needs_environ(o));
    cg_access_free(plain);
    cg_access_free(e);
    cg_access_free(o);
}
END_TEST

static struct cg_slice
nothing(void *self, char kind, struct cg_slice name)
{
    ck_abort_msg("what it was made of is gone");
    return (struct cg_slice){NULL, 0};
}

START_TEST(a_record_that_is_kept_says_the_same_without_its_source)
{
    struct cg_access_format *f = cg_access_compile(
        "%(h)s %(u)s %(r)s %(U)s %(q)s %(s)s %(b)s %(f)s %(a)s %({x-in}i)s "
        "%({none}i)s %({x-out}o)s %({REMOTE_ADDR}e)s %({empty}i)s",
        NULL, NULL);
    cg_auto(buf) struct cg_buf at_once = {0};
    cg_auto(buf) struct cg_buf later = {0};
    struct cg_access_record r = *sample();
    cg_access_format(f, &r, &at_once);
    struct cg_access_kept *k = cg_access_keep(f, &r);
    r.lookup = nothing;
    cg_access_format(f, cg_access_kept_record(k), &later);
    ck_assert_str_eq(cg_buf_str(&at_once), cg_buf_str(&later));
    cg_access_kept_free(k);
    k = cg_access_keep(NULL, sample());
    ck_assert_int_eq(cg_access_kept_record(k)->status, 200);
    ck_assert_ptr_null(cg_access_kept_record(k)->lookup);
    cg_access_kept_free(k);
    cg_access_free(f);
}
END_TEST

START_TEST(no_format_is_an_empty_line)
{
    expect(NULL, sample(), "");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("access lines");
    TCase *t = tcase_create("formats");
    tcase_add_loop_test(t, an_atom_shows_its_value, 0, CG_COUNT(atoms));
    tcase_add_test(t, text_stays_and_two_percents_are_one);
    tcase_add_test(t, flags_width_and_precision_are_pythons);
    tcase_add_test(t, a_type_that_an_atom_has_not_is_named);
    tcase_add_test(t, a_cut_does_not_part_an_escape);
    tcase_add_test(t, an_unknown_atom_is_a_dash_and_is_named);
    tcase_add_test(t, a_format_that_ends_early_loses_nothing);
    tcase_add_test(t, what_is_missing_is_a_dash);
    tcase_add_test(t, an_empty_field_is_empty);
    tcase_add_test(t, the_peer_of_a_unix_socket_is_empty);
    tcase_add_test(t, numbers_reach_their_ends);
    tcase_add_loop_test(t, the_user_is_that_of_basic_credentials, 0,
                        CG_COUNT(credentials));
    tcase_add_test(t, a_long_user_is_cut_and_its_password_is_not_shown);
    tcase_add_test(t, peers_bytes_are_escaped);
    tcase_add_test(t, the_time_is_the_common_log_formats);
    tcase_add_test(t, the_time_is_local_and_says_its_zone);
    tcase_add_test(t, the_default_format_is_combined);
    tcase_add_test(t, a_format_says_what_it_needs);
    tcase_add_test(t, a_record_that_is_kept_says_the_same_without_its_source);
    tcase_add_test(t, no_format_is_an_empty_line);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
