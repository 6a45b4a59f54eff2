/* SPDX-License-Identifier: MIT */
/* The worker classes by their names. */
#ifndef CG_WORKER_CLASS_H
#define CG_WORKER_CLASS_H

#include "config/settings.h"
#include "core/worker/host.h"

struct cg_worker_class {
    const char *name, *uri; /* gunicorn's class; NULL for a second name */
    /* NULL: to be chosen when the application is known, or a class written in
     * Python, which serves by itself */
    int (*run)(struct cg_host_run *run, struct cg_error *err);
    const char *module; /* of a class with a loop written in Python, or NULL */
    bool asgi;          /* runs ASGI, not WSGI */
};

/* The class of the settings, which cg_worker_class_check has seen. */
const struct cg_worker_class *cg_worker_class_of(
    const struct cg_settings *settings);
/* The one that runs an application where the settings leave that open. */
const struct cg_worker_class *cg_worker_class_for(
    const struct cg_settings *settings, bool asgi);

#endif
