/* SPDX-License-Identifier: MIT */
#include "core/worker/reload/reloader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/py/runtime/app.h"
#include "core/worker/reload/watch.h"

struct cg_reloader {
    struct cg_host_run *run;
    struct cg_watch *watch;
};

/* Nobody is to see the old code from here on: who comes now waits for the new
 * worker, what is under way is finished. */
static void
stop_early(struct cg_host_run *run)
{
    if (run->engine != NULL) {
        run->stop_wanted = 1;
        cg_engine_stop(run->engine, run->graceful_us);
    }
}

/* One that is told to stop has a successor that watches. */
static void
changed(void *self, const char *path)
{
    const struct cg_reloader *r = self;
    if (!r->run->stop_wanted && !r->run->abort_wanted) {
        cg_worker_tell(r->run->start, CG_NEWS_CHANGED, path);
        stop_early(r->run);
    }
}

static void
trouble(void *self, const char *text)
{
    const struct cg_reloader *r = self;
    cg_log_line(r->run->start->log, CG_WARNING, "%s", text);
}

/* The file that the server was started with; NULL: none that changes. */
static const char *
config_of(const struct cg_settings *s)
{
    const char *path = cg_settings_str(s, CG_config);
    if (path == NULL || strncmp(path, "python:", 7) == 0) {
        return NULL;
    }
    path = strncmp(path, "file:", 5) == 0 ? path + 5 : path;
    return access(path, F_OK) == 0 ? path : NULL;
}

static int
find_places(const struct cg_settings *s, struct cg_buf *out,
            struct cg_error *err)
{
    const struct cg_value *extra = cg_settings_value(s, CG_reload_extra_files);
    const char **items = cg_calloc(extra->list.n + 1, sizeof *items);
    for (size_t i = 0; i < extra->list.n; i++) {
        items[i] = extra->list.items[i].s;
    }
    int r = cg_app_places(items, config_of(s), out, err);
    free(items);
    return r;
}

void
cg_reloader_start(struct cg_host_run *run)
{
    const struct cg_settings *s = run->start->settings;
    const char *engine = cg_settings_str(s, CG_reload_engine);
    cg_auto(buf) struct cg_buf places = {0};
    struct cg_error err = {0};
    struct cg_reloader *r = cg_calloc(1, sizeof *r);
    r->run = run;
    int failed = find_places(s, &places, &err);
    const struct cg_watch_options o = {.places = {places.p, places.n},
                                       .polls = engine != NULL &&
                                                strcmp(engine, "poll") == 0,
                                       .since = run->start->loaded,
                                       .changed = changed,
                                       .trouble = trouble,
                                       .self = r};
    if (failed == 0) {
        failed = cg_watch_start(&o, &r->watch, &err);
    }
    if (failed < 0) {
        cg_log_line(run->start->log, CG_ERROR, "reload: %s", err.text);
        free(r);
        return;
    }
    run->reloader = r;
}

void
cg_reloader_stop(struct cg_host_run *run)
{
    struct cg_reloader *r = run->reloader;
    run->reloader = NULL;
    if (r != NULL) {
        cg_watch_stop(r->watch);
        free(r);
    }
}
