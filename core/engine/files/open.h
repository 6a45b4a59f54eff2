/* SPDX-License-Identifier: MIT */
/*
 * Opening of files that stay below a folder, whatever their name and whatever
 * links lie there: the kernel resolves the name and refuses to leave
 * (openat2(2), RESOLVE_BENEATH). Where there is no such call, or a filter
 * forbids it, each segment is opened by itself and links are not followed.
 */
#ifndef CG_ENGINE_FILES_OPEN_H
#define CG_ENGINE_FILES_OPEN_H

#include <sys/stat.h>

/* `path` is relative and not empty; dir is a folder's descriptor. A file or a
 * folder, to be read; never blocks for a pipe. The descriptor, or -errno:
 * -EXDEV or -ELOOP for what lies outside. */
int cg_open_beneath(int dir, const char *path);
/* The same without openat2. */
int cg_open_beneath_by_steps(int dir, const char *path);

#endif
