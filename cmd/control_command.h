/* SPDX-License-Identifier: MIT */
/*
 * `cgunicorn status` and the other commands for a running server. The first
 * word of the line makes it one, unless there is a module of that name here to
 * serve; `cgunicorn ctl status` always is one. They need no Python.
 */
#ifndef CG_CMD_CONTROL_COMMAND_H
#define CG_CMD_CONTROL_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/error.h"

bool cg_control_command_is(int argc, char *const *argv);
/*
 * Runs it and returns the exit status: 0; 1 when there is no such server or it
 * could not do it; 2 for a wrong command line; 3 from `status` for a server
 * that is not ready (it starts, is drained, or stops).
 */
int cg_control_command_run(int argc, char *const *argv);
struct cg_server;
/* Which server is meant, as options say; zeroed: the only one. */
struct cg_control_choice {
    int pid;
    const char *pidfile, *name; /* borrowed */
};
/* Finds it among this user's. -1, or an exit status after a message. */
int cg_control_choose(const struct cg_control_choice *which,
                      struct cg_server *ret);
/* The command (config, check and generate too) that the first word is close to,
 * or NULL: for one that names no module either. */
const char *cg_control_command_near(int argc, char *const *argv);
/* All of them, a line each. */
void cg_control_command_list(FILE *out);

#endif
