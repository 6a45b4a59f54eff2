/* SPDX-License-Identifier: MIT */
#include "config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/table.h"
#include "config/yaml.h"
#include "core/base/fd.h"
#include "core/base/memory.h"

static const char default_file[] = "gunicorn.conf.py";

/* ---- options of a command line ---- */

/* Options that append make one list per source, which replaces lower layers. */
static int
apply_appended(struct cg_settings *s, const struct cg_command *c,
               enum cg_setting_id id, enum cg_layer layer, const char *source,
               struct cg_error *err)
{
    struct cg_value list = cg_value_list();
    for (size_t i = 0; i < c->noptions; i++) {
        if (c->options[i].id == id) {
            cg_value_push(&list, cg_value_copy(&c->options[i].value));
        }
    }
    int r = cg_settings_set(s, id, list, layer, source, err);
    if (r < 0) {
        cg_value_release(&list);
    }
    return r;
}

static int
apply_command(struct cg_settings *s, const struct cg_command *c,
              enum cg_layer layer, const char *source, struct cg_error *err)
{
    for (size_t i = 0; i < c->noptions; i++) {
        enum cg_setting_id id = c->options[i].id;
        int r;
        if (cg_rows[id].cli == CLI_APPEND) {
            r = apply_appended(s, c, id, layer, source, err);
        } else {
            struct cg_value v = cg_value_copy(&c->options[i].value);
            r = cg_settings_set(s, id, v, layer, source, err);
            if (r < 0) {
                cg_value_release(&v);
            }
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- GUNICORN_CMD_ARGS: split as a shell would ---- */

struct words {
    char **argv;
    int argc;
};

static void
words_release(struct words *w)
{
    for (int i = 0; i < w->argc; i++) {
        free(w->argv[i]);
    }
    free(w->argv);
}

static void
add_word(struct words *w, char *owned)
{
    w->argv = cg_realloc(w->argv, (size_t)(w->argc + 2) * sizeof *w->argv);
    w->argv[w->argc++] = owned;
    w->argv[w->argc] = NULL;
}

/* One word at *p; quotes and backslashes as in POSIX shells. */
static int
split_word(const char **p, struct cg_buf *word)
{
    char quote = '\0';
    for (; **p != '\0'; ++*p) {
        char c = **p;
        if (quote == '\0' && strchr(" \t\r\n", c) != NULL) {
            return 0;
        }
        if (c == quote) {
            quote = '\0';
        } else if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == '\\' && quote != '\'' &&
                   (quote == '\0' || strchr("\"\\", (*p)[1]) != NULL)) {
            if (*++*p == '\0') {
                return -1;
            }
            cg_buf_putc(word, **p);
        } else {
            cg_buf_putc(word, c);
        }
    }
    return quote != '\0' ? -1 : 0;
}

static int
split_words(const char *text, struct words *w, struct cg_error *err)
{
    add_word(w, cg_strdup("cgunicorn"));
    for (const char *p = text; *p != '\0';) {
        p += strspn(p, " \t\r\n");
        if (*p == '\0') {
            break;
        }
        cg_auto(buf) struct cg_buf word = {0};
        if (split_word(&p, &word) < 0) {
            return cg_error_set(err, EINVAL,
                                "environment GUNICORN_CMD_ARGS: a quote or "
                                "backslash is not closed in: %s",
                                text);
        }
        add_word(w, cg_buf_take(&word));
    }
    return 0;
}

/* ---- the file ---- */

static const char *
option_of(const struct cg_command *c, enum cg_setting_id id)
{
    const char *found = NULL;
    for (size_t i = 0; i < c->noptions; i++) {
        if (c->options[i].id == id &&
            c->options[i].value.kind == CG_VALUE_STR) {
            found = c->options[i].value.s;
        }
    }
    return found != NULL && *found != '\0' ? found : NULL;
}

static bool
ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static int
check_file(const char *path, const char *shown, const char *start_dir,
           struct cg_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0 && errno != ENOENT) {
        return cg_error_set(err, errno,
                            "the configuration file '%s' cannot be read: %s",
                            shown, strerror(errno));
    }
    if (stat(path, &st) < 0) {
        return shown[0] == '/'
                   ? cg_error_set(err, ENOENT,
                                  "the configuration file '%s' doesn't exist: "
                                  "name another one with -c",
                                  shown)
                   : cg_error_set(err, ENOENT,
                                  "the configuration file '%s' doesn't exist "
                                  "(looked for it in %s): name it with -c",
                                  shown, start_dir);
    }
    if (S_ISDIR(st.st_mode)) {
        return cg_error_set(err, EISDIR,
                            "the configuration file '%s' is a directory: name "
                            "the file in it with -c",
                            shown);
    }
    if (access(path, R_OK) < 0) {
        return cg_error_set(err, errno,
                            "the configuration file '%s' cannot be read: %s",
                            shown, strerror(errno));
    }
    return 0;
}

static int
read_file(const struct cg_load *load, const char *name, struct cg_settings *s,
          int *ret_exit, struct cg_error *err)
{
    if (strncmp(name, "python:", 7) == 0) {
        return load->python->read(load->python->self, name + 7, true, s,
                                  ret_exit, err);
    }
    const char *shown = strncmp(name, "file:", 5) == 0 ? name + 5 : name;
    cg_auto(free) char *path = shown[0] == '/'
                                   ? cg_strdup(shown)
                                   : cg_strf("%s/%s", load->start_dir, shown);
    int r = check_file(path, shown, load->start_dir, err);
    if (r < 0) {
        return r;
    }
    if (ends_with(path, ".yaml") || ends_with(path, ".yml")) {
        return cg_yaml_read(path, shown, s, load->warn, load->warn_self, err);
    }
    return load->python->read(load->python->self, path, false, s, ret_exit,
                              err);
}

static int
apply_file(const struct cg_load *load, const struct cg_command *cli,
           const struct cg_command *env, struct cg_settings *s, int *ret_exit,
           struct cg_error *err)
{
    const char *name = option_of(cli, CG_config);
    if (name == NULL) {
        name = option_of(env, CG_config);
    }
    if (name != NULL) {
        return read_file(load, name, s, ret_exit, err);
    }
    cg_auto(free) char *path = cg_strf("%s/%s", load->start_dir, default_file);
    return access(path, F_OK) == 0
               ? read_file(load, default_file, s, ret_exit, err)
               : 0;
}

/* ---- what has no effect is said, once, where it was set ---- */

static bool
same_value(const struct cg_value *a, const struct cg_value *b)
{
    cg_auto(buf) struct cg_buf x = {0};
    cg_auto(buf) struct cg_buf y = {0};
    cg_value_repr(a, &x);
    cg_value_repr(b, &y);
    return strcmp(cg_buf_str(&x), cg_buf_str(&y)) == 0;
}

static void
warn_without_effect(const struct cg_load *load, const struct cg_settings *s)
{
    struct cg_settings *d = NULL;
    struct cg_error ignored = {0};
    if (load->warn == NULL || cg_settings_new(&d, &ignored) < 0) {
        return;
    }
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        if (cg_rows[id].later && s->source[id].layer != CG_LAYER_DEFAULT &&
            !same_value(&s->value[id], &d->value[id])) {
            cg_auto(free) char *text =
                cg_strf("%s: the setting '%s' has no effect yet",
                        s->source[id].text, cg_rows[id].name);
            load->warn(load->warn_self, text);
        }
    }
    cg_settings_free(d);
}

/* ---- all layers ---- */

struct layers {
    struct cg_command cli, env;
    struct words env_words;
};

static void
layers_release(struct layers *l)
{
    cg_command_release(&l->cli);
    cg_command_release(&l->env);
    words_release(&l->env_words);
}

static enum cg_load_result
parse_commands(const struct cg_load *load, struct layers *l,
               struct cg_error *err)
{
    const char *args = getenv("GUNICORN_CMD_ARGS");
    if (cg_command_parse(load->argc, load->argv, &l->cli, err) < 0) {
        return CG_LOAD_USAGE;
    }
    if (args != NULL) {
        if (split_words(args, &l->env_words, err) < 0) {
            return CG_LOAD_ERROR;
        }
        if (cg_command_parse(l->env_words.argc, l->env_words.argv, &l->env,
                             err) < 0) {
            cg_error_prefix(err, "environment GUNICORN_CMD_ARGS");
            return CG_LOAD_USAGE;
        }
    }
    if (l->cli.help || l->env.help) {
        cg_command_help(l->cli.prog, stdout);
        return CG_LOAD_HELP;
    }
    if (l->cli.version || l->env.version) {
        printf("%s (version %s)\n", l->cli.prog, CG_VERSION);
        return CG_LOAD_HELP;
    }
    return CG_LOAD_OK;
}

/* The application's name is a default that a file may replace; the
 * application itself is the command line's. */
static int
apply_app(struct cg_settings *s, const char *app, struct cg_error *err)
{
    int r = 0;
    if (app == NULL) {
        return 0;
    }
    if (s->source[CG_default_proc_name].layer < CG_LAYER_FRAMEWORK) {
        r = cg_settings_set(s, CG_default_proc_name, cg_value_str(app),
                            CG_LAYER_FRAMEWORK, "application", err);
    }
    return r < 0 ? r
                 : cg_settings_set(s, CG_wsgi_app, cg_value_str(app),
                                   CG_LAYER_CLI, "command line", err);
}

/* Only when no layer above says where to listen does a bad PORT matter. */
static int
check_port(const struct cg_settings *s, struct cg_error *err)
{
    const char *port = getenv("PORT");
    if (s->source[CG_bind].layer != CG_LAYER_ENVIRONMENT || port == NULL ||
        (*port != '\0' && strspn(port, "0123456789") == strlen(port))) {
        return 0;
    }
    return cg_error_set(err, EINVAL,
                        "environment PORT: '%s' is not a valid port number: "
                        "set it to one, unset it, or bind with -b",
                        port);
}

static int
apply_layers(const struct cg_load *load, const struct layers *l,
             struct cg_settings *s, int *ret_exit, struct cg_error *err)
{
    int r = apply_file(load, &l->cli, &l->env, s, ret_exit, err);
    if (r == 0) {
        r = apply_command(s, &l->env, CG_LAYER_ENV_ARGS,
                          "environment GUNICORN_CMD_ARGS", err);
    }
    if (r == 0) {
        r = apply_command(s, &l->cli, CG_LAYER_CLI, "command line", err);
    }
    if (r == 0) {
        r = apply_app(s, l->cli.app, err);
    }
    return r == 0 ? check_port(s, err) : r;
}

static enum cg_load_result
load_layers(const struct cg_load *load, const struct layers *l,
            struct cg_settings **ret_settings, int *ret_exit,
            struct cg_error *err)
{
    struct cg_settings *s = NULL;
    if (cg_settings_new(&s, err) < 0) {
        return CG_LOAD_ERROR;
    }
    int r = apply_layers(load, l, s, ret_exit, err);
    if (r < 0) {
        cg_settings_free(s);
        return r == -ECANCELED ? CG_LOAD_EXIT : CG_LOAD_ERROR;
    }
    *ret_settings = s;
    return CG_LOAD_OK;
}

/* A reload happens in the application's directory; files and a relative chdir
 * mean what they meant at the start. Comes back to where it was. */
static enum cg_load_result
load_in_start_dir(const struct cg_load *load, const struct layers *l,
                  struct cg_settings **ret_settings, int *ret_exit,
                  struct cg_error *err)
{
    cg_auto(fd_close) int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0 || chdir(load->start_dir) < 0) {
        cg_error_set(err, errno, "cannot enter the start directory '%s': %s",
                     load->start_dir, strerror(errno));
        return CG_LOAD_ERROR;
    }
    struct cg_settings *s = NULL;
    enum cg_load_result result = load_layers(load, l, &s, ret_exit, err);
    if (fchdir(here) < 0) {
        cg_error_set(err, errno, "cannot go back to the directory: %s",
                     strerror(errno));
        cg_settings_free(s);
        return CG_LOAD_ERROR;
    }
    if (result == CG_LOAD_OK) {
        warn_without_effect(load, s);
        *ret_settings = s;
    }
    return result;
}

enum cg_load_result
cg_config_load(const struct cg_load *load, struct cg_settings **ret_settings,
               int *ret_exit, struct cg_error *err)
{
    struct layers l = {0};
    enum cg_load_result result = parse_commands(load, &l, err);
    if (result == CG_LOAD_OK) {
        result = load_in_start_dir(load, &l, ret_settings, ret_exit, err);
    }
    layers_release(&l);
    return result;
}
