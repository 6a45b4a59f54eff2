/* SPDX-License-Identifier: MIT */
/* Whether the kernel's OOM killer struck in our cgroup. */
#include "core/arbiter/oom.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"

/* In a container that shares its host's names of groups, its own group is the
 * root of what it sees. */
static bool
find_in(char *out, size_t size, const char *mount, const char *group,
        const char *name)
{
    snprintf(out, size, "%s%s/%s", mount, group, name);
    if (access(out, R_OK) == 0) {
        return true;
    }
    snprintf(out, size, "%s/%s", mount, name);
    return access(out, R_OK) == 0;
}

/* The file that counts OOM kills in this process's cgroup; false: none. */
static bool
oom_file(char *out, size_t size)
{
    char line[600];
    FILE *f = fopen("/proc/self/cgroup", "re");
    bool found = false;
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *memory = strstr(line, ":memory:");
        if (strncmp(line, "0::", 3) == 0) {
            found =
                find_in(out, size, "/sys/fs/cgroup", line + 3, "memory.events");
        } else if (memory != NULL) {
            found = find_in(out, size, "/sys/fs/cgroup/memory",
                            memory + strlen(":memory:"), "memory.oom_control");
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

/* How often the OOM killer struck there; -1: not known. */
static long
oom_kills(void)
{
    char path[700], line[128];
    long n = -1;
    FILE *f = oom_file(path, sizeof path) ? fopen(path, "re") : NULL;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        sscanf(line, "oom_kill %ld", &n);
    }
    if (f != NULL) {
        fclose(f);
    }
    return n;
}

void
cg_arbiter_count_oom(struct cg_arbiter *a)
{
    a->oom_kills = oom_kills();
}

/* For a worker that got a KILL which was not ours. */
enum cg_oom
cg_arbiter_was_oom(struct cg_arbiter *a)
{
    long before = a->oom_kills;
    cg_arbiter_count_oom(a);
    if (before < 0 || a->oom_kills < 0) {
        return OOM_UNKNOWN;
    }
    return a->oom_kills > before ? OOM_YES : OOM_NO;
}
