/* SPDX-License-Identifier: MIT */
/* YAML files: what a scalar is, what is refused and where, and the bounds. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/yaml.h"
#include "core/base/memory.h"

static char path[64];

static void
make_file(void)
{
    unsetenv("PORT");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("FORWARDED_ALLOW_IPS");
    setenv("SHOP", "/srv/shop", 1);
    setenv("EMPTY", "", 1);
    unsetenv("MISSING");
    strcpy(path, "/tmp/test_yaml.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void
remove_file(void)
{
    ck_assert_int_eq(unlink(path), 0);
}

static void
put(const char *text, size_t n)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static void
put_findings(const struct cg_findings *f, struct cg_buf *b)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!f->items[i].is_problem) {
            cg_buf_putf(b, "warning: %s\n", f->items[i].text);
        }
    }
    const char *between = "error: ";
    for (size_t i = 0; i < f->n; i++) {
        if (f->items[i].is_problem) {
            cg_buf_putf(b, "%s%s", between, f->items[i].text);
            between = "\nerror: ";
        }
    }
}

/* Warnings, then what was set ("name=value; ") or "error: …". */
static char *
outcome(const char *text, size_t n)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    struct cg_buf b = {0};
    put(text, n);
    ck_assert_int_eq(cg_settings_new(&s, &err), 0);
    cg_auto(findings) struct cg_findings f = {0};
    if (cg_yaml_read(path, "c.yaml", s, &f) < 0) {
        ck_assert_uint_gt(f.problems, 0);
    }
    put_findings(&f, &b);
    if (f.problems == 0) {
        for (int id = 0; id < CG_SETTING_COUNT; id++) {
            if (s->source[id].layer == CG_LAYER_FILE) {
                cg_buf_putf(&b, "%s=", cg_setting_name((unsigned)id));
                cg_value_repr(&s->value[id], &b);
                cg_buf_puts(&b, "; ");
            }
        }
    }
    cg_settings_free(s);
    return cg_buf_take(&b);
}

struct row {
    const char *text, *want;
};

static void
check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cg_auto(free) char *got = outcome(rows[i].text, strlen(rows[i].text));
        ck_assert_msg(strcmp(got, rows[i].want) == 0,
                      "for\n%s\n  want %s\n  got  %s", rows[i].text,
                      rows[i].want, got);
    }
}

#define CHECK(...)                                                             \
    do {                                                                       \
        static const struct row rows[] = {__VA_ARGS__};                        \
        check_rows(rows, CG_COUNT(rows));                                      \
    } while (0)

START_TEST(scalars_follow_the_core_schema)
{
    CHECK({"workers: 4", "workers=4; "}, {"workers: '4'", "workers=4; "},
          {"umask: 0o22", "umask=18; "}, {"umask: 0x12", "umask=18; "},
          {"workers: +4", "workers=4; "}, {"daemon: true", "daemon=True; "},
          {"daemon: FALSE", "daemon=False; "},
          {"daemon: 'true'", "daemon=True; "},
          {"pidfile: null", "pidfile=None; "}, {"pidfile: ~", "pidfile=None; "},
          {"pidfile:", "pidfile=None; "},
          {"pidfile: 'null'", "pidfile='null'; "},
          {"bind: 127.0.0.1:80", "bind=['127.0.0.1:80']; "},
          {"proc_name: 1.2.3", "proc_name='1.2.3'; "},
          {"proc_name: yes", "proc_name='yes'; "},
          {"proc_name: 0x", "proc_name='0x'; "},
          {"proc_name: 0x-5", "proc_name='0x-5'; "});
}
END_TEST

START_TEST(lists_maps_and_long_strings_are_values)
{
    CHECK({"bind: [':1', ':2']", "bind=[':1', ':2']; "},
          {"bind:\n  - :1\n  - :2\n", "bind=[':1', ':2']; "},
          {"raw_env: A=1", "raw_env=['A=1']; "},
          {"secure_scheme_headers: {X-TLS: 'on'}",
           "secure_scheme_headers={'X-TLS': 'on'}; "},
          {"access_log_format: >-\n  %(h)s\n  %(s)s\n",
           "access_log_format='%(h)s %(s)s'; "},
          {"post_fork: hooks:post_fork", "post_fork='hooks:post_fork'; "});
}
END_TEST

START_TEST(an_empty_file_says_nothing)
{
    CHECK({"", ""}, {"# only this\n", ""}, {"---\n", ""}, {"{}", ""},
          {"workers: 2\n---\n", "workers=2; "});
}
END_TEST

START_TEST(variables_are_put_in)
{
    CHECK({"chdir: ${SHOP_DIR:-/}", "chdir='/'; "},
          {"pidfile: ${SHOP}/run.pid", "pidfile='/srv/shop/run.pid'; "},
          {"pidfile: '${SHOP}.pid'", "pidfile='/srv/shop.pid'; "},
          {"workers: ${MISSING:-4}", "workers=4; "},
          {"workers: ${EMPTY:-5}", "workers=5; "},
          {"pidfile: 'a${EMPTY}b'", "pidfile='ab'; "},
          {"bind: ['${SHOP}.sock']", "bind=['/srv/shop.sock']; "},
          {"proc_name: a$$b$c", "proc_name='a$b$c'; "},
          {"proc_name: $${SHOP}", "proc_name='${SHOP}'; "},
          {"proc_name: ${SHOP", "proc_name='${SHOP'; "},
          {"workers: 1\npidfile: ${MISSING}",
           "error: c.yaml:2:10: the environment variable MISSING is not set: "
           "set it, or write ${NAME:-default}"});
}
END_TEST

START_TEST(words_of_yaml_1_1_are_refused_for_booleans)
{
    CHECK({"daemon: yes", "error: c.yaml:1:9: daemon: write true in place of "
                          "'yes'"},
          {"daemon: Off", "error: c.yaml:1:9: daemon: write false in place of "
                          "'Off'"},
          {"daemon: 1",
           "error: c.yaml:1:9: daemon: Invalid type for casting: 1"});
}
END_TEST

START_TEST(leading_zeros_are_refused_for_numbers)
{
    CHECK({"umask: 0022", "error: c.yaml:1:8: umask: write 0o22 (octal) or 22 "
                          "(decimal) in place of '0022'"},
          {"umask: '0022'", "error: c.yaml:1:8: umask: write 0o22 (octal) or "
                            "22 (decimal) in place of '0022'"},
          {"umask: 0", "umask=0; "}, {"umask: 00", "umask=0; "},
          {"proc_name: 007", "proc_name='007'; "});
}
END_TEST

START_TEST(wrong_types_are_told_with_their_place)
{
    CHECK({"workers: 1\ntimeout: 1.5\n",
           "error: c.yaml:2:10: timeout: int() can't convert non-string with "
           "explicit base (a whole number is wanted, such as timeout = 30)"},
          {"timeout: .5", "error: c.yaml:1:10: timeout: int() can't convert "
                          "non-string with explicit base (a whole number is "
                          "wanted, such as timeout = 30)"},
          {"workers: many",
           "error: c.yaml:1:10: workers: invalid literal for int() with base "
           "0: 'many' (a whole number is wanted, such as workers = 1)"},
          {"workers: [1]", "error: c.yaml:1:10: workers: int() can't convert "
                           "non-string with explicit base (a whole number is "
                           "wanted, such as workers = 1)"},
          {"bind: [80]", "error: c.yaml:1:7: bind: Not a string: 80"},
          {"bind: [null]", "error: c.yaml:1:7: bind: Not a string: None"},
          {"proc_name: 5", "error: c.yaml:1:12: proc_name: Not a string: 5"},
          {"post_fork: hooks",
           "error: c.yaml:1:12: post_fork: Value 'hooks' is not import "
           "string. Format: module[.submodules...].object"},
          {"secure_scheme_headers: {X-TLS: 1}",
           "error: c.yaml:1:24: secure_scheme_headers: Not a string: 1"});
}
END_TEST

START_TEST(unknown_keys_are_warned_about)
{
    CHECK({"workers: 1\nkeepallive: 5\n",
           "warning: c.yaml:2:1: 'keepallive' is no setting and has no "
           "effect; did you mean 'keepalive'?\nworkers=1; "},
          {"host: x", "warning: c.yaml:1:1: 'host' is no setting and has no "
                      "effect\n"},
          {"Workers: 2", "warning: c.yaml:1:1: 'Workers' is no setting and has "
                         "no effect; did you mean 'workers'?\n"},
          {"x-base: 1\n.hidden: 2", ""},
          {"debug: true",
           "warning: c.yaml:1:1: `debug` is no setting any more and has no "
           "effect: `loglevel = \"debug\"` makes the log say more\n"});
}
END_TEST

START_TEST(keys_are_unique)
{
    CHECK({"workers: 1\nworkers: 2\n",
           "error: c.yaml:2:1: the key 'workers' is there twice"},
          {"secure_scheme_headers: {a: b, a: c}",
           "error: c.yaml:1:31: the key 'a' is there twice"},
          {"[a]: 1", "error: c.yaml:1:1: a key must be a setting's name"},
          {"secure_scheme_headers: {[a]: b}",
           "error: c.yaml:1:25: a key must be a plain word"});
}
END_TEST

START_TEST(anchors_and_merges_are_followed)
{
    CHECK({"x-b: &b {workers: 2, threads: 3}\nworkers: 4\n<<: *b\n",
           "workers=4; threads=3; "},
          {"x-b: &b {workers: 2}\n<<: *b\nworkers: 4\n", "workers=4; "},
          {"x-a: &a {workers: 1}\nx-b: &b {workers: 2, threads: 2}\n"
           "<<: [*a, *b]\n",
           "workers=1; threads=2; "},
          {"x-l: &l [':1']\nbind: *l\n", "bind=[':1']; "},
          {"x-h: &h {A: 'a', B: 'b'}\n"
           "secure_scheme_headers: {<<: *h, B: 'c'}\n",
           "secure_scheme_headers={'B': 'c', 'A': 'a'}; "},
          {"<<: 5", "error: c.yaml:1:5: << needs a map, or a list of maps"},
          {"secure_scheme_headers: {<<: [x]}",
           "error: c.yaml:1:29: << needs a map, or a list of maps"});
}
END_TEST

START_TEST(what_is_not_yaml_is_told_with_its_place)
{
    CHECK({"- workers", "error: c.yaml:1:1: the file must be a map of "
                        "settings, such as `workers: 4`"},
          {"workers = 4", "error: c.yaml:1:1: the file must be a map of "
                          "settings, such as `workers: 4`"},
          {"workers: !int 4", "error: c.yaml:1:10: unknown tag !int: plain "
                              "values, lists and maps are understood"},
          {"bind: !!python/object:os.system [x]",
           "error: c.yaml:1:7: unknown tag "
           "tag:yaml.org,2002:python/object:os.system: plain values, lists "
           "and maps are understood"},
          {"workers: 1\n\tthreads: 2\n",
           "error: c.yaml:2:1: invalid YAML: found a tab character that "
           "violates indentation, while scanning a plain scalar"},
          {"bind: *b", "error: c.yaml:1:7: invalid YAML: found undefined "
                       "alias"},
          {"workers: 1\n---\nworkers: 2\n",
           "error: c.yaml:3:1: a second document: a configuration is one"});
}
END_TEST

START_TEST(a_tail_that_is_not_yaml_is_noticed)
{
    static const char text[] = "workers: 1\n...\n]\n";
    cg_auto(free) char *got = outcome(text, sizeof text - 1);
    ck_assert_msg(strncmp(got, "error: c.yaml:3:1: invalid YAML: ", 33) == 0,
                  "%s", got);
}
END_TEST

START_TEST(a_nul_in_a_value_is_refused)
{
    static const char text[] = "proc_name: \"a\\0b\"\n";
    cg_auto(free) char *got = outcome(text, sizeof text - 1);
    ck_assert_str_eq(got, "error: c.yaml:1:12: a NUL character in a value");
}
END_TEST

/* ---- bounds ---- */

START_TEST(aliases_cannot_blow_up)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "x0: &x0 [a,a,a,a,a,a,a,a,a,a]\n");
    for (int i = 1; i < 9; i++) {
        cg_buf_putf(&b, "x-%d: &x%d [", i, i);
        for (int k = 0; k < 10; k++) {
            cg_buf_putf(&b, "*x%d,", i - 1);
        }
        cg_buf_puts(&b, "]\n");
    }
    cg_buf_puts(&b, "logconfig_dict: {a: *x8}\n");
    cg_auto(free) char *got = outcome(b.p, b.n);
    ck_assert_msg(strstr(got, "error: c.yaml:") != NULL &&
                      strstr(got, "too large or too deeply nested") != NULL,
                  "%.200s", got);
}
END_TEST

START_TEST(depth_is_bounded)
{
    static const int depths[] = {40, 60, 900, 5000};
    for (size_t i = 0; i < CG_COUNT(depths); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_puts(&b, "logconfig_dict: {a: ");
        for (int k = 0; k < depths[i]; k++) {
            cg_buf_putc(&b, '[');
        }
        for (int k = 0; k < depths[i]; k++) {
            cg_buf_putc(&b, ']');
        }
        cg_buf_puts(&b, "}\n");
        cg_auto(free) char *got = outcome(b.p, b.n);
        bool refused = strncmp(got, "error: c.yaml:1:", 16) == 0;
        ck_assert_msg(refused == (depths[i] > 50), "%d: %.200s", depths[i],
                      got);
    }
}
END_TEST

START_TEST(a_list_in_itself_ends)
{
    CHECK({"logconfig_dict: &a {a: *a}",
           "error: c.yaml:1:17: too large or too deeply nested"},
          {"x-a: &a {<<: *a, workers: 1}\n<<: *a\n",
           "error: c.yaml:1:6: << needs a map, or a list of maps"},
          {"<<: &a [*a, *a]\n",
           "error: c.yaml:1:5: << needs a map, or a list of maps"});
}
END_TEST

static void
put_repeated(struct cg_buf *b, const char *text, int n)
{
    for (int i = 0; i < n; i++) {
        cg_buf_puts(b, text);
    }
}

static void
expect_too_large(const struct cg_buf *b)
{
    cg_auto(free) char *got = outcome(b->p, b->n);
    ck_assert_msg(strstr(got, "too large or too deeply nested") != NULL,
                  "%.200s", got);
}

/* Each would take longer than the test may, or all memory. */
START_TEST(merges_of_nothing_cannot_blow_up)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "x-0: &x0 {}\n");
    for (int i = 1; i < 12; i++) {
        cg_buf_putf(&b, "x-%d: &x%d [", i, i);
        for (int k = 0; k < 10; k++) {
            cg_buf_putf(&b, "*x%d,", i - 1);
        }
        cg_buf_puts(&b, "]\n");
    }
    cg_buf_puts(&b, "<<: *x11\n");
    expect_too_large(&b);
}
END_TEST

START_TEST(what_libyaml_is_slow_with_is_bounded)
{
    static const char *const unit[] = {"[", "{a: ", "- ", "? "};
    for (size_t i = 0; i < CG_COUNT(unit); i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_puts(&b, i < 2 ? "x-a: " : "");
        put_repeated(&b, unit[i], 200 * 1000);
        expect_too_large(&b);
    }
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "x-a:\n");
    for (int i = 0; i < 60000; i++) {
        cg_buf_putf(&b, "- &a%d 1\n", i);
    }
    expect_too_large(&b);
}
END_TEST

START_TEST(variables_cannot_blow_up)
{
    cg_auto(buf) struct cg_buf big = {0};
    cg_auto(buf) struct cg_buf b = {0};
    put_repeated(&big, "x", 100 * 1000);
    setenv("SHOP", cg_buf_str(&big), 1);
    cg_buf_puts(&b, "proc_name: ");
    put_repeated(&b, "${SHOP}", 100 * 1000);
    cg_auto(free) char *got = outcome(b.p, b.n);
    ck_assert_str_eq(got, "error: c.yaml:1:12: with SHOP it is larger than 1 "
                          "MiB");
}
END_TEST

START_TEST(a_nul_in_a_key_is_refused)
{
    static const char top[] = "\"workers\\0x\": 3\n";
    static const char inner[] = "logconfig_dict: {\"a\\0x\": 3}\n";
    cg_auto(free) char *got = outcome(top, sizeof top - 1);
    ck_assert_str_eq(got, "error: c.yaml:1:1: a NUL character in a key");
    cg_auto(free) char *deep = outcome(inner, sizeof inner - 1);
    ck_assert_str_eq(deep, "error: c.yaml:1:18: a NUL character in a key");
}
END_TEST

START_TEST(a_terminal_is_given_no_commands)
{
    CHECK({"\"\\e]0;a\\a\": 3", "warning: c.yaml:1:1: '\\x1b]0;a\\x07' is no "
                                "setting and has no effect\n"});
}
END_TEST

START_TEST(a_pipe_is_not_waited_for)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    cg_auto(findings) struct cg_findings f = {0};
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(cg_settings_new(&s, &err), 0);
    ck_assert_int_lt(cg_yaml_read(path, "c.yaml", s, &f), 0);
    ck_assert_str_eq(f.items[0].text,
                     "c.yaml: it is no regular file: name the configuration "
                     "file with -c");
    cg_settings_free(s);
}
END_TEST

START_TEST(size_is_bounded)
{
    size_t n = (1 << 20) + 1;
    cg_auto(free) char *text = cg_malloc(n);
    memset(text, '#', n);
    cg_auto(free) char *got = outcome(text, n);
    ck_assert_str_eq(got, "error: c.yaml: larger than 1 MiB: is this the "
                          "configuration file?");
    cg_auto(free) char *fits = outcome(text, n - 1);
    ck_assert_str_eq(fits, "");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    ck_assert_int_eq(cg_settings_new(&s, &err), 0);
    cg_auto(findings) struct cg_findings f = {0};
    ck_assert_int_lt(cg_yaml_read("/nowhere/c.yaml", "c.yaml", s, &f), 0);
    ck_assert_str_eq(f.items[0].text, "c.yaml: No such file or directory");
    ck_assert_int_lt(cg_yaml_read("/", "c.yaml", s, &f), 0);
    ck_assert_str_eq(f.items[1].text, "c.yaml: Is a directory");
    cg_settings_free(s);
}
END_TEST

START_TEST(every_prefix_of_a_file_is_survived)
{
    static const char text[] =
        "x-b: &b {workers: 2, bind: [':1', \"a\\x41\"]}\n<<: [*b]\n"
        "secure_scheme_headers:\n  A: 'x'\n  ? B\n  : |\n    y\n"
        "pidfile: ${SHOP:-z}\n--- # end\n";
    for (size_t n = 0; n < sizeof text; n++) {
        cg_auto(free) char *got = outcome(text, n);
        ck_assert_ptr_nonnull(got);
    }
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("yaml");
    TCase *t = tcase_create("yaml");
    tcase_add_checked_fixture(t, make_file, remove_file);
    tcase_add_test(t, merges_of_nothing_cannot_blow_up);
    tcase_add_test(t, what_libyaml_is_slow_with_is_bounded);
    tcase_add_test(t, variables_cannot_blow_up);
    tcase_add_test(t, a_nul_in_a_key_is_refused);
    tcase_add_test(t, a_terminal_is_given_no_commands);
    tcase_add_test(t, a_pipe_is_not_waited_for);
    tcase_add_test(t, scalars_follow_the_core_schema);
    tcase_add_test(t, lists_maps_and_long_strings_are_values);
    tcase_add_test(t, an_empty_file_says_nothing);
    tcase_add_test(t, variables_are_put_in);
    tcase_add_test(t, words_of_yaml_1_1_are_refused_for_booleans);
    tcase_add_test(t, leading_zeros_are_refused_for_numbers);
    tcase_add_test(t, wrong_types_are_told_with_their_place);
    tcase_add_test(t, unknown_keys_are_warned_about);
    tcase_add_test(t, keys_are_unique);
    tcase_add_test(t, anchors_and_merges_are_followed);
    tcase_add_test(t, what_is_not_yaml_is_told_with_its_place);
    tcase_add_test(t, a_tail_that_is_not_yaml_is_noticed);
    tcase_add_test(t, a_nul_in_a_value_is_refused);
    tcase_add_test(t, aliases_cannot_blow_up);
    tcase_add_test(t, depth_is_bounded);
    tcase_add_test(t, a_list_in_itself_ends);
    tcase_add_test(t, size_is_bounded);
    tcase_add_test(t, a_file_that_cannot_be_read_is_named);
    tcase_add_test(t, every_prefix_of_a_file_is_survived);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
