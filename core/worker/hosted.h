/* SPDX-License-Identifier: MIT */
/* What the classes have in common whose requests share the thread of a loop. */
#ifndef CG_WORKER_HOSTED_H
#define CG_WORKER_HOSTED_H

#include "core/worker/wsgi_host.h"

/* Completes what is said of a class whose loop is there: class->loop. */
typedef void cg_hosted_describe(struct cg_wsgi_host_class *class,
                                const struct cg_settings *s);

/* Serves with the loop of run->class->module. As cg_host_hosted. */
int cg_hosted_serve(struct cg_host_run *run, cg_hosted_describe *describe,
                    struct cg_error *err);

#endif
