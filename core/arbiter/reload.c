/* SPDX-License-Identifier: MIT */
/*
 * Reload (HUP): the configuration is built aside and swapped whole. Until the
 * new workers serve, everything of the old generation is kept, to go back to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/compat/written.h"
#include "core/py/config/config_file.h"
#include "core/py/runtime/app.h"
#include "core/py/runtime/interp.h"

void
cg_arbiter_log_workers(struct cg_arbiter *a)
{
    if (a->settings->workers_reason != NULL) {
        cg_log_line(a->log, CG_INFO, "%s", a->settings->workers_reason);
    }
}

/* ---- swapping ---- */

void
cg_arbiter_publish_listeners(struct cg_arbiter *a)
{
    const char **texts = cg_calloc((size_t)a->sockets.n + 1, sizeof *texts);
    int *fds = cg_calloc((size_t)a->sockets.n + 1, sizeof *fds);
    for (int i = 0; i < a->sockets.n; i++) {
        texts[i] = a->sockets.items[i].text;
        fds[i] = a->sockets.items[i].fd;
    }
    cg_py_server_set_listeners(a->server, texts, fds, a->sockets.n);
    free(texts);
    free(fds);
}

static bool
never(void *self)
{
    return false;
}

/* Everything that can fail, before anything is swapped. */
static int
prepare(struct cg_arbiter *a, struct cg_settings **ret, struct cg_sockets *sock,
        struct cg_handover *handover, struct cg_security **security,
        struct cg_error *err)
{
    int status = 0;
    struct cg_settings *s = NULL;
    enum cg_load_result r = cg_config_load(&a->start->load, &s, &status, err);
    if (r != CG_LOAD_OK) {
        return err->code != 0 ? err->code : -EINVAL;
    }
    int e = cg_python_resolve_hooks(s, err);
    if (e == 0) {
        e = cg_settings_check_features(s, err);
    }
    if (e == 0) {
        e = cg_worker_class_check(s, err);
    }
    if (e == 0) {
        e = cg_companions_check(s, err);
    }
    if (e == 0) {
        e = cg_arbiter_secure(a, s, security, err);
    }
    if (e == 0) {
        e = cg_handover_new(handover, a->handover.bell_fd, err);
    }
    if (e == 0) {
        e = cg_sockets_open(s, a->settings, &a->sockets, a->log, never, NULL,
                            sock, err);
    }
    if (e < 0) {
        cg_security_free(*security);
        *security = NULL;
        cg_handover_release(handover);
        cg_settings_free(s);
        return e;
    }
    cg_sockets_secure(sock, s);
    *ret = s;
    return 0;
}

/* Whether the new generation listens elsewhere. */
static bool
binds_changed(const struct cg_arbiter *a)
{
    cg_auto(buf) struct cg_buf x = {0};
    cg_auto(buf) struct cg_buf y = {0};
    cg_sockets_text(&a->sockets, &x);
    cg_sockets_text(&a->old_sockets, &y);
    return strcmp(cg_buf_str(&x), cg_buf_str(&y)) != 0;
}

static void
follow_settings(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    atomic_store(&a->board->master->level, 0); /* an operator's word is over */
    if (cg_arbiter_reconfigure_log(a, &err) < 0) {
        cg_log_line(a->log, CG_ERROR,
                    "reloading the log configuration failed, keeping the "
                    "previous one: %s",
                    err.text);
    }
    cg_arbiter_restore_env(a); /* cfg.env_orig is without raw_env */
    if (cg_py_server_set_settings(a->server, a->settings, &err) < 0 ||
        cg_arbiter_apply_env(a, &err) < 0) {
        cg_log_line(a->log, CG_ERROR, "%s", err.text);
    }
    cg_arbiter_log_settings(a);
    cg_arbiter_log_workers(a);
    cg_arbiter_check_log(a);
    cg_arbiter_publish_listeners(a);
    cg_arbiter_follow_pidfile(a);
    cg_arbiter_set_own_title(a);
}

/* A clean interpreter for the new code is a new process: what the old code put
 * into registries, extension modules and hooks cannot be taken back here. */
static void
tell_how_to_load_anew(const struct cg_arbiter *a)
{
    static const char fact[] =
        "preload_app: the application is not loaded again by a reload, its "
        "code stays as it is.";
    if (a->master_pid == 1) {
        cg_log_line(a->log, CG_WARNING,
                    "%s For new code, start the container "
                    "anew",
                    fact);
    } else {
        cg_log_line(a->log, CG_WARNING,
                    "%s For new code: kill -USR2 %d, and when the workers of "
                    "the new master serve: kill -TERM %d",
                    fact, a->master_pid, a->master_pid);
    }
}

static int
preload(struct cg_arbiter *a, struct cg_error *err)
{
    if (a->app != NULL) {
        tell_how_to_load_anew(a);
        return 0;
    }
    int r = cg_arbiter_preload(a, err);
    if (a->app != NULL) {
        cg_app_freeze();
    }
    return r;
}

void
cg_arbiter_end_reload(struct cg_arbiter *a, const char *failure)
{
    a->reloads_ended = a->reloads_begun;
    a->change_heard = false;
    a->reload_good = failure == NULL;
    snprintf(a->reload_reason, sizeof a->reload_reason, "%.299s",
             failure != NULL ? failure : "");
    if (failure == NULL) {
        cg_events_add(&a->events, CG_HAPPENED_RELOADED, 0,
                      "Generation %u serves with %d workers",
                      a->plan.generation, a->plan.o.target);
    } else {
        cg_events_add(&a->events, CG_HAPPENED_ROLLED_BACK, 0, "%s", failure);
    }
}

static void
fail(struct cg_arbiter *a, const struct cg_error *err)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_putf(&text, "Reload failed, the previous configuration stays: %s",
                err->text);
    cg_arbiter_log_apart(a, CG_ERROR, (struct cg_slice){text.p, text.n});
    cg_plan_reloaded(&a->plan, NULL, cg_arbiter_now_ms());
    cg_arbiter_end_reload(a, err->text);
    cg_notify("READY=1\nSTATUS=The reload failed: see the error log");
}

void
cg_arbiter_reload(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    struct cg_settings *s = NULL;
    struct cg_sockets sockets = {0};
    struct cg_handover handover = CG_HANDOVER_NONE;
    struct cg_security *security = NULL;
    cg_notify("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reloading",
              (unsigned long long)cg_now_us());
    a->reloads_begun++;
    a->loaded = cg_now_of_files();
    a->failure[0] = '\0';
    cg_events_add(&a->events, CG_HAPPENED_RELOAD, 0, "The reload begins");
    cg_arbiter_restore_env(a);
    if (prepare(a, &s, &sockets, &handover, &security, &err) < 0) {
        struct cg_error ignored;
        cg_arbiter_apply_env(a, &ignored); /* it was good before */
        fail(a, &err);
        return;
    }
    a->old_settings = a->settings;
    a->settings = s;
    a->old_sockets = a->sockets;
    a->sockets = sockets;
    a->old_handover = a->handover;
    a->handover = handover;
    a->old_security = a->security;
    a->security = security;
    follow_settings(a);
    if (preload(a, &err) < 0) {
        cg_arbiter_revert(a);
        fail(a, &err);
        return;
    }
    if (binds_changed(a)) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_sockets_text(&a->sockets, &text);
        cg_log_line(a->log, CG_INFO, "Listening at: %s", cg_buf_str(&text));
    }
    const struct cg_plan_options o = cg_arbiter_plan_options(a);
    cg_arbiter_tell_workers(a, cg_plan_fitting(&o), a->plan.o.target);
    cg_arbiter_hook(a, CG_on_reload, NULL);
    cg_plan_reloaded(&a->plan, &o, cg_arbiter_now_ms());
}

void
cg_arbiter_commit(struct cg_arbiter *a)
{
    cg_sockets_close(&a->old_sockets, &a->sockets, true);
    cg_handover_release(&a->old_handover); /* its workers have their own */
    cg_security_free(a->old_security);
    a->old_security = NULL;
    cg_settings_free(a->old_settings);
    a->old_settings = NULL;
    a->told_overloaded = 0;
    cg_notify("READY=1\nSTATUS=Serving with %d workers", a->plan.o.target);
}

void
cg_arbiter_revert(struct cg_arbiter *a)
{
    cg_sockets_close(&a->sockets, &a->old_sockets, true);
    cg_settings_free(a->settings);
    cg_handover_release(&a->handover);
    cg_security_free(a->security);
    a->security = a->old_security;
    a->old_security = NULL;
    a->handover = a->old_handover;
    a->old_handover = CG_HANDOVER_NONE;
    a->sockets = a->old_sockets;
    a->settings = a->old_settings;
    a->old_sockets = (struct cg_sockets){0};
    a->old_settings = NULL;
    if (!cg_settings_bool(a->settings, CG_preload_app)) {
        cg_app_free(a->app); /* the reload has loaded it */
        a->app = NULL;
        cg_py_server_forget_app(a->server);
    }
    follow_settings(a);
    cg_notify("READY=1\nSTATUS=The reload failed: see the error log");
}
