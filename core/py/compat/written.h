/* SPDX-License-Identifier: MIT */
/*
 * What hooks and applications write to gunicorn's objects, and when it counts:
 * settings (cfg.set) after the hook that wrote them, attributes of `worker` and
 * `server` at once. Who writes nothing pays nothing. All functions need the
 * GIL.
 */
#ifndef CG_PY_WRITTEN_H
#define CG_PY_WRITTEN_H

#include <stdint.h>

#include "config/settings.h"
#include "core/py/compat/hooks.h"

/* Takes what was written to server.cfg over into s: how many settings. What is
 * no value of its setting is told in the log and stays as it was. */
int cg_py_settings_follow(struct cg_py_server *server, struct cg_settings *s,
                          struct cg_log *log);

/* worker.max_requests, by the engine's count; 0: no limit. */
uint64_t cg_py_worker_limit(struct cg_py_worker *w);

/*
 * worker.load_wsgi(), which gunicorn calls between post_fork and
 * post_worker_init: 0 and the application, or an exit status as of cg_app_load.
 */
int cg_py_worker_load(struct cg_py_worker *w, struct cg_app **ret_app,
                      struct cg_error *err, struct cg_buf *traceback);
/* The same of a master with preload_app: server.app.wsgi(). */
int cg_py_server_load(struct cg_py_server *server, struct cg_app **ret_app,
                      struct cg_error *err, struct cg_buf *traceback);
/* It is to be loaded again. */
void cg_py_server_forget_app(struct cg_py_server *server);
/* worker.wsgi, as post_worker_init may have left it. */
void cg_py_worker_take_app(struct cg_py_worker *w, struct cg_app *app);

#endif
