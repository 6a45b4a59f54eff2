/* SPDX-License-Identifier: MIT */
/* Companions as operators see them. */
#include "core/arbiter/companions.h"
#include "core/arbiter/companions/internal.h"
#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/share/dirty_page.h"

static void
put_calls(const struct cg_companion *c, struct cg_json *j)
{
    struct cg_dirty_call call;
    cg_json_key(j, "current");
    cg_json_open(j, '[');
    for (int i = 0; i < cg_dirty_seats(c->page, c->page_n); i++) {
        if (cg_dirty_read_call(c->page, c->page_n, i, &call)) {
            uint64_t now = cg_now_us();
            cg_json_open(j, '{');
            cg_json_put_text(j, "call", call.what);
            cg_json_put_seconds(j, "age_s",
                                now > call.since_us ? now - call.since_us : 0);
            cg_json_close(j, '}');
        }
    }
    cg_json_close(j, ']');
}

int
cg_companion_put_apps(const struct cg_companion *c, struct cg_json *j)
{
    char app[256];
    int n = 0;
    cg_json_open(j, '[');
    for (; cg_dirty_app(c->page, c->page_n, n, app, sizeof app); n++) {
        cg_json_text(j, app);
    }
    cg_json_close(j, ']');
    return n;
}

/* Of a dirty worker. */
static void
put_page(const struct cg_companion *c, struct cg_json *j)
{
    struct cg_dirty_look look = cg_dirty_look(c->page, c->page_n);
    if (c->kind != CG_COMPANION_DIRTY_WORKER) {
        return;
    }
    cg_json_put_bool(j, "booted", look.booted);
    cg_json_key(j, "apps");
    cg_companion_put_apps(c, j);
    cg_json_put_int(j, "calls", (int64_t)look.calls);
    cg_json_put_int(j, "calls_failed", (int64_t)look.failed);
    cg_json_put_int(j, "threads", look.seats);
    cg_json_put_int(j, "busy", look.busy);
    put_calls(c, j);
}

void
cg_companions_put(const struct cg_arbiter *a, struct cg_json *j)
{
    uint64_t now = cg_now_us() / 1000;
    cg_json_key(j, "companions");
    cg_json_open(j, '[');
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        struct cg_process_costs costs = {0};
        if (c->pid != 0) {
            costs = cg_process_costs(c->pid);
        }
        cg_json_open(j, '{');
        cg_json_put_text(j, "name", c->name);
        cg_json_put_text(j, "runs", c->what);
        cg_json_put_int(j, "pid", c->pid);
        cg_json_put_text(j, "state", cg_companion_word(c->life.state));
        cg_json_put_seconds(j, "age_s",
                            c->pid != 0 ? (now - c->life.born_ms) * 1000 : 0);
        cg_json_put_int(j, "starts", c->life.starts);
        cg_json_put_int(j, "rss_bytes", (int64_t)costs.rss_bytes);
        cg_json_put_seconds(j, "cpu_s", costs.cpu_us);
        put_page(c, j);
        cg_json_close(j, '}');
    }
    cg_json_close(j, ']');
}

int
cg_companion_traced(const struct cg_arbiter *a, int i, int *ret_fd,
                    const char **ret_name)
{
    const struct cg_companion *c = &a->companions.items[i];
    *ret_fd = c->trace_fd;
    *ret_name = c->name;
    return c->trace_fd >= 0 ? c->pid : -1;
}

bool
cg_companion_is(const struct cg_arbiter *a, int pid)
{
    for (int i = 0; i < a->companions.n; i++) {
        if (pid > 0 && a->companions.items[i].pid == pid) {
            return true;
        }
    }
    return false;
}
