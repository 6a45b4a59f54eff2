/* SPDX-License-Identifier: MIT */
#include "cmd/surroundings.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/net/listener.h"
#include "core/py/runtime/app.h"
#include "core/py/runtime/interp.h"
#include "core/worker/privilege.h"

static int
say(bool strict, const char *source, const char *name, const char *text)
{
    fprintf(stderr, "%s: %s: %s: %s%s\n", strict ? "\nError" : "Warning",
            source, name, text, strict ? "" : "; a start here would fail");
    return strict ? 1 : 0;
}

/* ---- files that it writes ---- */

/* Whether a file can be made or written there; else `why` says why not. */
static bool
is_writable(const char *path, struct cg_buf *why)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    cg_auto(free) char *folder = slash == NULL ? cg_strdup(".")
                                 : slash == path
                                     ? cg_strdup("/")
                                     : cg_strndup(path, (size_t)(slash - path));
    if (stat(folder, &st) < 0) {
        cg_buf_putf(why,
                    "the folder '%.500s' of '%.500s' cannot be used: %s "
                    "(mkdir -p '%.500s')",
                    folder, path, strerror(errno), folder);
    } else if (!S_ISDIR(st.st_mode)) {
        cg_buf_putf(why, "'%.500s' in '%.500s' is no folder", folder, path);
    } else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        cg_buf_putf(why, "'%.500s' is a folder: name a file in it", path);
    } else if (access(access(path, F_OK) == 0 ? path : folder, W_OK) < 0) {
        cg_buf_putf(why, "'%.500s' cannot be written: %s", path,
                    strerror(errno));
    }
    return why->n == 0;
}

int
cg_surroundings_check_files(const struct cg_settings *s, bool strict)
{
    static const enum cg_setting_id files[] = {CG_errorlog, CG_accesslog,
                                               CG_pidfile};
    int status = 0;
    for (size_t i = 0; i < CG_COUNT(files); i++) {
        const char *path = cg_settings_str(s, files[i]);
        cg_auto(buf) struct cg_buf why = {0};
        if (path != NULL && *path != '\0' && strcmp(path, "-") != 0 &&
            !is_writable(path, &why)) {
            status |= say(strict, s->source[files[i]].text,
                          cg_setting_name(files[i]), cg_buf_str(&why));
        }
    }
    return status;
}

/* ---- addresses ---- */

/* A socket file is only looked at: to bind it would take it from a server that
 * runs. */
static int
check_socket_file(const char *path, const char *source, bool strict)
{
    struct stat st;
    cg_auto(buf) struct cg_buf why = {0};
    if (path[0] == '@') {
        return 0;
    }
    bool exists = stat(path, &st) == 0;
    if (exists && !S_ISSOCK(st.st_mode)) {
        cg_buf_putf(&why, "'%s' is there already and is no socket", path);
    } else if (!exists) {
        is_writable(path, &why);
    }
    return why.n > 0 ? say(strict, source, "bind", cg_buf_str(&why)) : 0;
}

/* Who shares its port with others could lose a client of theirs. */
static int
check_port(const struct cg_settings *s, const struct cg_addr *a,
           const char *source, bool strict)
{
    const struct cg_listener_options o = {
        .backlog = 1, .v6only = true, .uid = -1, .gid = -1};
    struct cg_listener l;
    struct cg_error err = {0};
    if (a->port == 0 || cg_settings_bool(s, CG_reuse_port)) {
        return 0;
    }
    int r = cg_listener_open(a, &o, &l, &err);
    if (r == 0) {
        cg_listener_close(&l, false);
        return 0;
    }
    if (r != -EADDRINUSE) {
        return say(strict, source, "bind", err.text);
    }
    fprintf(stderr,
            "Warning: %s: bind: %s is in use: right if it is by the server "
            "that is to be reloaded; else a start would fail (%s)\n",
            source, a->text, err.text);
    return 0;
}

int
cg_surroundings_check_binds(const struct cg_settings *s, bool strict)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    const char *source = s->source[CG_bind].text;
    int status = 0;
    for (size_t i = 0; i < bind->list.n; i++) {
        struct cg_addr a;
        struct cg_error err = {0};
        if (cg_addr_parse(bind->list.items[i].s, &a, &err) < 0) {
            status |= say(true, source, "bind", err.text);
        } else if (a.kind == CG_ADDR_UNIX) {
            status |= check_socket_file(a.path, source, strict);
        } else if (a.kind == CG_ADDR_TCP) {
            status |= check_port(s, &a, source, strict);
        }
    }
    return status;
}

/* ---- what the workers' user can read ---- */

/* As the child tells it. */
struct unreadable {
    int n;
    char first[1000];
};

/* With the rights of the user. */
static void
look(const char *path, struct unreadable *u)
{
    if (access(path, R_OK) < 0 && errno == EACCES && u->n++ == 0) {
        snprintf(u->first, sizeof u->first, "%s", path);
    }
}

static void
look_as_user(const struct cg_settings *s, struct cg_slice files, int fd)
{
    struct unreadable u = {0};
    struct cg_error err = {0};
    if (cg_privilege_drop(s, &err) == 0) {
        look(".", &u);
        for (size_t at = 0; at < files.n; at += strlen(files.p + at) + 1) {
            look(files.p + at, &u);
        }
    } else {
        snprintf(u.first, sizeof u.first, "%.900s", err.text);
        u.n = -1;
    }
    ssize_t n = write(fd, &u, sizeof u);
    _exit(n == (ssize_t)sizeof u ? 0 : 1);
}

static int
report(const struct cg_settings *s, const struct unreadable *u, bool strict)
{
    cg_auto(buf) struct cg_buf why = {0};
    const struct passwd *pw = getpwuid((uid_t)cg_settings_int(s, CG_user));
    const char *name = pw != NULL ? pw->pw_name : "that user";
    if (u->n == 0) {
        return 0;
    }
    if (u->n < 0) {
        return say(strict, s->source[CG_user].text, "user", u->first);
    }
    cg_buf_putf(&why, "%s, who runs the workers, may not read %s", name,
                strcmp(u->first, ".") == 0 ? "the folder of the application"
                                           : u->first);
    if (u->n > 1) {
        cg_buf_putf(&why, " and %d more that the application needs", u->n - 1);
    }
    cg_buf_puts(&why, ": workers would not find modules. Give the right "
                      "(chmod o+rX, from its topmost folder on), or put it "
                      "where everybody can read");
    return say(strict, s->source[CG_user].text, "user", cg_buf_str(&why));
}

int
cg_surroundings_check_user(const struct cg_settings *s, bool strict)
{
    cg_auto(buf) struct cg_buf files = {0};
    struct unreadable u = {0};
    int ends[2];
    int64_t uid = (int64_t)cg_settings_int(s, CG_user);
    if (geteuid() != 0 || uid == 0 || cg_app_files(&files) < 0 ||
        pipe(ends) < 0) {
        return 0;
    }
    pid_t pid = cg_python_fork(NULL, NULL);
    if (pid == 0) {
        look_as_user(s, (struct cg_slice){files.p, files.n}, ends[1]);
    }
    close(ends[1]);
    ssize_t n = pid > 0 ? read(ends[0], &u, sizeof u) : 0;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return n == (ssize_t)sizeof u ? report(s, &u, strict) : 0;
}
