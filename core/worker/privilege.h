/* SPDX-License-Identifier: MIT */
/* Giving up root: user, group, initgroups (gunicorn-compat 3.7). */
#ifndef CG_WORKER_PRIVILEGE_H
#define CG_WORKER_PRIVILEGE_H

#include "config/settings.h"

/* Becomes the user and group of the settings, if they differ from ours and are
 * not root. err says what was refused and by which setting. */
int cg_privilege_drop(const struct cg_settings *s, struct cg_error *err);

#endif
