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
#include "core/base/process.h"

/* The pid in the file, 0 when there is none or no number in it. */
static int
read_pid(const char *path)
{
    char text[32] = {0};
    cg_auto(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    return n > 0 ? atoi(text) : 0;
}

static int
check_folder(const char *path, struct cg_error *err)
{
    cg_auto(free) char *folder = cg_strdup(path);
    char *slash = strrchr(folder, '/');
    struct stat st;
    if (slash == NULL || slash == folder) {
        return 0;
    }
    *slash = '\0';
    if (stat(folder, &st) < 0) {
        return cg_error_set(err, ENOENT,
                            "%s doesn't exist. Can't create pidfile: make "
                            "that folder, or name another file with `pidfile`",
                            folder);
    }
    return 0;
}

static int
write_beside(const char *path, int pid, char *temporary, struct cg_error *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", pid);
    cg_auto(fd_close) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return cg_error_set(err, errno, "cannot create pidfile '%s': %s", path,
                            strerror(errno));
    }
    if (write(fd, text, (size_t)n) != n || fchmod(fd, 0644) < 0 ||
        rename(temporary, path) < 0) {
        int failure = errno;
        unlink(temporary);
        return cg_error_set(err, failure, "cannot write pidfile '%s': %s", path,
                            strerror(failure));
    }
    return 0;
}

int
cg_pidfile_write(const char *path, int pid, struct cg_error *err)
{
    int old = read_pid(path);
    if (old != pid && cg_process_is_alive(old)) {
        return cg_error_set(err, EEXIST,
                            "Already running on PID %d (or pid file '%s' is "
                            "stale): stop that process, or name another file "
                            "with `pidfile`",
                            old, path);
    }
    int r = check_folder(path, err);
    if (r < 0) {
        return r;
    }
    cg_auto(free) char *temporary = cg_strf("%s.XXXXXX", path);
    return write_beside(path, pid, temporary, err);
}

void
cg_pidfile_remove(const char *path, int pid)
{
    if (read_pid(path) == pid) {
        unlink(path);
    }
}
