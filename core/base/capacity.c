/* SPDX-License-Identifier: MIT */
#include "core/base/capacity.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/cgroup.h"

/* "max" is 0 in both senses. */
static double
limit_v2(const char *dir)
{
    char line[40];
    return cg_cgroup_line(dir, "memory.max", line, sizeof line) ? atof(line)
                                                                : 0;
}

/* A number near the largest one where there is no limit. */
static double
limit_v1(const char *dir)
{
    char line[40];
    return cg_cgroup_line(dir, "memory.limit_in_bytes", line, sizeof line)
               ? atof(line)
               : 0;
}

uint64_t
cg_capacity_memory(const char *root)
{
    const struct cg_cgroup_kind kind = {"memory", limit_v2, limit_v1};
    double all =
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double least = cg_cgroup_least(root, &kind);
    return (uint64_t)(least > 0 && least < all ? least : all);
}

uint64_t
cg_capacity_disk(const char *dir)
{
    struct statvfs at;
    return statvfs(dir, &at) == 0 ? (uint64_t)at.f_bavail * at.f_frsize : 0;
}
