/* SPDX-License-Identifier: MIT */
/*
 * preload_app: the application is loaded in the master and forked with it.
 * What does not survive a fork well is named once: threads, which no worker
 * has, and connections, which all workers would share.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/addr.h"
#include "core/base/memory.h"
#include "core/py/compat/written.h"

enum { FDS_MOST = 1024 };

struct fd_set_of {
    bool open[FDS_MOST];
};

static void
list_open(struct fd_set_of *set)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    *set = (struct fd_set_of){.open = {false}};
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd < FDS_MOST && fd != dirfd(dir)) {
            set->open[fd] = true;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* "a connection to 10.0.0.5:5432"; false: nothing that sharing would hurt. */
static bool
describe(int fd, char *out, size_t size)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    char link[64], target[32] = "", text[300];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    if (strcmp(target, "anon_inode:[eventpoll]") == 0) {
        snprintf(out, size, "an event loop (epoll)");
        return true;
    }
    if (strncmp(target, "socket:", 7) != 0) {
        return false;
    }
    if (getpeername(fd, (struct sockaddr *)&sa, &n) == 0 &&
        (sa.ss_family == AF_INET || sa.ss_family == AF_INET6 ||
         sa.ss_family == AF_UNIX)) {
        cg_addr_describe((struct sockaddr *)&sa, n, 0, text, sizeof text);
        const char *slashes = strstr(text, "//");
        snprintf(out, size, "a connection to %s",
                 slashes != NULL ? slashes + 2 : text);
    } else {
        snprintf(out, size, "a socket");
    }
    return true;
}

static void
warn_of_descriptors(struct cg_arbiter *a, const struct fd_set_of *before)
{
    struct fd_set_of after;
    list_open(&after);
    for (int fd = 0; fd < FDS_MOST; fd++) {
        char text[400];
        if (after.open[fd] && !before->open[fd] &&
            describe(fd, text, sizeof text)) {
            cg_log_line(a->log, CG_WARNING,
                        "preload_app: descriptor %d, %s, was opened while the "
                        "application was loaded, and all workers share it: "
                        "open it anew in the hook post_fork",
                        fd, text);
        }
    }
}

static void
warn_of_threads(struct cg_arbiter *a)
{
    cg_auto(buf) struct cg_buf names = {0};
    cg_app_threads(&names);
    if (names.n > 0) {
        cg_log_line(a->log, CG_WARNING,
                    "preload_app: loading the application started threads, "
                    "which no worker has: %s. Start them in the hook "
                    "post_fork",
                    cg_buf_str(&names));
    }
}

/* Objects that the application makes before the patches of a class keep native
 * locks, which would stop a whole worker. */
static int
patch(struct cg_arbiter *a, struct cg_error *err)
{
    bool patched = false;
    int r = cg_worker_class_patch(a->settings, &patched, err);
    if (patched) {
        cg_log_line(a->log, CG_INFO,
                    "preload_app: the master is monkey-patched for %s before "
                    "the application is loaded",
                    cg_settings_worker_class(a->settings));
    }
    return r;
}

int
cg_arbiter_preload(struct cg_arbiter *a, struct cg_error *err)
{
    cg_auto(buf) struct cg_buf traceback = {0};
    struct fd_set_of before;
    if (!cg_settings_bool(a->settings, CG_preload_app)) {
        return 0;
    }
    if (cg_settings_bool(a->settings, CG_reload)) {
        cg_log_line(a->log, CG_INFO,
                    "preload_app: with reload each worker loads the "
                    "application by itself, so that its changes count");
        return 0;
    }
    int r = patch(a, err);
    if (r < 0) {
        return r;
    }
    list_open(&before);
    int status = cg_py_server_load(a->server, &a->app, err, &traceback);
    if (status != 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_error_put_traceback(
            &text, (struct cg_slice){traceback.p, traceback.n}, err->text);
        cg_log_text(a->log, CG_ERROR, (struct cg_slice){text.p, text.n});
        a->failure_logged = true;
        return -ENOEXEC; /* as gunicorn: 1, not the status of a worker */
    }
    r = cg_worker_class_settle(a->settings, err);
    warn_of_threads(a);
    warn_of_descriptors(a, &before);
    return r;
}
