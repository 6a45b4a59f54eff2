/* SPDX-License-Identifier: MIT */
/*
 * What each setting accepts, what it becomes, and the words of refusal: those
 * that gunicorn's users know from its messages.
 */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"
#include "core/base/memory.h"

static void
none_of_it(void)
{
    unsetenv("PORT");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("FORWARDED_ALLOW_IPS");
}

static struct cg_settings *
fresh(void)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    none_of_it();
    ck_assert_msg(cg_settings_new(&s, &err) == 0, "%s", err.text);
    return s;
}

/* Sets the value, which moves in; the repr of the result, or the error. */
static char *
outcome(const char *name, struct cg_value v)
{
    struct cg_settings *s = fresh();
    struct cg_error err = {0};
    struct cg_buf b = {0};
    int id = cg_setting_find(name);
    ck_assert_msg(id >= 0, "no setting %s", name);
    if (cg_settings_set(s, (enum cg_setting_id)id, v, CG_LAYER_FILE, "here",
                        &err) < 0) {
        cg_value_release(&v);
        cg_auto(free) char *before = cg_strf("here: %s: ", name);
        ck_assert_msg(strncmp(err.text, before, strlen(before)) == 0,
                      "'%s' does not begin with '%s'", err.text, before);
        ck_assert_int_lt(err.code, 0);
        cg_buf_putf(&b, "error: %s", err.text + strlen(before));
    } else {
        cg_value_repr(cg_settings_value(s, (enum cg_setting_id)id), &b);
    }
    cg_settings_free(s);
    return cg_buf_take(&b);
}

static void
expect(const char *name, struct cg_value v, const char *want)
{
    cg_auto(buf) struct cg_buf shown = {0};
    cg_value_repr(&v, &shown);
    cg_auto(free) char *got = outcome(name, v);
    ck_assert_msg(strcmp(got, want) == 0, "%s = %s\n  want %s\n  got  %s", name,
                  cg_buf_str(&shown), want, got);
}

#define STR(s) cg_value_str(s)
#define INT(i) cg_value_int(i)
#define BOOL(b) cg_value_bool(b)
#define FLOAT(f) cg_value_float(f)
#define NONE cg_value_none()

static struct cg_value
list_of(struct cg_value a, struct cg_value b)
{
    struct cg_value list = cg_value_list();
    cg_value_push(&list, a);
    cg_value_push(&list, b);
    return list;
}

static struct cg_value
map_of(struct cg_value key, struct cg_value value)
{
    struct cg_value map = cg_value_map();
    cg_value_push(&map, key);
    cg_value_push(&map, value);
    return map;
}

/* ---- scalars ---- */

START_TEST(booleans_are_true_and_false_only)
{
    expect("reload", BOOL(true), "True");
    expect("reload", STR("true"), "True");
    expect("reload", STR(" FALSE "), "False");
    expect("reload", NONE, "None");
    expect("reload", STR("1"), "error: Invalid boolean: 1");
    expect("reload", STR("yes"), "error: Invalid boolean: yes");
    expect("reload", STR(""), "error: Invalid boolean: ");
    expect("reload", INT(1), "error: Invalid type for casting: 1");
    expect("reload", INT(0), "error: Invalid type for casting: 0");
    expect("reload", FLOAT(1), "error: Invalid type for casting: 1.0");
}
END_TEST

START_TEST(numbers_are_read_as_python_literals)
{
    expect("workers", INT(0), "0");
    expect("workers", BOOL(true), "1");
    expect("workers", STR(" 4 "), "4");
    expect("workers", STR("0x10"), "16");
    expect("workers", STR("0o17"), "15");
    expect("workers", STR("0b101"), "5");
    expect("workers", STR("1_000"), "1000");
    expect("workers", STR("000"), "0");
    expect("workers", INT(-1), "error: Value must be positive: -1");
    expect("workers", STR("-0x2"), "error: Value must be positive: -2");
    expect("umask", STR("0022"),
           "error: invalid literal for int() with base 0: '0022' "
           "(a whole number is wanted, such as umask = 0)");
    expect("workers", STR("010"),
           "error: invalid literal for int() with base 0: '010' "
           "(a whole number is wanted, such as workers = 1)");
    expect("workers", STR(""),
           "error: invalid literal for int() with base 0: '' "
           "(a whole number is wanted, such as workers = 1)");
    expect("workers", STR("4 5"),
           "error: invalid literal for int() with base 0: '4 5' "
           "(a whole number is wanted, such as workers = 1)");
    expect("workers", STR("1__0"),
           "error: invalid literal for int() with base 0: '1__0' "
           "(a whole number is wanted, such as workers = 1)");
    expect("workers", STR("_1"),
           "error: invalid literal for int() with base 0: '_1' "
           "(a whole number is wanted, such as workers = 1)");
    expect("timeout", FLOAT(1.5),
           "error: int() can't convert non-string with explicit base (a whole "
           "number is wanted, such as timeout = 30)");
    expect("timeout", NONE,
           "error: int() can't convert non-string with explicit base (a whole "
           "number is wanted, such as timeout = 30)");
}
END_TEST

START_TEST(some_numbers_are_bounded)
{
    expect("http2_max_frame_size", INT(16384), "16384");
    expect("http2_max_frame_size", STR("16777215"), "16777215");
    expect("http2_max_frame_size", INT(16383),
           "error: http2_max_frame_size must be between 16384 and 16777215, "
           "got 16383");
    expect("http2_max_concurrent_streams", INT(0),
           "error: HTTP/2 max concurrent streams must be at least 1: 0");
    expect("http2_initial_window_size", INT(2147483648),
           "error: HTTP/2 window size must be at most 2147483647: "
           "2147483648");
}
END_TEST

START_TEST(strings_are_stripped)
{
    expect("proc_name", STR("  shop\n"), "'shop'");
    expect("proc_name", STR(""), "''");
    expect("proc_name", NONE, "None");
    expect("proc_name", INT(3), "error: Not a string: 3");
    expect("proc_name", FLOAT(0.1), "error: Not a string: 0.1");
    expect("proc_name", BOOL(true), "error: Not a string: True");
    expect("proc_name", list_of(STR("a"), INT(1)),
           "error: Not a string: ['a', 1]");
    expect("ssl_version", INT(2), "'2'");
    expect("ssl_version", STR("TLSv1_2"), "'TLSv1_2'");
}
END_TEST

START_TEST(words_are_from_their_list)
{
    expect("header_map", STR("REFUSE"), "'refuse'");
    expect("header_map", NONE, "None");
    expect("header_map", STR("x"), "error: Invalid header map behaviour: x");
    expect("reload_engine", STR("poll"), "'poll'");
    expect("reload_engine", STR("Poll"),
           "error: Invalid reload_engine: 'Poll'");
    expect("reload_engine", NONE, "error: Invalid reload_engine: None");
    expect("asgi_loop", STR("x"), "error: Invalid ASGI loop: x");
    expect("asgi_lifespan", STR("x"), "error: Invalid ASGI lifespan: x");
    expect("http_parser", STR("x"),
           "error: http_parser must be one of: auto, fast, python");
    expect("http2_cleartext", BOOL(true), "'prior-knowledge'");
    expect("http2_cleartext", BOOL(false), "'off'");
    expect("http2_cleartext", STR("x"), "error: Invalid http2_cleartext: x");
}
END_TEST

START_TEST(proxy_protocol_knows_words_for_on_and_off)
{
    static const char *const off[] = {"off", "false", "0", "none", "OFF"};
    static const char *const on[] = {"true", "auto", "1", "Auto"};
    for (size_t i = 0; i < CG_COUNT(off); i++) {
        expect("proxy_protocol", STR(off[i]), "'off'");
    }
    for (size_t i = 0; i < CG_COUNT(on); i++) {
        expect("proxy_protocol", STR(on[i]), "'auto'");
    }
    expect("proxy_protocol", BOOL(true), "'auto'");
    expect("proxy_protocol", BOOL(false), "'off'");
    expect("proxy_protocol", NONE, "'off'");
    expect("proxy_protocol", STR("V2"), "'v2'");
    expect("proxy_protocol", STR("app:app"),
           "error: proxy_protocol must be: off, v1, v2, or auto");
    expect("proxy_protocol", INT(1),
           "error: proxy_protocol must be string or bool");
}
END_TEST

/* ---- lists ---- */

START_TEST(a_string_is_a_list_of_one)
{
    expect("bind", STR(" :80 "), "[':80']");
    expect("bind", STR(""), "[]");
    expect("bind", NONE, "[]");
    expect("bind", cg_value_list(), "[]");
    expect("bind", list_of(STR(":80"), STR(" :81")), "[':80', ':81']");
    expect("bind", map_of(STR("k"), STR("v")), "['k']");
    expect("bind", list_of(STR(":80"), INT(81)), "error: Not a string: 81");
    expect("bind", list_of(STR(":80"), NONE), "error: Not a string: None");
    expect("bind", INT(8000),
           "error: 'int' object is not iterable (a string or a list of "
           "strings is wanted, such as bind = [\"ADDRESS\"])");
    expect("raw_env", BOOL(true),
           "error: 'bool' object is not iterable (a string or a list of "
           "strings is wanted, such as raw_env = [\"ENV\"])");
    expect("raw_env", FLOAT(1),
           "error: 'float' object is not iterable (a string or a list of "
           "strings is wanted, such as raw_env = [\"ENV\"])");
}
END_TEST

START_TEST(comma_strings_are_split)
{
    expect("forwarder_headers", STR(" A, B ,,C"), "['A', 'B', 'C']");
    expect("forwarder_headers", STR("A, ,B"), "['A', '', 'B']");
    expect("forwarder_headers", STR(""), "[]");
    expect("forwarder_headers", NONE, "[]");
    expect("forwarder_headers", list_of(STR("A"), STR("B")),
           "error: Not a string: ['A', 'B']");
}
END_TEST

START_TEST(trusted_peers_are_addresses_and_networks)
{
    expect("forwarded_allow_ips", STR("*"), "['*']");
    expect("forwarded_allow_ips", STR("10.0.0.0/8, ::1,fe80::/10"),
           "['10.0.0.0/8', '::1', 'fe80::/10']");
    expect("forwarded_allow_ips", STR("0.0.0.0/0"), "['0.0.0.0/0']");
    expect("forwarded_allow_ips", STR("10.0.0.1/8"),
           "error: 10.0.0.1/8 has host bits set");
    expect("proxy_allow_ips", STR("fe80::1/64"),
           "error: fe80::1/64 has host bits set");
    static const char *const wrong[] = {"x",
                                        "10.0.0",
                                        "10.0.0.0/33",
                                        "::/129",
                                        "10.0.0.0/",
                                        "10.0.0.0/x",
                                        "10.0.0.0/4294967288",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8/8",
                                        "localhost",
                                        "10.0.0.256"};
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        cg_auto(free) char *want =
            cg_strf("error: '%s' does not appear to be an IPv4 or IPv6 network",
                    wrong[i]);
        expect("uwsgi_allow_ips", STR(wrong[i]), want);
    }
    expect("forwarded_allow_ips", list_of(STR("::1"), STR("::2")),
           "error: Not a string: ['::1', '::2']");
}
END_TEST

START_TEST(http_protocols_are_h1_and_h2)
{
    expect("http_protocols", STR("h2, h1"), "['h2', 'h1']");
    expect("http_protocols", STR(""), "['h1']");
    expect("http_protocols", NONE, "['h1']");
    expect("http_protocols", STR("h3"),
           "error: Invalid protocol 'h3'. Valid protocols: h1, h2");
    expect("http_protocols", STR("h1,h1"),
           "error: Duplicate protocols specified");
    expect("http_protocols", list_of(STR("h1"), STR("h2")),
           "error: http_protocols must be a string");
}
END_TEST

START_TEST(dictionaries_are_dictionaries)
{
    expect("logconfig_dict", map_of(STR("version"), INT(1)), "{'version': 1}");
    expect("logconfig_dict", STR("x"), "error: Value is not a dictionary: x ");
    expect("logconfig_dict", NONE, "error: Value is not a dictionary: None ");
    expect("secure_scheme_headers", map_of(STR("X-TLS"), STR("on")),
           "{'X-TLS': 'on'}");
    expect("secure_scheme_headers", map_of(STR("X-TLS"), INT(1)),
           "error: Not a string: 1");
    expect("secure_scheme_headers", map_of(STR("X-TLS"), NONE),
           "error: Not a string: None");
}
END_TEST

START_TEST(extra_files_exist_or_are_patterns)
{
    expect("reload_extra_files", STR("/"), "['/']");
    expect("reload_extra_files", STR("/nowhere/*.html"), "['/nowhere/*.html']");
    expect("reload_extra_files", STR("/nowhere/at.all"),
           "error: File /nowhere/at.all does not exists.");
    expect("reload_extra_files", list_of(NONE, NONE),
           "error: Not a string: None");
}
END_TEST

/* ---- code ---- */

static int references;

static void
retain(void *ref)
{
    (void)ref;
    references++;
}

static void
release(void *ref)
{
    (void)ref;
    references--;
}

static struct cg_value
function_of(int arity)
{
    static const struct cg_object_ops ops = {retain, release};
    references++;
    return (struct cg_value){.kind = CG_VALUE_OBJECT,
                             .object = {.ref = &references,
                                        .ops = &ops,
                                        .repr = cg_strdup("hook"),
                                        .arity = arity,
                                        .callable = arity >= 0}};
}

START_TEST(hooks_have_their_number_of_parameters)
{
    expect("post_fork", function_of(2), "hook");
    expect("post_fork", function_of(1),
           "error: Value must have an arity of: 2");
    expect("nworkers_changed", function_of(2),
           "error: Value must have an arity of: 3");
    expect("when_ready", function_of(0),
           "error: Value must have an arity of: 1");
    expect("post_fork", function_of(-1), "error: Value is not callable: hook");
    expect("post_fork", INT(3), "error: Value is not callable: 3");
    expect("post_fork", NONE, "error: Value is not callable: None");
    ck_assert_int_eq(references, 0);
}
END_TEST

START_TEST(post_request_takes_two_to_four)
{
    expect("post_request", function_of(2), "hook");
    expect("post_request", function_of(3), "hook");
    expect("post_request", function_of(4), "hook");
    expect("post_request", function_of(1),
           "error: Value must have an arity of: 4");
    expect("post_request", function_of(5),
           "error: Value must have an arity of: 4");
    ck_assert_int_eq(references, 0);
}
END_TEST

START_TEST(hooks_may_be_import_strings)
{
    expect("post_fork", STR(" hooks.post_fork "), "'hooks.post_fork'");
    expect("post_fork", STR("pkg.hooks:post_fork"), "'pkg.hooks:post_fork'");
    expect("post_fork", STR("hooks"),
           "error: Value 'hooks' is not import string. Format: "
           "module[.submodules...].object");
}
END_TEST

START_TEST(classes_are_strings_or_objects)
{
    expect("worker_class", STR(" gthread "), "'gthread'");
    expect("worker_class", function_of(0), "hook");
    expect("worker_class", INT(5), "error: Not a string: 5");
    ck_assert_int_eq(references, 0);
}
END_TEST

/* ---- ranges ---- */

START_TEST(a_range_has_its_least_first_and_one_at_least)
{
    expect("threads", STR("2-16"), "'2-16'");
    expect("threads", STR(" 2-16 "), "'2-16'");
    expect("threads", STR("4-4"), "4");
    expect("threads", INT(4), "4");
    expect("threads", STR("4"), "4");
#define WRONG "error: Value must be a whole number or a range LEAST-MOST: "
#define SUCH " (such as threads = \"2-16\")"
    expect("threads", STR("16-2"),
           WRONG "'16-2': the larger number comes last" SUCH);
    expect("threads", STR("0-4"), WRONG "'0-4': the least is 1" SUCH);
    expect("threads", STR("2-"), WRONG "'2-'" SUCH);
    expect("threads", STR("2--4"), WRONG "'2--4'" SUCH);
    expect("threads", STR("2 - 4"), WRONG "'2 - 4'" SUCH);
    expect("threads", STR("1-4294967298"),
           WRONG "'1-4294967298': too large a number" SUCH);
    expect("threads", STR("99999999999999999999-2"),
           WRONG "'99999999999999999999-2'" SUCH);
    expect("threads", STR("-3"), "error: Value must be positive: -3");
}
END_TEST

/* ---- the system ---- */

START_TEST(users_and_groups_are_resolved)
{
    cg_auto(free) char *uid = cg_strf("%ld", (long)geteuid());
    cg_auto(free) char *gid = cg_strf("%ld", (long)getegid());
    expect("user", NONE, uid);
    expect("group", NONE, gid);
    expect("user", INT(1000), "1000");
    expect("user", STR("1000"), "1000");
    expect("user", STR("root"), "0");
    expect("group", STR("root"), "0");
    expect("user", STR("no-such-user-x"),
           "error: No such user: 'no-such-user-x'");
    expect("group", STR("no-such-group-x"),
           "error: No such group: 'no-such-group-x'");
    expect("user", STR(""), "error: No such user: ''");
}
END_TEST

/* 2^32 cut to 32 bits would be root. */
START_TEST(ids_are_numbers_that_a_process_can_have)
{
    expect("user", STR("00"), "0");
    expect("user", STR("4294967294"), "4294967294");
    expect("user", INT(4294967295),
           "error: No such user: '4294967295': ids go "
           "from 0 to 4294967294");
    expect("user", INT(-1),
           "error: No such user: '-1': ids go from 0 to 4294967294");
    expect("group", STR("4294967296"),
           "error: No such group: '4294967296': ids go from 0 to 4294967294");
    expect("group", STR("99999999999999999999"),
           "error: No such group: '99999999999999999999': ids go from 0 to "
           "4294967294");
}
END_TEST

static char dir[64];

static void
make_dir(void)
{
    strcpy(dir, "/tmp/test_validate.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    setenv("PWD", dir, 1);
    ck_assert_int_eq(mkdir("release", 0755), 0);
    ck_assert_int_eq(symlink("release", "current"), 0);
}

static void
remove_dir(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    cg_auto(free) char *link = cg_strf("%s/current", dir);
    cg_auto(free) char *target = cg_strf("%s/release", dir);
    unlink(link);
    rmdir(target);
    ck_assert_int_eq(rmdir(dir), 0);
}

START_TEST(chdir_is_absolute_and_keeps_links)
{
    cg_auto(free) char *here = cg_strf("'%s'", dir);
    cg_auto(free) char *current = cg_strf("'%s/current'", dir);
    expect("chdir", NONE, here);
    expect("chdir", STR("."), here);
    expect("chdir", STR("current"), current);
    expect("chdir", STR("./release/../current/"), current);
    expect("chdir", STR("current/.."), here);
    expect("chdir", STR("/tmp//."), "'/tmp'");
    expect("chdir", STR("/.."), "'/'");
    expect("chdir", STR("missing"), "error: can't chdir to 'missing'");
    expect("chdir", STR("/etc/passwd"), "error: can't chdir to '/etc/passwd'");
}
END_TEST

START_TEST(chdir_believes_pwd_only_when_it_is_here)
{
    cg_auto(free) char *release = cg_strf("%s/release", dir);
    cg_auto(free) char *current = cg_strf("%s/current", dir);
    cg_auto(free) char *as_link = cg_strf("'%s'", current);
    cg_auto(free) char *as_is = cg_strf("'%s'", release);
    ck_assert_int_eq(chdir(release), 0);
    setenv("PWD", current, 1);
    expect("chdir", NONE, as_link);
    setenv("PWD", "/", 1);
    expect("chdir", NONE, as_is);
    unsetenv("PWD");
    expect("chdir", NONE, as_is);
}
END_TEST

START_TEST(a_refused_value_leaves_the_setting_alone)
{
    struct cg_settings *s = fresh();
    struct cg_error err = {0};
    struct cg_value v = INT(-1);
    ck_assert_int_lt(
        cg_settings_set(s, CG_workers, v, CG_LAYER_CLI, "command line", &err),
        0);
    ck_assert_str_eq(err.text,
                     "command line: workers: Value must be positive: -1");
    ck_assert_int_eq(cg_settings_int(s, CG_workers), 1);
    ck_assert_int_eq(s->source[CG_workers].layer, CG_LAYER_DEFAULT);
    cg_settings_free(s);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("validate");
    TCase *t = tcase_create("values");
    tcase_add_test(t, booleans_are_true_and_false_only);
    tcase_add_test(t, numbers_are_read_as_python_literals);
    tcase_add_test(t, some_numbers_are_bounded);
    tcase_add_test(t, strings_are_stripped);
    tcase_add_test(t, words_are_from_their_list);
    tcase_add_test(t, proxy_protocol_knows_words_for_on_and_off);
    tcase_add_test(t, a_string_is_a_list_of_one);
    tcase_add_test(t, comma_strings_are_split);
    tcase_add_test(t, trusted_peers_are_addresses_and_networks);
    tcase_add_test(t, http_protocols_are_h1_and_h2);
    tcase_add_test(t, dictionaries_are_dictionaries);
    tcase_add_test(t, extra_files_exist_or_are_patterns);
    tcase_add_test(t, hooks_have_their_number_of_parameters);
    tcase_add_test(t, post_request_takes_two_to_four);
    tcase_add_test(t, hooks_may_be_import_strings);
    tcase_add_test(t, classes_are_strings_or_objects);
    tcase_add_test(t, a_range_has_its_least_first_and_one_at_least);
    tcase_add_test(t, users_and_groups_are_resolved);
    tcase_add_test(t, ids_are_numbers_that_a_process_can_have);
    tcase_add_test(t, a_refused_value_leaves_the_setting_alone);
    suite_add_tcase(suite, t);
    t = tcase_create("directories");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, chdir_is_absolute_and_keeps_links);
    tcase_add_test(t, chdir_believes_pwd_only_when_it_is_here);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
