/* SPDX-License-Identifier: MIT */
/*
 * ASGI as a runner: a request runs in a task of the loop, and is given back
 * when its reply is out.
 */
#include "core/py/asgi/internal.h"
#include "core/py/runtime/interp.h"

static void
run(void *self, struct cg_exchange *ex)
{
    cg_asgi_run(self, ex);
}

static void
drained(void *self, struct cg_exchange *ex)
{
    cg_asgi_drained(self, ex);
}

static void
interrupt(void *self, struct cg_exchange *ex)
{
    cg_asgi_interrupt(self, ex);
}

static void
show(void *self, struct cg_exchange *ex, struct cg_buf *out)
{
    cg_asgi_show(self, ex, out);
}

static void
replied(void *self, void *line, uint64_t unsent)
{
    cg_wsgi_replied(((struct cg_asgi *)self)->wsgi, line, unsent);
}

static int
start(void *self, struct cg_error *err, struct cg_buf *traceback)
{
    return cg_asgi_startup(self, err, traceback);
}

static void
stop(void *self, uint64_t graceful_us)
{
    cg_asgi_stop(self, graceful_us);
}

static bool
end(void *self, uint64_t patience_us)
{
    cg_asgi_shutdown(self, patience_us);
    return cg_asgi_running(self) == 0;
}

/* With the bridge whose logs and hooks it has. */
static void
free_both(void *self)
{
    struct cg_asgi *a = self;
    struct cg_wsgi *wsgi = a->wsgi;
    cg_asgi_free(a);
    cg_wsgi_free(wsgi);
}

static const struct cg_app_ops ops = {
    .enter = cg_gil_enter,
    .leave = cg_gil_leave,
    .run = run,
    .awaited = drained,
    .interrupt = interrupt,
    .show = show,
    .hold = cg_wsgi_hold,
    .drop = cg_wsgi_drop,
    .replied = replied,
    .start = start,
    .stop = stop,
    .end = end,
    .free = free_both,
};

struct cg_runner
cg_asgi_runner(struct cg_asgi *a)
{
    return (struct cg_runner){&ops, a};
}
