/* SPDX-License-Identifier: MIT */
#include "core/engine/files/open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

/* A pipe or a terminal must not make us wait, or become ours. */
enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

/* struct open_how of linux/openat2.h: old systems do not have it, and the
 * newest get it by fcntl.h. */
struct how {
    uint64_t flags, mode, resolve;
};
enum { OPENAT2 = 437, NO_MAGICLINKS = 0x02, BENEATH = 0x08 };

static _Atomic int missing; /* the kernel, or a filter, does not have it */

static int
open_segment(int dir, const char *name, size_t n, int flags)
{
    char segment[NAME_MAX + 1];
    if (n > NAME_MAX) {
        return -ENAMETOOLONG;
    }
    memcpy(segment, name, n);
    segment[n] = '\0';
    if (strcmp(segment, "..") == 0) {
        return -EXDEV;
    }
    int fd = openat(dir, segment, flags | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

int
cg_open_beneath_by_steps(int dir, const char *path)
{
    cg_auto(fd_close) int held = -1;
    int at = dir;
    if (path[0] == '/') {
        return -EXDEV;
    }
    for (;;) {
        size_t n = strcspn(path, "/");
        const char *next = path + n + strspn(path + n, "/");
        bool last = *next == '\0';
        int flags = last ? FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC;
        int fd = open_segment(at, path, n, flags);
        if (fd < 0 || last) {
            return fd;
        }
        cg_fd_close(&held);
        at = held = fd;
        path = next;
    }
}

int
cg_open_beneath(int dir, const char *path)
{
    enum { TRIES = 8 };
    const struct how how = {.flags = FLAGS, .resolve = BENEATH | NO_MAGICLINKS};
    if (atomic_load_explicit(&missing, memory_order_relaxed)) {
        return cg_open_beneath_by_steps(dir, path);
    }
    for (int i = 0; i < TRIES; i++) {
        long fd = syscall(OPENAT2, dir, path, &how, sizeof how);
        if (fd >= 0) {
            return (int)fd;
        }
        /* a rename somewhere made it unsure: once more */
        if (errno != EAGAIN && errno != EINTR) {
            break;
        }
    }
    if (errno == ENOSYS || errno == EPERM || errno == EAGAIN) {
        /* EPERM is a filter's word: a file that may not be read is EACCES */
        atomic_store_explicit(&missing, errno == ENOSYS, memory_order_relaxed);
        return cg_open_beneath_by_steps(dir, path);
    }
    return -errno;
}
