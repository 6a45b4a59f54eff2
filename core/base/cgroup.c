/* SPDX-License-Identifier: MIT */
#include "core/base/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"

bool
cg_cgroup_line(const char *dir, const char *name, char *line, size_t size)
{
    cg_auto(free) char *path = cg_strf("%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    bool good = fgets(line, (int)size, f) != NULL;
    fclose(f);
    line[good ? strcspn(line, "\n") : 0] = '\0';
    return good;
}

static double
least_of(double a, double b)
{
    return a > 0 && (b == 0 || a < b) ? a : b;
}

/* The least of a group and those above it. In a container the group's path may
 * be the host's, of which only the top is visible. */
static double
least_above(const char *mount, char *group, double (*limit_of)(const char *))
{
    double least = 0;
    for (;;) {
        cg_auto(free) char *dir = cg_strf("%s%s", mount, group);
        least = least_of(limit_of(dir), least);
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup: "0::/path", or "4:cpu,cpuacct:/path". */
static double
limit_of_line(const char *root, const struct cg_cgroup_kind *kind, char *line)
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
        return least_above(unified, group, kind->v2);
    }
    cg_auto(free) char *mount =
        cg_strf("%s/sys/fs/cgroup/%s", root, kind->controller);
    return cg_has_word(controllers, ',', kind->controller)
               ? least_above(mount, group, kind->v1)
               : 0;
}

double
cg_cgroup_least(const char *root, const struct cg_cgroup_kind *kind)
{
    char line[4096];
    double least = 0;
    cg_auto(free) char *path = cg_strf("%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        least = least_of(limit_of_line(root, kind, line), least);
    }
    if (f != NULL) {
        fclose(f);
    }
    return least;
}
