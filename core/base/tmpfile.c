/* SPDX-License-Identifier: MIT */
#include "core/base/tmpfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/memory.h"

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
