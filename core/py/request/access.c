/* SPDX-License-Identifier: MIT */
#include "core/py/request/access.h"
#include "core/py/request/parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/exchange/named.h"
#include "core/exchange/queue.h"
#include "core/py/compat/logger.h"
#include "core/py/runtime/held.h"
#include "core/py/wsgi/bridge.h"
#include "core/py/wsgi/hooks.h"

/* ---- tracebacks ---- */

static PyObject *
shown(struct cg_slice s, size_t limit)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_put_escaped(&b, s, limit);
    return PyUnicode_DecodeLatin1(b.p != NULL ? b.p : "", (Py_ssize_t)b.n,
                                  NULL);
}

/* Behind what names a request, when it has a name of its own. */
static void
put_id(struct cg_buf *out, const struct cg_exchange *ex)
{
    if (ex->id.n > 0) {
        cg_buf_puts(out, " (request ");
        cg_buf_put(out, ex->id.p, ex->id.n);
        cg_buf_putc(out, ')');
    }
}

/* Through the Python logger, which wants the exception itself. */
static bool
route_exception(const struct cg_exchange *ex, const char *what)
{
    PyObject *type, *value, *traceback;
    cg_auto(buf) struct cg_buf fmt = {0};
    PyErr_Fetch(&type, &value, &traceback);
    py_auto *method = shown(cg_span_of(ex->base, ex->req->method), 32);
    py_auto *target = shown(cg_span_of(ex->base, ex->req->target), 1024);
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
    cg_buf_putf(&fmt, "%s %%s %%s", what);
    put_id(&fmt, ex); /* its characters hold no percent sign */
    return method != NULL && target != NULL &&
           cg_py_logger_exception(cg_buf_str(&fmt), method, target);
}

void
cg_wsgi_log_exception(const struct cg_kit *kit, const char *what)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf traceback = {0};
    struct cg_error err = {0};
    const struct cg_exchange *ex = kit->ex;
    if (cg_py_logger_takes_errors() && route_exception(ex, what)) {
        PyErr_Clear();
        return;
    }
    cg_buf_puts(&text, what);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->method), 32);
    cg_buf_putc(&text, ' ');
    cg_buf_put_escaped(&text, cg_span_of(ex->base, ex->req->target), 1024);
    put_id(&text, ex);
    cg_py_error(&err, &traceback);
    cg_buf_putc(&text, '\n');
    if (traceback.n > 0) {
        cg_buf_put(&text, traceback.p, traceback.n);
    } else {
        cg_buf_puts(&text, err.text);
    }
    while (text.n > 0 && text.p[text.n - 1] == '\n') {
        text.n--;
    }
    cg_log_exception(kit->wsgi->o->log, (struct cg_slice){text.p, text.n});
}

/* ---- the access line ---- */

struct lookup {
    const struct cg_kit *kit;
    PyObject *env;
    PyObject *shown; /* str() of the last value that was no string */
};

/* *keep owns what the text lies in: environ may lose it while other values of
 * the line are shown. */
static struct cg_slice
environ_value(PyObject *env, PyObject *key, PyObject **keep)
{
    struct cg_slice found = {NULL, 0};
    py_auto *value = key != NULL ? py_dict_get(env, key) : NULL;
    Py_ssize_t n;
    if (value != NULL && PyUnicode_Check(value)) {
        const char *p = PyUnicode_AsUTF8AndSize(value, &n);
        if (p != NULL) {
            found = (struct cg_slice){p, (size_t)n};
            *keep = py_take(&value);
        }
    }
    PyErr_Clear();
    return found;
}

static bool
is_called(PyObject *key, struct cg_slice name)
{
    Py_ssize_t n = 0;
    const char *p =
        PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &n) : NULL;
    return p != NULL && (size_t)n == name.n &&
           strncasecmp(p, name.p, name.n) == 0;
}

static PyObject *
in_any_case(PyObject *env, struct cg_slice name)
{
    Py_ssize_t at = 0;
    PyObject *k, *v; /* borrowed, for the next line */
    py_held(env);
    while (PyDict_Next(env, &at, &k, &v)) {
        py_auto *key = py_new(k);
        py_auto *value = py_new(v);
        if (is_called(key, name)) {
            return py_take(&value);
        }
    }
    return NULL;
}

/* gunicorn: the name in any case; a value of any type as str() shows it. */
static PyObject *
environ_object(PyObject *env, struct cg_slice name)
{
    py_auto *exact =
        PyUnicode_DecodeUTF8(name.p, (Py_ssize_t)name.n, "replace");
    PyObject *found = exact != NULL ? py_dict_get(env, exact) : NULL;
    return found != NULL ? found : in_any_case(env, name);
}

static struct cg_slice
environ_field(struct lookup *l, struct cg_slice name)
{
    Py_ssize_t n = 0;
    py_auto *value = environ_object(l->env, name);
    PyObject *shown = value != NULL ? PyObject_Str(value) : NULL;
    const char *p = shown != NULL ? PyUnicode_AsUTF8AndSize(shown, &n) : NULL;
    PyErr_Clear();
    Py_XSETREF(l->shown, shown);
    return (struct cg_slice){p, (size_t)n};
}

static struct cg_slice
look_up(void *self, char kind, struct cg_slice name)
{
    struct lookup *l = self;
    if (kind == 'i') {
        return cg_named_field(l->kit->ex, name);
    }
    if (kind == 'o') {
        return cg_named_reply_field(l->kit->ex, name);
    }
    return l->env != NULL ? environ_field(l, name) : (struct cg_slice){NULL, 0};
}

/* A field that the application may have changed (proxy middleware changes
 * REMOTE_ADDR; PATH_INFO is the decoded path). */
static struct cg_slice
changed_field(PyObject *env, PyObject *key, struct cg_slice received,
              PyObject **keep)
{
    struct cg_slice now = {NULL, 0};
    if (env != NULL) {
        now = environ_value(env, key, keep);
    }
    return now.p != NULL ? now : received;
}

static struct cg_slice
known_field(const struct cg_exchange *ex, enum cg_field_id id)
{
    const struct cg_field *f = cg_request_field(ex->req, id);
    return f != NULL ? (struct cg_slice){ex->base + f->value, f->value_n}
                     : (struct cg_slice){NULL, 0};
}

/* A line that waits until its reply is out: ex->line. */
struct line {
    uint64_t start_us, sent;
    struct cg_access_kept *kept;
    PyObject *req, *resp, *env; /* owned; of a Python logger, else NULL */
};

static void *
keep_line(const struct cg_exchange *ex, struct line line)
{
    struct line *kept = cg_malloc(sizeof *kept);
    line.start_us = ex->start_us;
    line.sent = ex->sent;
    *kept = line;
    return kept;
}

/* Bytes of the body that the peer took of a reply that is cut. */
static uint64_t
taken(uint64_t sent, uint64_t unsent)
{
    return sent > unsent ? sent - unsent : 0;
}

/* Whether it goes on when its request is done. */
static bool
is_under_way(const struct cg_exchange *ex, uint64_t unsent)
{
    return unsent > 0 && !ex->broken;
}

static void
set_sent(PyObject *resp, uint64_t sent)
{
    py_auto *n = PyLong_FromUnsignedLongLong(sent);
    if (n != NULL) {
        PyObject_SetAttrString(resp, "sent", n);
    }
}

/* log.access() of a Python logger, with objects as it knows them. */
static void
route_access(const struct cg_kit *kit, PyObject *env)
{
    struct cg_exchange *ex = kit->ex;
    uint64_t duration = cg_now_us() - ex->start_us;
    uint64_t unsent = cg_exchange_unsent(ex);
    py_auto *req = env != NULL ? cg_request_object(kit) : NULL;
    py_auto *resp = req != NULL ? cg_response_object(kit, req) : NULL;
    if (resp != NULL && is_under_way(ex, unsent)) {
        ex->line = keep_line(ex, (struct line){.req = py_take(&req),
                                               .resp = py_take(&resp),
                                               .env = py_new(env)});
    } else if (resp != NULL) {
        set_sent(resp, taken(ex->sent, unsent));
        cg_py_logger_access(resp, req, env, duration);
    }
    PyErr_Clear();
}

void
cg_wsgi_replied(struct cg_wsgi *w, void *line, uint64_t unsent)
{
    struct line *l = line;
    uint64_t sent = taken(l->sent, unsent);
    uint64_t duration = cg_now_us() - l->start_us;
    if (l->kept != NULL) {
        struct cg_access_record *r = cg_access_kept_record(l->kept);
        r->body_bytes = sent;
        r->duration_us = duration;
        cg_log_request(w->o->log, w->o->access, r);
        cg_access_kept_free(l->kept);
    } else {
        set_sent(l->resp, sent);
        cg_py_logger_access(l->resp, l->req, l->env, duration);
        PyErr_Clear();
    }
    Py_XDECREF(l->req);
    Py_XDECREF(l->resp);
    Py_XDECREF(l->env);
    free(l);
}

void
cg_wsgi_log_access(const struct cg_kit *kit, PyObject *env)
{
    const struct cg_wsgi_options *o = kit->wsgi->o;
    if (!cg_log_wants_requests(o->log) || kit->ex->status == 0) {
        return; /* 0: the application took the socket over */
    }
    struct cg_exchange *ex = kit->ex;
    if (cg_py_logger_takes_access() && !cg_access_is_structured(o->access)) {
        struct cg_slice target = cg_span_of(ex->base, ex->req->target);
        if (!cg_access_leaves_out(o->access, ex->status, target)) {
            route_access(kit, env);
        }
        return;
    }
    const struct cg_request *r = ex->req;
    uint64_t unsent = cg_exchange_unsent(ex);
    struct lookup self = {kit, env, NULL};
    py_auto *addr = NULL;
    py_auto *path = NULL;
    const struct cg_wsgi *w = kit->wsgi;
    const struct cg_environ *e = &cg_kit_lane(kit)->environ;
    const struct cg_access_record record = {
        .remote_addr =
            changed_field(env, e->k_addr, cg_slice_of(ex->peer->addr), &addr),
        .authorization = known_field(ex, CG_FIELD_AUTHORIZATION),
        .method = cg_span_of(ex->base, r->method),
        .uri = cg_span_of(ex->base, r->target),
        .protocol = cg_part_protocol(ex),
        .path =
            changed_field(env, e->k_path, cg_span_of(ex->base, r->path), &path),
        .query = cg_span_of(ex->base, r->query),
        .referer = known_field(ex, CG_FIELD_REFERER),
        .user_agent = known_field(ex, CG_FIELD_USER_AGENT),
        .request_id = ex->id,
        .traceparent = known_field(ex, CG_FIELD_TRACEPARENT),
        .status = ex->status,
        .body_bytes = taken(ex->sent, unsent),
        .duration_us = cg_now_us() - ex->start_us,
        .queue_us = cg_exchange_queue_us(ex),
        .pid = w->pid,
        .lookup = look_up,
        .self = &self,
    };
    if (__builtin_expect(is_under_way(ex, unsent), 0)) {
        ex->line = keep_line(
            ex, (struct line){.kept = cg_access_keep(o->access, &record)});
        Py_XDECREF(self.shown);
        return;
    }
    cg_log_request(o->log, o->access, &record);
    if (cg_log_has_spooled(o->log) && !cg_exchange_leads(ex)) {
        cg_log_write_spool(o->log);
    }
    Py_XDECREF(self.shown);
}
