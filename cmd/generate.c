/* SPDX-License-Identifier: MIT */
#include "cmd/generate.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/near.h"
#include "core/base/addr.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"

enum { EXIT_GOOD = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

static const struct kind {
    const char *word;
    void (*make)(const struct cg_deployment *d, FILE *out);
    bool needs_app, needs_logs;
} kinds[] = {{"systemd", cg_generate_systemd, true, false},
             {"docker", cg_generate_docker, true, false},
             {"kubernetes", cg_generate_kubernetes, true, false},
             {"nginx", cg_generate_nginx, false, false},
             {"haproxy", cg_generate_haproxy, false, false},
             {"logrotate", cg_generate_logrotate, false, true},
             {"supervisor", cg_generate_supervisor, true, false}};

static const struct kind *
find_kind(const char *word)
{
    for (size_t i = 0; i < CG_COUNT(kinds); i++) {
        if (strcmp(kinds[i].word, word) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* ---- what there is to go by ---- */

/* Everything that a deployment's texts lie in. */
struct facts {
    struct cg_deployment d;
    char *program, *directory, *config, *app, *errorlog, *accesslog, *pidfile;
    struct cg_addr addr; /* of the first listener */
    char python[16];
};

static void
release_facts(struct facts *f)
{
    char *const owned[] = {f->program,  f->directory, f->config, f->app,
                           f->errorlog, f->accesslog, f->pidfile};
    for (size_t i = 0; i < CG_COUNT(owned); i++) {
        free(owned[i]);
    }
}

static char *
absolute(const char *path, const char *dir)
{
    if (path == NULL || *path == '\0' || strcmp(path, "-") == 0) {
        return NULL;
    }
    return path[0] == '/' ? cg_strdup(path) : cg_strf("%s/%s", dir, path);
}

/* A word that a shell would find is looked for as it does. */
static char *
find_program(const char *word, const char *dir)
{
    if (strchr(word, '/') != NULL) {
        return absolute(word, dir);
    }
    cg_auto(free) char *path = cg_strdup(getenv("PATH") ? getenv("PATH") : "");
    char *rest = NULL;
    for (char *p = strtok_r(path, ":", &rest); p != NULL;
         p = strtok_r(NULL, ":", &rest)) {
        cg_auto(free) char *full = cg_strf("%s/%s", p, word);
        if (access(full, X_OK) == 0) {
            return cg_strdup(full);
        }
    }
    return cg_strf("/usr/local/bin/%s", word);
}

/* "shop.wsgi:app" is shop: a label of DNS (RFC 1123, 2.1). */
static void
name_it(struct cg_deployment *d, const char *from)
{
    size_t n = 0;
    for (; *from != '\0' && *from != ':' && *from != '.' && n < 50; from++) {
        char c = (char)(*from >= 'A' && *from <= 'Z' ? *from + 32 : *from);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (good || n > 0) {
            d->name[n++] = good ? c : '-';
        }
    }
    while (n > 0 && d->name[n - 1] == '-') {
        n--;
    }
    d->name[n] = '\0';
    if (n == 0) {
        snprintf(d->name, sizeof d->name, "web");
    }
}

static int
take_address(struct facts *f, const struct cg_settings *s)
{
    struct cg_deployment *d = &f->d;
    struct cg_error err = {0};
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    d->port = 8000;
    d->host = "127.0.0.1";
    d->secure = cg_settings_bind_is_secure(s, false);
    if (bind->list.n == 0) {
        return 0;
    }
    /* who is on this machine comes by a socket file, if there is one */
    bool is_file = false;
    for (size_t i = 0; i < bind->list.n && !is_file; i++) {
        struct cg_addr addr;
        if (cg_addr_parse(bind->list.items[i].s, &addr, &err) < 0) {
            fprintf(stderr, "\nError: bind: %s\n", err.text);
            return -1;
        }
        is_file = addr.kind == CG_ADDR_UNIX && addr.path[0] != '@';
        if (i == 0 || is_file) {
            f->addr = addr;
        }
    }
    d->secure = cg_settings_bind_is_secure(s, f->addr.tls);
    if (f->addr.kind == CG_ADDR_UNIX) {
        d->unix_path = f->addr.path;
    } else if (f->addr.kind == CG_ADDR_TCP) {
        d->host = f->addr.host;
        d->port = f->addr.port;
    }
    d->loopback = strncmp(d->host, "127.", 4) == 0 ||
                  strcmp(d->host, "localhost") == 0 ||
                  strcmp(d->host, "::1") == 0;
    return 0;
}

static int
metrics_port(const struct cg_settings *s)
{
    struct cg_addr addr;
    const char *bind = cg_settings_str(s, CG_metrics_bind);
    return bind != NULL && cg_addr_parse(bind, &addr, NULL) == 0 &&
                   addr.kind == CG_ADDR_TCP
               ? addr.port
               : 0;
}

static const char *
path_or_null(const struct cg_settings *s, enum cg_setting_id id)
{
    const char *path = cg_settings_str(s, id);
    return path != NULL && *path == '/' ? path : NULL;
}

static void
take_times(struct cg_deployment *d, const struct cg_settings *s)
{
    d->timeout = (int)cg_settings_int(s, CG_timeout);
    d->graceful = (int)cg_settings_int(s, CG_graceful_timeout);
    d->delay = (int)cg_settings_int(s, CG_shutdown_delay);
    d->keepalive = (int)cg_settings_int(s, CG_keepalive);
    d->workers = (int)cg_settings_int(s, CG_workers);
    d->max_body = (long long)cg_settings_int(s, CG_max_request_body);
    d->request_timeout = (int)cg_settings_int(s, CG_request_timeout);
    d->bounded = strcmp(cg_settings_worker_class(s), "sync") == 0;
    d->daemon = cg_settings_bool(s, CG_daemon);
    d->drops_user = cg_settings_int(s, CG_user) != (int64_t)geteuid();
}

static int
take_facts(struct facts *f, const struct cg_load *base,
           const struct cg_settings *s, const char *app)
{
    struct cg_deployment *d = &f->d;
    const char *dir = cg_settings_str(s, CG_chdir);
    const char *config = cg_settings_str(s, CG_config);
    const char *name = cg_settings_str(s, CG_proc_name);
    app = app != NULL ? app : cg_settings_str(s, CG_wsgi_app);
    f->directory = cg_strdup(dir != NULL ? dir : base->start_dir);
    f->program = find_program(base->argv[0], base->start_dir);
    f->config = absolute(config, base->start_dir);
    if (f->config != NULL && access(f->config, F_OK) != 0) {
        free(f->config); /* the default's name, and there is none */
        f->config = NULL;
    }
    f->app = app != NULL ? cg_strdup(app) : NULL;
    f->errorlog = absolute(cg_settings_str(s, CG_errorlog), f->directory);
    f->accesslog = absolute(cg_settings_str(s, CG_accesslog), f->directory);
    f->pidfile = absolute(cg_settings_str(s, CG_pidfile), f->directory);
    snprintf(f->python, sizeof f->python, "%s", cg_python_version());
    char *dot = strchr(f->python, '.');
    if (dot != NULL && strchr(dot + 1, '.') != NULL) {
        *strchr(dot + 1, '.') = '\0';
    }
    name_it(d, name != NULL ? name : app != NULL ? app : "web");
    take_times(d, s);
    d->program = f->program;
    d->directory = f->directory;
    d->config = f->config;
    d->app = f->app;
    d->errorlog = f->errorlog;
    d->accesslog = f->accesslog;
    d->pidfile = f->pidfile;
    d->python = f->python;
    d->environment = cg_python_to_name();
    d->control = cg_settings_bool(s, CG_control);
    d->proc_name = name;
    d->live = path_or_null(s, CG_health_path);
    d->ready = path_or_null(s, CG_ready_path);
    d->metrics_port = metrics_port(s);
    return take_address(f, s);
}

void
cg_generate_words(const struct cg_deployment *d,
                  void (*put)(FILE *out, const char *word), FILE *out)
{
    if (d->environment != NULL) {
        put(out, "--python");
        put(out, d->environment);
    }
    if (d->config != NULL) {
        put(out, "-c");
        put(out, d->config);
    }
    if (d->app != NULL) {
        put(out, d->app);
    }
}

/* ---- the command ---- */

/* The words of the line behind `generate`, of which the first is a kind. */
static bool
take_words(int argc, char *const *argv, struct cg_command *ret)
{
    struct cg_error ignored = {0};
    if (cg_command_parse_words(argc, argv, ret, &ignored) < 0) {
        return false;
    }
    if (ret->nwords > 1 && strcmp(ret->words[0], "generate") == 0 &&
        find_kind(ret->words[1]) != NULL) {
        return true;
    }
    cg_command_release(ret);
    return false;
}

bool
cg_generate_is(int argc, char *const *argv)
{
    struct cg_command c = {0};
    bool is = take_words(argc, argv, &c);
    if (is) {
        cg_command_release(&c);
        return true;
    }
    /* with an option that is none, whose message is the command's then */
    return argc >= 3 && strcmp(argv[1], "generate") == 0 &&
           find_kind(argv[2]) != NULL;
}

static int
usage(const char *text)
{
    fprintf(stderr, "usage: cgunicorn generate ");
    for (size_t i = 0; i < CG_COUNT(kinds); i++) {
        fprintf(stderr, "%s%s", i > 0 ? "|" : "", kinds[i].word);
    }
    fprintf(stderr, " [OPTIONS] [APP]\ncgunicorn: error: %s\n", text);
    return EXIT_USAGE;
}

bool
cg_generate_is_none(int argc, char *const *argv)
{
    return argc >= 2 && strcmp(argv[1], "generate") == 0 &&
           !cg_generate_is(argc, argv);
}

int
cg_generate_say_none(int argc, char *const *argv)
{
    const char *word = argc > 2 ? argv[2] : "", *near = NULL;
    size_t least = 4;
    for (size_t i = 0; i < CG_COUNT(kinds); i++) {
        size_t d = cg_word_distance(word, kinds[i].word);
        if (d < least) {
            least = d;
            near = kinds[i].word;
        }
    }
    cg_auto(free) char *text =
        cg_strf("generate has no kind '%s'%s%s%s (and there is no module "
                "'generate' to serve)",
                word, near != NULL ? "; did you mean '" : "",
                near != NULL ? near : "", near != NULL ? "'?" : "");
    return usage(text);
}

static int
load(const struct cg_load *base, struct cg_settings **ret)
{
    struct cg_load load = *base;
    struct cg_error err = {0};
    int status = 0;
    load.words = true;
    switch (cg_config_load(&load, ret, &status, &err)) {
    case CG_LOAD_OK: return -1;
    case CG_LOAD_HELP: return EXIT_GOOD;
    case CG_LOAD_USAGE: return usage(err.text);
    case CG_LOAD_ERROR: return EXIT_ERROR;
    case CG_LOAD_EXIT: return status;
    }
    return EXIT_ERROR;
}

static int
make(const struct kind *k, const struct cg_deployment *d)
{
    if (k->needs_app && d->app == NULL) {
        fprintf(stderr,
                "\nError: %s needs the application: name it as the last word "
                "(cgunicorn generate %s shop:app), or with wsgi_app in the "
                "configuration\n",
                k->word, k->word);
        return EXIT_ERROR;
    }
    if (k->needs_logs && d->errorlog == NULL && d->accesslog == NULL) {
        fprintf(stderr, "\nError: there is nothing to rotate: errorlog and "
                        "accesslog name no file in this configuration\n");
        return EXIT_ERROR;
    }
    k->make(d, stdout);
    return EXIT_GOOD;
}

int
cg_generate_run(const struct cg_load *base)
{
    struct cg_command c = {0};
    struct cg_error err = {0};
    struct cg_settings *s = NULL;
    if (cg_command_parse_words(base->argc, base->argv, &c, &err) < 0) {
        return usage(err.text);
    }
    int status = c.nwords > 3 ? usage("name one application") : load(base, &s);
    if (status < 0) {
        struct facts f = {0};
        status = take_facts(&f, base, s, c.nwords > 2 ? c.words[2] : NULL) < 0
                     ? EXIT_ERROR
                     : make(find_kind(c.words[1]), &f.d);
        release_facts(&f);
    }
    cg_settings_free(s);
    cg_command_release(&c);
    return status;
}
