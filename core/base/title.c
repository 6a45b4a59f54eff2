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
static char *first;     /* what was in the area at the beginning; a copy */
static char **pointers; /* environ of then, into the area */
static char **mine;     /* environ while the area is lent; NULL: it is not */
static char **theirs;   /* what they made of environ; nobody reads it */
static char text[256];  /* the title; "": none was set */
static char comm[16];

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

static size_t
length(char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL) {
        n++;
    }
    return n;
}

/* Takes the memory, out of which environ's strings move if they lie there. */
static void
take_area(char *from, size_t n, bool with_environ)
{
    size_t count = length(environ);
    pointers = cg_calloc(count + 1, sizeof *pointers);
    memcpy(pointers, environ, count * sizeof *pointers);
    if (with_environ) {
        char **copy = cg_calloc(count + 1, sizeof *copy);
        for (size_t i = 0; i < count; i++) {
            copy[i] = cg_strdup(environ[i]);
        }
        environ = copy; /* lives as long as the process */
    }
    area = from;
    area_n = n;
    first = cg_calloc(1, area_n);
    memcpy(first, area, area_n);
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
    take_area(argv[0], (size_t)(with_environ - argv[0]) + 1,
              with_environ != end);
}

/* proc(5): fields 48 to 51 of stat are where arguments and environment begin
 * and end; the name, field 2, may hold anything. */
static bool
read_bounds(uintptr_t bounds[4])
{
    char stat[2048];
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f != NULL ? fread(stat, 1, sizeof stat - 1, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    stat[n] = '\0';
    char *at = strrchr(stat, ')');
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
    if (read_bounds(bounds)) {
        bool with_environ = bounds[2] == bounds[1] && bounds[3] > bounds[2];
        take_area((char *)bounds[0], bounds[with_environ ? 3 : 1] - bounds[0],
                  with_environ);
    }
}

static void
show(void)
{
    memset(area, 0, area_n);
    snprintf(area, area_n, "%s", text);
}

void
cg_title_set(const char *role, const char *name)
{
    snprintf(text, sizeof text, "gunicorn: %s [%s]", role, name);
    if (area != NULL) {
        show();
    }
    snprintf(comm, sizeof comm, "gunicorn");
    if (strcmp(role, "master") != 0) {
        snprintf(comm, sizeof comm, "gunicorn-%s", role);
    }
    cg_title_name_process();
}

const char *
cg_title_get(void)
{
    return text[0] != '\0' ? text : NULL;
}

void
cg_title_name_process(void)
{
    if (comm[0] != '\0') {
        prctl(PR_SET_NAME, comm);
    }
}

void
cg_title_lend(void)
{
    if (area == NULL || mine != NULL) {
        return;
    }
    memcpy(area, first, area_n);
    mine = environ;
    environ = pointers;
}

void
cg_title_take_back(void)
{
    if (mine == NULL) {
        return;
    }
    theirs = environ; /* a copy; how it was made is not known, so it stays */
    environ = mine;
    mine = NULL;
    if (text[0] != '\0') {
        show();
        cg_title_name_process();
    }
}
