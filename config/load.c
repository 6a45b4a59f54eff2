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
static struct cg_value
appended(const struct cg_command *c, enum cg_setting_id id)
{
    struct cg_value list = cg_value_list();
    for (size_t i = 0; i < c->noptions; i++) {
        if (c->options[i].id == id) {
            cg_value_push(&list, cg_value_copy(&c->options[i].value));
        }
    }
    return list;
}

/* Of repeated options the last one counts, and is the only one looked at. */
static bool
is_last(const struct cg_command *c, size_t at)
{
    for (size_t i = at + 1; i < c->noptions; i++) {
        if (c->options[i].id == c->options[at].id) {
            return false;
        }
    }
    return true;
}

static void
apply_command(struct cg_settings *s, const struct cg_command *c,
              enum cg_layer layer, const char *source, struct cg_findings *f)
{
    for (size_t i = 0; i < c->noptions; i++) {
        enum cg_setting_id id = c->options[i].id;
        struct cg_error err = {0};
        if (!is_last(c, i)) {
            continue;
        }
        struct cg_value v = cg_rows[id].cli == CLI_APPEND
                                ? appended(c, id)
                                : cg_value_copy(&c->options[i].value);
        if (cg_settings_set(s, id, v, layer, source, &err) < 0) {
            cg_value_release(&v);
            cg_findings_problem(f, err.text);
        }
    }
}

/* ---- GUNICORN_CMD_ARGS ---- */

/* A command line made of the variable; argv borrows from words. */
struct line {
    struct cg_value words;
    char **argv;
    int argc;
};

static void
line_release(struct line *l)
{
    cg_value_release(&l->words);
    free(l->argv);
}

static int
line_split(struct line *l, const char *text, struct cg_error *err)
{
    static char prog[] = "cgunicorn";
    if (cg_split_words(text, &l->words) < 0) {
        return cg_error_set(err, EINVAL,
                            "environment GUNICORN_CMD_ARGS: a quote or "
                            "backslash is not closed in: %s",
                            text);
    }
    l->argc = (int)l->words.list.n + 1;
    l->argv = cg_calloc((size_t)l->argc + 1, sizeof *l->argv);
    l->argv[0] = prog;
    for (size_t i = 0; i < l->words.list.n; i++) {
        l->argv[i + 1] = l->words.list.items[i].s;
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

/* What is wrong is told in f; -ECANCELED when the file called sys.exit. */
static int
read_file(const struct cg_load *load, const char *name, struct cg_settings *s,
          int *ret_exit, struct cg_findings *f)
{
    const struct cg_python_reader *python = load->python;
    if (strncmp(name, "python:", 7) == 0) {
        return python->read(python->self, name + 7, true, s, ret_exit, f);
    }
    struct cg_error err = {0};
    const char *shown = strncmp(name, "file:", 5) == 0 ? name + 5 : name;
    cg_auto(free) char *path = shown[0] == '/'
                                   ? cg_strdup(shown)
                                   : cg_strf("%s/%s", load->start_dir, shown);
    if (check_file(path, shown, load->start_dir, &err) < 0) {
        cg_findings_problem(f, err.text);
        return err.code;
    }
    if (cg_ends_with(path, ".yaml") || cg_ends_with(path, ".yml")) {
        return cg_yaml_read(path, shown, s, f);
    }
    return python->read(python->self, path, false, s, ret_exit, f);
}

static int
apply_file(const struct cg_load *load, const struct cg_command *cli,
           const struct cg_command *env, struct cg_settings *s, int *ret_exit,
           struct cg_findings *f)
{
    const char *name = option_of(cli, CG_config);
    if (name == NULL) {
        name = option_of(env, CG_config);
    }
    if (name == NULL && s->source[CG_config].layer == CG_LAYER_ENVIRONMENT) {
        name = cg_settings_str(s, CG_config);
    }
    if (name != NULL) {
        return read_file(load, name, s, ret_exit, f);
    }
    cg_auto(free) char *path = cg_strf("%s/%s", load->start_dir, default_file);
    return access(path, F_OK) == 0
               ? read_file(load, default_file, s, ret_exit, f)
               : 0;
}

/* ---- all layers ---- */

struct layers {
    struct cg_command cli, env;
    struct line env_line;
};

static void
layers_release(struct layers *l)
{
    cg_command_release(&l->cli);
    cg_command_release(&l->env);
    line_release(&l->env_line);
}

/* What is wrong before or around the layers. */
static enum cg_load_result
fail(const struct cg_load *load, const struct cg_error *err)
{
    if (load->problem != NULL) {
        load->problem(load->say_self, err->text);
    }
    return CG_LOAD_ERROR;
}

static enum cg_load_result
parse_commands(const struct cg_load *load, struct layers *l,
               struct cg_error *err)
{
    const char *args = getenv("GUNICORN_CMD_ARGS");
    int (*parse)(int, char *const *, struct cg_command *, struct cg_error *) =
        load->words ? cg_command_parse_words : cg_command_parse;
    if (parse(load->argc, load->argv, &l->cli, err) < 0) {
        return CG_LOAD_USAGE;
    }
    if (args != NULL) {
        if (line_split(&l->env_line, args, err) < 0) {
            return fail(load, err);
        }
        if (cg_command_parse(l->env_line.argc, l->env_line.argv, &l->env, err) <
            0) {
            cg_error_prefix(err, "environment GUNICORN_CMD_ARGS");
            return CG_LOAD_USAGE;
        }
    }
    if (l->cli.help || l->env.help) {
        cg_command_help(l->cli.prog, stdout);
        return CG_LOAD_HELP;
    }
    if (l->cli.version || l->env.version) {
        cg_command_version(l->cli.prog, stdout);
        return CG_LOAD_HELP;
    }
    return CG_LOAD_OK;
}

/* The application's name is a default that a file may replace; the
 * application itself is the command line's. */
static void
apply_app(struct cg_settings *s, const char *app)
{
    struct cg_error ignored = {0}; /* any string is good */
    if (app == NULL) {
        return;
    }
    if (s->source[CG_default_proc_name].layer < CG_LAYER_FRAMEWORK) {
        cg_settings_set(s, CG_default_proc_name, cg_value_str(app),
                        CG_LAYER_FRAMEWORK, "application", &ignored);
    }
    cg_settings_set(s, CG_wsgi_app, cg_value_str(app), CG_LAYER_CLI,
                    "command line", &ignored);
}

/* ---- PasteDeploy ---- */

/* An application that a package or a file of PasteDeploy's names, where a
 * module and an object stand else. */
static bool
is_paste_uri(const char *spec)
{
    static const char *const schemes[] = {"config:", "egg:", "paste:"};
    for (size_t i = 0; spec != NULL && i < CG_COUNT(schemes); i++) {
        if (strncmp(spec, schemes[i], strlen(schemes[i])) == 0) {
            return strpbrk(spec + strlen(schemes[i]), "./#") != NULL;
        }
    }
    return false;
}

static bool
has_loggers(const char *path)
{
    static const char section[] = "[loggers]";
    char line[256];
    bool found = false;
    FILE *f = fopen(path, "re");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        found = strncmp(line, section, sizeof section - 1) == 0;
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

static void
put_default(struct cg_settings *s, enum cg_setting_id id, const char *value)
{
    struct cg_error ignored = {0}; /* any string is good */
    if (s->source[id].layer < CG_LAYER_FRAMEWORK) {
        cg_settings_set(s, id, cg_value_str(value), CG_LAYER_FRAMEWORK,
                        "the file of paste", &ignored);
    }
}

/* The application is named by the whole path, its section behind it. */
static void
take_file(const struct cg_load *load, struct cg_settings *s, const char *name,
          struct cg_findings *f)
{
    size_t n = strcspn(name, "#");
    struct cg_error ignored = {0};
    cg_auto(free) char *path =
        name[0] == '/' ? cg_strf("%.*s", (int)n, name)
                       : cg_strf("%s/%.*s", load->start_dir, (int)n, name);
    if (access(path, R_OK) < 0) {
        cg_auto(free) char *text =
            cg_strf("paste: '%s' %s: name the file with --paste FILE[#SECTION]",
                    path, errno == ENOENT ? "not found" : "cannot be read");
        cg_findings_problem(f, text);
        return;
    }
    cg_auto(free) char *uri = cg_strf("config:%s%s", path, name + n);
    cg_settings_set(s, CG_wsgi_app, cg_value_str(uri), CG_LAYER_CLI, "paste",
                    &ignored);
    put_default(s, CG_default_proc_name, path);
    if (has_loggers(path)) {
        put_default(s, CG_logconfig, path);
    }
}

static void
apply_paste(const struct cg_load *load, struct cg_settings *s,
            struct cg_findings *f)
{
    static const char scheme[] = "paste:";
    const char *paste = cg_settings_str(s, CG_paste);
    const char *app = cg_settings_str(s, CG_wsgi_app);
    if (paste != NULL && strncmp(paste, "egg:", 4) != 0) {
        take_file(load, s, paste, f);
    } else if (paste != NULL) {
        struct cg_error ignored = {0};
        cg_settings_set(s, CG_wsgi_app, cg_value_str(paste), CG_LAYER_CLI,
                        "paste", &ignored);
    } else if (is_paste_uri(app) &&
               strncmp(app, scheme, sizeof scheme - 1) == 0) {
        cg_auto(free) char *name = cg_strdup(app + sizeof scheme - 1);
        take_file(load, s, name, f);
    }
}

/* Only when no layer above says where to listen does a bad PORT matter. */
static void
check_port(const struct cg_settings *s, struct cg_findings *f)
{
    const char *port = getenv("PORT");
    if (strcmp(s->source[CG_bind].text, "environment PORT") != 0 ||
        (*port != '\0' && strspn(port, "0123456789") == strlen(port))) {
        return;
    }
    cg_auto(free) char *text =
        cg_strf("environment PORT: '%s' is not a valid port number: set it to "
                "one, unset it, or bind with -b",
                port);
    cg_findings_problem(f, text);
}

/* Goes on after a problem, so that all of them are told. -ECANCELED: the file
 * called sys.exit. */
static int
apply_layers(const struct cg_load *load, const struct layers *l,
             struct cg_settings *s, int *ret_exit, struct cg_findings *f)
{
    cg_settings_apply_environment(s, f);
    int r = load->program != NULL
                ? load->program->read(load->program->self, NULL, false, s,
                                      ret_exit, f)
                : apply_file(load, &l->cli, &l->env, s, ret_exit, f);
    if (r == -ECANCELED) {
        return r;
    }
    apply_command(s, &l->env, CG_LAYER_ENV_ARGS,
                  "environment GUNICORN_CMD_ARGS", f);
    apply_command(s, &l->cli, CG_LAYER_CLI, "command line", f);
    apply_app(s, l->cli.app);
    if (load->program == NULL) {
        apply_paste(load, s, f);
    }
    check_port(s, f);
    if (f->problems == 0) {
        cg_settings_finish(s, f);
    }
    return 0;
}

/* Warnings first, then problems, each kind in the order of finding; err gets
 * the first problem and how many more there are. */
static void
tell(const struct cg_load *load, const struct cg_findings *f,
     struct cg_error *err)
{
    for (int problems = 0; problems <= 1; problems++) {
        void (*say)(void *self, const char *text) =
            problems ? load->problem : load->warn;
        for (size_t i = 0; say != NULL && i < f->n; i++) {
            if (f->items[i].is_problem == problems) {
                say(load->say_self, f->items[i].text);
            }
        }
    }
    if (f->problems == 1) {
        cg_error_set(err, EINVAL, "%s", cg_findings_first_problem(f));
    } else if (f->problems > 1) {
        cg_error_set(err, EINVAL, "%s (and %zu more: --check-config lists all)",
                     cg_findings_first_problem(f), f->problems - 1);
    }
}

static enum cg_load_result
load_layers(const struct cg_load *load, const struct layers *l,
            struct cg_settings **ret_settings, int *ret_exit,
            struct cg_error *err)
{
    struct cg_settings *s = NULL;
    cg_auto(findings) struct cg_findings f = {0};
    if (cg_settings_new(&s, err) < 0) {
        return fail(load, err);
    }
    int r = apply_layers(load, l, s, ret_exit, &f);
    if (cg_settings_bool(s, CG_strict)) {
        cg_findings_make_strict(&f);
    }
    tell(load, &f, err);
    if (r == -ECANCELED || f.problems > 0) {
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
        return fail(load, err);
    }
    struct cg_settings *s = NULL;
    enum cg_load_result result = load_layers(load, l, &s, ret_exit, err);
    if (fchdir(here) < 0) {
        cg_error_set(err, errno, "cannot go back to the directory: %s",
                     strerror(errno));
        cg_settings_free(s);
        return fail(load, err);
    }
    if (result == CG_LOAD_OK) {
        *ret_settings = s;
    }
    return result;
}

enum cg_load_result
cg_config_load(const struct cg_load *load, struct cg_settings **ret_settings,
               int *ret_exit, struct cg_error *err)
{
    struct layers l = {0};
    enum cg_load_result result =
        load->program != NULL ? CG_LOAD_OK : parse_commands(load, &l, err);
    if (result == CG_LOAD_OK) {
        result = load_in_start_dir(load, &l, ret_settings, ret_exit, err);
    }
    layers_release(&l);
    return result;
}
