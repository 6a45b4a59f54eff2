/* SPDX-License-Identifier: MIT */
#include "core/base/title.h"

#include <stddef.h>
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
    area = argv[0];
    area_n = (size_t)(with_environ - area) + 1;
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
