/* SPDX-License-Identifier: MIT */
/* Top: the status of a server, refreshed on a terminal until `q`. */
#ifndef CG_CMD_TOP_H
#define CG_CMD_TOP_H

#include "cmd/servers.h"

/* Returns the exit status. Without a terminal it prints one screen. */
int cg_top_run(const struct cg_server *server);

#endif
