/* SPDX-License-Identifier: MIT */
#include "core/py/wsgi/hooks.h"

#include "core/base/memory.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/request/access.h"
#include "core/py/request/parts.h"
#include "core/py/wsgi/bridge.h"

/* [("HOST", "a"), …] as gunicorn's req.headers. */
static PyObject *
header_list(const struct cg_exchange *ex)
{
    py_auto *list = PyList_New(0);
    for (int i = 0; list != NULL && i < ex->req->nfields; i++) {
        const struct cg_field *f = &ex->req->fields[i];
        py_auto *name =
            cg_part_latin1((struct cg_slice){ex->base + f->name, f->name_n});
        py_auto *upper =
            name != NULL ? PyObject_CallMethod(name, "upper", NULL) : NULL;
        py_auto *value =
            cg_part_latin1((struct cg_slice){ex->base + f->value, f->value_n});
        py_auto *pair = upper != NULL && value != NULL
                            ? PyTuple_Pack(2, upper, value)
                            : NULL;
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

static PyObject *
trailer_pair(struct cg_slice line)
{
    const char *colon = memchr(line.p, ':', line.n);
    size_t name_n = (size_t)(colon - line.p);
    py_auto *name =
        cg_part_latin1(cg_slice_trim((struct cg_slice){line.p, name_n}));
    py_auto *upper =
        name != NULL ? PyObject_CallMethod(name, "upper", NULL) : NULL;
    py_auto *value = cg_part_latin1(
        cg_slice_trim((struct cg_slice){colon + 1, line.n - name_n - 1}));
    return upper != NULL && value != NULL ? PyTuple_Pack(2, upper, value)
                                          : NULL;
}

/* req.trailers: known when the body has been read to its end. */
static int
put_trailers(const struct cg_exchange *ex, PyObject *req)
{
    struct cg_slice rest = ex->body.trailers;
    if (rest.n == 0) {
        return 0;
    }
    py_auto *list = PyList_New(0);
    while (list != NULL && rest.n > 0) {
        const char *lf = memchr(rest.p, '\n', rest.n);
        size_t n = (size_t)(lf - rest.p);
        py_auto *pair = trailer_pair((struct cg_slice){rest.p, n});
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            return -1;
        }
        rest = (struct cg_slice){lf + 1, rest.n - n - 1};
    }
    return list != NULL ? PyObject_SetAttrString(req, "trailers", list) : -1;
}

static PyObject *
peer_object(const struct cg_peer *peer)
{
    return peer->addr[0] != '\0'
               ? Py_BuildValue("(si)", peer->addr, (int)peer->port)
               : PyUnicode_FromString("");
}

PyObject *
cg_request_object(const struct cg_kit *kit)
{
    const struct cg_exchange *ex = kit->ex;
    const struct cg_request *r = ex->req;
    py_auto *method = cg_part_latin1(cg_span_of(ex->base, r->method));
    py_auto *uri = cg_part_latin1(cg_span_of(ex->base, r->target));
    py_auto *path = cg_part_latin1(cg_span_of(ex->base, r->path));
    py_auto *query = cg_part_latin1(cg_span_of(ex->base, r->query));
    py_auto *headers = header_list(ex);
    py_auto *peer = peer_object(ex->peer);
    py_auto *type = cg_glue_get("_cgunicorn_glue.hooks", "Request");
    if (method == NULL || uri == NULL || path == NULL || query == NULL ||
        headers == NULL || peer == NULL || type == NULL) {
        return NULL;
    }
    py_auto *req = PyObject_CallFunction(
        type, "OOOOs(ii)OsOi", method, uri, path, query, "", 1, (int)r->minor,
        headers, cg_part_is_https(ex) ? "https" : "http", peer, 1);
    return req != NULL && put_trailers(ex, req) == 0 &&
                   PyObject_SetAttrString(req, "_socket", kit->socket) == 0
               ? py_take(&req)
               : NULL;
}

static PyObject *
hook_of(struct cg_wsgi *w, const char *name)
{
    py_auto *cfg =
        PyObject_GetAttrString((PyObject *)(void *)w->o->hook_server, "cfg");
    return cfg != NULL ? PyObject_GetAttrString(cfg, name) : NULL;
}

int
cg_call_pre_request(const struct cg_kit *kit, PyObject *req)
{
    py_auto *hook = hook_of(kit->wsgi, "pre_request");
    PyObject *worker = (PyObject *)(void *)kit->wsgi->o->hook_worker;
    py_auto *done = hook != NULL
                        ? PyObject_CallFunctionObjArgs(hook, worker, req, NULL)
                        : NULL;
    return done != NULL ? 0 : -1;
}

/* ---- what the hook changed goes into environ ---- */

static int
drop_http_keys(PyObject *env)
{
    py_auto *keys = PyDict_Keys(env);
    for (Py_ssize_t i = 0; keys != NULL && i < PyList_GET_SIZE(keys); i++) {
        py_auto *key = py_list_get(keys, i);
        const char *name = PyUnicode_AsUTF8(key);
        if (name != NULL && strncmp(name, "HTTP_", 5) == 0 &&
            PyDict_DelItem(env, key) < 0) {
            return -1;
        }
    }
    return keys != NULL ? 0 : -1;
}

static PyObject *
environ_key(PyObject *name)
{
    py_auto *plain = PyObject_CallMethod(name, "replace", "ss", "-", "_");
    py_auto *upper =
        plain != NULL ? PyObject_CallMethod(plain, "upper", NULL) : NULL;
    const char *text = upper != NULL ? PyUnicode_AsUTF8(upper) : NULL;
    if (text == NULL) {
        return NULL;
    }
    if (strcmp(text, "CONTENT_TYPE") == 0 ||
        strcmp(text, "CONTENT_LENGTH") == 0) {
        return py_take(&upper);
    }
    return PyUnicode_FromFormat("HTTP_%U", upper);
}

static int
put_header(PyObject *env, PyObject *pair)
{
    py_auto *name = PySequence_GetItem(pair, 0);
    py_auto *value = name != NULL ? PySequence_GetItem(pair, 1) : NULL;
    py_auto *key = value != NULL ? environ_key(name) : NULL;
    if (key == NULL) {
        return -1;
    }
    py_auto *old = py_dict_get(env, key);
    const char *text = PyUnicode_AsUTF8(key);
    bool joins = old != NULL && text != NULL && strncmp(text, "HTTP_", 5) == 0;
    return py_dict_put(env, key,
                       joins ? PyUnicode_FromFormat("%S,%S", old, value)
                             : py_new(value));
}

static int
put_headers(PyObject *env, PyObject *req)
{
    py_auto *headers = PyObject_GetAttrString(req, "headers");
    py_auto *it = headers != NULL ? PyObject_GetIter(headers) : NULL;
    while (it != NULL) {
        py_auto *pair = PyIter_Next(it);
        if (pair == NULL) {
            break;
        }
        if (put_header(env, pair) < 0) {
            return -1;
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int
put_attribute(PyObject *env, PyObject *req, const char *attribute,
              const char *key)
{
    py_auto *value = PyObject_GetAttrString(req, attribute);
    return value != NULL ? PyDict_SetItemString(env, key, value) : -1;
}

/* The path as the hook left it; unchanged, the decoded one stays. */
static int
put_path(const struct cg_kit *kit, PyObject *env, PyObject *req)
{
    py_auto *path = PyObject_GetAttrString(req, "path");
    py_auto *sent =
        cg_part_latin1(cg_span_of(kit->ex->base, kit->ex->req->path));
    int same = path != NULL && sent != NULL
                   ? PyObject_RichCompareBool(path, sent, Py_EQ)
                   : -1;
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    py_auto *parse = PyImport_ImportModule("urllib.parse");
    py_auto *decoded =
        parse != NULL
            ? PyObject_CallMethod(parse, "unquote", "Os", path, "latin-1")
            : NULL;
    return decoded != NULL ? PyDict_SetItemString(env, "PATH_INFO", decoded)
                           : -1;
}

int
cg_environ_follow(const struct cg_kit *kit, PyObject *env, PyObject *req)
{
    if (drop_http_keys(env) < 0 || put_headers(env, req) < 0 ||
        put_attribute(env, req, "scheme", "wsgi.url_scheme") < 0 ||
        put_attribute(env, req, "method", "REQUEST_METHOD") < 0) {
        return -1;
    }
    return put_path(kit, env, req);
}

/* ---- post_request ---- */

/* The application's fields as pairs, as they were sent. */
static PyObject *
response_headers(const struct cg_writer *w)
{
    py_auto *list = PyList_New(0);
    struct cg_slice n, v;
    size_t at = 0;
    while (list != NULL && w->started && w->headed &&
           cg_reply_next_field(&w->reply, &at, &n, &v)) {
        py_auto *name = cg_part_latin1(n);
        py_auto *value = cg_part_latin1(v);
        py_auto *pair =
            name != NULL && value != NULL ? PyTuple_Pack(2, name, value) : NULL;
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

PyObject *
cg_response_object(const struct cg_kit *kit, PyObject *req)
{
    const struct cg_exchange *ex = kit->ex;
    py_auto *type = cg_glue_get("_cgunicorn_glue.hooks", "Response");
    const struct cg_writer *w = ex->writer;
    py_auto *headers = response_headers(w);
    py_auto *status =
        w->started
            ? cg_part_latin1(
                  (struct cg_slice){w->reply.line.p, w->reply.line.n})
            : PyUnicode_FromFormat("%d %s", ex->status, cg_reason(ex->status));
    py_auto *length = w->started && w->reply.has_length
                          ? PyLong_FromUnsignedLongLong(w->reply.length)
                          : py_new(Py_None);
    py_auto *sent = PyLong_FromUnsignedLongLong(ex->sent);
    if (type == NULL || headers == NULL || status == NULL || length == NULL ||
        sent == NULL) {
        return NULL;
    }
    return PyObject_CallFunction(
        type, "OOiOOOOO", req, status, ex->status, headers, sent, length,
        w->reply.framing == CG_FRAME_CHUNKED ? Py_True : Py_False,
        ex->keep ? Py_False : Py_True);
}

void
cg_call_post_request(const struct cg_kit *kit, PyObject *req, PyObject *env)
{
    PyObject *worker = (PyObject *)(void *)kit->wsgi->o->hook_worker;
    py_auto *hook = hook_of(kit->wsgi, "post_request");
    py_auto *call = cg_glue_get("_cgunicorn_glue.hooks", "call_post_request");
    py_auto *empty = env == NULL ? PyDict_New() : NULL;
    py_auto *resp =
        put_trailers(kit->ex, req) == 0 ? cg_response_object(kit, req) : NULL;
    py_auto *done = hook != NULL && call != NULL && resp != NULL
                        ? PyObject_CallFunctionObjArgs(
                              call, hook, worker, req,
                              env != NULL ? env : empty, resp, NULL)
                        : NULL;
    if (done == NULL) {
        cg_wsgi_log_exception(kit, "Exception in post_request hook");
    }
}
