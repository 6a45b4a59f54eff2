/* SPDX-License-Identifier: MIT */
/* What the files of companions share. Nobody else includes this. */
#ifndef CG_ARBITER_COMPANIONS_INTERNAL_H
#define CG_ARBITER_COMPANIONS_INTERNAL_H

#include "core/arbiter/companions.h"

/* ---- wishes.c ---- */

struct cg_companion_wish {
    char name[64];
    const char *what; /* borrowed from the settings */
    enum cg_companion_kind kind;
};

/* The i-th process that the settings name; false: there are no more. */
bool cg_companion_wish(const struct cg_arbiter *a, int i,
                       struct cg_companion_wish *ret);
bool cg_companion_wish_of(const struct cg_arbiter *a, const char *name,
                          struct cg_companion_wish *ret);
bool cg_companion_is_callable(const char *what);
/* The program that a command names, to be freed; NULL: there is none that we
 * may execute. */
char *cg_companion_program(const char *name);

/* ---- process.c ---- */

void cg_companion_start(struct cg_arbiter *a, struct cg_companion *c);
/* Takes what it says into the log. */
void cg_companion_listen(struct cg_arbiter *a, struct cg_companion *c);
/* Buries it, if it has ended. */
void cg_companion_reap(struct cg_arbiter *a, struct cg_companion *c);

/* ---- dirty.c ---- */

/* Of the workers' user, once; where the socket is from the first one on. */
void cg_dirty_make_folder(struct cg_arbiter *a);
void cg_dirty_remove_folder(struct cg_arbiter *a);
/* What a dirty worker shows, before its fork, and in the master behind it; a
 * companion of another kind has none. */
void cg_dirty_open_page(struct cg_arbiter *a, struct cg_companion *c);
void cg_dirty_keep_page(struct cg_companion *c);
void cg_dirty_close_page(struct cg_companion *c);
/* What it ran when it died, "" for nothing: a line of the log. */
void cg_dirty_put_losses(const struct cg_companion *c, struct cg_buf *out);

#endif
