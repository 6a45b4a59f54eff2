/* SPDX-License-Identifier: MIT */
/* Tree: the files that count in some places, with what tells one state of a
 * file from another. */
#ifndef CG_WORKER_RELOAD_TREE_H
#define CG_WORKER_RELOAD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "core/base/bytes.h"

struct cg_leaf {
    char *path; /* owned */
    struct timespec modified;
    off_t size;
    ino_t inode;
};

/* Sorted by path after cg_tree_scan. Zeroed memory is an empty one. */
struct cg_tree {
    struct cg_leaf *leaf;
    size_t n;
    bool full;   /* there is more than is looked at */
    bool others; /* files besides *.py count */
};

/* on_folder (may be NULL) is told of each folder where something may change. */
void cg_tree_scan(struct cg_tree *t, struct cg_slice places,
                  void (*on_folder)(void *self, const char *path), void *self);
void cg_tree_release(struct cg_tree *t);
/* The first path that is in one and not, or otherwise, in the other; NULL: they
 * are the same. Borrowed from either. */
const char *cg_tree_difference(const struct cg_tree *a,
                               const struct cg_tree *b);
/* A leaf that was modified between the two times, or NULL. */
const char *cg_tree_modified(const struct cg_tree *t, struct timespec since,
                             struct timespec until);

#endif
