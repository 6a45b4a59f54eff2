/* SPDX-License-Identifier: MIT */
/*
 * Limits of the control groups that this process is in (v1 and v2): the least
 * of a group's own and those above it.
 */
#ifndef CG_BASE_CGROUP_H
#define CG_BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

struct cg_cgroup_kind {
    const char *controller; /* of v1, and its mount's name */
    /* What the folder of a group says; 0: no limit. */
    double (*v2)(const char *dir);
    double (*v1)(const char *dir);
};

/* 0: no limit. root is "" for the system; tests name a folder that has proc/
 * and sys/. */
double cg_cgroup_least(const char *root, const struct cg_cgroup_kind *kind);
/* The first line of a file of a group, without its newline; false: none. */
bool cg_cgroup_line(const char *dir, const char *name, char *line, size_t size);

#endif
