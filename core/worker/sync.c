/* SPDX-License-Identifier: MIT */
/*
 * The sync class: the main thread turns the loop and runs requests inline, one
 * at a time. The engine reads and flushes for all clients meanwhile, so that a
 * slow one costs no executor.
 */
#include "core/worker/host.h"
#include "core/worker/wsgi_host.h"

static const struct cg_wsgi_host_class class = {.executors = 1, .spools = true};

int
cg_host_sync(struct cg_host_run *run, struct cg_error *err)
{
    struct cg_wsgi_host h;
    int r = cg_wsgi_host_init(&h, run, &class, err);
    if (r < 0) {
        return r;
    }
    struct cg_executor *x = cg_executor_new(h.engine, 1);
    cg_engine_watch_wakeup(h.engine, run->wakeup_fd);
    r = cg_wsgi_host_start(&h, err);
    if (r == 0) {
        cg_engine_run(h.engine, x);
        cg_wsgi_host_end(&h);
    }
    cg_wsgi_host_release(&h);
    cg_executor_free(x);
    return r;
}
