/* SPDX-License-Identifier: MIT */
#include "cmd/config_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/inspect.h"
#include "config/near.h"
#include "core/base/memory.h"
#include "core/py/config/config_file.h"

enum { EXIT_GOOD = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

struct command {
    const char *name, *usage;
    int (*run)(const struct cg_load *base, const struct cg_command *c);
};

static int
usage_error(const char *usage, const char *text)
{
    fprintf(stderr, "usage: cgunicorn config %s\ncgunicorn: error: %s\n", usage,
            text);
    return EXIT_USAGE;
}

/* Loads as base says, with another command line. -1, or an exit status. */
static int
load_with(const struct cg_load *base, int argc, char *const *argv,
          struct cg_settings **ret)
{
    const char *prog = cg_command_program(base->argc, base->argv);
    struct cg_load load = *base;
    struct cg_error err = {0};
    int status = 0;
    load.argc = argc;
    load.argv = argv;
    load.words = true;
    switch (cg_config_load(&load, ret, &status, &err)) {
    case CG_LOAD_OK: return -1;
    case CG_LOAD_HELP: return EXIT_GOOD;
    case CG_LOAD_USAGE:
        cg_command_usage(prog, stderr);
        fprintf(stderr, "%s: error: %s\n", prog, err.text);
        return EXIT_USAGE;
    case CG_LOAD_ERROR: return EXIT_ERROR;
    case CG_LOAD_EXIT: return status;
    }
    return EXIT_ERROR;
}

/* ---- explain ---- */

static int
no_such_setting(const char *name)
{
    const char *near = cg_setting_nearest(name);
    fprintf(stderr, "\nError: '%s' is no setting%s%s%s\n", name,
            near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
            near != NULL ? "'?" : "");
    return EXIT_ERROR;
}

static int
check_names(const struct cg_command *c)
{
    int status = -1;
    for (size_t i = 0; i < c->nwords; i++) {
        if (cg_setting_find(c->words[i]) < 0) {
            status = no_such_setting(c->words[i]);
        }
    }
    return status;
}

static int
explain(const struct cg_load *base, const struct cg_command *c)
{
    struct cg_settings *s = NULL;
    int status = check_names(c);
    status = status >= 0 ? status : load_with(base, base->argc, base->argv, &s);
    if (status >= 0) {
        return status;
    }
    for (size_t i = 0; i < c->nwords; i++) {
        fputs(i > 0 ? "\n" : "", stdout);
        cg_config_explain(s, (enum cg_setting_id)cg_setting_find(c->words[i]),
                          stdout);
    }
    for (int id = 0; c->nwords == 0 && id < CG_SETTING_COUNT; id++) {
        fputs(id > 0 ? "\n" : "", stdout);
        cg_config_explain(s, (enum cg_setting_id)id, stdout);
    }
    cg_settings_free(s);
    return EXIT_GOOD;
}

/* ---- diff ---- */

static int
load_file(const struct cg_load *base, const char *path,
          struct cg_settings **ret)
{
    char *argv[] = {base->argv[0], (char *)(size_t) "-c", (char *)(size_t)path,
                    NULL};
    return load_with(base, 3, argv, ret);
}

static int
diff(const struct cg_load *base, const struct cg_command *c)
{
    struct cg_settings *a = NULL, *b = NULL;
    if (c->nwords != 2 || c->noptions > 0) {
        return usage_error("diff FILE FILE", "name two configuration files");
    }
    int status = load_file(base, c->words[0], &a);
    status = status >= 0 ? status : load_file(base, c->words[1], &b);
    if (status < 0) {
        status = cg_config_diff(a, b, stdout) > 0 ? EXIT_ERROR : EXIT_GOOD;
    }
    cg_settings_free(a);
    cg_settings_free(b);
    return status;
}

/* ---- convert ---- */

/* A file that cannot be loaded is not converted. */
static int
check_file(const struct cg_load *base, const char *path)
{
    struct cg_settings *s = NULL;
    int status = load_file(base, path, &s);
    cg_settings_free(s);
    return status;
}

static int
say_findings(const struct cg_load *base, const struct cg_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        (f->items[i].is_problem ? base->problem : base->warn)(base->say_self,
                                                              f->items[i].text);
    }
    return f->problems > 0 ? EXIT_ERROR : EXIT_GOOD;
}

static bool
shows_secrets(const struct cg_command *c)
{
    for (size_t i = 0; i < c->noptions; i++) {
        if (c->options[i].id == CG_show_secrets) {
            return true;
        }
    }
    return false;
}

static int
convert(const struct cg_load *base, const struct cg_command *c)
{
    if (c->nwords != 1 || c->noptions > shows_secrets(c)) {
        return usage_error("convert FILE [--show-secrets]",
                           "name one configuration file");
    }
    const char *path = c->words[0];
    bool yaml = cg_ends_with(path, ".yaml") || cg_ends_with(path, ".yml");
    cg_auto(buf) struct cg_buf out = {0};
    cg_auto(findings) struct cg_findings f = {0};
    int status = yaml || strncmp(path, "python:", 7) == 0
                     ? check_file(base, path)
                     : -1,
        exit_status = 0;
    if (status >= 0) {
        return status;
    }
    cg_auto(free) char *full = path[0] == '/'
                                   ? cg_strdup(path)
                                   : cg_strf("%s/%s", base->start_dir, path);
    bool show = shows_secrets(c);
    int r = yaml ? cg_config_yaml_to_python(full, path, show, &out, &f)
                 : cg_python_to_yaml(full, show, &out, &exit_status, &f);
    if (r == -ECANCELED) {
        return exit_status;
    }
    fputs(cg_buf_str(&out), stdout);
    return say_findings(base, &f);
}

/* ---- which ---- */

static const struct command commands[] = {
    {"explain", "explain [NAME...] [OPTIONS]", explain},
    {"diff", "diff FILE FILE", diff},
    {"convert", "convert FILE [--show-secrets]", convert}};

static const struct command *
find(const char *word)
{
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        if (strcmp(word, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* The words of a line whose first one is `config`, wherever its options stand.
 * What comes after "--" is an application. */
static bool
take_words(int argc, char *const *argv, struct cg_command *ret)
{
    struct cg_error ignored = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return false;
        }
    }
    if (cg_command_parse_words(argc, argv, ret, &ignored) < 0) {
        return false;
    }
    if (ret->nwords > 0 && strcmp(ret->words[0], "config") == 0) {
        return true;
    }
    cg_command_release(ret);
    return false;
}

bool
cg_config_command_is(int argc, char *const *argv)
{
    struct cg_command c = {0};
    if (!take_words(argc, argv, &c)) {
        /* with an option that is none, whose message is the command's then */
        return argc >= 3 && strcmp(argv[1], "config") == 0 &&
               find(argv[2]) != NULL;
    }
    bool is = c.nwords > 1 && find(c.words[1]) != NULL;
    cg_command_release(&c);
    return is;
}

static const char *
nearest(const char *word)
{
    const char *best = NULL;
    size_t least = 4;
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        size_t d = cg_word_distance(word, commands[i].name);
        if (d < least) {
            least = d;
            best = commands[i].name;
        }
    }
    return best;
}

bool
cg_config_command_is_none(int argc, char *const *argv, struct cg_error *err)
{
    struct cg_command c = {0};
    if (!take_words(argc, argv, &c)) {
        return false;
    }
    const char *word = c.nwords > 1 ? c.words[1] : NULL;
    const char *near = word != NULL ? nearest(word) : NULL;
    if (word == NULL) {
        cg_error_set(err, EINVAL,
                     "config needs a word: explain, diff, convert");
    } else {
        cg_error_set(err, EINVAL,
                     "config has no command '%s'%s%s%s (there are explain, "
                     "diff, convert; and no module 'config' to serve)",
                     word, near != NULL ? "; did you mean '" : "",
                     near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    bool is_none = word == NULL || find(word) == NULL;
    cg_command_release(&c);
    return is_none;
}

int
cg_config_command_run(const struct cg_load *base)
{
    struct cg_command c = {0};
    struct cg_error err = {0};
    if (cg_command_parse_words(base->argc, base->argv, &c, &err) < 0) {
        return usage_error(find(base->argv[2])->usage, err.text);
    }
    /* its own words are those behind `config explain` */
    struct cg_command own = c;
    own.words += 2;
    own.nwords -= 2;
    int status = find(c.words[1])->run(base, &own);
    cg_command_release(&c);
    return status;
}
