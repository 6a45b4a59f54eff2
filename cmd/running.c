/* SPDX-License-Identifier: MIT */
#include "cmd/running.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/control_command.h"
#include "cmd/servers.h"
#include "config/inspect.h"
#include "core/base/memory.h"

enum { EXIT_GOOD = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: cgunicorn config explain --running [--pid PID | -p PIDFILE | -n "
    "NAME] [SETTING...]\n"
    "       cgunicorn config diff --running [--pid PID | -p PIDFILE | -n NAME] "
    "[OPTIONS] [APP]\n";

/* The server that is meant. */
struct choice {
    int pid;
    char *pidfile, *name; /* owned */
};

static void
release_choice(struct choice *c)
{
    free(c->pidfile);
    free(c->name);
}

/* ---- the command line ---- */

/* Takes argv[at] away. */
static void
drop(int *argc, char **argv, int at)
{
    free(argv[at]);
    memmove(argv + at, argv + at + 1, (size_t)(*argc - at) * sizeof *argv);
    --*argc;
}

static int
pid_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && n > 0 && n < 1 << 30 ? (int)n : -1;
}

static int
say_usage(const char *text)
{
    fprintf(stderr, "%scgunicorn: error: %s\n", usage, text);
    return EXIT_USAGE;
}

enum which { BY_NONE, BY_PID, BY_PIDFILE, BY_NAME };

/* What the option chooses a server by, with its value behind "=", if any. They
 * are those of the commands for a running server. */
static enum which
which_of(const char *word, const char **ret_value)
{
    static const struct {
        const char *word;
        enum which by;
    } known[] = {{"--pid", BY_PID},
                 {"-p", BY_PIDFILE},
                 {"--pidfile", BY_PIDFILE},
                 {"-n", BY_NAME},
                 {"--name", BY_NAME}};
    size_t n = strcspn(word, "=");
    *ret_value = word[n] == '=' ? word + n + 1 : NULL;
    for (size_t i = 0; i < CG_COUNT(known); i++) {
        if (strlen(known[i].word) == n && memcmp(known[i].word, word, n) == 0) {
            return known[i].by;
        }
    }
    return BY_NONE;
}

/* -1, or an exit status. */
static int
take_choice(struct choice *c, enum which by, const char *value)
{
    bool is_pid = by == BY_PID;
    if (value == NULL || *value == '\0') {
        return say_usage(is_pid ? "--pid needs the number of a master"
                                : "-p needs a pidfile, -n a name");
    }
    if (is_pid) {
        c->pid = pid_of(value);
        return c->pid < 0 ? say_usage("--pid needs the number of a master")
                          : -1;
    }
    char **to = by == BY_NAME ? &c->name : &c->pidfile;
    free(*to);
    *to = cg_strdup(value);
    return -1;
}

/* --running and the choice of a server go; -1, or an exit status. */
static int
take_options(int *argc, char **argv, struct choice *ret)
{
    int status = -1;
    for (int i = 3; i < *argc && status < 0;) {
        const char *value;
        enum which by = which_of(argv[i], &value);
        if (strcmp(argv[i], "--running") == 0) {
            drop(argc, argv, i);
        } else if (by == BY_NONE) {
            i++;
        } else {
            bool apart = value == NULL && i + 1 < *argc;
            status = take_choice(ret, by, apart ? argv[i + 1] : value);
            if (apart) {
                drop(argc, argv, i + 1);
            }
            drop(argc, argv, i);
        }
    }
    return status;
}

static bool
is_meant(int argc, char *const *argv)
{
    if (argc < 4 || strcmp(argv[1], "config") != 0 ||
        (strcmp(argv[2], "explain") != 0 && strcmp(argv[2], "diff") != 0)) {
        return false;
    }
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--running") == 0) {
            return true;
        }
    }
    return false;
}

/* ---- asking ---- */

static int
ask(struct cg_running *r, const struct choice *c)
{
    struct cg_server server;
    struct cg_error err = {0};
    const struct cg_control_choice which = {c->pid, c->pidfile, c->name};
    int status = cg_control_choose(&which, &server);
    if (status >= 0) {
        return status;
    }
    int e = cg_server_ask(&server, "config", &r->reply, &err);
    if (e == 0) {
        e = cg_json_read((struct cg_slice){r->reply.p, r->reply.n}, &r->told);
        cg_error_set(&err, -e, "its answer is no JSON");
    }
    const struct cg_json_node *root = cg_json_root(&r->told);
    const char *refused =
        e == 0 ? cg_json_text_of(&r->told, root, "error") : err.text;
    if (*refused != '\0') {
        cg_auto(buf) struct cg_buf clean = {0};
        cg_put_clean(&clean, refused, false);
        fprintf(stderr, "cgunicorn: error: %s\n", cg_buf_str(&clean));
        return EXIT_ERROR;
    }
    return -1;
}

static const struct cg_json_node *
setting(const struct cg_running *r, const char *name)
{
    const struct cg_json_tree *t = &r->told;
    const struct cg_json_node *n =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "settings"));
    while (n != NULL && strcmp(cg_json_text_of(t, n, "name"), name) != 0) {
        n = cg_json_next(t, n);
    }
    return n;
}

/* Another process's words, made harmless; the caller frees it. NULL for "". */
static char *
clean_text(const struct cg_running *r, const struct cg_json_node *n,
           const char *key, bool lines)
{
    const char *text = cg_json_text_of(&r->told, n, key);
    cg_auto(buf) struct cg_buf clean = {0};
    cg_put_clean(&clean, text, lines);
    return *text != '\0' ? cg_strdup(cg_buf_str(&clean)) : NULL;
}

/* ---- explain ---- */

static void
explain_one(const struct cg_running *r, enum cg_setting_id id)
{
    const struct cg_json_node *n = setting(r, cg_setting_name(id));
    cg_auto(free) char *value = clean_text(r, n, "value", false);
    cg_auto(free) char *source = clean_text(r, n, "source", false);
    cg_auto(free) char *hides = clean_text(r, n, "hides", true);
    cg_auto(free) char *because = clean_text(r, n, "because", false);
    if (n == NULL) { /* another version's */
        printf("%s: the server knows no such setting\n", cg_setting_name(id));
        return;
    }
    const struct cg_config_told told = {value != NULL ? value : "", source,
                                        hides, because};
    cg_config_explain_told(&told, id, stdout);
}

static int
explain(const struct cg_running *r, int argc, char *const *argv)
{
    for (int i = 3; i < argc; i++) {
        if (cg_setting_find(argv[i]) < 0) {
            const char *near = cg_setting_nearest(argv[i]);
            fprintf(stderr, "\nError: '%s' is no setting%s%s%s\n", argv[i],
                    near != NULL ? "; did you mean '" : "",
                    near != NULL ? near : "", near != NULL ? "'?" : "");
            return EXIT_ERROR;
        }
    }
    for (int i = 3; i < argc; i++) {
        fputs(i > 3 ? "\n" : "", stdout);
        explain_one(r, (enum cg_setting_id)cg_setting_find(argv[i]));
    }
    for (int id = 0; argc == 3 && id < CG_SETTING_COUNT; id++) {
        fputs(id > 0 ? "\n" : "", stdout);
        explain_one(r, (enum cg_setting_id)id);
    }
    return EXIT_GOOD;
}

/* ---- diff ---- */

static bool
counts(const char *variable)
{
    return cg_config_reads_variable(variable);
}

/* What of the environment a configuration is made of: the server's, not ours.
 */
static void
take_environment(const struct cg_running *r)
{
    extern char **environ;
    const struct cg_json_tree *t = &r->told;
    for (int i = 0; environ != NULL && environ[i] != NULL;) {
        cg_auto(free) char *name = cg_strdup(environ[i]);
        name[strcspn(name, "=")] = '\0';
        if (counts(name) && unsetenv(name) == 0) {
            i = 0;
        } else {
            i++;
        }
    }
    const struct cg_json_node *n =
        cg_json_first(t, cg_json_get(t, cg_json_root(t), "environment"));
    for (; n != NULL; n = cg_json_next(t, n)) {
        if (n->key != NULL && n->s != NULL && counts(n->key)) {
            setenv(n->key, n->s, 1);
        }
    }
}

/* Its own command line, in its folder. */
static int
take_command_line(const struct cg_running *r, int *argc, char ***argv)
{
    const struct cg_json_tree *t = &r->told;
    const struct cg_json_node *root = cg_json_root(t);
    const char *folder = cg_json_text_of(t, root, "folder");
    if (chdir(folder) < 0) {
        fprintf(stderr,
                "cgunicorn: error: cannot enter the server's folder "
                "'%s': %s\n",
                folder, strerror(errno));
        return EXIT_ERROR;
    }
    while (*argc > 1) {
        drop(argc, *argv, 1);
    }
    const struct cg_json_node *n =
        cg_json_first(t, cg_json_get(t, root, "command_line"));
    for (n = cg_json_next(t, n); n != NULL; n = cg_json_next(t, n)) {
        *argv = cg_realloc(*argv, ((size_t)*argc + 2) * sizeof **argv);
        (*argv)[(*argc)++] = cg_strdup(n->s != NULL ? n->s : "");
        (*argv)[*argc] = NULL;
    }
    take_environment(r);
    return -1;
}

int
cg_running_diff(const struct cg_running *r, const struct cg_settings *s)
{
    int n = 0;
    for (int i = 0; i < CG_SETTING_COUNT; i++) {
        enum cg_setting_id id = (enum cg_setting_id)i;
        const struct cg_json_node *old = setting(r, cg_setting_name(id));
        char digest[CG_CONFIG_DIGEST];
        cg_config_digest(s, id, digest);
        bool same =
            old != NULL &&
            strcmp(digest, cg_json_text_of(&r->told, old, "digest")) == 0;
        bool code = old != NULL &&
                    cg_json_is_true(cg_json_get(&r->told, old, "is_code"));
        if (id == CG_config || (same && !code)) {
            continue;
        }
        cg_auto(free) char *value = clean_text(r, old, "value", false);
        cg_auto(free) char *source = clean_text(r, old, "source", false);
        cg_auto(buf) struct cg_buf shown = {0};
        cg_settings_show(s, id, &shown);
        bool hidden = value != NULL && strcmp(value, cg_buf_str(&shown)) == 0;
        cg_config_diff_line(s, id, value != NULL ? value : "",
                            source != NULL ? source : "default",
                            code && same ? ": code in both, not compared"
                            : hidden     ? ": a secret in it differs"
                                         : "",
                            stdout);
        n += !same;
    }
    return n > 0 ? EXIT_ERROR : EXIT_GOOD;
}

/* ---- which ---- */

int
cg_running_begin(struct cg_running *r, int *argc, char ***argv)
{
    struct choice choice = {0};
    if (!is_meant(*argc, *argv)) {
        return -1;
    }
    bool compares = strcmp((*argv)[2], "diff") == 0;
    int status = take_options(argc, *argv, &choice);
    if (status < 0) {
        status = ask(r, &choice);
    }
    release_choice(&choice);
    if (status >= 0) {
        return status;
    }
    if (!compares) {
        return explain(r, *argc, *argv);
    }
    r->compares = true;
    if (*argc == 3) {
        return take_command_line(r, argc, argv);
    }
    drop(argc, *argv, 1);
    drop(argc, *argv, 1);
    return -1;
}

void
cg_running_release(struct cg_running *r)
{
    cg_json_release(&r->told);
    cg_buf_release(&r->reply);
}
