/* SPDX-License-Identifier: MIT */
/* The table: which settings there are, what they are when nobody sets them,
 * how they are named, shown and derived. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"
#include "config/settings.h"
#include "config/table.h"
#include "core/base/memory.h"

static struct cg_settings *
fresh(void)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    ck_assert_msg(cg_settings_new(&s, &err) == 0, "%s", err.text);
    return s;
}

static void
clean_environment(void)
{
    unsetenv("PORT");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("FORWARDED_ALLOW_IPS");
    unsetenv("SENDFILE");
}

/* ---- the list ---- */

/* gunicorn's 120, with the flags of those that have some. */
static const char *const gunicorn[][2] = {
#include "tests/unit/config/gunicorn_settings.inc"
};

static const char *const ours[] = {"max_worker_lifetime",
                                   "max_worker_lifetime_jitter",
                                   "max_worker_rss",
                                   "recycle_share",
                                   "request_timeout",
                                   "shutdown_delay",
                                   "python",
                                   "max_head_size",
                                   "header_timeout",
                                   "body_timeout",
                                   "write_timeout",
                                   "allow_missing_host",
                                   "request_buffer_size",
                                   "body_min_rate",
                                   "max_request_body",
                                   "max_keepalive_requests"};

START_TEST(every_setting_of_gunicorn_is_there)
{
    ck_assert_uint_eq(CG_COUNT(gunicorn), 120);
    for (size_t i = 0; i < CG_COUNT(gunicorn); i++) {
        int id = cg_setting_find(gunicorn[i][0]);
        ck_assert_msg(id >= 0, "no setting '%s'", gunicorn[i][0]);
        const char *flags = cg_rows[id].flags != NULL ? cg_rows[id].flags : "";
        ck_assert_msg(strcmp(flags, gunicorn[i][1]) == 0,
                      "%s: flags '%s' should be '%s'", gunicorn[i][0], flags,
                      gunicorn[i][1]);
        ck_assert_msg(!cg_rows[id].ours, "%s is gunicorn's", gunicorn[i][0]);
    }
}
END_TEST

START_TEST(all_others_are_marked_ours)
{
    for (size_t i = 0; i < CG_COUNT(ours); i++) {
        int id = cg_setting_find(ours[i]);
        ck_assert_msg(id >= 0 && cg_rows[id].ours, "%s", ours[i]);
    }
    ck_assert_uint_eq(CG_SETTING_COUNT, CG_COUNT(gunicorn) + CG_COUNT(ours));
}
END_TEST

START_TEST(names_are_found_exactly)
{
    ck_assert_int_eq(cg_setting_find("workers"), CG_workers);
    ck_assert_int_eq(cg_setting_find("Workers"), -1);
    ck_assert_int_eq(cg_setting_find("worker"), -1);
    ck_assert_int_eq(cg_setting_find(""), -1);
    ck_assert_str_eq(cg_setting_name(CG_post_fork), "post_fork");
}
END_TEST

static int
seen_before(const char *flag, size_t n, int id)
{
    int count = 0;
    for (int other = 0; other < id; other++) {
        const char *f = cg_rows[other].flags;
        while (f != NULL && *f != '\0') {
            size_t m = strcspn(f, " ");
            count += m == n && memcmp(f, flag, n) == 0;
            f += m + (f[m] == ' ');
        }
    }
    return count;
}

START_TEST(every_row_is_whole)
{
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        const struct cg_row *row = &cg_rows[id];
        ck_assert_msg(row->section != NULL && row->help != NULL, "%s: no help",
                      row->name);
        ck_assert_msg((row->flags == NULL) == (row->cli == CLI_NONE),
                      "%s: flags without a kind", row->name);
        bool argument = row->cli != CLI_NONE && row->cli != CLI_FLAG &&
                        row->cli != CLI_FALSE;
        ck_assert_msg(argument == (row->meta != NULL), "%s: meta", row->name);
        ck_assert_msg((row->type == TYPE_HOOK) == (row->arity > 0), "%s: arity",
                      row->name);
        ck_assert_msg((row->type == TYPE_WORD) == (row->words != NULL),
                      "%s: words", row->name);
        for (const char *f = row->flags; f != NULL && *f != '\0';) {
            size_t n = strcspn(f, " ");
            ck_assert_msg(f[0] == '-' && seen_before(f, n, id) == 0,
                          "%s: flag %.*s", row->name, (int)n, f);
            f += n + (f[n] == ' ');
        }
    }
}
END_TEST

/* ---- defaults ---- */

static void
expect_default(const struct cg_settings *s, const char *name, const char *want)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(&s->value[cg_setting_find(name)], &b);
    ck_assert_msg(strcmp(cg_buf_str(&b), want) == 0, "%s: want %s, got %s",
                  name, want, cg_buf_str(&b));
}

START_TEST(defaults_are_gunicorns)
{
    static const char *const want[][2] = {
        {"config", "'./gunicorn.conf.py'"},
        {"wsgi_app", "None"},
        {"bind", "['127.0.0.1:8000']"},
        {"backlog", "2048"},
        {"workers", "1"},
        {"worker_class", "'sync'"},
        {"threads", "1"},
        {"worker_connections", "1000"},
        {"max_requests", "0"},
        {"timeout", "30"},
        {"graceful_timeout", "30"},
        {"keepalive", "75"}, /* a documented difference: 2 there */
        {"limit_request_line", "4094"},
        {"limit_request_fields", "100"},
        {"limit_request_field_size", "8190"},
        {"max_head_size", "65536"},
        {"allow_missing_host", "False"},
        {"reload_extra_files", "[]"},
        {"sendfile", "None"},
        {"raw_env", "[]"},
        {"umask", "0"},
        {"secure_scheme_headers",
         "{'X-FORWARDED-PROTOCOL': 'ssl', 'X-FORWARDED-PROTO': 'https', "
         "'X-FORWARDED-SSL': 'on'}"},
        {"forwarded_allow_ips", "['127.0.0.1', '::1']"},
        {"proxy_protocol", "'off'"},
        {"forwarder_headers", "['SCRIPT_NAME', 'PATH_INFO']"},
        {"header_map", "'drop'"},
        {"accesslog", "None"},
        {"access_log_format",
         "'%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" "
         "\"%(a)s\"'"},
        {"errorlog", "'-'"},
        {"loglevel", "'info'"},
        {"logger_class", "'gunicorn.glogging.Logger'"},
        {"logconfig_dict", "{}"},
        {"statsd_prefix", "''"},
        {"default_proc_name", "'gunicorn'"},
        {"suppress_ragged_eofs", "True"},
        {"http_protocols", "['h1']"},
        {"websocket_max_message_size", "16777216"},
        {"control_socket_mode", "384"},
        {"post_fork", "None"}};
    struct cg_settings *s = fresh();
    for (size_t i = 0; i < CG_COUNT(want); i++) {
        expect_default(s, want[i][0], want[i][1]);
    }
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        ck_assert_int_eq(s->source[id].layer, CG_LAYER_DEFAULT);
        ck_assert_str_eq(s->source[id].text, "default");
    }
    cg_settings_free(s);
}
END_TEST

START_TEST(the_environment_moves_defaults)
{
    setenv("PORT", "9000", 1);
    setenv("WEB_CONCURRENCY", "6", 1);
    setenv("FORWARDED_ALLOW_IPS", "*", 1);
    struct cg_settings *s = fresh();
    expect_default(s, "bind", "['0.0.0.0:9000']");
    expect_default(s, "workers", "6");
    expect_default(s, "forwarded_allow_ips", "['*']");
    ck_assert_int_eq(s->source[CG_workers].layer, CG_LAYER_ENVIRONMENT);
    ck_assert_str_eq(s->source[CG_workers].text, "environment WEB_CONCURRENCY");
    cg_settings_free(s);
}
END_TEST

static void
expect_refused(const char *variable, const char *value, const char *want)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    setenv(variable, value, 1);
    ck_assert_int_lt(cg_settings_new(&s, &err), 0);
    unsetenv(variable);
    ck_assert_str_eq(err.text, want);
    ck_assert_ptr_null(s);
}

START_TEST(a_bad_variable_is_named)
{
    expect_refused("WEB_CONCURRENCY", "many",
                   "environment WEB_CONCURRENCY: workers: invalid literal for "
                   "int() with base 0: 'many': correct the variable, or unset "
                   "it");
    expect_refused("WEB_CONCURRENCY", "",
                   "environment WEB_CONCURRENCY: workers: invalid literal for "
                   "int() with base 0: '': correct the variable, or unset it");
    expect_refused("FORWARDED_ALLOW_IPS", "foo",
                   "environment FORWARDED_ALLOW_IPS: forwarded_allow_ips: "
                   "'foo' does not appear to be an IPv4 or IPv6 network: "
                   "correct the variable, or unset it");
}
END_TEST

/* ---- suggestions ---- */

START_TEST(misspelt_and_flag_names_lead_to_settings)
{
    static const char *const near[][2] = {
        {"keepallive", "keepalive"},
        {"keep_alive", "keepalive"},
        {"preload", "preload_app"},
        {"log_level", "loglevel"},
        {"error_logfile", "errorlog"},
        {"log_file", "errorlog"},
        {"access_logfile", "accesslog"},
        {"access_logformat", "access_log_format"},
        {"name", "proc_name"},
        {"pid", "pidfile"},
        {"pid_file", "pidfile"},
        {"python_path", "pythonpath"},
        {"max_worker_connections", "worker_connections"},
        {"max_request", "max_requests"},
        {"worker_classs", "worker_class"},
        {"timout", "timeout"},
        {"gracefull_timeout", "graceful_timeout"},
        {"reload_extra_file", "reload_extra_files"},
        {"proxy_allow_from", "proxy_allow_ips"},
        {"no_sendfile", "sendfile"},
        {"post_forks", "post_fork"}};
    for (size_t i = 0; i < CG_COUNT(near); i++) {
        const char *got = cg_setting_suggest(near[i][0]);
        ck_assert_msg(got != NULL && strcmp(got, near[i][1]) == 0,
                      "%s: want %s, got %s", near[i][0], near[i][1],
                      got != NULL ? got : "nothing");
    }
}
END_TEST

START_TEST(ordinary_variables_are_left_alone)
{
    static const char *const words[] = {"host",
                                        "port",
                                        "worker",
                                        "logger",
                                        "path",
                                        "os",
                                        "sys",
                                        "env",
                                        "cores",
                                        "debug",
                                        "i",
                                        "cpu_count",
                                        "app",
                                        "base_dir",
                                        "log",
                                        "settings",
                                        "x",
                                        "thread",
                                        "address",
                                        "socket",
                                        "root",
                                        "config_file",
                                        "here",
                                        "format",
                                        "server",
                                        "request",
                                        "level",
                                        "json",
                                        "logging",
                                        "max_workers_per_core",
                                        "multiprocessing",
                                        "project"};
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        const char *got = cg_setting_suggest(words[i]);
        ck_assert_msg(got == NULL, "%s: got %s", words[i], got);
    }
}
END_TEST

START_TEST(retired_names_say_so)
{
    ck_assert_ptr_nonnull(strstr(cg_setting_retired("debug"), "loglevel"));
    ck_assert_ptr_nonnull(cg_setting_retired("django_settings"));
    ck_assert_ptr_null(cg_setting_retired("workers"));
    ck_assert_ptr_null(cg_setting_retired("host"));
}
END_TEST

/* ---- derived ---- */

static void
set(struct cg_settings *s, enum cg_setting_id id, struct cg_value v)
{
    struct cg_error err = {0};
    ck_assert_msg(cg_settings_set(s, id, v, CG_LAYER_FILE, "here", &err) == 0,
                  "%s", err.text);
}

START_TEST(threads_turn_sync_into_gthread)
{
    struct cg_settings *s = fresh();
    ck_assert_str_eq(cg_settings_worker_class(s), "sync");
    set(s, CG_threads, cg_value_int(4));
    ck_assert_str_eq(cg_settings_worker_class(s), "gthread");
    set(s, CG_worker_class, cg_value_str("gunicorn.workers.sync.SyncWorker"));
    ck_assert_str_eq(cg_settings_worker_class(s), "gthread");
    set(s, CG_worker_class, cg_value_str("gevent"));
    ck_assert_str_eq(cg_settings_worker_class(s), "gevent");
    cg_settings_free(s);
}
END_TEST

START_TEST(any_sendfile_setting_turns_it_off)
{
    struct cg_settings *s = fresh();
    ck_assert(cg_settings_sendfile(s));
    setenv("SENDFILE", "no", 1);
    ck_assert(!cg_settings_sendfile(s));
    setenv("SENDFILE", "YES", 1);
    ck_assert(cg_settings_sendfile(s));
    set(s, CG_sendfile, cg_value_bool(true));
    ck_assert(!cg_settings_sendfile(s));
    cg_settings_free(s);
}
END_TEST

START_TEST(proc_name_falls_back_to_its_default)
{
    struct cg_settings *s = fresh();
    ck_assert_str_eq(cg_settings_proc_name(s), "gunicorn");
    set(s, CG_default_proc_name, cg_value_str("shop:app"));
    ck_assert_str_eq(cg_settings_proc_name(s), "shop:app");
    set(s, CG_proc_name, cg_value_str("shop"));
    ck_assert_str_eq(cg_settings_proc_name(s), "shop");
    cg_settings_free(s);
}
END_TEST

/* ---- printing ---- */

START_TEST(printed_settings_are_sorted_and_padded)
{
    struct cg_settings *s = fresh();
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    set(s, CG_bind, cg_value_str("unix:/run/it's.sock"));
    cg_settings_print(s, f);
    fclose(f);
    cg_settings_free(s);
    static const char *const pieces[] = {
        "\nbind                               = [\"unix:/run/it's.sock\"]\n",
        "\nworkers                            = 1\n",
        "\npermit_unconventional_http_version = False\n",
        "\nerrorlog                           = -\n",
        "\npidfile                            = None\n"};
    for (size_t i = 0; i < CG_COUNT(pieces); i++) {
        ck_assert_msg(strstr(text, pieces[i]) != NULL, "no '%s'", pieces[i]);
    }
    char *save = NULL, *last = NULL;
    int lines = 0;
    for (char *l = strtok_r(text, "\n", &save); l != NULL;
         l = strtok_r(NULL, "\n", &save)) {
        ck_assert_msg(last == NULL || strcmp(last, l) < 0, "%s after %s", l,
                      last);
        last = l;
        lines++;
    }
    ck_assert_int_eq(lines, CG_SETTING_COUNT);
    free(text);
}
END_TEST

START_TEST(values_look_as_in_python)
{
    struct cg_value list = cg_value_list();
    cg_value_push(&list, cg_value_str("a'b"));
    cg_value_push(&list, cg_value_str("a'b\"c"));
    cg_value_push(&list, cg_value_str("\n\r\t\\\x01"));
    cg_value_push(&list, cg_value_float(1e20));
    cg_value_push(&list, cg_value_float(-2));
    cg_value_push(&list, cg_value_bool(false));
    cg_value_push(&list, cg_value_list());
    cg_value_push(&list, cg_value_map());
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(&list, &b);
    ck_assert_str_eq(cg_buf_str(&b),
                     "[\"a'b\", 'a\\'b\"c', '\\n\\r\\t\\\\\\x01', 1e+20, "
                     "-2.0, False, [], {}]");
    struct cg_value copy = cg_value_copy(&list);
    cg_value_release(&list);
    cg_auto(buf) struct cg_buf again = {0};
    cg_value_repr(&copy, &again);
    ck_assert_str_eq(cg_buf_str(&again), cg_buf_str(&b));
    cg_value_release(&copy);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("settings");
    TCase *t = tcase_create("settings");
    tcase_add_checked_fixture(t, clean_environment, NULL);
    tcase_add_test(t, every_setting_of_gunicorn_is_there);
    tcase_add_test(t, all_others_are_marked_ours);
    tcase_add_test(t, names_are_found_exactly);
    tcase_add_test(t, every_row_is_whole);
    tcase_add_test(t, defaults_are_gunicorns);
    tcase_add_test(t, the_environment_moves_defaults);
    tcase_add_test(t, a_bad_variable_is_named);
    tcase_add_test(t, misspelt_and_flag_names_lead_to_settings);
    tcase_add_test(t, ordinary_variables_are_left_alone);
    tcase_add_test(t, retired_names_say_so);
    tcase_add_test(t, threads_turn_sync_into_gthread);
    tcase_add_test(t, any_sendfile_setting_turns_it_off);
    tcase_add_test(t, proc_name_falls_back_to_its_default);
    tcase_add_test(t, printed_settings_are_sorted_and_padded);
    tcase_add_test(t, values_look_as_in_python);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
