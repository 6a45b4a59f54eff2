/* SPDX-License-Identifier: MIT */
/*
 * `cgunicorn config explain --running` and `config diff --running`: the
 * settings that a running server has, told like those of files, and compared
 * with what its own command line and files say now, or another command line.
 */
#ifndef CG_CMD_RUNNING_H
#define CG_CMD_RUNNING_H

#include <stdbool.h>

#include "config/settings.h"
#include "core/control/json.h"

struct cg_running {
    bool compares; /* a configuration is to be loaded for cg_running_diff */
    struct cg_json_tree told; /* what the server said */
    struct cg_buf reply;
};

/*
 * -1: nothing was done, or, with `compares`, the command line and the folder of
 * this process are now those of the configuration to load: words of argv, which
 * is on the heap as they are, are replaced. Else an exit status.
 */
int cg_running_begin(struct cg_running *r, int *argc, char ***argv);
/* Prints how what runs differs from s; the exit status. */
int cg_running_diff(const struct cg_running *r, const struct cg_settings *s);
void cg_running_release(struct cg_running *r);

#endif
