/* SPDX-License-Identifier: MIT */
/*
 * Surroundings: what a start would meet on this machine, looked at without
 * changing it: folders of the files that it writes, addresses that somebody
 * has, code that the workers' user cannot read.
 */
#ifndef CG_CMD_SURROUNDINGS_H
#define CG_CMD_SURROUNDINGS_H

#include "config/settings.h"

/*
 * Each of them writes to stderr what a start here would fail with, and returns
 * 1: "Error: …". Where `strict` is not set it is "Warning: …" and 0, as the
 * configuration may be for another machine. What is wrong on every machine is
 * always an error.
 */
int cg_surroundings_check_files(const struct cg_settings *s, bool strict);
int cg_surroundings_check_binds(const struct cg_settings *s, bool strict);
/* After the application was loaded: what that has imported. GIL held. */
int cg_surroundings_check_user(const struct cg_settings *s, bool strict);

#endif
