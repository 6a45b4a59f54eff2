/* SPDX-License-Identifier: MIT */
/*
 * Reloader: what a worker does under `reload`: it has the application's files
 * watched and tells the master when one has changed, which loads everything
 * anew as on HUP. Meanwhile new connections wait for the new worker; what is
 * under way is finished.
 */
#ifndef CG_WORKER_RELOAD_RELOADER_H
#define CG_WORKER_RELOAD_RELOADER_H

#include "core/worker/host.h"

/* After the application was loaded. GIL held. */
void cg_reloader_start(struct cg_host_run *run);
/* The worker ends. */
void cg_reloader_stop(struct cg_host_run *run);

#endif
