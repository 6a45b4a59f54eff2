/* SPDX-License-Identifier: MIT */
/*
 * After all layers: `workers = auto`, and what cannot be right together. Each
 * piece of advice is one function: it looks at the settings, and says what
 * happens and what to do. Only what somebody set is criticised.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/dev_cert.h"
#include "config/table.h"
#include "core/base/cpus.h"
#include "core/base/memory.h"

static bool
is_set(const struct cg_settings *s, enum cg_setting_id id)
{
    return s->source[id].layer != CG_LAYER_DEFAULT;
}

static bool
is_limited(const struct cg_cpus *c)
{
    return c->count < c->host;
}

/* "2 CPUs (cgroup quota 1.50, affinity 8, host 8)" */
static char *
cpus_text(const struct cg_cpus *c)
{
    cg_auto(free) char *quota = c->quota > 0
                                    ? cg_strf("cgroup quota %.2f", c->quota)
                                    : cg_strdup("no cgroup quota");
    return cg_strf("%d CPU%s (%s, affinity %d, host %d)", c->count,
                   c->count == 1 ? "" : "s", quota, c->affinity, c->host);
}

static void
resolve_workers(struct cg_settings *s, const struct cg_cpus *c)
{
    struct cg_value *v = &s->value[CG_workers];
    if (v->kind != CG_VALUE_STR) {
        return;
    }
    cg_auto(free) char *text = cpus_text(c);
    s->workers_reason =
        cg_strf("workers = auto: %d, one for each of %s", c->count, text);
    cg_value_release(v);
    *v = cg_value_int(c->count);
}

/* ---- advice ---- */

/* Twice the CPUs and one is what gunicorn's manual recommends: more than that
 * where the host has more CPUs than we may use comes from counting the
 * host's. */
static void
advise_workers(const struct cg_settings *s, const struct cg_cpus *c,
               struct cg_findings *f)
{
    int64_t n = cg_settings_int(s, CG_workers);
    if (is_set(s, CG_workers) && is_limited(c) && n > 2 * c->count + 1) {
        cg_auto(free) char *text = cpus_text(c);
        cg_findings_warn(f,
                         "%s: workers = %lld for %s: count with "
                         "`workers = \"auto\"`, not with the host's CPUs",
                         s->source[CG_workers].text, (long long)n, text);
    }
}

static void
advise_threads(const struct cg_settings *s, const struct cg_cpus *c,
               struct cg_findings *f)
{
    static const char *const deaf[] = {"gevent", "eventlet", "tornado", "asgi"};
    const char *name = cg_settings_worker_class(s);
    bool several = cg_settings_range(s, CG_threads).most > 1;
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(&s->value[CG_threads], &b);
    for (size_t i = 0; several && i < CG_COUNT(deaf); i++) {
        if (strstr(name, deaf[i]) != NULL) {
            cg_findings_warn(f,
                             "%s: threads = %s has no effect with the worker "
                             "class %s, which runs its requests on one thread "
                             "(worker_connections says how many)",
                             s->source[CG_threads].text, cg_buf_str(&b), name);
            return;
        }
    }
}

/* Somebody other than this machine is trusted: there is a proxy. */
static bool
is_behind_proxy(const struct cg_settings *s)
{
    const struct cg_value *v = &s->value[CG_forwarded_allow_ips];
    for (size_t i = 0; i < v->list.n; i++) {
        const char *a = v->list.items[i].s;
        if (strncmp(a, "127.", 4) != 0 && strcmp(a, "::1") != 0) {
            return true;
        }
    }
    return false;
}

static void
advise_keepalive(const struct cg_settings *s, const struct cg_cpus *c,
                 struct cg_findings *f)
{
    long long n = (long long)cg_settings_int(s, CG_keepalive);
    if (is_set(s, CG_keepalive) && n > 0 && n < 60 && is_behind_proxy(s)) {
        cg_findings_warn(
            f,
            "%s: keepalive = %lld is shorter than load balancers keep a "
            "connection (60 s), and forwarded_allow_ips says that there is "
            "one: a request on a connection that is just closed becomes a 502. "
            "Set 75, or leave it out",
            s->source[CG_keepalive].text, n);
    }
}

static void
advise_health(const struct cg_settings *s, const struct cg_cpus *c,
              struct cg_findings *f)
{
    static const enum cg_setting_id paths[] = {CG_health_path, CG_ready_path};
    for (size_t i = 0; i < CG_COUNT(paths); i++) {
        const char *path = cg_settings_str(s, paths[i]);
        if (path != NULL && *path != '\0' && *path != '/') {
            cg_findings_warn(f,
                             "%s: %s = '%.100s' is no request's path: it has "
                             "to begin with '/'",
                             s->source[paths[i]].text,
                             cg_setting_name(paths[i]), path);
        }
    }
}

static void
advise_timeout(const struct cg_settings *s, const struct cg_cpus *c,
               struct cg_findings *f)
{
    if (is_set(s, CG_timeout) && cg_settings_int(s, CG_timeout) == 0) {
        cg_findings_warn(f,
                         "%s: timeout = 0: a worker that hangs is never "
                         "replaced",
                         s->source[CG_timeout].text);
    }
}

/* Whoever can reach it reads tracebacks, and makes the server load code. */
static bool
is_public(const char *bind)
{
    static const char *const here[] = {"127.", "localhost", "[::1]",
                                       "unix:", "fd://"};
    bind = strncmp(bind, "tls:", 4) == 0 ? bind + 4 : bind;
    for (size_t i = 0; i < CG_COUNT(here); i++) {
        if (strncmp(bind, here[i], strlen(here[i])) == 0) {
            return false;
        }
    }
    return true;
}

static void
advise_dev(const struct cg_settings *s, const struct cg_cpus *c,
           struct cg_findings *f)
{
    const struct cg_value *bind = &s->value[CG_bind];
    for (size_t i = 0; cg_settings_bool(s, CG_dev) && i < bind->list.n; i++) {
        if (is_public(bind->list.items[i].s)) {
            cg_findings_warn(f,
                             "%s: dev: others can reach '%.200s' and see "
                             "tracebacks of the application: bind to 127.0.0.1",
                             s->source[CG_bind].text, bind->list.items[i].s);
        }
    }
}

static void
set_for_dev(struct cg_settings *s, enum cg_setting_id id, struct cg_value v)
{
    if (is_set(s, id)) {
        cg_value_release(&v);
        return;
    }
    cg_value_release(&s->value[id]);
    s->value[id] = v;
}

/* Each where nobody has set it. */
static void
resolve_dev(struct cg_settings *s)
{
    if (cg_settings_bool(s, CG_dev)) {
        set_for_dev(s, CG_reload, cg_value_bool(true));
        set_for_dev(s, CG_workers, cg_value_int(1));
        set_for_dev(s, CG_timeout, cg_value_int(0));
        set_for_dev(s, CG_accesslog, cg_value_str("-"));
    }
}

static void
advise_backlog(const struct cg_settings *s, const struct cg_cpus *c,
               struct cg_findings *f)
{
    long long most = 0, n = (long long)cg_settings_int(s, CG_backlog);
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    if (file == NULL) {
        return;
    }
    bool known = fscanf(file, "%lld", &most) == 1;
    fclose(file);
    if (known && is_set(s, CG_backlog) && n > most) {
        cg_findings_warn(f,
                         "%s: backlog = %lld: the system cuts it to %lld "
                         "(sysctl net.core.somaxconn)",
                         s->source[CG_backlog].text, n, most);
    }
}

/* gunicorn turns sendfile off whenever the setting is there, True included. */
static void
advise_sendfile(const struct cg_settings *s, const struct cg_cpus *c,
                struct cg_findings *f)
{
    if (cg_settings_bool(s, CG_sendfile)) {
        cg_findings_warn(f,
                         "%s: sendfile = True turns sendfile off, as in "
                         "gunicorn: leave it out to have it",
                         s->source[CG_sendfile].text);
    }
}

static void
advise_jitter(const struct cg_settings *s, const struct cg_cpus *c,
              struct cg_findings *f)
{
    if (cg_settings_int(s, CG_max_requests_jitter) > 0 &&
        cg_settings_int(s, CG_max_requests) == 0) {
        cg_findings_warn(f,
                         "%s: max_requests_jitter has no effect without "
                         "max_requests",
                         s->source[CG_max_requests_jitter].text);
    }
}

static void
advise_config(const struct cg_settings *s, const struct cg_cpus *c,
              struct cg_findings *f)
{
    if (s->source[CG_config].layer == CG_LAYER_FILE) {
        cg_findings_warn(f,
                         "%s: config has no effect in a configuration file: "
                         "name the file with -c",
                         s->source[CG_config].text);
    }
}

static void
advise_tls_version(const struct cg_settings *s, const struct cg_cpus *c,
                   struct cg_findings *f)
{
    const char *v = cg_settings_str(s, CG_ssl_version);
    if (v == NULL || strcmp(v, cg_rows[CG_ssl_version].def) != 0) {
        cg_findings_warn(f,
                         "%s: option `ssl_version` is deprecated and it is "
                         "ignored. Use ssl_context instead.",
                         s->source[CG_ssl_version].text);
    }
}

static void
advise_control_socket(const struct cg_settings *s, const struct cg_cpus *c,
                      struct cg_findings *f)
{
    const char *path = cg_settings_str(s, CG_control_socket);
    if (path != NULL && *path != '\0' &&
        !cg_settings_bool(s, CG_control_socket_disable) &&
        (cg_settings_int(s, CG_control_socket_mode) & S_IWOTH) != 0) {
        cg_findings_warn(f,
                         "%s: with control_socket_mode = 0o%o every user of "
                         "this machine can stop the server",
                         s->source[CG_control_socket_mode].text,
                         (unsigned)cg_settings_int(s, CG_control_socket_mode));
    }
}

/* ---- what cannot be ignored ---- */

/* None and an empty string ask for nothing, as in gunicorn; nor does what the
 * default says. */
static bool
asks_for(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    switch (v->kind) {
    case CG_VALUE_NONE: return false;
    case CG_VALUE_INT: return v->i != 0;
    case CG_VALUE_STR: return v->s[0] != '\0';
    case CG_VALUE_OBJECT: return is_set(s, id);
    case CG_VALUE_BOOL:
    case CG_VALUE_FLOAT:
    case CG_VALUE_LIST: return v->list.n > 0;
    case CG_VALUE_MAP: break;
    }
    return is_set(s, id);
}

bool
cg_settings_are_secure(const struct cg_settings *s)
{
    return asks_for(s, CG_certfile) || asks_for(s, CG_keyfile);
}

static bool
is_tls_bind(const struct cg_value *v)
{
    return v->kind == CG_VALUE_STR && strncmp(v->s, "tls:", 4) == 0;
}

/* Listeners of both kinds; none that is said to be one: all are. */
static int
count_tls_binds(const struct cg_settings *s)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    int n = 0;
    for (size_t i = 0; i < bind->list.n; i++) {
        n += is_tls_bind(&bind->list.items[i]);
    }
    return n;
}

bool
cg_settings_bind_is_secure(const struct cg_settings *s, bool says_tls)
{
    return cg_settings_are_secure(s) && (says_tls || count_tls_binds(s) == 0);
}

/* "/path", "304", "2xx" */
static bool
is_skip(const char *item)
{
    bool digit = item[0] >= '1' && item[0] <= '5' && strlen(item) == 3;
    return item[0] == '/' || (digit && (strcasecmp(item + 1, "xx") == 0 ||
                                        strspn(item, "0123456789") == 3));
}

static int
check_logs(const struct cg_settings *s, struct cg_error *err)
{
    static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
                                "abcdefghijklmnopqrstuvwxyz";
    const char *format = cg_settings_str(s, CG_log_format);
    const char *field = cg_settings_str(s, CG_request_id);
    const struct cg_value *skip = cg_settings_value(s, CG_access_log_skip);
    if (format != NULL && strcmp(format, "text") != 0 &&
        strcmp(format, "json") != 0) {
        return cg_error_set(err, EINVAL,
                            "%s: log_format = '%.100s' is none: write text or "
                            "json",
                            s->source[CG_log_format].text, format);
    }
    if (field != NULL &&
        (field[strspn(field, token)] != '\0' || strlen(field) > 64)) {
        return cg_error_set(err, EINVAL,
                            "%s: request_id = '%.100s' is no name of a header "
                            "field: write one like X-Request-ID (letters, "
                            "digits, '-', 64 at most)",
                            s->source[CG_request_id].text, field);
    }
    size_t n = skip->kind == CG_VALUE_LIST ? skip->list.n : 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_skip(skip->list.items[i].s)) {
            return cg_error_set(err, EINVAL,
                                "%s: access_log_skip: '%.100s' is neither a "
                                "path (/healthz, /static/*) nor a status (304, "
                                "2xx)",
                                s->source[CG_access_log_skip].text,
                                skip->list.items[i].s);
        }
    }
    return 0;
}

/* A folder of the settings, seen from where the server will be. */
static int
check_folder(const struct cg_settings *s, enum cg_setting_id id,
             const char *folder, struct cg_error *err)
{
    struct stat st;
    const char *dir = cg_settings_str(s, CG_chdir);
    cg_auto(free) char *path = folder[0] == '/' || dir == NULL
                                   ? cg_strdup(folder)
                                   : cg_strf("%s/%s", dir, folder);
    int code = stat(path, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return code == 0
               ? 0
               : cg_error_set(err, code,
                              "%s: %s: the folder '%.300s' cannot be served: "
                              "%s; make it, or name another one",
                              s->source[id].text, cg_setting_name(id), folder,
                              strerror(code));
}

/* A number of seconds, or the word. */
static bool
is_expiry(const char *text)
{
    size_t n = strlen(text);
    return strcmp(text, "immutable") == 0 ||
           (n > 0 && n < 10 && strspn(text, "0123456789") == n);
}

static int
check_files(const struct cg_settings *s, struct cg_error *err)
{
    const struct cg_value *v = cg_settings_value(s, CG_static);
    const struct cg_value *expires = cg_settings_value(s, CG_static_expires);
    const char *root = cg_settings_str(s, CG_sendfile_root);
    int r = 0;
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        const char *pair = v->list.items[i].s;
        r = pair[0] == '/'
                ? check_folder(s, CG_static, strchr(pair, '=') + 1, err)
                : cg_error_set(err, EINVAL,
                               "%s: static: '%.200s' has to begin with the "
                               "slash of a request's path, as in /%.200s",
                               s->source[CG_static].text, pair, pair);
    }
    for (size_t i = 0; r == 0 && i < expires->list.n; i++) {
        const char *pair = expires->list.items[i].s;
        if (!is_expiry(strrchr(pair, '=') + 1)) {
            r = cg_error_set(err, EINVAL,
                             "%s: static_expires: '%.200s' names no time: "
                             "write seconds, or immutable",
                             s->source[CG_static_expires].text, pair);
        }
    }
    return r < 0 || root == NULL || root[0] == '\0'
               ? r
               : check_folder(s, CG_sendfile_root, root, err);
}

/* nginx has no uwsgi over TLS that would end here. */
static int
check_protocol(const struct cg_settings *s, struct cg_error *err)
{
    if (!cg_settings_is_uwsgi(s) || !cg_settings_are_secure(s)) {
        return 0;
    }
    return cg_error_set(err, EINVAL,
                        "%s: protocol: uwsgi packets do not come over TLS: "
                        "leave out certfile, or speak http",
                        s->source[CG_protocol].text);
}

int
cg_settings_check_features(const struct cg_settings *s, struct cg_error *err)
{
    static const enum cg_setting_id needs_certificate[] = {
        CG_cert_reqs, CG_ca_certs, CG_ciphers, CG_ssl_context, CG_certificates};
    cg_auto(buf) struct cg_buf asked = {0};
    int r = check_files(s, err);
    if (r == 0 && cg_settings_bool(s, CG_dev) &&
        cg_settings_bool(s, CG_daemon)) {
        r = cg_error_set(err, EINVAL,
                         "%s: dev is for a terminal: leave out daemon (%s)",
                         s->source[CG_dev].text, s->source[CG_daemon].text);
    }
    r = r == 0 ? cg_dev_cert_check(s, err) : r;
    r = r == 0 ? check_protocol(s, err) : r;
    r = r == 0 ? check_logs(s, err) : r;
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < CG_COUNT(needs_certificate); i++) {
        enum cg_setting_id id = needs_certificate[i];
        if (!cg_settings_are_secure(s) && asks_for(s, id)) {
            cg_buf_putf(&asked, "%s%s: %s", asked.n > 0 ? ", " : "",
                        s->source[id].text, cg_rows[id].name);
        }
    }
    if (!cg_settings_are_secure(s) && count_tls_binds(s) > 0) {
        cg_buf_putf(&asked, "%s%s: bind = tls:...", asked.n > 0 ? ", " : "",
                    s->source[CG_bind].text);
    }
    if (asked.n == 0 && cg_settings_bool(s, CG_redirect_https) &&
        (count_tls_binds(s) == 0 ||
         count_tls_binds(s) == (int)cg_settings_value(s, CG_bind)->list.n)) {
        return cg_error_set(
            err, EINVAL,
            "%s: redirect_https needs listeners of both kinds: write tls: in "
            "front of those of bind that speak HTTPS, and leave one without",
            s->source[CG_redirect_https].text);
    }
    return asked.n == 0
               ? 0
               : cg_error_set(err, EINVAL,
                              "%s: TLS is asked for, and there is no "
                              "certificate: set certfile (and keyfile), or "
                              "leave this out; plain HTTP is not what it asks "
                              "for",
                              cg_buf_str(&asked));
}

/* ---- words for what is longer ---- */

static void
set_text(struct cg_value *v, const char *text, size_t n)
{
    cg_auto(free) char *copy = cg_strndup(text, n);
    cg_value_release(v);
    *v = cg_value_str(copy);
}

/* access_log_format = combined | common, so that loggers of Python's see a
 * format, too. */
static void
expand_access_format(struct cg_settings *s)
{
    static const char combined_only[] = " \"%(f)s\" \"%(a)s\"";
    const char *format = cg_settings_str(s, CG_access_log_format);
    const char *combined = cg_rows[CG_access_log_format].def;
    size_t n = strlen(combined);
    if (format != NULL && strcmp(format, "combined") == 0) {
        set_text(&s->value[CG_access_log_format], combined, n);
    } else if (format != NULL && strcmp(format, "common") == 0) {
        set_text(&s->value[CG_access_log_format], combined,
                 n - (sizeof combined_only - 1));
    }
}

bool
cg_settings_offer_h2(const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_http_protocols);
    for (size_t i = 0; v->kind == CG_VALUE_LIST && i < v->list.n; i++) {
        if (strcmp(v->list.items[i].s, "h2") == 0) {
            return true;
        }
    }
    return false;
}

#ifndef CG_HTTP2
/* There was no library to link with: how whoever built it gets HTTP/2. */
static const char get_http2[] =
#ifdef CG_MODULE
    "run `make sources` in its checkout and `pip install .` again, or install "
    "a wheel of a release";
#else
    "install libnghttp2-dev and run `make` again in its checkout";
#endif
#endif

/* gunicorn's words where it has some. */
static void
advise_http2(const struct cg_settings *s, const struct cg_cpus *cpus,
             struct cg_findings *f)
{
    const char *clear = cg_settings_str(s, CG_http2_cleartext);
    bool off = clear == NULL || strcmp(clear, "off") == 0;
    if (!cg_settings_offer_h2(s)) {
        return;
    }
#ifndef CG_HTTP2
    cg_findings_warn(f,
                     "%s: http_protocols includes h2, and this build has no "
                     "HTTP/2: clients get HTTP/1.1 (%s)",
                     s->source[CG_http_protocols].text, get_http2);
#endif
    if (!cg_settings_are_secure(s) && off) {
        cg_findings_warn(f, "http_protocols includes h2 but there is no TLS "
                            "and http2_cleartext is off, so HTTP/2 will never "
                            "be negotiated.");
    }
}

void
cg_settings_finish(struct cg_settings *s, struct cg_findings *f)
{
    static void (*const advice[])(const struct cg_settings *,
                                  const struct cg_cpus *,
                                  struct cg_findings *) = {
        advise_workers,       advise_threads,     advise_keepalive,
        advise_timeout,       advise_health,      advise_dev,
        advise_backlog,       advise_jitter,      advise_sendfile,
        advise_config,        advise_tls_version, advise_http2,
        advise_control_socket};
    struct cg_cpus cpus;
    cg_cpus_read("", &cpus);
    resolve_dev(s);
    cg_dev_cert_resolve(s);
    resolve_workers(s, &cpus);
    expand_access_format(s);
    for (size_t i = 0; i < CG_COUNT(advice); i++) {
        advice[i](s, &cpus, f);
    }
}
