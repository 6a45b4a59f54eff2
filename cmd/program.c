/* SPDX-License-Identifier: MIT */
/*
 * The program, whoever started it: looks at the command line, has Python
 * made ready, loads the configuration, and hands over to the arbiter.
 */
#include "cmd/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/check_command.h"
#include "cmd/config_command.h"
#include "cmd/control_command.h"
#include "cmd/generate.h"
#include "cmd/log_check.h"
#include "cmd/running.h"
#include "cmd/surroundings.h"
#include "config/load.h"
#include "core/arbiter/arbiter.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/app.h"
#include "core/py/runtime/interp.h"
#include "core/worker/security.h"
#include "core/worker/worker.h"

enum { EXIT_GOOD = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

struct program {
    const struct cg_front *front;
    int argc;
    char **argv; /* our own copy: titles overwrite the original */
    char *start_dir;
    struct cg_python_reader reader;
    struct cg_python_reader embedding; /* of a program that embeds us */
    struct cg_load load;
    struct cg_running running; /* `config diff --running` */
    bool checks; /* `cgunicorn check`: what is found is gathered */
    struct cg_check check;
};

static void
warn(void *self, const char *text)
{
    struct program *p = self;
    if (p->checks) {
        cg_findings_warn(&p->check.found, "%s", text);
    } else {
        fprintf(stderr, "Warning: %s\n", text);
    }
}

static void
problem(void *self, const char *text)
{
    struct program *p = self;
    if (p->checks) {
        cg_findings_problem(&p->check.found, text);
    } else {
        fprintf(stderr, "\nError: %s\n", text);
    }
}

static int
say_error(const struct cg_error *err)
{
    fprintf(stderr, "\nError: %s\n", err->text);
    return EXIT_ERROR;
}

static void
init_program(struct program *p, const struct cg_front *front, int argc,
             char *const *argv)
{
    p->front = front;
    p->argc = argc;
    p->argv = cg_calloc((size_t)argc + 1, sizeof *p->argv);
    for (int i = 0; i < argc; i++) {
        p->argv[i] = cg_strdup(argv[i]);
    }
    p->start_dir = getcwd(NULL, 0);
    if (p->start_dir == NULL) {
        p->start_dir = cg_strdup("/");
    }
}

static void
release_program(struct program *p)
{
    cg_check_release(&p->check);
    cg_running_release(&p->running);
    for (int i = 0; i < p->argc; i++) {
        free(p->argv[i]);
    }
    free(p->argv);
    free(p->start_dir);
}

/* ---- before Python ---- */

/* Options of a command that is misspelt are none of ours. */
static void
suggest_command(const struct program *p)
{
    const char *near = cg_control_command_near(p->argc, p->argv);
    if (near == NULL) {
        return;
    }
    cg_auto(free) char *file = cg_strf("%s.py", p->argv[1]);
    if (access(file, F_OK) != 0 && access(p->argv[1], F_OK) != 0) {
        fprintf(stderr,
                "There is no '%s' to serve; did you mean the command "
                "'%s'?\n",
                p->argv[1], near);
    }
}

/* -h, -v and --python are answered from a first look at the command line; its
 * errors too, so that they cost no interpreter. -1: go on. */
static int
first_look(struct program *p, char **ret_python)
{
    struct cg_command cmd = {0};
    struct cg_error err = {0};
    bool words = cg_config_command_is(p->argc, p->argv) ||
                 cg_generate_is(p->argc, p->argv);
    int (*parse)(int, char *const *, struct cg_command *, struct cg_error *) =
        words ? cg_command_parse_words : cg_command_parse;
    if (parse(p->argc, p->argv, &cmd, &err) < 0) {
        const char *prog = cg_command_program(p->argc, p->argv);
        cg_command_usage(prog, stderr);
        fprintf(stderr, "%s: error: %s\n", prog, err.text);
        suggest_command(p);
        return EXIT_USAGE;
    }
    int status = -1;
    if (cmd.help) {
        cg_command_help(cmd.prog, stdout);
        status = EXIT_GOOD;
    } else if (cmd.version) {
        cg_command_version(cmd.prog, stdout);
        printf("Python %s, %s\n", cg_python_version(), p->front->python);
        status = EXIT_GOOD;
    }
    fflush(stdout); /* a program of Python's may go on, with its own buffer */
    for (size_t i = 0; i < cmd.noptions; i++) {
        if (cmd.options[i].id == CG_python) {
            free(*ret_python);
            *ret_python = cg_strdup(cmd.options[i].value.s);
        }
    }
    cg_command_release(&cmd);
    return status;
}

static int
start_python(struct program *p, const char *option)
{
    struct cg_error err = {0};
    if (p->front->start(option, p->argc, p->argv, &err) < 0) {
        fprintf(stderr, "%s: error: %s\n", cg_command_program(p->argc, p->argv),
                err.text);
        return EXIT_ERROR;
    }
    return -1;
}

/* ---- the configuration ---- */

static int
init_load(struct program *p)
{
    struct cg_error err = {0};
    p->reader = cg_python_config_reader();
    p->load = (struct cg_load){.argc = p->argc,
                               .argv = p->argv,
                               .start_dir = p->start_dir,
                               .python = &p->reader,
                               .warn = warn,
                               .problem = problem,
                               .say_self = p};
    return cg_python_set_path(p->start_dir, NULL, &err) < 0 ? say_error(&err)
                                                            : -1;
}

static int
load(struct program *p, struct cg_settings **ret)
{
    const char *prog = cg_command_program(p->argc, p->argv);
    struct cg_error err = {0};
    int status = 0;
    switch (cg_config_load(&p->load, ret, &status, &err)) {
    case CG_LOAD_OK: return -1;
    case CG_LOAD_HELP: return EXIT_GOOD;
    case CG_LOAD_USAGE:
        cg_command_usage(prog, stderr);
        fprintf(stderr, "%s: error: %s\n", prog, err.text);
        return EXIT_USAGE;
    case CG_LOAD_ERROR: return EXIT_ERROR; /* problem() told */
    case CG_LOAD_EXIT: return status;
    }
    return EXIT_ERROR;
}

/* The application's folder, as gunicorn has it: cwd, and first on sys.path. */
static int
enter_folder(const struct cg_settings *s)
{
    struct cg_error err = {0};
    const char *dir = cg_settings_str(s, CG_chdir);
    if (dir != NULL && chdir(dir) < 0) {
        fprintf(stderr, "\nError: can't chdir to '%s'\n", dir);
        return EXIT_ERROR;
    }
    if (cg_python_set_path(dir, NULL, &err) < 0 ||
        cg_python_setenv("SERVER_SOFTWARE", cg_py_server_software(), &err) <
            0) {
        return say_error(&err);
    }
    return -1;
}

static int
check_app_is_named(const struct cg_settings *s)
{
    if (cg_settings_str(s, CG_wsgi_app) != NULL) {
        return -1;
    }
    fprintf(stderr, "\nError: No application module specified: name it as the "
                    "last word, e.g. `cgunicorn app.wsgi` or `cgunicorn "
                    "shop:app`, or with `wsgi_app` in the configuration\n");
    return EXIT_ERROR;
}

/* ---- --check-config ---- */

static int
check_app(const struct cg_settings *s)
{
    struct cg_error err = {0};
    struct cg_app *app = NULL;
    cg_auto(buf) struct cg_buf traceback = {0};
    if (check_app_is_named(s) >= 0) {
        return EXIT_ERROR;
    }
    if (cg_app_load(cg_settings_str(s, CG_wsgi_app), &app, &err, &traceback) !=
        0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_error_put_traceback(
            &text, (struct cg_slice){traceback.p, traceback.n}, err.text);
        fprintf(stderr, "\nError while loading the application:\n\n%s\n",
                cg_buf_str(&text));
        return EXIT_ERROR;
    }
    int r = cg_worker_class_check_app(s, app, &err);
    cg_app_free(app);
    return r < 0 ? say_error(&err) : EXIT_GOOD;
}

static int
check_worker_class(struct cg_settings *s, struct cg_error *err)
{
    return cg_worker_class_check(s, err);
}

static int
check_features(struct cg_settings *s, struct cg_error *err)
{
    return cg_settings_check_features(s, err);
}

static void
warn_of_certificate(void *self, const char *text)
{
    fprintf(stderr, "Warning: %s\n", text);
}

/* Certificates and keys, as a start reads them. */
static int
check_security(struct cg_settings *s, struct cg_error *err)
{
    struct cg_security *security = NULL;
    cg_process_no_core();
    int r = cg_security_new(s, NULL, &security, err);
    cg_security_warn(security, warn_of_certificate, NULL);
    cg_security_free(security);
    return r;
}

static int
put_variable(void *self, const char *name, const char *value,
             struct cg_error *err)
{
    return cg_python_setenv(name, value, err);
}

static int
apply_raw_env(struct cg_settings *s, struct cg_error *err)
{
    return cg_settings_each_variable(s, put_variable, NULL, err);
}

static int
apply_pythonpath(struct cg_settings *s, struct cg_error *err)
{
    return cg_python_set_path(NULL, cg_settings_str(s, CG_pythonpath), err);
}

/* What a start would find wrong, all of it. gunicorn's check looks at the
 * application alone, without pythonpath and raw_env. */
static int
check(struct cg_settings *s, bool strict)
{
    int (*const steps[])(struct cg_settings *, struct cg_error *) = {
        check_features, check_worker_class, apply_raw_env, apply_pythonpath,
        check_security};
    struct cg_error hooks = {0};
    int status =
        cg_python_resolve_hooks(s, &hooks) < 0 ? say_error(&hooks) : EXIT_GOOD;
    if (cg_settings_bool(s, CG_print_config)) {
        cg_settings_print(s, stdout);
        fflush(stdout);
    }
    for (size_t i = 0; i < CG_COUNT(steps); i++) {
        struct cg_error err = {0};
        if (steps[i](s, &err) < 0) {
            status = say_error(&err);
        }
    }
    status |= cg_surroundings_check_files(s, strict) |
              cg_surroundings_check_binds(s, strict);
    int app = check_app(s);
    return status | app |
           (app == EXIT_GOOD ? cg_surroundings_check_user(s, strict)
                             : EXIT_GOOD);
}

/* ---- the command check ---- */

/* In a process of its own. */
static int
check_in_child(struct cg_settings *s)
{
    int status = enter_folder(s);
    return status >= 0 ? status : check(s, true) | cg_log_check(s, false);
}

static int
run_check(struct program *p)
{
    struct cg_settings *s = NULL;
    int status = init_load(p);
    status = status >= 0 ? status : load(p, &s);
    if (status == EXIT_USAGE) {
        return status;
    }
    if (status < 0) {
        cg_check_system(&p->check, s);
        status = cg_check_import(&p->check, s, check_in_child);
    }
    cg_settings_free(s);
    return cg_check_report(&p->check, status);
}

/* ---- all of it ---- */

static int
serve(struct program *p, struct cg_settings *s)
{
    struct cg_error err = {0};
    int ready_fd = -1;
    /* a new master (USR2) is in the background already */
    if (cg_settings_bool(s, CG_daemon) && getenv("GUNICORN_FD") == NULL &&
        getenv("GUNICORN_PID") == NULL) {
        int status = -1;
        if (cg_daemonize(s, &status, &ready_fd, &err) < 0) {
            return say_error(&err);
        }
        if (status >= 0) {
            cg_settings_free(s);
            return status;
        }
    }
    if (cg_python_set_path(NULL, cg_settings_str(s, CG_pythonpath), &err) < 0) {
        return say_error(&err);
    }
    struct cg_arbiter_start start = {.settings = s,
                                     .load = p->load,
                                     .start_dir = p->start_dir,
                                     .argc = p->argc,
                                     .argv = p->argv,
                                     .restart = p->front->restart,
                                     .ready_fd = ready_fd};
    return cg_arbiter_run(&start);
}

static int
run_compare(struct program *p)
{
    struct cg_settings *s = NULL;
    int status = init_load(p);
    if (status < 0) {
        status = load(p, &s);
    }
    if (status < 0) {
        status = cg_running_diff(&p->running, s);
        cg_settings_free(s);
    }
    return status;
}

static int
run_with_python(struct program *p)
{
    struct cg_settings *s = NULL;
    struct cg_error err = {0};
    int status = init_load(p);
    if (status >= 0) {
        return status;
    }
    if (cg_config_command_is(p->argc, p->argv)) {
        return cg_config_command_run(&p->load);
    }
    if (cg_generate_is(p->argc, p->argv)) {
        return cg_generate_run(&p->load);
    }
    if (cg_generate_is_none(p->argc, p->argv) &&
        !cg_app_module_exists("generate")) {
        return cg_generate_say_none(p->argc, p->argv);
    }
    if (cg_config_command_is_none(p->argc, p->argv, &err) &&
        !cg_app_module_exists("config")) {
        const char *prog = cg_command_program(p->argc, p->argv);
        fprintf(stderr,
                "usage: %s config explain|diff|convert\n%s: error: %s\n", prog,
                prog, err.text);
        return EXIT_USAGE;
    }
    const char *near = cg_control_command_near(p->argc, p->argv);
    if (near != NULL && !cg_app_module_exists(p->argv[1])) {
        fprintf(stderr,
                "cgunicorn: error: there is no module '%s' to serve; did you "
                "mean the command '%s'? There are\n",
                p->argv[1], near);
        cg_control_command_list(stderr);
        return EXIT_USAGE;
    }
    status = load(p, &s);
    if (status >= 0) {
        return status;
    }
    if ((status = enter_folder(s)) < 0) {
        bool check_only = cg_settings_bool(s, CG_check_config) ||
                          cg_settings_bool(s, CG_print_config);
        if (check_only) {
            bool strict = cg_settings_bool(s, CG_strict);
            status = check(s, strict) | cg_log_check(s, strict);
        } else if ((status = check_app_is_named(s)) < 0) {
            if (cg_python_resolve_hooks(s, &err) == 0) {
                return serve(p, s);
            }
            status = say_error(&err);
        }
    }
    cg_settings_free(s);
    return status;
}

/* Where it is and what it has on its path is the program's business. */
static int
serve_program(struct program *p)
{
    struct cg_settings *s = NULL;
    int status = init_load(p);
    if (status >= 0) {
        return status;
    }
    p->load.program = &p->embedding;
    status = load(p, &s);
    return status >= 0 ? status : serve(p, s);
}

int
cg_program_serve(const struct cg_front *front, void *settings, int argc,
                 char *const *argv)
{
    struct program p = {0};
    init_program(&p, front, argc, argv);
    p.embedding = cg_python_program_reader(settings);
    int status = start_python(&p, NULL);
    if (status < 0) {
        status = serve_program(&p);
        int finish = front->finish();
        status = status != 0 ? status : finish;
    }
    release_program(&p);
    return status;
}

int
cg_program_run(const struct cg_front *front, int argc, char *const *argv)
{
    struct program p = {0};
    cg_auto(free) char *python = NULL;
    if (cg_control_command_is(argc, argv)) {
        return cg_control_command_run(argc, argv);
    }
    init_program(&p, front, argc, argv);
    if (cg_check_is(argc, argv)) {
        p.checks = true;
        cg_check_take_words(&p.check, &p.argc, p.argv);
    }
    int status = cg_running_begin(&p.running, &p.argc, &p.argv);
    if (status < 0 && p.running.compares) {
        free(p.start_dir);
        p.start_dir = getcwd(NULL, 0);
    }
    if (status < 0) {
        status = first_look(&p, &python);
    }
    if (status < 0) {
        status = start_python(&p, python);
        if (status < 0) {
            status = p.checks             ? run_check(&p)
                     : p.running.compares ? run_compare(&p)
                                          : run_with_python(&p);
            int finish = front->finish();
            status = status != 0 ? status : finish;
        }
    }
    release_program(&p);
    return status;
}
