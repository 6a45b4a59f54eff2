/* SPDX-License-Identifier: MIT */
/*
 * Watch: a thread that says when one of an application's files has changed. It
 * compares what lies in some places with what lay there; the kernel wakes it
 * (inotify(7)), so that it costs nothing while nothing happens, or a clock does
 * once a second. It never runs Python.
 */
#ifndef CG_WORKER_RELOAD_WATCH_H
#define CG_WORKER_RELOAD_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct cg_watch;

struct cg_watch_options {
    /* Places, each with NUL behind it: a letter and a path. C: code, *.py at
     * any depth; D: a folder, all files in it; F: a file; G: a pattern of
     * glob(7). Hidden files, bytecode, logs and virtual environments are left
     * out of folders. */
    struct cg_slice places;
    bool polls; /* the clock, not the kernel */
    /* What changed between then and the start counts, too. */
    struct timespec since;
    /* In the thread: one for each burst of changes. */
    void (*changed)(void *self, const char *path);
    /* Something is not watched; may be NULL. */
    void (*trouble)(void *self, const char *text);
    void *self;
};

/* For cg_watch_stop. places is copied. */
int cg_watch_start(const struct cg_watch_options *o, struct cg_watch **ret,
                   struct cg_error *err);
/* Waits for the thread's end; w may be NULL. */
void cg_watch_stop(struct cg_watch *w);

#endif
