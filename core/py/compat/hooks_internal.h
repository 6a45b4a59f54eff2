/* SPDX-License-Identifier: MIT */
/* The one server and worker of this process, as the embedded sources reach
 * them. Internal to core/py. */
#ifndef CG_PY_HOOKS_INTERNAL_H
#define CG_PY_HOOKS_INTERNAL_H

#include "core/py/compat/hooks.h"

struct cg_hook_state {
    struct cg_log *log;
    struct cg_server_calls calls;
    struct cg_worker_signals signals;
    int wakeup_fd; /* the worker's, to be written to; 0: none */
    bool quits;    /* it was told to stop at once */
};
extern struct cg_hook_state cg_hook_state;

/* app.c: an attribute of an embedded module; new reference, or NULL with an
 * exception. (PyObject * and back, for files that see Python.h.) */
struct _object;
struct _object *cg_glue_get(const char *module, const char *name);

/* wsgi_late.c: whether the request that runs here, in this thread and greenlet,
 * took too long and was not told yet. It counts as told then. */
bool cg_late_is_here(void);

/* interp.c: takes a pending SystemExit; false when it is another exception. */
bool cg_py_take_exit(int *ret_status);

#endif
