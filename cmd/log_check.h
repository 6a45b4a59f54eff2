/* SPDX-License-Identifier: MIT */
/* What --check-config and `cgunicorn check` say of the words in the settings of
 * the logs that mean nothing. */
#ifndef CG_CMD_LOG_CHECK_H
#define CG_CMD_LOG_CHECK_H

#include "config/settings.h"

/* Each is a line on stderr, with where it was written: "Warning: …", and with
 * `strict` "Error: …". Returns 1 if there was an error, else 0. */
int cg_log_check(const struct cg_settings *s, bool strict);

#endif
