/* SPDX-License-Identifier: MIT */
#include "core/arbiter/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/place.h"
#include "core/base/process.h"

enum { NAMES_MOST = 100 };

/* The pid in the file, 0 when there is none or no number in it. Regular files
 * only: opening anything else may wait, or do something. */
static int
read_pid(const struct cg_place *place)
{
    char text[32] = {0};
    struct stat st;
    if (cg_place_stat(place, &st) < 0 || !S_ISREG(st.st_mode)) {
        return 0;
    }
    cg_auto(fd_close) int fd =
        openat(place->dir_fd, place->name,
               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t n = is_file ? read(fd, text, sizeof text - 1) : -1;
    return n > 0 ? atoi(text) : 0;
}

static int
find(const char *path, struct cg_place *place, struct cg_error *err)
{
    cg_auto(free) char *folder = cg_strdup(path);
    char *slash = strrchr(folder, '/');
    struct stat st;
    struct cg_error why = {0};
    int r = cg_place_find(path, CG_PLACE_STAY, place, &why);
    if (r == 0) {
        return 0;
    }
    if (slash != NULL && slash != folder) {
        *slash = '\0';
        if (stat(folder, &st) < 0) {
            return cg_error_set(err, ENOENT,
                                "%s doesn't exist. Can't create pidfile: make "
                                "that folder, or name another file with "
                                "`pidfile`",
                                folder);
        }
    }
    return cg_error_set(err, -r, "cannot create pidfile '%s': %s", path,
                        why.text);
}

/* A file is replaced, and so is a link, as gunicorn does, unless it stands for
 * something else. */
static int
check_kind(const struct cg_place *place, const char *path, struct cg_error *err)
{
    struct stat st;
    if (fstatat(place->dir_fd, place->name, &st, 0) < 0 ||
        S_ISREG(st.st_mode)) {
        return 0;
    }
    return cg_error_set(err, EEXIST,
                        "pidfile: '%s' is no regular file, which a pidfile "
                        "would replace: name another one, or leave `pidfile` "
                        "out",
                        path);
}

/* A file of our own beside it; *name is owned. */
static int
make_beside(const struct cg_place *place, char **name)
{
    int fd = -1;
    for (int i = 0; fd < 0 && i < NAMES_MOST; i++) {
        free(*name);
        *name = cg_strf("%s.%d.%d", place->name, (int)getpid(), i);
        fd = openat(place->dir_fd, *name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) {
            break;
        }
    }
    return fd;
}

static int
write_beside(const struct cg_place *place, const char *path, int pid,
             struct cg_error *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", pid);
    cg_auto(free) char *name = NULL;
    cg_auto(fd_close) int fd = make_beside(place, &name);
    if (fd < 0) {
        return cg_error_set(err, errno, "cannot create pidfile '%s': %s", path,
                            strerror(errno));
    }
    if (write(fd, text, (size_t)n) != n || fchmod(fd, 0644) < 0 ||
        renameat(place->dir_fd, name, place->dir_fd, place->name) < 0) {
        int failure = errno;
        unlinkat(place->dir_fd, name, 0);
        return cg_error_set(err, failure, "cannot write pidfile '%s': %s", path,
                            strerror(failure));
    }
    return 0;
}

int
cg_pidfile_write(const char *path, int pid, struct cg_error *err)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    int r = find(path, &place, err);
    if (r < 0 || (r = check_kind(&place, path, err)) < 0) {
        return r;
    }
    int old = read_pid(&place);
    if (old != pid && cg_process_is_alive(old)) {
        return cg_error_set(err, EEXIST,
                            "Already running on PID %d (or pid file '%s' is "
                            "stale): stop that process, or name another file "
                            "with `pidfile`",
                            old, path);
    }
    return write_beside(&place, path, pid, err);
}

void
cg_pidfile_remove(const char *path, int pid)
{
    cg_auto(place) struct cg_place place = {.dir_fd = -1};
    if (pid > 0 && cg_place_find(path, CG_PLACE_STAY, &place, NULL) == 0 &&
        read_pid(&place) == pid) {
        unlinkat(place.dir_fd, place.name, 0);
    }
}
