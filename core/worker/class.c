/* SPDX-License-Identifier: MIT */
#include "core/worker/class.h"

#include <errno.h>
#include <string.h>

#include "config/near.h"
#include "core/base/memory.h"
#include "core/py/compat/python_worker.h"
#include "core/py/loops/host_loop.h"
#include "core/py/runtime/interp.h"
#include "core/worker/worker.h"

#define GEVENT "_cgunicorn_glue.hosts.gevent_"
#define PYWSGI "_cgunicorn_glue.hosts.pywsgi_"
#define WEBSOCKET "_cgunicorn_glue.hosts.websocket_"
#define EVENTLET "_cgunicorn_glue.hosts.eventlet_"
#define TORNADO "_cgunicorn_glue.hosts.tornado_"
#define ASGI "_cgunicorn_glue.hosts.asgi_"

static const struct cg_worker_class classes[] = {
    {"sync", "gunicorn.workers.sync.SyncWorker", cg_host_sync, NULL, false},
    {"gthread", "gunicorn.workers.gthread.ThreadWorker", cg_host_gthread, NULL,
     false},
    {"gevent", "gunicorn.workers.ggevent.GeventWorker", cg_host_hosted, GEVENT,
     false},
    {"gevent_pywsgi", "gunicorn.workers.ggevent.GeventPyWSGIWorker",
     cg_host_hosted, PYWSGI, false},
    {"gevent_wsgi", NULL, cg_host_hosted, PYWSGI, false},
    {"geventwebsocket.gunicorn.workers.GeventWebSocketWorker", NULL,
     cg_host_hosted, WEBSOCKET, false},
    {"eventlet", "gunicorn.workers.geventlet.EventletWorker", cg_host_hosted,
     EVENTLET, false},
    {"tornado", "gunicorn.workers.gtornado.TornadoWorker", cg_host_hosted,
     TORNADO, false},
    {"asgi", "gunicorn.workers.gasgi.ASGIWorker", cg_host_asgi, ASGI, true},
    {"auto", NULL, NULL, NULL, false},
};

/* uvicorn's worker classes, which ours serves in place of. */
static const struct cg_worker_class uvicorns[] = {
    {"uvicorn.workers.UvicornWorker", NULL, cg_host_asgi, ASGI, true},
    {"uvicorn.workers.UvicornH11Worker", NULL, cg_host_asgi, ASGI, true},
    {"uvicorn_worker.UvicornWorker", NULL, cg_host_asgi, ASGI, true},
    {"uvicorn_worker.UvicornH11Worker", NULL, cg_host_asgi, ASGI, true},
};

/* Every other one: a class that Python code brings along. */
static const struct cg_worker_class python_class = {.name = "python"};

static const struct cg_worker_class *
find_uvicorn(const char *name)
{
    for (size_t i = 0; i < CG_COUNT(uvicorns); i++) {
        if (strcmp(name, uvicorns[i].name) == 0) {
            return &uvicorns[i];
        }
    }
    return NULL;
}

static const struct cg_worker_class *
find(const char *name)
{
    static const char egg[] = "egg:gunicorn#";
    if (strncmp(name, egg, sizeof egg - 1) == 0) {
        name += sizeof egg - 1;
    }
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        const char *uri = classes[i].uri;
        if (strcmp(name, classes[i].name) == 0 ||
            (uri != NULL && strcmp(name, uri) == 0)) {
            return &classes[i];
        }
    }
    return find_uvicorn(name);
}

/* uvicorn's own are served by ours, unless native_asgi says no. */
const struct cg_worker_class *
cg_worker_class_of(const struct cg_settings *s)
{
    const char *name = cg_settings_worker_class(s);
    bool is_object =
        cg_settings_value(s, CG_worker_class)->kind == CG_VALUE_OBJECT;
    const struct cg_worker_class *c = is_object ? NULL : find(name);
    bool meant =
        find_uvicorn(name) != NULL && !cg_settings_bool(s, CG_native_asgi);
    return c == NULL || meant ? &python_class : c;
}

bool
cg_worker_class_is_python(const struct cg_settings *s)
{
    return cg_worker_class_of(s) == &python_class;
}

const struct cg_worker_class *
cg_worker_class_for(const struct cg_settings *s, bool asgi)
{
    bool threads = cg_settings_range(s, CG_threads).most > 1;
    return find(asgi ? "asgi" : threads ? "gthread" : "sync");
}

static const char *
closest(const char *name)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 1;
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        size_t d = cg_word_distance(name, classes[i].name);
        if (d <= least) {
            least = d - (d > 0);
            best = classes[i].name;
        }
    }
    return best;
}

static int
unknown(const char *name, struct cg_error *err)
{
    const char *close = closest(name);
    cg_auto(buf) struct cg_buf text = {0};
    if (close != NULL) {
        cg_buf_putf(&text, "did you mean `%s`? ", close);
    }
    cg_buf_puts(&text, "The worker classes are");
    for (size_t i = 0; i < CG_COUNT(classes); i++) {
        cg_buf_putf(&text, "%s `%s`", i > 0 ? "," : "", classes[i].name);
    }
    return cg_error_set(err, ENOENT, "class uri '%s' invalid or not found: %s",
                        name, cg_buf_str(&text));
}

/* asgi_loop names a package. */
static int
check_loop(const struct cg_settings *s, const struct cg_worker_class *class,
           struct cg_error *err)
{
    return class->asgi
               ? cg_py_loop_check_name(class->module,
                                       cg_settings_str(s, CG_asgi_loop), err)
               : 0;
}

/* Greenlets switch in the middle of our functions, and the packages themselves
 * rely on the GIL. */
static int
check_gil(const struct cg_worker_class *class, struct cg_error *err)
{
    return class->asgi ? 0 : cg_python_want_gil(err);
}

/* A name that can only be one of ours, and is none. */
static bool
is_word(const struct cg_settings *s)
{
    const struct cg_value *v = cg_settings_value(s, CG_worker_class);
    return v->kind == CG_VALUE_STR && strpbrk(v->s, ".:") == NULL &&
           !cg_python_worker_is_named(v->s);
}

int
cg_worker_class_check(const struct cg_settings *s, struct cg_error *err)
{
    const char *name = cg_settings_worker_class(s);
    const struct cg_worker_class *class = cg_worker_class_of(s);
    if (class == &python_class) {
        return is_word(s) ? unknown(name, err) : cg_python_worker_check(s, err);
    }
    if (class->module == NULL || (check_gil(class, err) == 0 &&
                                  cg_py_loop_check(class->module, err) == 0 &&
                                  check_loop(s, class, err) == 0)) {
        return 0;
    }
    return cg_error_prefix(err, "worker class '%s'", name);
}

bool
cg_worker_class_is_replaced(const struct cg_settings *s)
{
    return !cg_worker_class_is_python(s) &&
           find_uvicorn(cg_settings_worker_class(s)) != NULL;
}

int
cg_worker_class_check_app(const struct cg_settings *s, struct cg_app *app,
                          struct cg_error *err)
{
    const struct cg_worker_class *class = cg_worker_class_of(s);
    if (class == &python_class || class->run == NULL) {
        return 0; /* it looks for itself; it is chosen later */
    }
    return cg_app_check_kind(app, class->asgi, err);
}

int
cg_worker_class_patch(const struct cg_settings *s, bool *ret_patched,
                      struct cg_error *err)
{
    const struct cg_worker_class *class = cg_worker_class_of(s);
    *ret_patched = false;
    if (class->module == NULL) {
        return 0;
    }
    return cg_py_loop_patch(class->module, ret_patched, err);
}

int
cg_worker_class_settle(const struct cg_settings *s, struct cg_error *err)
{
    const struct cg_worker_class *class = cg_worker_class_of(s);
    return class->module != NULL ? cg_py_loop_settle(class->module, err) : 0;
}
