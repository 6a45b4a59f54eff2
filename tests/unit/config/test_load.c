/* SPDX-License-Identifier: MIT */
/*
 * Layers: what beats what, which file is read, and what is said when it can
 * not be. A small reader stands in for Python: lines of NAME=VALUE.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"
#include "core/base/memory.h"

enum { MAX_WORDS = 16, MAX_NAMES = 8 };

static char dir[64];
static char *made[MAX_NAMES];
static int nmade;

static void
clean_environment(void)
{
    unsetenv("PORT");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("FORWARDED_ALLOW_IPS");
    unsetenv("GUNICORN_CMD_ARGS");
}

static void
make_dir(void)
{
    clean_environment();
    strcpy(dir, "/tmp/test_load.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
remove_dir(void)
{
    while (nmade > 0) {
        remove(made[--nmade]);
        free(made[nmade]);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}

static const char *
path_of(const char *name)
{
    ck_assert_int_lt(nmade, MAX_NAMES);
    return made[nmade++] = cg_strf("%s/%s", dir, name);
}

static void
put_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* ---- the stand-in for Python ---- */

struct reader {
    char *path;
    bool is_module;
};

static int
set_line(struct cg_settings *s, char *line, int *ret_exit,
         struct cg_findings *f)
{
    struct cg_error err = {0};
    char *equals = strchr(line, '=');
    ck_assert_ptr_nonnull(equals);
    *equals = '\0';
    if (strcmp(line, "exit") == 0) {
        *ret_exit = atoi(equals + 1);
        return -ECANCELED;
    }
    int id = cg_setting_find(line);
    ck_assert_msg(id >= 0, "no setting %s", line);
    struct cg_value v = cg_value_str(equals + 1);
    if (cg_settings_set(s, (enum cg_setting_id)id, v, CG_LAYER_FILE,
                        "conf.py:1", &err) < 0) {
        cg_value_release(&v);
        cg_findings_problem(f, err.text);
    }
    return 0;
}

static int
read_lines(void *self, const char *path, bool is_module, struct cg_settings *s,
           int *ret_exit, struct cg_findings *f)
{
    struct reader *reader = self;
    char line[256];
    int r = 0;
    reader->path = cg_strdup(path);
    reader->is_module = is_module;
    FILE *file = is_module ? NULL : fopen(path, "re");
    while (file != NULL && r == 0 && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        r = set_line(s, line, ret_exit, f);
    }
    if (file != NULL) {
        fclose(file);
    }
    return r;
}

/* ---- one load ---- */

struct loaded {
    enum cg_load_result result;
    struct cg_settings *settings;
    struct cg_error err;
    struct reader reader;
    struct cg_buf warnings;
    int exit;
    char *text; /* the words' memory */
};

static void
on_warn(void *self, const char *text)
{
    struct loaded *l = self;
    cg_buf_putf(&l->warnings, "%s\n", text);
}

static void
load(struct loaded *l, const char *words)
{
    char *argv[MAX_WORDS + 1] = {(char *)(size_t) "cgunicorn"};
    char *rest = l->text = cg_strdup(words);
    int argc = 1;
    while (*words != '\0' && rest != NULL) {
        ck_assert_int_lt(argc, MAX_WORDS);
        argv[argc++] = strsep(&rest, "|");
    }
    struct cg_python_reader python = {read_lines, &l->reader};
    struct cg_load how = {.argc = argc,
                          .argv = argv,
                          .start_dir = dir,
                          .python = &python,
                          .warn = on_warn,
                          .say_self = l};
    l->result = cg_config_load(&how, &l->settings, &l->exit, &l->err);
}

static void
loaded_release(struct loaded *l)
{
    cg_settings_free(l->settings);
    cg_buf_release(&l->warnings);
    free(l->reader.path);
    free(l->text);
}

static void
expect(const char *words, enum cg_setting_id id, const char *want,
       const char *source)
{
    struct loaded l = {0};
    cg_auto(buf) struct cg_buf b = {0};
    load(&l, words);
    ck_assert_msg(l.result == CG_LOAD_OK, "%s: %s", words, l.err.text);
    cg_value_repr(cg_settings_value(l.settings, id), &b);
    ck_assert_msg(strcmp(cg_buf_str(&b), want) == 0, "%s: %s: want %s, got %s",
                  words, cg_setting_name(id), want, cg_buf_str(&b));
    ck_assert_str_eq(l.settings->source[id].text, source);
    loaded_release(&l);
}

/* want may have one %s, for the directory. */
static void
expect_error(const char *words, enum cg_load_result result, const char *want)
{
    struct loaded l = {0};
    cg_auto(buf) struct cg_buf b = {0};
    const char *hole = strstr(want, "%s");
    size_t n = hole != NULL ? (size_t)(hole - want) : strlen(want);
    cg_buf_put(&b, want, n);
    if (hole != NULL) {
        cg_buf_putf(&b, "%s%s", dir, hole + 2);
    }
    load(&l, words);
    ck_assert_msg(l.result == result, "%s: result %d, want %d: %s", words,
                  l.result, result, l.err.text);
    ck_assert_str_eq(l.err.text, cg_buf_str(&b));
    ck_assert_ptr_null(l.settings);
    loaded_release(&l);
}

/* ---- layers ---- */

START_TEST(each_layer_beats_the_one_below)
{
    expect("app", CG_workers, "1", "default");
    setenv("WEB_CONCURRENCY", "2", 1);
    expect("app", CG_workers, "2", "environment WEB_CONCURRENCY");
    put_file("gunicorn.conf.py", "workers=3\n");
    expect("app", CG_workers, "3", "conf.py:1");
    setenv("GUNICORN_CMD_ARGS", "-w 4", 1);
    expect("app", CG_workers, "4", "environment GUNICORN_CMD_ARGS");
    expect("app|-w|5", CG_workers, "5", "command line");
    expect("app|-w|5|--workers=6", CG_workers, "6", "command line");
}
END_TEST

START_TEST(lists_add_up_within_a_layer_and_replace_across)
{
    put_file("gunicorn.conf.py", "bind=:1\n");
    setenv("GUNICORN_CMD_ARGS", "-b :2 -b :3", 1);
    expect("app", CG_bind, "[':2', ':3']", "environment GUNICORN_CMD_ARGS");
    expect("app|-b|:4|-w|1|-b|:5", CG_bind, "[':4', ':5']", "command line");
}
END_TEST

START_TEST(the_variable_is_split_like_a_shell)
{
    static const char *const rows[][2] = {
        {"-n 'my shop'", "'my shop'"},
        {"-n \"my 'old' shop\"", "\"my 'old' shop\""},
        {"-n my\\ shop", "'my shop'"},
        {"--name=a'b'\"c\"", "'abc'"},
        {"-n \"a\\\"b\\c\"", "'a\"b\\\\c'"},
        {"-n 'a\\b'", "'a\\\\b'"},
        {"-n a#b", "'a#b'"},
        {"  -n\tx\n ", "'x'"},
        {"-n ''", "''"}};
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        setenv("GUNICORN_CMD_ARGS", rows[i][0], 1);
        expect("app", CG_proc_name, rows[i][1],
               "environment GUNICORN_CMD_ARGS");
    }
}
END_TEST

START_TEST(the_variable_has_no_comments)
{
    setenv("GUNICORN_CMD_ARGS", "-w 2 # -w 3", 1);
    expect("app", CG_workers, "3", "environment GUNICORN_CMD_ARGS");
}
END_TEST

START_TEST(a_broken_variable_is_named)
{
    setenv("GUNICORN_CMD_ARGS", "-n 'my shop", 1);
    expect_error("app", CG_LOAD_ERROR,
                 "environment GUNICORN_CMD_ARGS: a quote or backslash is not "
                 "closed in: -n 'my shop");
    setenv("GUNICORN_CMD_ARGS", "-n x\\", 1);
    expect_error("app", CG_LOAD_ERROR,
                 "environment GUNICORN_CMD_ARGS: a quote or backslash is not "
                 "closed in: -n x\\");
    setenv("GUNICORN_CMD_ARGS", "--nope", 1);
    expect_error("app", CG_LOAD_USAGE,
                 "environment GUNICORN_CMD_ARGS: unrecognized arguments: "
                 "--nope");
    setenv("GUNICORN_CMD_ARGS", "-w -1", 1);
    expect_error("app", CG_LOAD_ERROR,
                 "environment GUNICORN_CMD_ARGS: workers: Value must be "
                 "positive: -1");
}
END_TEST

START_TEST(usage_errors_come_before_anything_else)
{
    setenv("WEB_CONCURRENCY", "bad", 1);
    expect_error("-w|abc", CG_LOAD_USAGE,
                 "argument -w/--workers: invalid int value: 'abc'");
    expect_error("-w|-1", CG_LOAD_ERROR,
                 "environment WEB_CONCURRENCY: workers: invalid literal for "
                 "int() with base 0: 'bad' (a whole number is wanted, such as "
                 "workers = 1): correct the variable, or unset it (and 1 more: "
                 "--check-config lists all)");
    unsetenv("WEB_CONCURRENCY");
    expect_error("-w|-1", CG_LOAD_ERROR,
                 "command line: workers: Value must be positive: -1");
}
END_TEST

START_TEST(port_matters_only_when_nothing_else_binds)
{
    setenv("PORT", "9000", 1);
    expect("app", CG_bind, "['0.0.0.0:9000']", "environment PORT");
    setenv("PORT", "", 1);
    expect("app|-b|:1", CG_bind, "[':1']", "command line");
    expect("app", CG_bind, "['127.0.0.1:8000']", "default");
    setenv("PORT", "tcp://10.0.0.1:80", 1);
    expect_error("app", CG_LOAD_ERROR,
                 "environment PORT: 'tcp://10.0.0.1:80' is not a valid port "
                 "number: set it to one, unset it, or bind with -b");
}
END_TEST

/* ---- the application ---- */

START_TEST(the_application_names_the_process)
{
    expect("shop:app", CG_wsgi_app, "'shop:app'", "command line");
    expect("shop:app", CG_default_proc_name, "'shop:app'", "application");
    expect("", CG_wsgi_app, "None", "default");
    expect("", CG_default_proc_name, "'gunicorn'", "default");
    put_file("gunicorn.conf.py", "wsgi_app=a:b\ndefault_proc_name=mine\n");
    expect("shop:app", CG_wsgi_app, "'shop:app'", "command line");
    expect("shop:app", CG_default_proc_name, "'mine'", "conf.py:1");
    expect("", CG_wsgi_app, "'a:b'", "conf.py:1");
}
END_TEST

START_TEST(an_application_in_the_variable_is_ignored)
{
    setenv("GUNICORN_CMD_ARGS", "other:app -w 2", 1);
    expect("", CG_wsgi_app, "None", "default");
    expect("shop:app", CG_wsgi_app, "'shop:app'", "command line");
}
END_TEST

/* ---- which file ---- */

START_TEST(files_count_from_the_start_directory)
{
    put_file("a.py", "workers=2\n");
    put_file("b.py", "workers=3\n");
    const char *absolute = path_of("c.py");
    put_file("c.py", "workers=4\n");
    cg_auto(free) char *words = cg_strf("-c|%s", absolute);
    expect("-c|a.py", CG_workers, "2", "conf.py:1");
    expect("-c|./a.py|--config|b.py", CG_workers, "3", "conf.py:1");
    expect("-c|file:a.py", CG_workers, "2", "conf.py:1");
    expect(words, CG_workers, "4", "conf.py:1");
    setenv("GUNICORN_CMD_ARGS", "-c a.py", 1);
    expect("", CG_workers, "2", "conf.py:1");
    expect("-c|b.py", CG_workers, "3", "conf.py:1");
    expect("-c|", CG_workers, "2", "conf.py:1");
}
END_TEST

START_TEST(a_relative_chdir_counts_from_the_start_directory)
{
    ck_assert_int_eq(mkdir(path_of("sub"), 0755), 0);
    cg_auto(free) char *sub = cg_strf("%s/sub", dir);
    cg_auto(free) char *want = cg_strf("'%s'", sub);
    cg_auto(free) char *start = cg_strf("'%s'", dir);
    ck_assert_int_eq(chdir(sub), 0); /* as at a reload */
    expect("--chdir|sub", CG_chdir, want, "command line");
    expect("", CG_chdir, start, "default");
    cg_auto(free) char *after = getcwd(NULL, 0);
    ck_assert_str_eq(after, sub);
    expect_error("--chdir|sup", CG_LOAD_ERROR,
                 "command line: chdir: can't chdir to 'sup'");
    cg_auto(free) char *after_error = getcwd(NULL, 0);
    ck_assert_str_eq(after_error, sub);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(a_start_directory_that_is_gone_is_named)
{
    size_t n = strlen(dir);
    strcat(dir, "/gone");
    expect_error("app", CG_LOAD_ERROR,
                 "cannot enter the start directory '%s': No such file or "
                 "directory");
    dir[n] = '\0';
}
END_TEST

START_TEST(only_one_file_is_read)
{
    put_file("gunicorn.conf.py", "threads=9\n");
    put_file("a.py", "workers=2\n");
    expect("-c|a.py", CG_threads, "1", "default");
    expect("-c|", CG_threads, "9", "conf.py:1");
}
END_TEST

START_TEST(a_module_goes_to_python_by_its_name)
{
    struct loaded l = {0};
    load(&l, "-c|python:pkg.settings");
    ck_assert_int_eq(l.result, CG_LOAD_OK);
    ck_assert(l.reader.is_module);
    ck_assert_str_eq(l.reader.path, "pkg.settings");
    loaded_release(&l);
}
END_TEST

START_TEST(the_ending_tells_yaml)
{
    put_file("a.yaml", "workers: 7\n");
    put_file("b.yml", "workers: 8\n");
    expect("-c|a.yaml", CG_workers, "7", "a.yaml:1:10");
    expect("-c|file:b.yml", CG_workers, "8", "b.yml:1:10");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    expect_error("-c|settings/prod.py", CG_LOAD_ERROR,
                 "the configuration file 'settings/prod.py' doesn't exist "
                 "(looked for it in %s): name it with -c");
    expect_error("-c|/nowhere/prod.yaml", CG_LOAD_ERROR,
                 "the configuration file '/nowhere/prod.yaml' doesn't exist: "
                 "name another one with -c");
    expect_error("-c|/etc/passwd/x.py", CG_LOAD_ERROR,
                 "the configuration file '/etc/passwd/x.py' cannot be read: "
                 "Not a directory");
    expect_error("-c|.", CG_LOAD_ERROR,
                 "the configuration file '.' is a directory: name the file in "
                 "it with -c");
}
END_TEST

START_TEST(a_bad_value_in_a_file_is_told_with_its_place)
{
    put_file("gunicorn.conf.py", "workers=-1\n");
    expect_error("", CG_LOAD_ERROR,
                 "conf.py:1: workers: Value must be positive: -1");
}
END_TEST

START_TEST(a_file_may_exit)
{
    struct loaded l = {0};
    put_file("gunicorn.conf.py", "exit=7\n");
    load(&l, "app");
    ck_assert_int_eq(l.result, CG_LOAD_EXIT);
    ck_assert_int_eq(l.exit, 7);
    ck_assert_ptr_null(l.settings);
    loaded_release(&l);
}
END_TEST

/* ---- warnings ---- */

START_TEST(a_warning_is_said_once_where_its_cause_was_set)
{
    struct loaded l = {0};
    put_file("gunicorn.conf.py", "ssl_version=TLSv1_2\n");
    load(&l, "app|--protocol|http|-w|2");
    ck_assert_int_eq(l.result, CG_LOAD_OK);
    ck_assert_str_eq(
        cg_buf_str(&l.warnings),
        "conf.py:1: option `ssl_version` is deprecated and it is ignored. "
        "Use ssl_context instead.\n");
    loaded_release(&l);
}
END_TEST

/* ---- help and version ---- */

/* What cg_config_load prints on standard output. */
static char *
printed(const char *words)
{
    struct loaded l = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n), *standard = stdout;
    stdout = f;
    load(&l, words);
    stdout = standard;
    fclose(f);
    ck_assert_int_eq(l.result, CG_LOAD_HELP);
    ck_assert_ptr_null(l.reader.path); /* nothing was read */
    loaded_release(&l);
    return text;
}

START_TEST(help_and_version_are_printed_from_either_line)
{
    put_file("gunicorn.conf.py", "workers=-1\n");
    cg_auto(free) char *version = printed("-v");
    ck_assert_str_eq(version, "cgunicorn (version " CG_VERSION ")\n");
    cg_auto(free) char *help = printed("--help");
    ck_assert_ptr_nonnull(strstr(help, "usage: cgunicorn "));
    setenv("GUNICORN_CMD_ARGS", "--version", 1);
    cg_auto(free) char *by_variable = printed("app:app");
    ck_assert_str_eq(by_variable, version);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("load");
    TCase *t = tcase_create("load");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, each_layer_beats_the_one_below);
    tcase_add_test(t, lists_add_up_within_a_layer_and_replace_across);
    tcase_add_test(t, the_variable_is_split_like_a_shell);
    tcase_add_test(t, the_variable_has_no_comments);
    tcase_add_test(t, a_broken_variable_is_named);
    tcase_add_test(t, usage_errors_come_before_anything_else);
    tcase_add_test(t, port_matters_only_when_nothing_else_binds);
    tcase_add_test(t, the_application_names_the_process);
    tcase_add_test(t, an_application_in_the_variable_is_ignored);
    tcase_add_test(t, files_count_from_the_start_directory);
    tcase_add_test(t, a_relative_chdir_counts_from_the_start_directory);
    tcase_add_test(t, a_start_directory_that_is_gone_is_named);
    tcase_add_test(t, only_one_file_is_read);
    tcase_add_test(t, a_module_goes_to_python_by_its_name);
    tcase_add_test(t, the_ending_tells_yaml);
    tcase_add_test(t, a_file_that_is_not_there_is_named);
    tcase_add_test(t, a_bad_value_in_a_file_is_told_with_its_place);
    tcase_add_test(t, a_file_may_exit);
    tcase_add_test(t, a_warning_is_said_once_where_its_cause_was_set);
    tcase_add_test(t, help_and_version_are_printed_from_either_line);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
