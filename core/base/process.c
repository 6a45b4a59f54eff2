/* SPDX-License-Identifier: MIT */
#include "core/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

/* The beginning of /proc/PID/name; "" when there is none. */
static void
read_file(int pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    cg_auto(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
}

/* What comes behind its name, which may have parentheses of its own. */
static const char *
read_stat(int pid, char *text, size_t size)
{
    read_file(pid, "stat", text, size);
    const char *paren = strrchr(text, ')');
    return paren != NULL && paren[1] == ' ' ? paren + 2 : "?";
}

char
cg_process_state(int pid)
{
    char text[512];
    return *read_stat(pid, text, sizeof text);
}

struct cg_process_costs
cg_process_costs(int pid)
{
    char stat[512], statm[128];
    struct cg_process_costs costs = {0};
    unsigned long long user = 0, system = 0, pages = 0;
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK);
    if (sscanf(read_stat(pid, stat, sizeof stat),
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &system) == 2) {
        costs.cpu_us = (user + system) * 1000000 / hertz;
    }
    read_file(pid, "statm", statm, sizeof statm);
    if (sscanf(statm, "%*u %llu", &pages) == 1) {
        costs.rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return costs;
}

uint64_t
cg_process_pss(int pid)
{
    char text[1024];
    unsigned long long kib = 0;
    read_file(pid, "smaps_rollup", text, sizeof text);
    const char *line = strstr(text, "\nPss:");
    return line != NULL && sscanf(line, "\nPss: %llu", &kib) == 1 ? kib * 1024
                                                                  : 0;
}

bool
cg_process_is_alive(int pid)
{
    if (pid <= 0 || (kill(pid, 0) < 0 && errno != EPERM)) {
        return false;
    }
    char state = cg_process_state(pid);
    return state != 'Z' && state != 'X';
}

/* ---- core files ---- */

static const char filter_path[] = "/proc/self/coredump_filter";

int
cg_process_core_filter(void)
{
    char text[32] = "";
    cg_auto(fd_close) int fd = open(filter_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) {
        return -errno;
    }
    return (int)strtol(text, NULL, 16);
}

int
cg_process_set_core_filter(int filter)
{
    char text[32];
    int n = snprintf(text, sizeof text, "0x%x", (unsigned)filter);
    cg_auto(fd_close) int fd = open(filter_path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, (size_t)n) != n ? -errno : 0;
}

int
cg_process_no_core(void)
{
    if (cg_process_set_core_filter(0) == 0) {
        return 0;
    }
    return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}
