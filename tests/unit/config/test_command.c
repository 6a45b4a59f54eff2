/* SPDX-License-Identifier: MIT */
/*
 * The command line. Every expectation here is what Python's argparse answers
 * for gunicorn's options.
 */
#include <check.h>
#include <stdlib.h>

#include "config/load.h"
#include "core/base/memory.h"

enum { MAX_WORDS = 16 };

/* A line's words are parted by '|', so that words can hold blanks. */
struct line {
    char *text;
    char *argv[MAX_WORDS + 1];
    int argc;
};

static void
line_split(struct line *l, const char *text)
{
    char *rest = l->text = cg_strdup(text);
    l->argc = 0;
    l->argv[l->argc++] = (char *)(size_t) "/usr/bin/cgunicorn";
    while (rest != NULL && *text != '\0') {
        ck_assert_int_lt(l->argc, MAX_WORDS);
        l->argv[l->argc++] = strsep(&rest, "|");
    }
    l->argv[l->argc] = NULL;
}

/* "app; setting=value; …", or "error: …". */
static char *
parsed(const char *text)
{
    struct line l;
    struct cg_command c = {0};
    struct cg_error err = {0};
    struct cg_buf b = {0};
    line_split(&l, text);
    if (cg_command_parse(l.argc, l.argv, &c, &err) < 0) {
        cg_buf_putf(&b, "error: %s", err.text);
    } else {
        cg_buf_puts(&b, c.app != NULL ? c.app : "-");
        cg_buf_puts(&b, c.help ? "; help" : c.version ? "; version" : "");
        for (size_t i = 0; i < c.noptions; i++) {
            cg_buf_putf(&b, "; %s=", cg_setting_name(c.options[i].id));
            cg_value_repr(&c.options[i].value, &b);
        }
    }
    cg_command_release(&c);
    free(l.text);
    return cg_buf_take(&b);
}

struct row {
    const char *line, *want;
};

static void
check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cg_auto(free) char *got = parsed(rows[i].line);
        ck_assert_msg(strcmp(got, rows[i].want) == 0,
                      "for %s\n  want %s\n  got  %s", rows[i].line,
                      rows[i].want, got);
    }
}

START_TEST(first_word_is_the_application)
{
    static const struct row rows[] = {
        {"", "-"},
        {"app:app", "app:app"},
        {"app:app|ignored", "app:app"},
        {"-w|2|app:app", "app:app; workers=2"},
        {"app:app|-w|2", "app:app; workers=2"},
        {"-w|2|--|app:app", "app:app; workers=2"},
        {"--|-odd", "-odd"},
        {"app:app|-w|2|foo", "error: unrecognized arguments: foo"},
        {"-", "-"},
        {"pkg:make(a, b)", "pkg:make(a, b)"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(a_value_is_glued_or_follows)
{
    static const struct row rows[] = {
        {"-w4", "-; workers=4"},
        {"-w=4", "-; workers=4"},
        {"-w|4", "-; workers=4"},
        {"--workers=4", "-; workers=4"},
        {"--workers|4", "-; workers=4"},
        {"-b:80", "-; bind=':80'"},
        {"-DR", "-; daemon=True; enable_stdio_inheritance=True"},
        {"-Dw4", "-; daemon=True; workers=4"},
        {"-c|", "-; config=''"},
        {"--config=", "-; config=''"},
        {"--access-logfile|-", "-; accesslog='-'"},
        {"-e|A=1|-e|B=2", "-; raw_env='A=1'; raw_env='B=2'"},
        {"--no-sendfile", "-; sendfile=False"},
        {"--preload|app:app", "app:app; preload_app=True"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(an_option_may_hold_blanks)
{
    static const struct row rows[] = {
        {"--access-logformat=%(h)s %(r)s|app",
         "app; access_log_format='%(h)s %(r)s'"},
        {"--name=my app", "-; proc_name='my app'"},
        {"-n|my app", "-; proc_name='my app'"},
        {"-nmy app", "-; proc_name='my app'"},
        {"-eGREETING=hello there", "-; raw_env='GREETING=hello there'"},
        {"--acc-x y|app", "--acc-x y"},
        {"--access-logformat|-%(h)s %(r)s",
         "-; access_log_format='-%(h)s %(r)s'"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(unambiguous_prefixes_are_options)
{
    static const struct row rows[] = {
        {"--thread|4", "-; threads=4"},
        {"--time=3", "-; timeout=3"},
        {"--error|x", "-; errorlog='x'"},
        {"--log-f|x", "-; errorlog='x'"},
        {"--name|x", "-; proc_name='x'"},
        {"--pid|x", "-; pidfile='x'"},
        {"--log-config|x", "-; logconfig='x'"},
        {"--access-log|x", "error: ambiguous option: --access-log could match "
                           "--access-logfile, --access-logformat"},
        {"--access-log=x",
         "error: ambiguous option: --access-log=x could match "
         "--access-logfile, --access-logformat"},
        {"--no", "error: ambiguous option: --no could match --no-sendfile, "
                 "--no-control-socket"},
        {"--limit-request-field_size|1", "-; limit_request_field_size=1"},
        {"--limit-request-field-size|1",
         "error: unrecognized arguments: --limit-request-field-size; did you "
         "mean \'--limit-request-field_size\'?"},
        /* ours make none of gunicorn's ambiguous */
        {"--he", "error: ambiguous option: --he could match --help, "
                 "--header-map"},
        {"--hea|drop", "-; header_map='drop'"},
        {"--header-t|5", "-; header_timeout=5"},
        {"--stri", "-; strip_header_spaces=True"},
        {"--strict", "-; strict=True"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(what_is_no_option_brings_up_the_right_one)
{
    static const struct row rows[] = {
        {"--wrokers|4", "error: unrecognized arguments: --wrokers; did you "
                        "mean \'--workers\'?"},
        {"--wrokers=4", "error: unrecognized arguments: --wrokers=4; did you "
                        "mean \'--workers\'?"},
        {"--preload_app", "error: unrecognized arguments: --preload_app; did "
                          "you mean \'--preload\'?"},
        {"--loglevel|debug", "error: unrecognized arguments: --loglevel; "
                             "did you mean \'--log-level\'?"},
        {"--proc-name|x", "error: unrecognized arguments: --proc-name; did "
                          "you mean \'--name\'?"},
        {"--post_fork|x",
         "error: unrecognized arguments: --post_fork; post_fork is for "
         "configuration files: it has no option"},
        {"--entirely-unknown",
         "error: unrecognized arguments: --entirely-unknown"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(numbers_are_converted_as_python_does)
{
    static const struct row rows[] = {
        {"-w|abc", "error: argument -w/--workers: invalid int value: 'abc'"},
        {"-t|1.5", "error: argument -t/--timeout: invalid int value: '1.5'"},
        {"-w|0x4", "error: argument -w/--workers: invalid int value: '0x4'"},
        {"-w|", "error: argument -w/--workers: invalid int value: ''"},
        {"-w|1__0", "error: argument -w/--workers: invalid int value: '1__0'"},
        {"-w| 4 ", "-; workers=4"},
        {"-w|007", "-; workers=7"},
        {"-w|1_000", "-; workers=1000"},
        {"-t|-1", "-; timeout=-1"},
        {"-t-1", "-; timeout=-1"},
        {"-m|0022", "-; umask=18"},
        {"-m|0o22", "-; umask=18"},
        {"-m|0b11", "-; umask=3"},
        {"-m|0x12", "-; umask=18"},
        {"-m|18", "-; umask=18"},
        {"-w|auto", "-; workers='auto'"},
        {"-t|auto", "error: argument -t/--timeout: invalid int value: 'auto'"},
        {"-m|09", "error: argument -m/--umask: invalid auto_int value: '09'"},
        {"--control-socket-mode|x",
         "error: argument --control-socket-mode: invalid auto_int value: 'x'"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(misuse_is_told_in_argparse_words)
{
    static const struct row rows[] = {
        {"-w", "error: argument -w/--workers: expected one argument"},
        {"--bind|-w", "error: argument -b/--bind: expected one argument"},
        {"--reload=1",
         "error: argument --reload: ignored explicit argument '1'"},
        {"-Dx", "error: argument -D/--daemon: ignored explicit argument 'x'"},
        {"-D=1", "error: argument -D/--daemon: ignored explicit argument '1'"},
        {"--nope", "error: unrecognized arguments: --nope"},
        {"-z", "error: unrecognized arguments: -z"},
        {"app|--nope|x|-w|2", "error: unrecognized arguments: --nope x"},
        {"--error-logfile", "error: argument --error-logfile/--log-file: "
                            "expected one argument"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(proxy_protocol_takes_an_optional_value)
{
    static const struct row rows[] = {
        {"--proxy-protocol", "-; proxy_protocol='auto'"},
        {"--proxy-protocol|-w|1", "-; proxy_protocol='auto'; workers=1"},
        {"--proxy-protocol|v2|app", "app; proxy_protocol='v2'"},
        {"--proxy-protocol|app:app", "-; proxy_protocol='app:app'"},
        {"--proxy-protocol=v1", "-; proxy_protocol='v1'"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(help_and_version_act_where_they_stand)
{
    static const struct row rows[] = {
        {"--help", "-; help"},
        {"-h|--nope", "-; help"},
        {"app|-v", "app; version"},
        {"--ver|-w|abc", "-; version"},
        {"-w|abc|--help",
         "error: argument -w/--workers: invalid int value: 'abc'"},
        {"-Dh", "-; help; daemon=True"},
    };
    check_rows(rows, CG_COUNT(rows));
}
END_TEST

START_TEST(a_program_of_whatever_name_is_cgunicorn_or_gunicorn)
{
    static const char *const rows[][2] = {
        {"cgunicorn", "cgunicorn"},
        {"/usr/bin/cgunicorn", "cgunicorn"},
        {"gunicorn", "gunicorn"},
        {"venv/bin/gunicorn", "gunicorn"},
        {"cgunicorn-3.11", "cgunicorn"},
        {"/x/gunicorn/server", "cgunicorn"},
        {"my gunicorn", "cgunicorn"},
        {"gunicorn.real", "cgunicorn"},
        {"", "cgunicorn"},
        {"/", "cgunicorn"},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        char name[32];
        char *argv[] = {name, NULL};
        snprintf(name, sizeof name, "%s", rows[i][0]);
        ck_assert_str_eq(cg_command_program(1, argv), rows[i][1]);
    }
    ck_assert_str_eq(cg_command_program(0, NULL), "cgunicorn");
}
END_TEST

static char *
help_at(const char *columns)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    setenv("COLUMNS", columns, 1);
    cg_command_help("cgunicorn", f);
    fclose(f);
    unsetenv("COLUMNS");
    return text;
}

static size_t
longest_line(const char *text)
{
    size_t most = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        most = n > most ? n : most;
        text += n + (text[n] == '\n');
    }
    return most;
}

START_TEST(help_lists_every_flag_within_the_width)
{
    cg_auto(free) char *wide = help_at("100");
    cg_auto(free) char *narrow = help_at("60");
    static const char *const pieces[] = {
        "usage: cgunicorn [OPTIONS] [APP_MODULE]\n",
        "\nWorker Processes:\n",
        "  -w, --workers INT ",
        "  --limit-request-field_size INT",
        "  --no-sendfile",
        "  -h, --help",
        "  -v, --version",
        "[127.0.0.1:8000]"};
    for (size_t i = 0; i < CG_COUNT(pieces); i++) {
        ck_assert_msg(strstr(wide, pieces[i]) != NULL, "no '%s' in\n%s",
                      pieces[i], wide);
    }
    ck_assert_uint_le(longest_line(narrow), 60);
    ck_assert_uint_gt(longest_line(wide), 60);
    ck_assert_uint_le(longest_line(wide), 100);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("command");
    TCase *t = tcase_create("command");
    tcase_add_test(t, first_word_is_the_application);
    tcase_add_test(t, a_value_is_glued_or_follows);
    tcase_add_test(t, an_option_may_hold_blanks);
    tcase_add_test(t, unambiguous_prefixes_are_options);
    tcase_add_test(t, what_is_no_option_brings_up_the_right_one);
    tcase_add_test(t, numbers_are_converted_as_python_does);
    tcase_add_test(t, misuse_is_told_in_argparse_words);
    tcase_add_test(t, proxy_protocol_takes_an_optional_value);
    tcase_add_test(t, help_and_version_act_where_they_stand);
    tcase_add_test(t, a_program_of_whatever_name_is_cgunicorn_or_gunicorn);
    tcase_add_test(t, help_lists_every_flag_within_the_width);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
