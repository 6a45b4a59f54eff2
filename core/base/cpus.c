/* SPDX-License-Identifier: MIT */
#include "core/base/cpus.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"

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

/* The first line of a small file, without its newline. */
static bool
read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    bool good = fgets(line, (int)size, f) != NULL;
    fclose(f);
    line[good ? strcspn(line, "\n") : 0] = '\0';
    return good;
}

/* v2: "QUOTA PERIOD" or "max PERIOD". */
static double
quota_v2(const char *dir)
{
    char line[80];
    double quota, period;
    cg_auto(free) char *path = cg_strf("%s/cpu.max", dir);
    return read_line(path, line, sizeof line) &&
                   sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0
               ? quota / period
               : 0;
}

/* v1: the quota is -1 where there is no limit. */
static double
quota_v1(const char *dir)
{
    char quota[40], period[40];
    cg_auto(free) char *q = cg_strf("%s/cpu.cfs_quota_us", dir);
    cg_auto(free) char *p = cg_strf("%s/cpu.cfs_period_us", dir);
    if (!read_line(q, quota, sizeof quota) ||
        !read_line(p, period, sizeof period)) {
        return 0;
    }
    return atof(quota) > 0 && atof(period) > 0 ? atof(quota) / atof(period) : 0;
}

/* The least quota of a group and those above it. In a container the group's
 * path may be the host's, of which only the top is visible. */
static double
least_quota(const char *mount, char *group, double (*quota_of)(const char *))
{
    double least = 0;
    for (;;) {
        cg_auto(free) char *dir = cg_strf("%s%s", mount, group);
        double quota = quota_of(dir);
        if (quota > 0 && (least == 0 || quota < least)) {
            least = quota;
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup: "0::/path", or "4:cpu,cpuacct:/path". */
static double
quota_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return 0;
    }
    *group++ = '\0';
    controllers++;
    if (*controllers == '\0') {
        cg_auto(free) char *unified = cg_strf("%s/sys/fs/cgroup", root);
        return least_quota(unified, group, quota_v2);
    }
    cg_auto(free) char *mount = cg_strf("%s/sys/fs/cgroup/cpu", root);
    return cg_has_word(controllers, ',', "cpu")
               ? least_quota(mount, group, quota_v1)
               : 0;
}

static double
read_quota(const char *root)
{
    char line[4096];
    double least = 0;
    cg_auto(free) char *path = cg_strf("%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        double quota = quota_of_line(root, line);
        if (quota > 0 && (least == 0 || quota < least)) {
            least = quota;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return least;
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
