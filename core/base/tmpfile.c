/* SPDX-License-Identifier: MIT */
#include "core/base/tmpfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

enum { CLOSED_AT_ONCE = 8 << 20, BLOCK = 512 /* of st_blocks */ };

const char *
cg_tmpfile_dir(const char *dir)
{
    if (dir == NULL || *dir == '\0') {
        dir = getenv("TMPDIR");
    }
    return dir != NULL && *dir != '\0' ? dir : "/tmp";
}

/* Where the file system or the kernel knows no O_TMPFILE. */
static int
open_and_unlink(const char *dir, const char *kind)
{
    cg_auto(free) char *path = cg_strf("%s/cgunicorn-%s-XXXXXX", dir, kind);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    unlink(path);
    return fd;
}

int
cg_tmpfile_open(const char *dir, const char *kind)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    return errno == EOPNOTSUPP || errno == EISDIR ? open_and_unlink(dir, kind)
                                                  : -errno;
}

/* ---- the end ---- */

static bool
is_large(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_blocks > CLOSED_AT_ONCE / BLOCK;
}

static void *
close_main(void *fd)
{
    close((int)(intptr_t)fd);
    return NULL;
}

static bool
close_elsewhere(int fd)
{
    pthread_t thread;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int r = pthread_create(&thread, NULL, close_main, (void *)(intptr_t)fd);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r == 0) {
        pthread_detach(thread);
    }
    return r == 0;
}

void
cg_tmpfile_close(int *fd)
{
    if (*fd >= 0 && is_large(*fd) && close_elsewhere(*fd)) {
        *fd = -1;
    }
    cg_fd_close(fd);
}
