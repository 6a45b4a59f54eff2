/* SPDX-License-Identifier: MIT */
/* The table: which settings there are, what they are when nobody sets them,
 * how they are named, shown and derived. */
#include <check.h>
#include <errno.h>
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

static const char *const ours[] = {"strict",
                                   "max_worker_lifetime",
                                   "max_worker_lifetime_jitter",
                                   "max_worker_rss",
                                   "recycle_share",
                                   "replace",
                                   "connection_keeper",
                                   "companions",
                                   "no_new_privs",
                                   "request_timeout",
                                   "slow_request",
                                   "overload",
                                   "max_queue_time",
                                   "abandoned_after",
                                   "overload_exempt",
                                   "warmup",
                                   "shutdown_delay",
                                   "websocket_compression",
                                   "websocket_ping_interval",
                                   "websocket_ping_timeout",
                                   "native_asgi",
                                   "python",
                                   "max_head_size",
                                   "header_timeout",
                                   "body_timeout",
                                   "write_timeout",
                                   "allow_missing_host",
                                   "request_buffer_size",
                                   "body_min_rate",
                                   "max_request_body",
                                   "max_keepalive_requests",
                                   "request_buffering",
                                   "response_file_size",
                                   "response_memory",
                                   "request_memory",
                                   "request_disk",
                                   "show_secrets",
                                   "certificates",
                                   "redirect_https",
                                   "control",
                                   "metrics_bind",
                                   "health_path",
                                   "ready_path",
                                   "access_log_skip",
                                   "log_format",
                                   "request_id",
                                   "request_id_response",
                                   "static",
                                   "static_expires",
                                   "static_index",
                                   "static_fallback",
                                   "static_missing",
                                   "sendfile_root",
                                   "dev",
                                   "dev_cert"};

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
        ck_assert_msg(row->type != TYPE_WORD || row->words != NULL, "%s: words",
                      row->name);
        ck_assert_msg((row->type == TYPE_HOOK) == (row->qualname != NULL),
                      "%s: gunicorn's name", row->name);
        ck_assert_msg((row->theirs == NULL) == (row->why == NULL),
                      "%s: a difference without a reason", row->name);
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
    cg_auto(findings) struct cg_findings f = {0};
    cg_settings_apply_environment(s, &f);
    ck_assert_uint_eq(f.n, 0);
    expect_default(s, "bind", "['0.0.0.0:9000']");
    expect_default(s, "workers", "6");
    expect_default(s, "forwarded_allow_ips", "['*']");
    ck_assert_int_eq(s->source[CG_workers].layer, CG_LAYER_ENVIRONMENT);
    ck_assert_str_eq(s->source[CG_workers].text, "environment WEB_CONCURRENCY");
    cg_settings_free(s);
}
END_TEST

/* problem: else a warning */
static void
expect_said(const char *variable, const char *value, bool problem,
            const char *want)
{
    struct cg_settings *s = fresh();
    cg_auto(findings) struct cg_findings f = {0};
    setenv(variable, value, 1);
    cg_settings_apply_environment(s, &f);
    unsetenv(variable);
    ck_assert_msg(f.n == 1, "%s=%s: %zu findings", variable, value, f.n);
    ck_assert_str_eq(f.items[0].text, want);
    ck_assert_int_eq(f.items[0].is_problem, problem);
    cg_settings_free(s);
}

static void
expect_refused(const char *variable, const char *value, const char *want)
{
    expect_said(variable, value, true, want);
}

START_TEST(a_bad_variable_is_named)
{
    expect_refused("WEB_CONCURRENCY", "many",
                   "environment WEB_CONCURRENCY: workers: invalid literal for "
                   "int() with base 0: 'many' (a whole number is wanted, such "
                   "as workers = 1): correct the variable, or unset it");
    expect_refused("CGUNICORN_TIMEOUT", "soon",
                   "environment CGUNICORN_TIMEOUT: timeout: invalid literal "
                   "for int() with base 0: 'soon' (a whole number is wanted, "
                   "such as timeout = 30): correct the variable, or unset it");
    expect_refused("CGUNICORN_BIND", "'a",
                   "environment CGUNICORN_BIND: bind: a quote is not closed "
                   "in: 'a");
    expect_refused("CGUNICORN_LOGCONFIG_DICT", "{a: [",
                   "environment CGUNICORN_LOGCONFIG_DICT: logconfig_dict: "
                   "value:2:1: invalid YAML: did not find expected node "
                   "content, while parsing a flow node");
    expect_refused("FORWARDED_ALLOW_IPS", "foo",
                   "environment FORWARDED_ALLOW_IPS: forwarded_allow_ips: "
                   "'foo' does not appear to be an IPv4 or IPv6 network: "
                   "correct the variable, or unset it");
}
END_TEST

static void
expect_from(const char *variable, const char *value, const char *name,
            const char *want)
{
    struct cg_settings *s = fresh();
    cg_auto(findings) struct cg_findings f = {0};
    setenv(variable, value, 1);
    cg_settings_apply_environment(s, &f);
    unsetenv(variable);
    ck_assert_msg(f.n == 0, "%s: %s", variable, f.n > 0 ? f.items[0].text : "");
    expect_default(s, name, want);
    cg_settings_free(s);
}

START_TEST(every_setting_has_a_variable)
{
    expect_from("CGUNICORN_WORKERS", "5", "workers", "5");
    expect_from("CGUNICORN_WORKERS", "auto", "workers", "'auto'");
    expect_from("CGUNICORN_PRELOAD_APP", "true", "preload_app", "True");
    expect_from("CGUNICORN_UMASK", "0022", "umask", "18");
    expect_from("CGUNICORN_BIND", "127.0.0.1:1 'unix:a b'", "bind",
                "['127.0.0.1:1', 'unix:a b']");
    expect_from("CGUNICORN_SECURE_SCHEME_HEADERS", "{X-HTTPS: 'on'}",
                "secure_scheme_headers", "{'X-HTTPS': 'on'}");
    expect_from("CGUNICORN_LOGCONFIG_DICT", "{a: {b: [1, true]}}",
                "logconfig_dict", "{'a': {'b': [1, True]}}");
    expect_from("CGUNICORN_POST_FORK", "hooks:post_fork", "post_fork",
                "'hooks:post_fork'");
    expect_from("CGUNICORN_FORWARDED_ALLOW_IPS", "10.0.0.0/8,::1",
                "forwarded_allow_ips", "['10.0.0.0/8', '::1']");
    expect_from("WEB_CONCURRENCY", "08", "workers", "8");
    expect_from("WEB_CONCURRENCY", "auto", "workers", "'auto'");
}
END_TEST

START_TEST(our_variable_beats_the_common_one)
{
    setenv("WEB_CONCURRENCY", "2", 1);
    setenv("CGUNICORN_WORKERS", "3", 1);
    struct cg_settings *s = fresh();
    cg_auto(findings) struct cg_findings f = {0};
    cg_settings_apply_environment(s, &f);
    expect_default(s, "workers", "3");
    ck_assert_str_eq(s->source[CG_workers].text,
                     "environment CGUNICORN_WORKERS");
    ck_assert_str_eq(s->source[CG_workers].hidden,
                     "2 from environment WEB_CONCURRENCY");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("CGUNICORN_WORKERS");
    cg_settings_free(s);
}
END_TEST

START_TEST(an_empty_variable_counts_as_not_set)
{
    static const char *const names[] = {"WEB_CONCURRENCY", "PORT",
                                        "CGUNICORN_TIMEOUT"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        cg_auto(free) char *want =
            cg_strf("environment %s is empty: it counts as not set", names[i]);
        expect_said(names[i], "", false, want);
        expect_said(names[i], " ", false, want);
    }
}
END_TEST

START_TEST(a_variable_near_a_setting_is_pointed_out)
{
    expect_said("CGUNICORN_WORKER_CLAS", "sync", false,
                "environment CGUNICORN_WORKER_CLAS: 'worker_clas' is no "
                "setting and has no effect; did you mean 'worker_class'?");
    expect_said("CGUNICORN_KEEP_ALIVE", "5", false,
                "environment CGUNICORN_KEEP_ALIVE: 'keep_alive' is no setting "
                "and has no effect; did you mean 'keepalive'?");
    struct cg_settings *s = fresh();
    cg_auto(findings) struct cg_findings f = {0};
    setenv("CGUNICORN_SERVICE_HOST", "10.0.0.1", 1);
    cg_settings_apply_environment(s, &f);
    unsetenv("CGUNICORN_SERVICE_HOST");
    ck_assert_uint_eq(f.n, 0);
    cg_settings_free(s);
}
END_TEST

/* ---- findings ---- */

START_TEST(findings_keep_their_order_and_say_a_thing_once)
{
    cg_auto(findings) struct cg_findings f = {0};
    cg_findings_warn(&f, "a %d", 1);
    cg_findings_problem(&f, "b");
    cg_findings_warn(&f, "a %d", 1);
    cg_findings_problem(&f, "c");
    ck_assert_uint_eq(f.n, 3);
    ck_assert_uint_eq(f.problems, 2);
    ck_assert_str_eq(cg_findings_first_problem(&f), "b");
    cg_findings_make_strict(&f);
    ck_assert_uint_eq(f.problems, 3);
    ck_assert_str_eq(cg_findings_first_problem(&f), "a 1");
}
END_TEST

/* ---- what cannot be right together ---- */

struct pair {
    const char *name, *value;
};

/* The warnings that the settings make, one a line. */
static char *
advice(const struct pair *pairs, size_t n)
{
    struct cg_settings *s = fresh();
    struct cg_findings f = {0};
    struct cg_buf b = {0};
    for (size_t i = 0; i < n; i++) {
        struct cg_error err = {0};
        ck_assert_msg(cg_settings_set(
                          s, (enum cg_setting_id)cg_setting_find(pairs[i].name),
                          cg_value_str(pairs[i].value), CG_LAYER_FILE, "c.py:1",
                          &err) == 0,
                      "%s", err.text);
    }
    cg_settings_finish(s, &f);
    for (size_t i = 0; i < f.n; i++) {
        cg_buf_putf(&b, "%s\n", f.items[i].text);
    }
    cg_findings_release(&f);
    cg_settings_free(s);
    return cg_buf_take(&b);
}

static void
expect_advice(const char *want, const struct pair *pairs, size_t n)
{
    cg_auto(free) char *got = advice(pairs, n);
    bool good = *want == '\0' ? *got == '\0' : strstr(got, want) != NULL;
    ck_assert_msg(good, "%s = %s: want '%s', got '%s'", pairs[0].name,
                  pairs[0].value, want, got);
}
#define ADVICE(want, ...)                                                      \
    do {                                                                       \
        const struct pair pairs[] = {__VA_ARGS__};                             \
        expect_advice(want, pairs, CG_COUNT(pairs));                           \
    } while (0)

START_TEST(contradictions_are_told_with_the_reason)
{
    ADVICE("c.py:1: threads = 4 has no effect with the worker class gevent",
           {"threads", "4"}, {"worker_class", "gevent"});
    ADVICE("c.py:1: threads = '2-4' has no effect with the worker class gevent",
           {"threads", "2-4"}, {"worker_class", "gevent"});
    ADVICE("", {"threads", "4"}, {"worker_class", "gthread"});
    ADVICE("", {"threads", "2-4"});
    ADVICE("", {"threads", "1"}, {"worker_class", "gevent"});
    ADVICE("keepalive = 5 is shorter than load balancers keep a connection "
           "(60 s)",
           {"keepalive", "5"}, {"forwarded_allow_ips", "*"});
    ADVICE("", {"keepalive", "75"}, {"forwarded_allow_ips", "*"});
    ADVICE("", {"keepalive", "0"}, {"forwarded_allow_ips", "*"});
    ADVICE("", {"keepalive", "5"}, {"forwarded_allow_ips", "127.0.0.1"});
    ADVICE("timeout = 0: a worker that hangs is never replaced",
           {"timeout", "0"});
    ADVICE("", {"reload", "true"}, {"preload_app", "true"});
    ADVICE("dev: others can reach '0.0.0.0:80'", {"dev", "true"},
           {"bind", "0.0.0.0:80"});
    ADVICE("", {"dev", "true"}, {"bind", "127.0.0.1:80"});
    ADVICE("backlog = 2000000000: the system cuts it to",
           {"backlog", "2000000000"});
    ADVICE("max_requests_jitter has no effect without max_requests",
           {"max_requests_jitter", "5"});
    ADVICE("", {"max_requests_jitter", "5"}, {"max_requests", "5"});
    ADVICE("sendfile = True turns sendfile off", {"sendfile", "true"});
    ADVICE("option `ssl_version` is deprecated", {"ssl_version", "TLSv1"});
    ADVICE("config has no effect in a configuration file", {"config", "x.py"});
    ADVICE("with control_socket_mode = 0o666 every user",
           {"control_socket", "c"}, {"control_socket_mode", "438"});
    ADVICE("", {"control_socket_mode", "438"});
    ADVICE("", {"control_socket", "c"}, {"control_socket_mode", "432"});
}
END_TEST

/* What a start has to refuse, "" for nothing. */
static void
expect_features(const char *want, const struct pair *pairs, size_t n)
{
    struct cg_settings *s = fresh();
    struct cg_error err = {0};
    for (size_t i = 0; i < n; i++) {
        cg_auto(free) char *source = cg_strf("c.py:%zu", i + 1);
        int id = cg_setting_find(pairs[i].name);
        struct cg_value v = cg_value_str(pairs[i].value);
        ck_assert_int_eq(cg_settings_set(s, (enum cg_setting_id)id, v,
                                         CG_LAYER_FILE, source, &err),
                         0);
    }
    int r = cg_settings_check_features(s, &err);
    ck_assert_int_eq(r, *want == '\0' ? 0 : -EINVAL);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0,
                  "want '%s', got '%s'", want, err.text);
    cg_settings_free(s);
}
#define FEATURES(want, ...)                                                    \
    do {                                                                       \
        const struct pair pairs[] = {__VA_ARGS__};                             \
        expect_features(want, pairs, CG_COUNT(pairs));                         \
    } while (0)

START_TEST(what_asks_for_tls_without_a_certificate_is_refused_with_its_source)
{
    FEATURES("c.py:1: ca_certs: TLS is asked for, and there is no certificate",
             {"ca_certs", "a.pem"});
    FEATURES("c.py:1: cert_reqs: TLS is", {"cert_reqs", "2"});
    FEATURES("c.py:1: ciphers: TLS is", {"ciphers", "HIGH"});
    FEATURES("c.py:1: ssl_context: TLS is", {"ssl_context", "m:f"});
    FEATURES("c.py:2: cert_reqs, c.py:1: ca_certs: TLS is",
             {"ca_certs", "a.pem"}, {"cert_reqs", "2"});
    FEATURES("", {"ca_certs", "a.pem"}, {"certfile", "b.pem"});
    FEATURES("", {"ssl_context", "m:f"}, {"keyfile", "b.pem"});
}
END_TEST

START_TEST(settings_of_tls_that_ask_for_nothing_are_not_refused)
{
    FEATURES("", {"certfile", ""}, {"keyfile", ""});
    FEATURES("", {"cert_reqs", "0"}, {"ssl_version", "2"});
    FEATURES("", {"do_handshake_on_connect", "true"},
             {"suppress_ragged_eofs", "false"});
}
END_TEST

START_TEST(workers_auto_is_a_number_with_a_reason)
{
    struct cg_settings *s = fresh();
    cg_auto(findings) struct cg_findings f = {0};
    struct cg_error err = {0};
    ck_assert_ptr_null(s->workers_reason);
    ck_assert_int_eq(cg_settings_set(s, CG_workers, cg_value_str("auto"),
                                     CG_LAYER_CLI, "command line", &err),
                     0);
    cg_settings_finish(s, &f);
    ck_assert_int_ge(cg_settings_int(s, CG_workers), 1);
    cg_auto(free) char *want =
        cg_strf("workers = auto: %d, one for each of %d CPU",
                (int)cg_settings_int(s, CG_workers),
                (int)cg_settings_int(s, CG_workers));
    ck_assert_msg(strncmp(s->workers_reason, want, strlen(want)) == 0, "%s",
                  s->workers_reason);
    cg_settings_free(s);
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
        {"post_forks", "post_fork"},
        {"worker", "workers"},
        {"thread", "threads"},
        {"binds", "bind"}};
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

static int
put_variable(void *self, const char *name, const char *value,
             struct cg_error *err)
{
    cg_buf_putf(self, "%s is %s;", name, value);
    return strcmp(name, "STOP") == 0 ? -EPERM : 0;
}

START_TEST(raw_env_is_a_list_of_names_and_values)
{
    static const struct {
        const char *items[4], *want;
        int r;
    } rows[] = {
        {{"A=1", "B=a=b", "C="}, "A is 1;B is a=b;C is ;", 0},
        {{"A=1", "STOP=x", "B=2"}, "A is 1;STOP is x;", -EPERM},
        {{"A=1", "B", "C=3"}, "A is 1;", -EINVAL},
    };
    for (size_t i = 0; i < CG_COUNT(rows); i++) {
        struct cg_error err = {0};
        struct cg_settings *s = fresh();
        struct cg_value list = cg_value_list();
        cg_auto(buf) struct cg_buf got = {0};
        for (int k = 0; rows[i].items[k] != NULL; k++) {
            cg_value_push(&list, cg_value_str(rows[i].items[k]));
        }
        set(s, CG_raw_env, list);
        ck_assert_int_eq(cg_settings_each_variable(s, put_variable, &got, &err),
                         rows[i].r);
        ck_assert_str_eq(cg_buf_str(&got), rows[i].want);
        ck_assert_int_eq(strstr(err.text, "'B' invalid: write NAME=VALUE") !=
                             NULL,
                         rows[i].r == -EINVAL);
        cg_settings_free(s);
    }
}
END_TEST

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
    tcase_add_test(t, every_setting_has_a_variable);
    tcase_add_test(t, our_variable_beats_the_common_one);
    tcase_add_test(t, an_empty_variable_counts_as_not_set);
    tcase_add_test(t, a_variable_near_a_setting_is_pointed_out);
    tcase_add_test(t, findings_keep_their_order_and_say_a_thing_once);
    tcase_add_test(t, contradictions_are_told_with_the_reason);
    tcase_add_test(
        t, what_asks_for_tls_without_a_certificate_is_refused_with_its_source);
    tcase_add_test(t, settings_of_tls_that_ask_for_nothing_are_not_refused);
    tcase_add_test(t, workers_auto_is_a_number_with_a_reason);
    tcase_add_test(t, misspelt_and_flag_names_lead_to_settings);
    tcase_add_test(t, raw_env_is_a_list_of_names_and_values);
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
