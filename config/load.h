/* SPDX-License-Identifier: MIT */
/*
 * Loading a configuration: defaults < environment < file < GUNICORN_CMD_ARGS <
 * command line (gunicorn-compat 2). The Python file is read through a function
 * that the program plugs in, so that this layer stays free of Python.
 */
#ifndef CG_CONFIG_LOAD_H
#define CG_CONFIG_LOAD_H

#include "config/settings.h"

/* A parsed command line; borrowed strings live as long as argv. */
struct cg_command {
    const char *prog;
    bool help, version;
    const char *app; /* first positional, NULL if none */
    /* options in order: setting and raw text */
    struct cg_option {
        enum cg_setting_id id;
        struct cg_value value;
    } * options;
    size_t noptions;
    /* all positionals, when they were asked for */
    const char **words;
    size_t nwords;
};

/* argparse's behaviour and messages; exit status 2 is the caller's. err's text
 * is what follows "gunicorn: error: ". where: "command line" or the variable.
 */
int cg_command_parse(int argc, char *const *argv, struct cg_command *ret_cmd,
                     struct cg_error *err);
/* The same for a command whose positionals are its own: they may stand
 * anywhere, are kept in words, and none is the application. */
int cg_command_parse_words(int argc, char *const *argv,
                           struct cg_command *ret_cmd, struct cg_error *err);
void cg_command_release(struct cg_command *c);
void cg_command_help(const char *prog, FILE *to);
void cg_command_usage(const char *prog, FILE *to);
/* As gunicorn says it, and for that name its version too. */
void cg_command_version(const char *prog, FILE *to);
/* What it is called: "gunicorn" if the file that was started is, as scripts of
 * others start it; whatever else the file is called, "cgunicorn". */
const char *cg_command_program(int argc, char *const *argv);

/*
 * Reads a Python configuration ("path.py", or a module when is_module) and
 * stores its names through cg_settings_set with the layer FILE. Whatever is
 * wrong or worth a warning goes to f, with file and line. 0 when the file was
 * read through; -ECANCELED when it called sys.exit (*ret_exit has the status).
 */
struct cg_python_reader {
    int (*read)(void *self, const char *path, bool is_module,
                struct cg_settings *s, int *ret_exit, struct cg_findings *f);
    void *self;
};

struct cg_load {
    int argc;
    char *const *argv;
    bool words; /* positionals are a command's own: none is the application */
    /* where relative paths count from; loading happens in it and comes back */
    const char *start_dir;
    const struct cg_python_reader *python;
    /* a program that embeds the server has read command line and files by
     * itself: this takes over what it says, and nothing else counts. NULL:
     * the usual case. Its path is NULL. */
    const struct cg_python_reader *program;
    /* called for each warning and each problem; without newline; may be NULL */
    void (*warn)(void *self, const char *text);
    void (*problem)(void *self, const char *text);
    void *say_self;
};

/* Why loading ended. */
enum cg_load_result {
    CG_LOAD_OK,
    CG_LOAD_HELP,  /* printed on stdout: exit 0 */
    CG_LOAD_USAGE, /* err has argparse's message: print usage, exit 2 */
    CG_LOAD_ERROR, /* err has the first problem, problem() got all: exit 1 */
    CG_LOAD_EXIT   /* the file called sys.exit: *ret_exit */
};

/* Builds a whole generation of settings, checked, with the application's name
 * (`wsgi_app`, default_proc_name) filled in. */
enum cg_load_result cg_config_load(const struct cg_load *load,
                                   struct cg_settings **ret_settings,
                                   int *ret_exit, struct cg_error *err);

#endif
