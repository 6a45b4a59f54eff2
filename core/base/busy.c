/* SPDX-License-Identifier: MIT */
#include "core/base/busy.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

/* What /proc/self/task/TID/NAME begins with; false: it cannot be read. */
static bool
read_of(int folder, const char *tid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%.20s/%s", tid, name);
    cg_auto(fd_close) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, to, size - 1) : -1;
    to[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* "RAN DELAYED SLICES", nanoseconds; false: it is not known. */
static bool
add_thread(int folder, const char *tid, uint64_t *sum_ns)
{
    char text[96];
    uint64_t ran, delayed;
    if (!read_of(folder, tid, "schedstat", text, sizeof text) ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &delayed) != 2) {
        return false;
    }
    *sum_ns += ran + delayed;
    return true;
}

/* "TID (NAME) S …"; the name may have anything in it. */
static bool
is_runnable(int folder, const char *tid)
{
    char text[128];
    const char *end = read_of(folder, tid, "stat", text, sizeof text)
                          ? strrchr(text, ')')
                          : NULL;
    return end != NULL && strncmp(end, ") R", 3) == 0;
}

static uint64_t
used_us(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

struct cg_busy
cg_busy_look(void)
{
    DIR *d = opendir("/proc/self/task");
    const struct dirent *entry;
    struct cg_busy busy = {0};
    uint64_t sum_ns = 0;
    bool known = false;
    int own = (int)gettid();
    while (d != NULL && (entry = readdir(d)) != NULL) {
        const char *tid = entry->d_name;
        if (tid[0] != '.') {
            known |= add_thread(dirfd(d), tid, &sum_ns);
            busy.now |= atoi(tid) != own && is_runnable(dirfd(d), tid);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    busy.us = known ? sum_ns / 1000 : used_us();
    return busy;
}
