/* SPDX-License-Identifier: MIT */
/*
 * The socket of gunicorn's control interface: a file with a name, where the
 * settings say. It is ours from the bind to the close: what is no socket is
 * never removed, nor one that somebody answers at, unless that is the master
 * which this one succeeds; no link is followed where root would be led by it.
 * Without it the server goes on, and tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/place.h"

enum { BACKLOG = 64, RETRY_MS = 1000, FOLDER_MODE = 0700 };

/* Absolute, to be freed; NULL: there is to be none. */
static char *
wanted_path(const struct cg_arbiter *a)
{
    const char *path = cg_settings_str(a->settings, CG_control_socket);
    char folder[PATH_MAX];
    if (cg_settings_bool(a->settings, CG_control_socket_disable) ||
        path == NULL || *path == '\0') {
        return NULL;
    }
    if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL) {
        return cg_strdup(path);
    }
    return cg_strf("%s/%s", folder, path);
}

/* The folders on the way that are not there. */
static int
make_folders(char *path, struct cg_error *err)
{
    for (char *end = strchr(path + 1, '/'); end != NULL;
         end = strchr(end + 1, '/')) {
        cg_auto(place) struct cg_place place = {.dir_fd = -1};
        struct cg_error why = {0};
        *end = '\0';
        int r = cg_place_find(path, CG_PLACE_FOLLOW, &place, &why);
        if (r == 0 && mkdirat(place.dir_fd, place.name, FOLDER_MODE) < 0 &&
            errno != EEXIST) {
            r = -errno;
        }
        if (r < 0) {
            cg_error_set(err, -r, "the folder '%s' cannot be made: %s", path,
                         why.text[0] != '\0' ? why.text : strerror(-r));
        }
        *end = '/';
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int
open_socket(struct cg_arbiter *a, char *path, struct cg_error *err)
{
    struct cg_addr addr;
    unsigned mode =
        (unsigned)cg_settings_int(a->settings, CG_control_socket_mode);
    const struct cg_listener_options o = {
        .backlog = BACKLOG, .umask = ~mode & 0777, .uid = -1, .gid = -1};
    cg_auto(free) char *text = cg_strf("unix:%s", path);
    int r = cg_addr_parse(text, &addr, err);
    if (r == 0 && path[0] == '/') {
        r = make_folders(path, err);
    }
    if (r == 0 && a->plan.parent_pid == 0 && cg_listener_is_served(&addr)) {
        r = cg_error_set(err, EADDRINUSE,
                         "another server answers at '%s': give each its own",
                         path);
    }
    if (r == 0) {
        r = cg_listener_open(&addr, &o, &a->interface.listener, err);
    }
    return r;
}

void
cg_arbiter_close_interface(struct cg_arbiter *a)
{
    cg_desk_free(a->interface.desk);
    a->interface.desk = NULL;
    if (a->interface.path != NULL) {
        cg_listener_close(&a->interface.listener, true);
        free(a->interface.path);
        a->interface.path = NULL;
    }
}

static void
open_interface(struct cg_arbiter *a, char *path)
{
    struct cg_error err = {0};
    if (open_socket(a, path, &err) < 0) {
        if (!a->interface.told) {
            cg_log_line(a->log, CG_ERROR,
                        "Control server error: %s; trying again each second",
                        err.text);
        }
        a->interface.told = true;
        return;
    }
    a->interface.told = false;
    a->interface.path = cg_strdup(path);
    a->interface.desk = cg_interface_new(cg_fd_take(&a->interface.listener.fd),
                                         cg_arbiter_interface(a));
    cg_log_line(a->log, CG_DEBUG, "Control socket listening at %s", path);
}

/* Each turn: as the settings are now, and there again if somebody has removed
 * it. A new master has it while it is there. */
void
cg_arbiter_follow_interface(struct cg_arbiter *a)
{
    uint64_t now = cg_now_us() / 1000;
    if (now < a->interface.looked_ms + RETRY_MS &&
        a->interface.looked_ms != 0) {
        return;
    }
    a->interface.looked_ms = now;
    cg_auto(free) char *path = wanted_path(a);
    bool same = path != NULL && a->interface.path != NULL &&
                strcmp(path, a->interface.path) == 0;
    bool lost = same && cg_listener_is_lost(&a->interface.listener);
    if ((same && !lost) || a->plan.reexec_pid != 0) {
        return;
    }
    cg_arbiter_close_interface(a);
    if (path != NULL) {
        open_interface(a, path);
    }
}
