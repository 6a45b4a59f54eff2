/* SPDX-License-Identifier: MIT */
/*
 * Place: the folder that a path leads to, open, and the name in it. A process
 * with root's rights that opens, gives away or removes what a path names must
 * not be led elsewhere by whoever owns a folder on the way: for root each
 * symbolic link is followed here, by hand, and one that belongs to another user
 * leads only to that user's own folders. Others are not root's business: for
 * them the kernel follows all links.
 */
#ifndef CG_BASE_PLACE_H
#define CG_BASE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/base/error.h"

struct cg_place {
    int dir_fd;              /* of the folder, owned */
    char name[NAME_MAX + 1]; /* in it: no link, unless `is_magic` */
    bool ours;               /* nobody but root, or we, can put names there */
    bool is_magic; /* a link of /proc that only the kernel can follow */
};

enum cg_place_end {
    CG_PLACE_FOLLOW, /* if the path itself is a link: where it leads to */
    CG_PLACE_STAY    /* the link itself */
};

/* 0, or -errno with a reason that goes on "… isn't usable: ". The last name
 * need not exist. */
int cg_place_find(const char *path, enum cg_place_end end,
                  struct cg_place *ret_place, struct cg_error *err);
void cg_place_release(struct cg_place *p);
void cg_cleanup_place(struct cg_place *p); /* cg_auto(place) */

/* What the name is, links not followed. 0 or -errno. */
int cg_place_stat(const struct cg_place *p, struct stat *ret);
/*
 * Whether that file is the only name of what `fd` has open: not one that
 * somebody else has another name for, and not one that was put there since.
 */
bool cg_place_holds_only(const struct cg_place *p, int fd);

/*
 * Opens the name to append, or makes a file with that mode; never waits: a
 * named pipe is opened for both directions. *ret_made: it was made here.
 * Returns the descriptor, CLOEXEC, or -errno with the reason in err. Refused,
 * for root, is a file with several names in a folder of others.
 */
int cg_place_append(const struct cg_place *p, mode_t mode, bool *ret_made,
                    struct cg_error *err);
/*
 * Gives a file that cg_place_append() opened to uid and gid (-1: leave them):
 * a regular file that was made here, is that user's already, or is ours in a
 * folder that is. 0, or -errno with the reason in err: then it keeps its owner.
 * What is no regular file keeps it without a word.
 */
int cg_place_give(const struct cg_place *p, int fd, bool made, int uid, int gid,
                  struct cg_error *err);

#endif
