/* SPDX-License-Identifier: MIT */
/* WSGI as a runner: a request runs in the thread that calls, to its end. */
#include "core/py/runtime/interp.h"
#include "core/py/wsgi/wsgi.h"

static void
run(void *self, struct cg_exchange *ex)
{
    cg_wsgi_run(self, ex);
}

static void
replied(void *self, void *line, uint64_t unsent)
{
    cg_wsgi_replied(self, line, unsent);
}

/* It has nothing to start, and nothing goes on between two requests. */
static int
start(void *self, struct cg_error *err, struct cg_buf *traceback)
{
    return 0;
}

static void
stop(void *self, uint64_t graceful_us)
{
}

static bool
end(void *self, uint64_t patience_us)
{
    return true;
}

static void
free_bridge(void *self)
{
    cg_wsgi_free(self);
}

static const struct cg_app_ops ops = {
    .enter = cg_gil_enter,
    .leave = cg_gil_leave,
    .run = run,
    .hold = cg_wsgi_hold,
    .drop = cg_wsgi_drop,
    .replied = replied,
    .start = start,
    .stop = stop,
    .end = end,
    .free = free_bridge,
};

struct cg_runner
cg_wsgi_runner(struct cg_wsgi *w)
{
    return (struct cg_runner){&ops, w};
}
