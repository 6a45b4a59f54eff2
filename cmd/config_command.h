/* SPDX-License-Identifier: MIT */
/*
 * `cgunicorn config explain|diff|convert`: what a configuration says, without
 * running it. Only these three second words make it a command, wherever
 * options stand: an application in a module called `config` stays `cgunicorn
 * config` or `cgunicorn config:app`, and `cgunicorn -- config explain` is one,
 * too.
 */
#ifndef CG_CMD_CONFIG_COMMAND_H
#define CG_CMD_CONFIG_COMMAND_H

#include <stdbool.h>

#include "config/load.h"

bool cg_config_command_is(int argc, char *const *argv);
/* The line begins with `config` and goes on with no command of it: unless
 * there is a module of that name to serve, it is a mistake, which err says. */
bool cg_config_command_is_none(int argc, char *const *argv,
                               struct cg_error *err);

/*
 * Runs it and returns the exit status: 0; 1 when files differ or when something
 * is wrong with the configuration; 2 for a wrong command line. base says how
 * to load; its argc and argv are the whole command line. The interpreter runs,
 * GIL held.
 */
int cg_config_command_run(const struct cg_load *base);

#endif
