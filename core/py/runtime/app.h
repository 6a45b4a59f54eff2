/* SPDX-License-Identifier: MIT */
/* The user's application: "module:object", "module", "module:factory()". */
#ifndef CG_PY_APP_H
#define CG_PY_APP_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/exits.h"

struct _object; /* PyObject, for files that do not see Python.h */

struct cg_app; /* owns the callable; opaque, a PyObject behind it */

/*
 * Imports and resolves. GIL held. On failure returns CG_EXIT_BOOT (an exception
 * in the module, module not found) or CG_EXIT_APP (attribute missing, not
 * callable, spec not understood), err has one sentence that names the thing and
 * the way out (close names; where the module was looked for), and `traceback`
 * the Python traceback, user's frames only (may stay empty).
 */
int cg_app_load(const char *spec, struct cg_app **ret_app, struct cg_error *err,
                struct cg_buf *traceback);
/* Makes one of an object that other code has loaded, a new reference to it;
 * NULL: with the exception that is pending. Internal to core/py, as the next.
 */
int cg_app_take(struct _object *callable, struct cg_app **ret_app,
                struct cg_error *err, struct cg_buf *traceback);
void cg_app_replace(struct cg_app *app, struct _object *callable);
void cg_app_free(struct cg_app *app);
/* Whether a class that runs ASGI (or WSGI) can call it; else err says which
 * class can. What may be either passes. GIL held. */
int cg_app_check_kind(struct cg_app *app, bool asgi, struct cg_error *err);
/* It is certainly ASGI. */
bool cg_app_is_asgi(struct cg_app *app);
/* Whether a top-level module of that name can be found; nothing is imported.
 * GIL held. */
bool cg_app_module_exists(const char *name);
/* After preload_app, before the first fork: collects, then keeps the garbage
 * collector from touching what workers share. */
void cg_app_freeze(void);
/* Names of the Python threads besides this one: "reaper", "Thread-1". */
void cg_app_threads(struct cg_buf *out);
/* The files of all modules that are loaded, each with a NUL behind it, appended
 * to out. 0 or -errno. GIL held. */
int cg_app_files(struct cg_buf *out);
/* The places whose files are the application's, its configuration file (may be
 * NULL) and `extra`, NULL-terminated, among them: as struct cg_watch_options of
 * core/worker/reload/watch.h has them, appended to out. GIL held. */
int cg_app_places(const char *const *extra, const char *config,
                  struct cg_buf *out, struct cg_error *err);
/* One that answers every request with that text and the status 500, by WSGI and
 * by ASGI; NULL: it cannot be made. GIL held. */
struct cg_app *cg_app_fault(struct cg_slice text);
/* From here on what it raises is shown to who asks; false: it stays as it is.
 * GIL held. */
bool cg_app_show_faults(struct cg_app *app, bool asgi);
/* From here on every line that Python executes is printed. GIL held. */
int cg_app_spew(struct cg_error *err);
/* The callable, borrowed. For core/py only. */
struct _object *cg_app_callable(struct cg_app *app);

#endif
