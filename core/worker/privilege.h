/* SPDX-License-Identifier: MIT */
/* Giving up root: user, group, initgroups (gunicorn-compat 3.7). */
#ifndef CG_WORKER_PRIVILEGE_H
#define CG_WORKER_PRIVILEGE_H

#include "config/settings.h"

/* Becomes the user and group of the settings, if they differ from ours and are
 * not root; root's other groups go with it, and what the kernel says afterwards
 * is checked. err says what was refused and by which setting. */
int cg_privilege_drop(const struct cg_settings *s, struct cg_error *err);
/* Whether workers of root would become another user and stay in its group. */
bool cg_privilege_keeps_roots_group(const struct cg_settings *s);
/* no_new_privs: for this process and all that it starts. */
int cg_privilege_bind(const struct cg_settings *s, struct cg_error *err);

#endif
