/* SPDX-License-Identifier: MIT */
#include "core/share/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

size_t
cg_pages_size(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

void *
cg_pages_reserve(size_t n)
{
    void *p = mmap(NULL, n, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

void
cg_pages_drop(void *p, size_t n)
{
    if (p != NULL && n > 0) {
        munmap(p, n);
    }
}

/* Kernels before 6.3 do not know the flag without which some refuse. */
static int
make_file(void)
{
    int fd = memfd_create("cgunicorn-share",
                          MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("cgunicorn-share", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd;
}

/* What is mapped from here on can never be written (Linux 5.1). */
static bool
seal(int fd)
{
    enum { SIZE = F_SEAL_SHRINK | F_SEAL_GROW };
    return fcntl(fd, F_ADD_SEALS, SIZE | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) ==
           0;
}

static int
map_at(void *at, size_t n, int protection, int fd)
{
    return mmap(at, n, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED
               ? -errno
               : 0;
}

int
cg_pages_map(void *write, void *read, size_t n, bool *ret_sealed)
{
    cg_auto(fd_close) int fd = make_file();
    cg_auto(fd_close) int read_fd = -1;
    if (fd < 0 || ftruncate(fd, (off_t)n) < 0) {
        return -errno;
    }
    int r = map_at(write, n, PROT_READ | PROT_WRITE, fd);
    if (r < 0) {
        return r;
    }
    *ret_sealed = seal(fd);
    if (!*ret_sealed) {
        /* before 5.1: a description that cannot write makes such ones, too */
        read_fd = cg_fd_read_only(fd);
        *ret_sealed = read_fd >= 0;
    }
    return map_at(read, n, PROT_READ, read_fd >= 0 ? read_fd : fd);
}
