/* SPDX-License-Identifier: MIT */
#include "core/base/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/cgroup.h"

enum { CPUS_MAX = 8192 };

static int
read_affinity(int fallback)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    if (set == NULL || sched_getaffinity(0, size, set) < 0) {
        CPU_FREE(set);
        return fallback;
    }
    int n = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    return n;
}

/* v2: "QUOTA PERIOD" or "max PERIOD". */
static double
quota_v2(const char *dir)
{
    char line[80];
    double quota, period;
    return cg_cgroup_line(dir, "cpu.max", line, sizeof line) &&
                   sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0
               ? quota / period
               : 0;
}

/* v1: the quota is -1 where there is no limit. */
static double
quota_v1(const char *dir)
{
    char quota[40], period[40];
    if (!cg_cgroup_line(dir, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !cg_cgroup_line(dir, "cpu.cfs_period_us", period, sizeof period)) {
        return 0;
    }
    return atof(quota) > 0 && atof(period) > 0 ? atof(quota) / atof(period) : 0;
}

static double
read_quota(const char *root)
{
    const struct cg_cgroup_kind kind = {"cpu", quota_v2, quota_v1};
    return cg_cgroup_least(root, &kind);
}

void
cg_cpus_read(const char *root, struct cg_cpus *ret)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    struct cg_cpus c = {.host = online > 0 ? (int)online : 1};
    c.affinity = read_affinity(c.host);
    c.quota = read_quota(root);
    c.count = c.affinity < c.host ? c.affinity : c.host;
    if (c.quota > 0 && c.quota < c.count) {
        c.count = (int)c.quota + (c.quota > (int)c.quota);
    }
    c.count = c.count > 0 ? c.count : 1;
    *ret = c;
}
