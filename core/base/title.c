/* SPDX-License-Identifier: MIT */
#include "core/base/title.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/memory.h"

static char *area;
static size_t area_n;

/* The kernel shows the memory from argv[0] on; environ lies behind it. */
static char *
end_of(char **list, char *end)
{
    for (int i = 0; list[i] != NULL; i++) {
        if (list[i] == end + 1) {
            end = list[i] + strlen(list[i]);
        }
    }
    return end;
}

/* environ's strings are in the way. */
static void
move_environ(void)
{
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **copy = cg_calloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = cg_strdup(environ[i]);
    }
    environ = copy; /* lives as long as the process */
}

void
cg_title_init(int argc, char **argv)
{
    if (argc < 1) {
        return;
    }
    char *end = argv[0] + strlen(argv[0]);
    end = end_of(argv + 1, end);
    char *with_environ = end_of(environ, end);
    if (with_environ != end) {
        move_environ();
    }
    area = argv[0];
    area_n = (size_t)(with_environ - area) + 1;
}

/* proc(5): fields 48 to 51 of stat are where arguments and environment begin
 * and end; the name, field 2, may hold anything. */
static bool
read_bounds(uintptr_t bounds[4])
{
    char text[2048];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    text[n] = '\0';
    char *at = strrchr(text, ')');
    for (int field = 3; at != NULL && field <= 48; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL &&
           sscanf(at, "%" SCNuPTR " %" SCNuPTR " %" SCNuPTR " %" SCNuPTR,
                  &bounds[0], &bounds[1], &bounds[2], &bounds[3]) == 4 &&
           bounds[0] != 0 && bounds[1] > bounds[0];
}

void
cg_title_find(void)
{
    uintptr_t bounds[4];
    if (!read_bounds(bounds)) {
        return;
    }
    if (bounds[2] == bounds[1] && bounds[3] > bounds[2]) {
        move_environ();
        bounds[1] = bounds[3];
    }
    area = (char *)bounds[0];
    area_n = bounds[1] - bounds[0];
}

void
cg_title_set(const char *role, const char *name)
{
    char text[256];
    snprintf(text, sizeof text, "gunicorn: %s [%s]", role, name);
    if (area != NULL) {
        memset(area, 0, area_n);
        snprintf(area, area_n, "%s", text);
    }
    char comm[16] = "gunicorn";
    if (strcmp(role, "master") != 0) {
        snprintf(comm, sizeof comm, "gunicorn-%s", role);
    }
    prctl(PR_SET_NAME, comm);
}
