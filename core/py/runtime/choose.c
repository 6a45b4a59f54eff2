/* SPDX-License-Identifier: MIT */
/*
 * Which Python environment: the one that a user would get from `python` there.
 * Only pyvenv.cfg makes an environment; a package of one minor version cannot
 * be used by another, and the standard library of one installation not by
 * another of the same version, so both are checked before anything starts.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/runtime/interp.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define MINOR TEXT(PY_MAJOR_VERSION) "." TEXT(PY_MINOR_VERSION)

struct venv {
    int major, minor; /* -1: not said */
    char home[4096];
};

static bool
is_executable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           access(path, X_OK) == 0;
}

/* Shims of version managers are scripts: they may answer anything. */
static bool
is_script(const char *path)
{
    char head[2] = {0};
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return true;
    }
    size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    return n == 2 && head[0] == '#' && head[1] == '!';
}

static char *
trim(char *s)
{
    while (isspace((unsigned char)*s)) {
        s++;
    }
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1])) {
        s[--n] = '\0';
    }
    return s;
}

static bool
read_venv(const char *root, struct venv *ret)
{
    char line[4096];
    cg_auto(free) char *path = cg_strf("%s/pyvenv.cfg", root);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    *ret = (struct venv){-1, -1, ""};
    while (fgets(line, sizeof line, f) != NULL) {
        char *equals = strchr(line, '=');
        if (equals == NULL) {
            continue;
        }
        *equals = '\0';
        const char *key = trim(line), *value = trim(equals + 1);
        if (strcasecmp(key, "version") == 0 ||
            strcasecmp(key, "version_info") == 0) {
            sscanf(value, "%d.%d", &ret->major, &ret->minor);
        } else if (strcasecmp(key, "home") == 0) {
            snprintf(ret->home, sizeof ret->home, "%s", value);
        }
    }
    fclose(f);
    return true;
}

static bool
pick(const char *root, const char *source, struct cg_python_choice *ret)
{
    static const char *const names[] = {"python3", "python" MINOR, "python"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        snprintf(ret->exe, sizeof ret->exe, "%s/bin/%s", root, names[i]);
        if (is_executable(ret->exe) && !is_script(ret->exe)) {
            snprintf(ret->prefix, sizeof ret->prefix, "%s", root);
            ret->source = source;
            return true;
        }
    }
    return false;
}

const char *
cg_python_of_build(void)
{
    return CG_BUILD_PYTHON;
}

/* ---- does it fit? ---- */

static int
wrong_minor(const char *root, const char *source, const struct venv *v,
            struct cg_error *err)
{
    return cg_error_set(
        err, ENOEXEC,
        "the environment %s (found through %s) was made by Python %d.%d,\n"
        "  but this cgunicorn embeds Python " MINOR
        ". Packages of one cannot be used by the other.\n"
        "  Either make the environment anew:  %s -m venv %s\n"
        "  or build cgunicorn for it:         make PYTHON=%s/bin/python3",
        root, source, v->major, v->minor, CG_BUILD_PYTHON, root, root);
}

static bool
same_file(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];
    return realpath(a, x) != NULL && realpath(b, y) != NULL &&
           strcmp(x, y) == 0;
}

static bool
is_same_installation(const char *exe, const struct venv *v)
{
    if (same_file(exe, CG_BUILD_PYTHON)) {
        return true;
    }
    /* an environment made with --copies: ask where it was copied from */
    cg_auto(free) char *base = cg_strf("%s/python" MINOR, v->home);
    return v->home[0] != '\0' && same_file(base, CG_BUILD_PYTHON);
}

/* 1 found, 0 no environment, negative errno: one that cannot be used. */
static int
try_root(const char *root, const char *source, struct cg_python_choice *ret,
         struct cg_error *err)
{
    struct venv v;
    if (!read_venv(root, &v)) {
        return 0;
    }
    if (v.major >= 0 &&
        (v.major != PY_MAJOR_VERSION || v.minor != PY_MINOR_VERSION)) {
        return wrong_minor(root, source, &v, err);
    }
    if (!pick(root, source, ret)) {
        return cg_error_set(err, ENOENT,
                            "%s has a pyvenv.cfg but no usable bin/python3 "
                            "(a broken link? home = %s)",
                            root, v.home);
    }
    if (!is_same_installation(ret->exe, &v)) {
        return cg_error_set(
            err, ENOEXEC,
            "the environment %s (found through %s) belongs to another "
            "installation of Python " MINOR " (%s) than this cgunicorn (%s).\n"
            "  Build cgunicorn for it:  make PYTHON=%s/bin/python3",
            root, source, v.home, CG_BUILD_PYTHON, root);
    }
    return 1;
}

/* ---- where it may be ---- */

static int
by_option(const char *option, const char *source, struct cg_python_choice *ret,
          struct cg_error *err)
{
    struct stat st;
    if (stat(option, &st) == 0 && S_ISDIR(st.st_mode)) {
        int r = try_root(option, source, ret, err);
        return r != 0 ? r
                      : cg_error_set(err, ENOENT,
                                     "%s: %s is a folder without a pyvenv.cfg: "
                                     "name a virtual environment or an "
                                     "interpreter",
                                     source, option);
    }
    if (!is_executable(option)) {
        return cg_error_set(err, ENOENT,
                            "%s: %s is no executable file: name a virtual "
                            "environment or an interpreter",
                            source, option);
    }
    snprintf(ret->exe, sizeof ret->exe, "%s", option);
    ret->source = source;
    return 1;
}

static void
up(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        slash[slash == path ? 1 : 0] = '\0';
    }
}

/* The program as it was called, links not resolved. */
static bool
own_path(const char *argv0, char *out, size_t size)
{
    char cwd[PATH_MAX];
    if (argv0[0] == '/') {
        snprintf(out, size, "%s", argv0);
        return is_executable(out);
    }
    if (strchr(argv0, '/') != NULL) {
        if (getcwd(cwd, sizeof cwd) == NULL) {
            return false;
        }
        int n = snprintf(out, size, "%s/%s", cwd, argv0);
        return n > 0 && (size_t)n < size && is_executable(out);
    }
    cg_auto(free) char *path =
        cg_strdup(getenv("PATH") != NULL ? getenv("PATH") : "");
    char *save = NULL;
    for (char *dir = strtok_r(path, ":", &save); dir != NULL;
         dir = strtok_r(NULL, ":", &save)) {
        int n = snprintf(out, size, "%s/%s", dir, argv0);
        if (n > 0 && (size_t)n < size && is_executable(out)) {
            return true;
        }
    }
    return false;
}

/* An environment that the binary itself lies in, at any hop of its links. */
static int
by_own_place(const char *argv0, struct cg_python_choice *ret,
             struct cg_error *err)
{
    char self[PATH_MAX], target[PATH_MAX];
    if (!own_path(argv0, self, sizeof self)) {
        return 0;
    }
    for (int hop = 0; hop < 16; hop++) {
        cg_auto(free) char *root = cg_strdup(self);
        up(root);
        up(root);
        int r =
            try_root(root, "pyvenv.cfg beside the cgunicorn binary", ret, err);
        if (r != 0) {
            return r;
        }
        ssize_t n = readlink(self, target, sizeof target - 1);
        if (n <= 0) {
            return 0;
        }
        target[n] = '\0';
        up(self);
        cg_auto(free) char *next = target[0] == '/'
                                       ? cg_strdup(target)
                                       : cg_strf("%s/%s", self, target);
        snprintf(self, sizeof self, "%s", next);
    }
    return 0;
}

/* The first python3 on PATH, if it is an environment's (containers set PATH
 * and nothing else). */
static int
by_path(struct cg_python_choice *ret, struct cg_error *err)
{
    cg_auto(free) char *path =
        cg_strdup(getenv("PATH") != NULL ? getenv("PATH") : "");
    char *save = NULL;
    for (char *dir = strtok_r(path, ":", &save); dir != NULL;
         dir = strtok_r(NULL, ":", &save)) {
        cg_auto(free) char *exe = cg_strf("%s/python3", dir);
        if (!is_executable(exe)) {
            continue;
        }
        if (is_script(exe)) {
            return 0;
        }
        cg_auto(free) char *root = cg_strdup(dir);
        up(root);
        return try_root(root, "python3 on PATH", ret, err);
    }
    return 0;
}

/* The application may run elsewhere (--chdir), and so do its subprocesses. */
static int
make_absolute(char *path, size_t size, struct cg_error *err)
{
    char cwd[PATH_MAX];
    if (path[0] == '/' || path[0] == '\0') {
        return 0;
    }
    if (getcwd(cwd, sizeof cwd) == NULL) {
        return cg_error_set(err, errno,
                            "the environment %s is relative, and the current "
                            "directory is gone: %s",
                            path, strerror(errno));
    }
    cg_auto(free) char *given = cg_strdup(path);
    const char *rest = given;
    while (strncmp(rest, "./", 2) == 0) {
        rest += 2 + strspn(rest + 2, "/");
    }
    int n = snprintf(path, size, "%s%s%s", cwd,
                     strcmp(cwd, "/") == 0 ? "" : "/", rest);
    return (size_t)n < size
               ? 0
               : cg_error_set(err, ENAMETOOLONG, "the path %s/%s is too long",
                              cwd, rest);
}

int
cg_python_choose(const char *argv0, const char *option,
                 struct cg_python_choice *ret_choice, struct cg_error *err)
{
    const char *variable = getenv("CGUNICORN_PYTHON");
    const char *venv = getenv("VIRTUAL_ENV");
    *ret_choice = (struct cg_python_choice){.source = "the build"};
    int r = 0;
    if (option != NULL && *option != '\0') {
        r = by_option(option, "--python", ret_choice, err);
    } else if (variable != NULL && *variable != '\0') {
        r = by_option(variable, "environment CGUNICORN_PYTHON", ret_choice,
                      err);
    }
    bool is_given = r > 0, is_own = false;
    if (r == 0) {
        r = by_own_place(argv0, ret_choice, err);
        is_own = r > 0;
    }
    if (r == 0 && venv != NULL && *venv != '\0') {
        r = try_root(venv, "$VIRTUAL_ENV", ret_choice, err);
    }
    if (r == 0) {
        r = by_path(ret_choice, err);
    }
    is_given = is_given || (r > 0 && !is_own);
    if (r == 0) {
        *ret_choice = (struct cg_python_choice){.source = "the build"};
        snprintf(ret_choice->exe, sizeof ret_choice->exe, "%s",
                 CG_BUILD_PYTHON);
    }
    if (r >= 0) {
        r = make_absolute(ret_choice->exe, sizeof ret_choice->exe, err);
    }
    if (r >= 0) {
        r = make_absolute(ret_choice->prefix, sizeof ret_choice->prefix, err);
    }
    ret_choice->is_given = is_given;
    return r < 0 ? r : 0;
}
