/* SPDX-License-Identifier: MIT */
/*
 * Methods of an Arbiter of a program's own: called where gunicorn calls them.
 * What such a method reaches through super() comes back here and is done.
 * Without one, all of this costs a few comparisons.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/plan/effects.h"
#include "core/base/memory.h"

void
cg_arbiter_find_methods(struct cg_arbiter *a)
{
    a->own.spawn = cg_py_server_overrides(a->server, "spawn_worker");
    a->own.kill = cg_py_server_overrides(a->server, "kill_worker");
    a->own.halt = cg_py_server_overrides(a->server, "halt");
    a->own.pass = cg_py_server_overrides(a->server, "manage_workers") ||
                  cg_py_server_overrides(a->server, "murder_workers") ||
                  cg_py_server_overrides(a->server, "reap_workers");
    a->plan.hands_off = cg_py_server_overrides(a->server, "manage_workers");
}

/* An exception in one of them is logged; sys.exit and HaltServer end the
 * server. */
static void
look_at(struct cg_arbiter *a, const char *method, int r, struct cg_error *err)
{
    if (r == CG_HOOK_EXIT || r == CG_HOOK_HALT) {
        cg_plan_exit(&a->plan, err->code, "The arbiter was told to.",
                     cg_arbiter_now_ms());
    } else if (r < 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text, "Exception in %s() of the arbiter\n%s", method,
                    err->text);
        cg_log_text(a->log, CG_ERROR, (struct cg_slice){text.p, text.n});
    }
}

bool
cg_arbiter_asks_to_spawn(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    if (!a->own.spawn) {
        return false;
    }
    a->asked = true;
    int r = cg_py_server_spawn(a->server, &err);
    if (a->asked) { /* it did not call what it overrides */
        a->asked = false;
        cg_plan_spawned(&a->plan, -ECANCELED, cg_arbiter_now_ms());
        cg_log_line(a->log, CG_WARNING,
                    "spawn_worker() of the arbiter has not called "
                    "Arbiter.spawn_worker(): the server knows of no new "
                    "worker");
    }
    look_at(a, "spawn_worker", r, &err);
    return true;
}

int
cg_arbiter_spawn_one(void *self)
{
    struct cg_arbiter *a = self;
    if (!a->asked) {
        cg_plan_spawn_more(&a->plan);
    }
    a->asked = false;
    return cg_arbiter_fork(a);
}

bool
cg_arbiter_asks_to_kill(struct cg_arbiter *a, int pid, int sig)
{
    struct cg_error err = {0};
    if (!a->own.kill) {
        return false;
    }
    look_at(a, "kill_worker", cg_py_server_kill(a->server, pid, sig, &err),
            &err);
    return true;
}

int
cg_arbiter_kill_one(void *self, int pid, int sig)
{
    if (cg_arbiter_child(self, pid) == NULL) {
        return -ESRCH;
    }
    return kill(pid, sig) < 0 ? -errno : 0;
}

void
cg_arbiter_cull(void *self)
{
    struct cg_arbiter *a = self;
    cg_plan_cull(&a->plan, cg_arbiter_now_ms());
}

static void
look_at_handler(struct cg_arbiter *a, int sig, int r, struct cg_error *err)
{
    cg_auto(free) char *method = cg_strf("handle_%s", cg_signal_name(sig));
    for (char *c = method; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    look_at(a, method, r, err);
}

/* Each signal asks: a hook may have put a handler there just now. */
bool
cg_arbiter_asks_to_handle(struct cg_arbiter *a, int sig)
{
    struct cg_error err = {0};
    bool handled;
    int r = cg_py_server_handle(a->server, sig, &handled, &err);
    if (r != 0) {
        look_at_handler(a, sig, r, &err);
    }
    return handled;
}

void
cg_arbiter_pass(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    if (a->own.pass && !a->done) {
        look_at(a, "manage_workers", cg_py_server_pass(a->server, &err), &err);
    }
}

void
cg_arbiter_tell_end(struct cg_arbiter *a, const char *reason, int status)
{
    struct cg_error err = {0};
    if (a->own.halt) {
        look_at(a, "halt",
                cg_py_server_halt(a->server, reason[0] != '\0' ? reason : NULL,
                                  status, &err),
                &err);
    }
}
