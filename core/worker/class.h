/* SPDX-License-Identifier: MIT */
/* The worker classes by their names. */
#ifndef CG_WORKER_CLASS_H
#define CG_WORKER_CLASS_H

#include "config/settings.h"
#include "core/worker/host.h"

#define CG_WORKER_ASGI_MODULE "_cgunicorn_glue.hosts.asgi_"

struct cg_worker_class {
    const char *name, *uri; /* gunicorn's class; NULL for a second name */
    /* NULL: any other class, written in Python, which serves by itself */
    int (*run)(struct cg_host_run *run, struct cg_error *err);
    const char *module; /* of a class with a loop written in Python, or NULL */
};

/* The class of the settings, which cg_worker_class_check has seen. */
const struct cg_worker_class *cg_worker_class_of(
    const struct cg_settings *settings);

#endif
