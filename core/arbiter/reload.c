/* SPDX-License-Identifier: MIT */
/*
 * Reload (HUP): the configuration is built aside and swapped whole. Until the
 * new workers serve, everything of the old generation is kept, to go back to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/memory.h"
#include "core/py/config_file.h"
#include "core/py/interp.h"

int
cg_arbiter_apply_env(const struct cg_settings *s, struct cg_error *err)
{
    const struct cg_value *list = cg_settings_value(s, CG_raw_env);
    for (size_t i = 0; i < list->list.n; i++) {
        cg_auto(free) char *name = cg_strdup(list->list.items[i].s);
        char *equals = strchr(name, '=');
        if (equals == NULL) {
            return cg_error_set(err, EINVAL,
                                "%s: raw_env: environment setting '%s' "
                                "invalid: write NAME=VALUE",
                                s->source[CG_raw_env].text, name);
        }
        *equals = '\0';
        int r = cg_python_setenv(name, equals + 1, err);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

void
cg_arbiter_log_workers(struct cg_arbiter *a)
{
    if (a->settings->workers_reason != NULL) {
        cg_log_line(a->log, CG_INFO, "%s", a->settings->workers_reason);
    }
}

/* ---- the log ---- */

static char *
absolute(const char *path, const char *dir)
{
    if (path == NULL) {
        return NULL;
    }
    return strcmp(path, "-") == 0 || path[0] == '/'
               ? cg_strdup(path)
               : cg_strf("%s/%s", dir, path);
}

static int
with_log_options(struct cg_arbiter *a,
                 int (*use)(struct cg_arbiter *a,
                            const struct cg_log_options *o,
                            struct cg_error *err),
                 struct cg_error *err)
{
    const struct cg_settings *s = a->settings;
    cg_auto(free) char *dir = getcwd(NULL, 0);
    cg_auto(free) char *errors =
        absolute(cg_settings_str(s, CG_errorlog), dir != NULL ? dir : "");
    cg_auto(free) char *access =
        absolute(cg_settings_str(s, CG_accesslog), dir != NULL ? dir : "");
    const struct cg_log_options o = {
        .errorlog = errors,
        .accesslog = access,
        .level = cg_settings_str(s, CG_loglevel),
        .capture_output = cg_settings_bool(s, CG_capture_output),
        .uid = (int)cg_settings_int(s, CG_user),
        .gid = (int)cg_settings_int(s, CG_group),
    };
    return use(a, &o, err);
}

static int
open_log(struct cg_arbiter *a, const struct cg_log_options *o,
         struct cg_error *err)
{
    return cg_log_new(o, &a->log, err);
}

static int
reconfigure_log(struct cg_arbiter *a, const struct cg_log_options *o,
                struct cg_error *err)
{
    return cg_log_reconfigure(a->log, o, err);
}

int
cg_arbiter_open_log(struct cg_arbiter *a, struct cg_error *err)
{
    return with_log_options(a, open_log, err);
}

int
cg_arbiter_reconfigure_log(struct cg_arbiter *a, struct cg_error *err)
{
    return with_log_options(a, reconfigure_log, err);
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
        struct cg_handover *handover, struct cg_error *err)
{
    int status = 0;
    struct cg_settings *s = NULL;
    enum cg_load_result r = cg_config_load(&a->start->load, &s, &status, err);
    if (r != CG_LOAD_OK) {
        return err->code != 0 ? err->code : -EINVAL;
    }
    int e = cg_python_resolve_hooks(s, err);
    if (e == 0) {
        e = cg_worker_class_check(s, err);
    }
    if (e == 0) {
        e = cg_handover_new(handover, err);
    }
    if (e == 0) {
        e = cg_sockets_open(s, &a->sockets, a->log, never, NULL, sock, err);
    }
    if (e < 0) {
        cg_handover_release(handover);
        cg_settings_free(s);
        return e;
    }
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
    if (cg_arbiter_reconfigure_log(a, &err) < 0) {
        cg_log_line(a->log, CG_ERROR,
                    "reloading the log configuration failed, keeping the "
                    "previous one: %s",
                    err.text);
    }
    if (cg_arbiter_apply_env(a->settings, &err) < 0 ||
        cg_py_server_set_settings(a->server, a->settings, &err) < 0) {
        cg_log_line(a->log, CG_ERROR, "%s", err.text);
    }
    cg_arbiter_log_workers(a);
    cg_arbiter_publish_listeners(a);
}

void
cg_arbiter_reload(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    struct cg_settings *s = NULL;
    struct cg_sockets sockets = {0};
    struct cg_handover handover = CG_HANDOVER_NONE;
    if (prepare(a, &s, &sockets, &handover, &err) < 0) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text,
                    "Reload failed, the previous configuration stays: %s",
                    err.text);
        cg_log_text(a->log, CG_ERROR, (struct cg_slice){text.p, text.n});
        cg_plan_reloaded(&a->plan, false, 0, 0, 0, cg_arbiter_now_ms());
        return;
    }
    a->old_settings = a->settings;
    a->settings = s;
    a->old_sockets = a->sockets;
    a->sockets = sockets;
    a->old_handover = a->handover;
    a->handover = handover;
    follow_settings(a);
    if (binds_changed(a)) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_sockets_text(&a->sockets, &text);
        cg_log_line(a->log, CG_INFO, "Listening at: %s", cg_buf_str(&text));
    }
    cg_arbiter_hook(a, CG_on_reload, NULL);
    cg_plan_reloaded(&a->plan, true, (int)cg_settings_int(s, CG_workers),
                     (uint64_t)cg_settings_int(s, CG_graceful_timeout) * 1000,
                     (uint64_t)cg_settings_int(s, CG_timeout) * 1000,
                     cg_arbiter_now_ms());
}

void
cg_arbiter_commit(struct cg_arbiter *a)
{
    cg_sockets_close(&a->old_sockets, &a->sockets, true);
    cg_handover_release(&a->old_handover); /* its workers have their own */
    cg_settings_free(a->old_settings);
    a->old_settings = NULL;
}

void
cg_arbiter_revert(struct cg_arbiter *a)
{
    cg_sockets_close(&a->sockets, &a->old_sockets, true);
    cg_settings_free(a->settings);
    cg_handover_release(&a->handover);
    a->handover = a->old_handover;
    a->old_handover = CG_HANDOVER_NONE;
    a->sockets = a->old_sockets;
    a->settings = a->old_settings;
    a->old_sockets = (struct cg_sockets){0};
    a->old_settings = NULL;
    follow_settings(a);
}
