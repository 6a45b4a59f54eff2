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

/* What NAME in the folder of a thread begins with; false: it cannot be read. */
static bool
read_of(int folder, const char *tid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%.40s/%s", tid, name);
    cg_auto(fd_close) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, to, size - 1) : -1;
    to[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* "RAN DELAYED SLICES", nanoseconds; false: it is not known. */
static bool
read_schedstat(int folder, const char *tid, uint64_t *ran, uint64_t *delayed)
{
    char text[96];
    return read_of(folder, tid, "schedstat", text, sizeof text) &&
           sscanf(text, "%" SCNu64 " %" SCNu64, ran, delayed) == 2;
}

static bool
add_thread(int folder, const char *tid, uint64_t *sum_ns)
{
    uint64_t ran, delayed;
    if (!read_schedstat(folder, tid, &ran, &delayed)) {
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

/* The clock of a thread by its number, as pthread_getcpuclockid makes it of a
 * pthread_t, which must not be used any more when the thread has ended. */
static clockid_t
clock_of(int tid)
{
    return (clockid_t)(~(unsigned)tid << 3 | 6);
}

struct cg_busy_thread
cg_busy_of(int tid)
{
    char path[64];
    struct timespec t;
    uint64_t ran, delayed = 0;
    if (clock_gettime(clock_of(tid), &t) < 0) {
        return (struct cg_busy_thread){0};
    }
    snprintf(path, sizeof path, "/proc/self/task/%d", tid);
    if (!read_schedstat(AT_FDCWD, path, &ran, &delayed)) {
        delayed = 0;
    }
    return (struct cg_busy_thread){.used_us = (uint64_t)t.tv_sec * 1000000u +
                                              (uint64_t)t.tv_nsec / 1000,
                                   .delayed_us = delayed / 1000};
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
