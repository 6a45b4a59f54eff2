/* SPDX-License-Identifier: MIT */
/* The one server and worker of this process, as the embedded sources reach
 * them. Internal to core/py. */
#ifndef CG_PY_HOOKS_INTERNAL_H
#define CG_PY_HOOKS_INTERNAL_H

#include "core/py/compat/hooks.h"

/* The log, NULL while there is no server. */
struct cg_log *cg_hook_log(void);
/* What `server` can make the arbiter do; members may be NULL. */
const struct cg_server_calls *cg_hook_server_calls(void);
/* What `worker` can make the worker do; members may be NULL. */
const struct cg_worker_calls *cg_hook_worker_calls(void);
void cg_hook_worker_stop(void);
void cg_hook_worker_quit(void);
/* Whether the worker was told to stop at once. */
bool cg_hook_worker_quits(void);
/* Has the worker's main loop run what is due. Any thread, without the GIL. */
void cg_hook_worker_wake(void);

/* app.c: an attribute of an embedded module; new reference, or NULL with an
 * exception. */
struct _object *cg_glue_get(const char *module, const char *name);

/* hooks.c: a Config of its own; new reference, or NULL with an exception. */
struct _object *cg_hook_new_config(const struct cg_settings *s);

/* timeout.c: whether the request that runs here, in this thread and greenlet,
 * took too long and was not told yet. It counts as told then. */
bool cg_late_is_here(void);

/* interp.c: takes a pending SystemExit; false when it is another exception. */
bool cg_py_take_exit(int *ret_status);

#endif
