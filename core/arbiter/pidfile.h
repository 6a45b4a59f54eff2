/* SPDX-License-Identifier: MIT */
/* Pidfile (gunicorn-compat 3.5): made whole, never over somebody else's. */
#ifndef CG_ARBITER_PIDFILE_H
#define CG_ARBITER_PIDFILE_H

#include "core/base/error.h"

/* Writes "PID\n" to path by rename. A file of a live other process is an error
 * that names it; a stale one (a zombie's too), or one with our own pid, is
 * replaced. */
int cg_pidfile_write(const char *path, int pid, struct cg_error *err);
/* Removes the file if it still holds pid. */
void cg_pidfile_remove(const char *path, int pid);

#endif
