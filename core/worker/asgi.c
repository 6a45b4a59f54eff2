/* SPDX-License-Identifier: MIT */
/* The asgi class: requests run in tasks of an asyncio loop. */
#include "core/py/asgi/asgi.h"
#include "core/worker/class.h"
#include "core/worker/hosted.h"

/* A late request is cancelled by the loop; no thread is interrupted. */
static void
interrupt_nobody(void *self)
{
}

static uint64_t
seconds(const struct cg_settings *s, enum cg_setting_id id)
{
    return (uint64_t)cg_settings_int(s, id) * 1000000u;
}

static int
make_runner(struct cg_wsgi_host *h, struct cg_error *err)
{
    const struct cg_settings *s = h->run->start->settings;
    struct cg_asgi *asgi;
    const struct cg_asgi_options options = {
        .wsgi = h->wsgi,
        .module = h->run->class->module,
        .root_path = cg_settings_str(s, CG_root_path),
        .lifespan = cg_settings_str(s, CG_asgi_lifespan),
        .grace_us = seconds(s, CG_asgi_disconnect_grace_period),
        .ws_max = (uint64_t)cg_settings_int(s, CG_websocket_max_message_size),
        .ws_ping_us = seconds(s, CG_websocket_ping_interval),
        .ws_patience_us = seconds(s, CG_websocket_ping_timeout),
        .ws_compression = cg_settings_bool(s, CG_websocket_compression),
        .done = cg_engine_done,
        .refused = &h->run->start->slot->refused,
    };
    int e = cg_asgi_new(&options, &asgi, err);
    if (e == 0) {
        h->runner = cg_asgi_runner(asgi);
    }
    return e;
}

/* It buffers bodies only when somebody says so. */
static bool
is_buffering(const struct cg_settings *s)
{
    return s->source[CG_request_buffering].layer != CG_LAYER_DEFAULT &&
           cg_settings_bool(s, CG_request_buffering);
}

static void
describe(struct cg_wsgi_host_class *class, const struct cg_settings *s)
{
    class->streams = !is_buffering(s);
    class->websockets = true;
    class->make_runner = make_runner;
    class->interrupt = interrupt_nobody;
}

int
cg_host_asgi(struct cg_host_run *run, struct cg_error *err)
{
    return cg_hosted_serve(run, describe, err);
}
