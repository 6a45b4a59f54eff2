/* SPDX-License-Identifier: MIT */
/* The scope of a request (ASGI www 2.5): a copy of a template per listener,
 * with what the request says. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/py/asgi/internal.h"
#include "core/py/request/parts.h"

/* ---- made once ---- */

static int
init_names(struct cg_asgi *a)
{
    static const char *const name[] = {
        NULL,
#define CG_FIELD(ID, lower, environ_key) lower,
#include "core/http/fields.def"
#undef CG_FIELD
    };
    for (int i = 1; i < CG_FIELD_COUNT; i++) {
        a->field_name[i] = PyBytes_FromString(name[i]);
        if (a->field_name[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* {name: {}, …} */
static PyObject *
extensions(const char *const *names)
{
    py_auto *d = PyDict_New();
    for (; d != NULL && *names != NULL; names++) {
        py_auto *empty = PyDict_New();
        if (empty == NULL || PyDict_SetItemString(d, *names, empty) < 0) {
            return NULL;
        }
    }
    return py_take(&d);
}

static int
init_extensions(struct cg_asgi *a)
{
    static const char *const http[] = {"http.response.pathsend",
                                       "http.response.early_hint", NULL};
    static const char *const trailers[] = {"http.response.pathsend",
                                           "http.response.early_hint",
                                           "http.response.trailers", NULL};
    static const char *const ws[] = {"websocket.http.response", NULL};
    a->http_extensions = extensions(http);
    a->trailer_extensions = extensions(trailers);
    a->ws_extensions = extensions(ws);
    a->asgi_versions =
        Py_BuildValue("{ssss}", "version", "3.0", "spec_version", "2.5");
    return a->http_extensions != NULL && a->trailer_extensions != NULL &&
                   a->ws_extensions != NULL && a->asgi_versions != NULL
               ? 0
               : -1;
}

/* ("127.0.0.1", 8000); a unix socket's path has no port. */
static PyObject *
server_of(const struct cg_wsgi_listener *l)
{
    if (l->is_unix) {
        return Py_BuildValue("(NO)", PyUnicode_DecodeFSDefault(l->name),
                             Py_None);
    }
    return Py_BuildValue("(si)", l->name, atoi(l->port));
}

static PyObject *
template_of(struct cg_asgi *a, const struct cg_wsgi_listener *l, bool ws)
{
    py_auto *server = server_of(l);
    py_auto *root = PyUnicode_DecodeFSDefault(a->o.root_path);
    py_auto *d = PyDict_New();
    py_auto *empty = PyBytes_FromString("");
    if (server == NULL || root == NULL || d == NULL || empty == NULL) {
        return NULL;
    }
    const struct {
        enum word key;
        PyObject *value;
    } items[] = {
        {W_type, word(a, ws ? W_websocket : W_http)},
        {W_http_version, word(a, W_http11)},
        {W_scheme, word(a, ws ? W_ws : W_http)},
        {W_query_string, empty},
        {W_root_path, root},
        {W_client, Py_None},
        /* replaced in each copy: a dict that does not grow is cheaper */
        {W_path, Py_None},
        {W_raw_path, Py_None},
        {W_headers, Py_None},
        {W_asgi, Py_None},
        {W_extensions, Py_None},
        {W_server, server},
    };
    for (size_t i = 0; i < CG_COUNT(items); i++) {
        if (PyDict_SetItem(d, word(a, items[i].key), items[i].value) < 0) {
            return NULL;
        }
    }
    if (!ws && PyDict_SetItem(d, word(a, W_method), word(a, W_GET)) < 0) {
        return NULL;
    }
    return py_take(&d);
}

int
cg_scope_init(struct cg_asgi *a)
{
    const struct cg_wsgi_options *o = a->wsgi->o;
    size_t n = (size_t)o->nlisteners;
    a->http_scope = cg_calloc(n, sizeof *a->http_scope);
    a->ws_scope = cg_calloc(n, sizeof *a->ws_scope);
    if (init_names(a) < 0 || init_extensions(a) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        a->http_scope[i].dict = template_of(a, &o->listeners[i], false);
        a->ws_scope[i].dict = template_of(a, &o->listeners[i], true);
        if (a->http_scope[i].dict == NULL || a->ws_scope[i].dict == NULL) {
            return -1;
        }
    }
    return 0;
}

void
cg_scope_release(struct cg_asgi *a)
{
    int n = a->http_scope != NULL ? a->wsgi->o->nlisteners : 0;
    for (int i = 0; i < n; i++) {
        cg_template_release(&a->http_scope[i]);
        cg_template_release(&a->ws_scope[i]);
    }
    free(a->http_scope);
    free(a->ws_scope);
    for (int i = 0; i < CG_FIELD_COUNT; i++) {
        Py_CLEAR(a->field_name[i]);
    }
    Py_CLEAR(a->http_extensions);
    Py_CLEAR(a->trailer_extensions);
    Py_CLEAR(a->ws_extensions);
    Py_CLEAR(a->asgi_versions);
    Py_CLEAR(a->addr);
}

/* ---- fields ---- */

static PyObject *
lower_name(struct cg_slice name)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)name.n);
    char *to = made != NULL ? PyBytes_AS_STRING(made) : NULL;
    for (size_t i = 0; to != NULL && i < name.n; i++) {
        char c = name.p[i];
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return made;
}

static PyObject *
pair_of(struct cg_asgi *a, const struct cg_exchange *ex,
        const struct cg_field *f)
{
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL) {
        return NULL;
    }
    PyObject *name =
        f->id != CG_FIELD_OTHER
            ? py_new(a->field_name[f->id])
            : lower_name((struct cg_slice){ex->base + f->name, f->name_n});
    PyObject *value =
        cg_part_bytes((struct cg_slice){ex->base + f->value, f->value_n});
    PyTuple_SET_ITEM(pair, 0, name); /* the tuple's from here on */
    PyTuple_SET_ITEM(pair, 1, value);
    if (name == NULL || value == NULL) {
        Py_DECREF(pair);
        return NULL;
    }
    return pair;
}

static PyObject *
fields_of(struct cg_asgi *a, const struct cg_exchange *ex)
{
    py_auto *list = PyList_New(ex->req->nfields);
    for (int i = 0; list != NULL && i < ex->req->nfields; i++) {
        PyObject *pair = pair_of(a, ex, &ex->req->fields[i]);
        if (pair == NULL) {
            return NULL;
        }
        PyList_SET_ITEM(list, i, pair); /* given away */
    }
    return py_take(&list);
}

/* ---- the target ---- */

/* Percent-decoded, then UTF-8. */
static PyObject *
decode_path(struct cg_slice path)
{
    cg_auto(buf) struct cg_buf b = {0};
    if (memchr(path.p, '%', path.n) == NULL) {
        return PyUnicode_DecodeUTF8(path.p, (Py_ssize_t)path.n, "replace");
    }
    cg_part_decode_path(path, &b);
    return PyUnicode_DecodeUTF8(b.p, (Py_ssize_t)b.n, "replace");
}

/* "GET http://a" asks for "/" (RFC 9110, 4.2.3); CONNECT has no path. */
static struct cg_slice
path_of(const struct cg_exchange *ex)
{
    struct cg_slice path = cg_span_of(ex->base, ex->req->path);
    struct cg_slice method = cg_span_of(ex->base, ex->req->method);
    bool connects = method.n == 7 && memcmp(method.p, "CONNECT", 7) == 0;
    return path.n > 0 || connects ? path : CG_SLICE("/");
}

static int
put_target(struct cg_asgi *a, PyObject *d, const struct cg_exchange *ex)
{
    const struct cg_request *r = ex->req;
    struct cg_slice path = path_of(ex);
    if (py_dict_put(d, word(a, W_path), decode_path(path)) < 0 ||
        py_dict_put(d, word(a, W_raw_path), cg_part_bytes(path)) < 0) {
        return -1;
    }
    if (r->query.n == 0) {
        return 0;
    }
    return py_dict_put(d, word(a, W_query_string),
                       cg_part_bytes(cg_span_of(ex->base, r->query)));
}

/* ---- the rest ---- */

static int
put_line(struct cg_asgi *a, PyObject *d, const RequestObject *r)
{
    const struct cg_exchange *ex = r->ex;
    const struct cg_request *req = ex->req;
    enum word https = r->ws != NULL ? W_wss : W_https;
    if (cg_part_is_https(ex) &&
        PyDict_SetItem(d, word(a, W_scheme), word(a, https)) < 0) {
        return -1;
    }
    if ((req->minor == 0 || ex->is_h2) &&
        PyDict_SetItem(d, word(a, W_http_version),
                       word(a, ex->is_h2 ? W_http2 : W_http10)) < 0) {
        return -1;
    }
    if (r->ws == NULL && !req->method_is_get &&
        py_dict_put(d, word(a, W_method),
                    cg_part_latin1(cg_span_of(ex->base, req->method))) < 0) {
        return -1;
    }
    return put_target(a, d, ex);
}

/* Clients in a row often have the same address: that of a proxy. */
static PyObject *
address_of(struct cg_asgi *a, const char *addr)
{
    if (a->addr == NULL || strcmp(a->addr_text, addr) != 0) {
        PyObject *made = PyUnicode_FromString(addr);
        if (made == NULL) {
            return NULL;
        }
        snprintf(a->addr_text, sizeof a->addr_text, "%s", addr);
        Py_XSETREF(a->addr, made);
    }
    return py_new(a->addr);
}

static PyObject *
client_of(struct cg_asgi *a, const struct cg_peer *peer)
{
    py_auto *addr = address_of(a, peer->addr);
    py_auto *port = PyLong_FromLong(peer->port);
    return addr != NULL && port != NULL ? PyTuple_Pack(2, addr, port) : NULL;
}

static int
put_peer(struct cg_asgi *a, PyObject *d, const struct cg_peer *peer)
{
    if (peer->addr[0] != '\0' &&
        py_dict_put(d, word(a, W_client), client_of(a, peer)) < 0) {
        return -1;
    }
    if (!peer->proxied) {
        return 0;
    }
    return py_dict_put(
        d, word(a, W_server),
        Py_BuildValue("(si)", peer->proxy_addr, (int)peer->proxy_port));
}

/* ---- the extension `tls` of ASGI ---- */

static PyObject *
text_or_none(const char *text)
{
    return text != NULL ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text),
                                               "backslashreplace")
                        : py_new(Py_None);
}

static PyObject *
chain_of(const struct cg_secure_client *c)
{
    return c != NULL ? Py_BuildValue("[N]", text_or_none(c->pem))
                     : PyList_New(0);
}

static PyObject *
tls_of(const struct cg_secure *s)
{
    const struct cg_secure_client *c = s->client;
    return Py_BuildValue(
        "{s:O,s:N,s:N,s:N,s:i,s:i}", "server_cert", Py_None,
        "client_cert_chain", chain_of(c), "client_cert_name",
        text_or_none(c != NULL ? c->subject : NULL), "client_cert_error",
        text_or_none(c != NULL && !c->verified ? c->why_not : NULL),
        "tls_version", (int)s->version, "cipher_suite", (int)s->suite);
}

static bool
wants_trailers(const struct cg_exchange *ex)
{
    const struct cg_field *f = cg_request_field(ex->req, CG_FIELD_TE);
    if (ex->is_h2) {
        return true; /* it has a place for them that every client reads */
    }
    if (f == NULL || ex->req->minor == 0) {
        return false;
    }
    cg_auto(free) char *text = cg_strndup(ex->base + f->value, f->value_n);
    return strcasestr(text, "trailers") != NULL;
}

static PyObject *
subprotocols_of(const struct cg_exchange *ex)
{
    py_auto *list = PyList_New(0);
    struct cg_ws_protocols at = {0};
    struct cg_slice one;
    while (list != NULL && cg_ws_protocol_next(ex->req, ex->base, &at, &one)) {
        py_auto *text = cg_part_latin1(one);
        if (text == NULL || PyList_Append(list, text) < 0) {
            return NULL;
        }
    }
    return py_take(&list);
}

static int
put_kind(struct cg_asgi *a, PyObject *d, RequestObject *r)
{
    if (r->ws != NULL) {
        return py_dict_put(d, word(a, W_subprotocols), subprotocols_of(r->ex));
    }
    r->takes_trailers = wants_trailers(r->ex);
    return 0;
}

/* Its own: what an application adds is not the next one's. */
static PyObject *
extensions_for(const struct cg_asgi *a, const RequestObject *r)
{
    py_auto *all = PyDict_Copy(r->ws != NULL       ? a->ws_extensions
                               : r->takes_trailers ? a->trailer_extensions
                                                   : a->http_extensions);
    if (all == NULL || r->ex->secure == NULL) {
        return py_take(&all);
    }
    py_auto *tls = tls_of(r->ex->secure);
    return tls != NULL && PyDict_SetItemString(all, "tls", tls) == 0
               ? py_take(&all)
               : NULL;
}

PyObject *
cg_scope_new(struct cg_asgi *a, RequestObject *r)
{
    const struct cg_exchange *ex = r->ex;
    struct cg_template *base = r->ws != NULL ? a->ws_scope : a->http_scope;
    py_auto *d =
        cg_template_copy(&base[ex->listener], word(a, W_request_id), ex->id);
    if (d == NULL || put_line(a, d, r) < 0 || put_peer(a, d, ex->peer) < 0 ||
        put_kind(a, d, r) < 0 ||
        py_dict_put(d, word(a, W_headers), fields_of(a, ex)) < 0 ||
        py_dict_put(d, word(a, W_asgi), PyDict_Copy(a->asgi_versions)) < 0 ||
        py_dict_put(d, word(a, W_extensions), extensions_for(a, r)) < 0) {
        return NULL;
    }
    if (a->state != NULL &&
        py_dict_put(d, word(a, W_state), PyDict_Copy(a->state)) < 0) {
        return NULL;
    }
    return py_take(&d);
}
