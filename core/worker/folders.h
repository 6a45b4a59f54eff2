/* SPDX-License-Identifier: MIT */
/* Folders: what the settings say of static files, opened by the worker, with
 * the rights of its user. */
#ifndef CG_WORKER_FOLDERS_H
#define CG_WORKER_FOLDERS_H

#include "config/settings.h"
#include "core/engine/files/files.h"

/* *ret is NULL when nothing is to be served; else for cg_folders_close. */
int cg_folders_open(const struct cg_settings *s, struct cg_files **ret,
                    struct cg_error *err);
void cg_folders_close(struct cg_files *f);

#endif
