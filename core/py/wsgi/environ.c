/* SPDX-License-Identifier: MIT */
#include "core/py/wsgi/environ.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/memory.h"
#include "core/http/proxy/proxy.h"
#include "core/py/request/parts.h"
#include "core/py/wsgi/bridge.h"
#include "core/py/wsgi/reply.h"

static int
intern(PyObject **ret, const char *text)
{
    *ret = PyUnicode_InternFromString(text);
    return *ret == NULL ? -1 : 0;
}

/* ---- made once ---- */

static int
init_keys(struct cg_environ *e)
{
    static const char *const key[] = {
        NULL,
#define CG_FIELD(ID, lower, environ_key) environ_key,
#include "core/http/fields.def"
#undef CG_FIELD
    };
    for (int i = 1; i < CG_FIELD_COUNT; i++) {
        if (intern(&e->field_key[i], key[i]) < 0) {
            return -1;
        }
    }
    const struct {
        PyObject **to;
        const char *text;
    } words[] = {
        {&e->k_method, "REQUEST_METHOD"},
        {&e->k_path, "PATH_INFO"},
        {&e->k_query, "QUERY_STRING"},
        {&e->k_raw_uri, "RAW_URI"},
        {&e->k_protocol, "SERVER_PROTOCOL"},
        {&e->k_scheme, "wsgi.url_scheme"},
        {&e->k_input, "wsgi.input"},
        {&e->k_addr, "REMOTE_ADDR"},
        {&e->k_port, "REMOTE_PORT"},
        {&e->k_script, "SCRIPT_NAME"},
        {&e->k_socket, "gunicorn.socket"},
        {&e->k_server_name, "SERVER_NAME"},
        {&e->k_server_port, "SERVER_PORT"},
        {&e->v_https, "https"},
        {&e->v_http10, "HTTP/1.0"},
        {&e->v_http20, "HTTP/2.0"},
        {&e->k_http_version, "HTTP_VERSION"},
        {&e->v_2, "2"},
        {&e->k_h2_weight, "gunicorn.http2.priority_weight"},
        {&e->k_h2_depends, "gunicorn.http2.priority_depends_on"},
        {&e->k_h2_trailers, "gunicorn.http2.send_trailers"},
        {&e->k_early_hints, "wsgi.early_hints"},
        {&e->k_https, "HTTPS"},
        {&e->v_on, "on"},
        {&e->k_tls_protocol, "SSL_PROTOCOL"},
        {&e->k_tls_cipher, "SSL_CIPHER"},
        {&e->k_request_id, "cgunicorn.request_id"},
    };
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        if (intern(words[i].to, words[i].text) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
put_text(PyObject *d, const char *key, const char *value)
{
    py_auto *k = PyUnicode_InternFromString(key);
    if (k == NULL) {
        return -1;
    }
    return py_dict_put(
        d, k, PyUnicode_DecodeLatin1(value, (Py_ssize_t)strlen(value), NULL));
}

static int
put_object(PyObject *d, const char *key, PyObject *value)
{
    py_auto *k = PyUnicode_InternFromString(key);
    return k == NULL ? -1 : PyDict_SetItem(d, k, value);
}

/*
 * Makes the table of a template large enough for the keys of a request: a copy
 * keeps the size, so that adding them costs no new table. Keys come and go.
 */
static int
make_room(PyObject *d)
{
    enum { ROOM = 24 }; /* entries beyond the ones of a table of 32 slots */
    char name[16];
    Py_ssize_t there = PyDict_GET_SIZE(d);
    for (int i = 0; there + i < ROOM; i++) {
        snprintf(name, sizeof name, "room %d", i);
        if (PyDict_SetItemString(d, name, Py_None) < 0) {
            return -1;
        }
    }
    for (int i = 0; there + i < ROOM; i++) {
        snprintf(name, sizeof name, "room %d", i);
        if (PyDict_DelItemString(d, name) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
new_template(struct cg_environ *e, const struct cg_wsgi_listener *l,
             PyTypeObject *file_type, PyObject *errors)
{
    py_auto *d = PyDict_New();
    py_auto *version = Py_BuildValue("(ii)", 1, 0);
    if (d == NULL || version == NULL) {
        return NULL;
    }
    const struct {
        const char *key, *value;
    } texts[] = {
        {"REQUEST_METHOD", "GET"},
        {"SCRIPT_NAME", e->o->script_name},
        {"PATH_INFO", "/"},
        {"QUERY_STRING", ""},
        {"RAW_URI", "/"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"SERVER_NAME", l->name},
        {"SERVER_PORT", l->port},
        {"SERVER_SOFTWARE", e->o->software},
        {"REMOTE_ADDR", ""},
        {"wsgi.url_scheme", "http"},
    };
    const struct {
        const char *key;
        PyObject *value;
    } objects[] = {
        {"wsgi.version", version},
        {"wsgi.errors", errors},
        {"wsgi.multithread", e->o->multithread ? Py_True : Py_False},
        {"wsgi.multiprocess", e->o->multiprocess ? Py_True : Py_False},
        {"wsgi.run_once", Py_False},
        {"wsgi.input_terminated", Py_True},
        {"wsgi.file_wrapper", (PyObject *)file_type},
        {"wsgi.input", Py_None},
        {"gunicorn.socket", Py_None},
        {"wsgi.early_hints", Py_None},
    };
    for (size_t i = 0; i < CG_COUNT(texts); i++) {
        if (put_text(d, texts[i].key, texts[i].value) < 0) {
            return NULL;
        }
    }
    for (size_t i = 0; i < CG_COUNT(objects); i++) {
        if (put_object(d, objects[i].key, objects[i].value) < 0) {
            return NULL;
        }
    }
    return make_room(d) < 0 ? NULL : py_take(&d);
}

/*
 * An environ's table is beyond the small blocks of Python's allocator. libc
 * keeps a few freed blocks by size for each thread, and finds the next one
 * there if its size is exact; a block that was cut from a larger one is a few
 * bytes too long, and would be searched for anew in every request. Several made
 * at once and freed leave blocks that fit.
 */
static int
warm_allocator(PyObject *template)
{
    enum { BLOCKS = 8 }; /* one more than libc keeps */
    PyObject *made[BLOCKS];
    int n = 0;
    while (n < BLOCKS && (made[n] = PyDict_Copy(template)) != NULL) {
        n++;
    }
    for (int i = 0; i < n; i++) {
        Py_DECREF(made[i]);
    }
    return n == BLOCKS ? 0 : -1;
}

int
cg_environ_init(struct cg_environ *e, const struct cg_wsgi_options *o,
                PyTypeObject *file_type, PyObject *errors)
{
    e->o = o;
    if (init_keys(e) < 0) {
        return -1;
    }
    e->base = cg_calloc((size_t)o->nlisteners, sizeof *e->base);
    for (int i = 0; i < o->nlisteners; i++) {
        e->base[i].plain.dict =
            new_template(e, &o->listeners[i], file_type, errors);
        if (e->base[i].plain.dict == NULL) {
            return -1;
        }
    }
    return warm_allocator(e->base[0].plain.dict);
}

void
cg_environ_release(struct cg_environ *e)
{
    for (int i = 0; e->base != NULL && i < e->o->nlisteners; i++) {
        cg_template_release(&e->base[i].plain);
        cg_template_release(&e->base[i].secure);
        Py_CLEAR(e->base[i].protocol);
        Py_CLEAR(e->base[i].cipher);
    }
    free(e->base);
    for (int i = 0; i < CG_FIELD_COUNT; i++) {
        Py_CLEAR(e->field_key[i]);
        Py_CLEAR(e->last_value[i]);
    }
    for (size_t i = 0; i < CG_NAME_CACHE; i++) {
        free(e->names[i].name);
        Py_CLEAR(e->names[i].key);
    }
    PyObject **const words[] = {
        &e->k_method,      &e->k_path,         &e->k_query,
        &e->k_raw_uri,     &e->k_protocol,     &e->k_scheme,
        &e->k_input,       &e->k_addr,         &e->k_port,
        &e->k_script,      &e->k_socket,       &e->k_server_name,
        &e->k_server_port, &e->v_https,        &e->v_http10,
        &e->last_addr,     &e->k_early_hints,  &e->k_https,
        &e->v_on,          &e->k_tls_protocol, &e->k_tls_cipher,
        &e->k_request_id,  &e->v_http20,       &e->k_http_version,
        &e->v_2,           &e->k_h2_weight,    &e->k_h2_depends,
        &e->k_h2_trailers,
    };
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        Py_CLEAR(*words[i]);
    }
}

/* ---- field names ---- */

static PyObject *
make_key(struct cg_slice name)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_buf_puts(&b, "HTTP_");
    char *to = cg_buf_reserve(&b, name.n);
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        to[i] = c == '-' ? '_' : (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    b.n += name.n;
    return cg_part_latin1((struct cg_slice){b.p, b.n});
}

/* The environ key of a name that is not in fields.def. A peer chooses such
 * names, so the cache has a fixed size and the strings are not interned. */
static PyObject *
other_key(struct cg_environ *e, struct cg_slice name)
{
    unsigned h = (unsigned)name.n;
    for (size_t i = 0; i < name.n; i++) {
        h = h * 31 + (unsigned char)name.p[i];
    }
    struct cg_cached_name *c = &e->names[h % CG_NAME_CACHE];
    if (c->n == name.n && c->key != NULL &&
        memcmp(c->name, name.p, name.n) == 0) {
        return py_new(c->key);
    }
    PyObject *key = make_key(name);
    if (key != NULL && c->key == NULL && name.n <= 128 &&
        PyObject_Hash(key) != -1) {
        c->name = cg_strndup(name.p, name.n);
        c->n = name.n;
        c->key = py_new(key);
    }
    return key;
}

enum { COMMON_MAX = 200 };

/* Whether a value may be kept for the next request: most clients say the same,
 * but for what is theirs alone. */
static bool
is_common(uint16_t id, size_t n)
{
    return n > 0 && n <= COMMON_MAX && id != CG_FIELD_COOKIE &&
           id != CG_FIELD_AUTHORIZATION;
}

/* The value of a known field; the last one is used again if it is the same. */
static PyObject *
known_value(struct cg_environ *e, uint16_t id, struct cg_slice value)
{
    PyObject **last = &e->last_value[id];
    if (*last != NULL && (size_t)PyUnicode_GET_LENGTH(*last) == value.n &&
        memcmp(PyUnicode_1BYTE_DATA(*last), value.p, value.n) == 0) {
        return py_new(*last);
    }
    PyObject *made = cg_part_latin1(value);
    if (made != NULL && is_common(id, value.n)) {
        Py_XSETREF(*last, py_new(made));
    }
    return made;
}

/* Repeated fields are joined with a comma, as gunicorn does. */
static int
join(PyObject *d, PyObject *key, struct cg_slice value)
{
    py_auto *old = py_dict_get(d, key);
    py_auto *new = cg_part_latin1(value);
    if (old == NULL || new == NULL) {
        return -1;
    }
    return py_dict_put(d, key, PyUnicode_FromFormat("%U,%U", old, new));
}

static int
put_other(struct cg_environ *e, PyObject *d, struct cg_slice name,
          struct cg_slice value)
{
    py_auto *key = other_key(e, name);
    if (key == NULL) {
        return -1;
    }
    int there = PyDict_Contains(d, key);
    if (there != 0) {
        return there < 0 ? -1 : join(d, key, value);
    }
    return py_dict_put(d, key, cg_part_latin1(value));
}

/* Whether nothing but the framing is in a Transfer-Encoding, which is gone by
 * now. */
static bool
is_framing(struct cg_slice value)
{
    while (value.n > 0) {
        const char *comma = memchr(value.p, ',', value.n);
        size_t n = comma != NULL ? (size_t)(comma - value.p) : value.n;
        struct cg_slice coding = cg_slice_trim((struct cg_slice){value.p, n});
        if (!cg_slice_is_nocase(coding, "chunked") &&
            !cg_slice_is_nocase(coding, "identity")) {
            return false;
        }
        n += comma != NULL ? 1 : 0;
        value = (struct cg_slice){value.p + n, value.n - n};
    }
    return true;
}

/* A chunked body is whole before the application runs: many ask for its length
 * and read nothing without one. */
static int
put_length(struct cg_environ *e, PyObject *d, const struct cg_exchange *ex)
{
    return py_dict_put(
        d, e->field_key[CG_FIELD_CONTENT_LENGTH],
        PyUnicode_FromFormat("%llu", (unsigned long long)ex->body.n));
}

static int
put_fields(struct cg_environ *e, PyObject *d, const struct cg_exchange *ex)
{
    uint64_t seen[(CG_FIELD_COUNT + 63) / 64] = {0};
    const struct cg_request *r = ex->req;
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        struct cg_slice value = {ex->base + f->value, f->value_n};
        int bad;
        if (f->id == CG_FIELD_TRANSFER_ENCODING && r->chunked &&
            !ex->streaming && is_framing(value)) {
            bad = put_length(e, d, ex);
        } else if (f->id == CG_FIELD_OTHER) {
            struct cg_slice name = {ex->base + f->name, f->name_n};
            bad = put_other(e, d, name, value);
        } else if (seen[f->id / 64] >> (f->id % 64) & 1) {
            bad = join(d, e->field_key[f->id], value);
        } else {
            seen[f->id / 64] |= (uint64_t)1 << (f->id % 64);
            bad = py_dict_put(d, e->field_key[f->id],
                              known_value(e, f->id, value));
        }
        if (bad) {
            return -1;
        }
    }
    /* HTTP/2 has no field for its framing */
    return ex->is_h2 && r->chunked && !ex->streaming ? put_length(e, d, ex) : 0;
}

/* ---- the target ---- */

static PyObject *
decode_path(struct cg_slice path)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_part_decode_path(path, &b);
    return cg_part_latin1((struct cg_slice){b.p, b.n});
}

static PyObject *
path_object(const struct cg_request *r, struct cg_slice path)
{
    return r->path_has_percent ? decode_path(path) : cg_part_latin1(path);
}

/* SCRIPT_NAME of a trusted peer's field or of the environment is taken off the
 * undecoded path; the parser refuses nothing here, so a mismatch is ours. */
static int
split_script(struct cg_environ *e, PyObject *d, const struct cg_exchange *ex,
             struct cg_slice *path)
{
    struct cg_slice script = cg_span_of(ex->base, ex->req->script_name);
    if (script.n > 0) {
        if (py_dict_put(d, e->k_script, cg_part_latin1(script)) < 0) {
            return -1;
        }
    } else {
        script = cg_slice_of(e->o->script_name);
    }
    if (script.n == 0) {
        return 0;
    }
    if (path->n < script.n || memcmp(path->p, script.p, script.n) != 0) {
        py_auto *shown = path_object(ex->req, *path);
        py_auto *wanted = cg_part_latin1(script);
        if (shown != NULL && wanted != NULL) {
            PyErr_Format(PyExc_ValueError,
                         "Configuration problem: Request path %R does not "
                         "start with SCRIPT_NAME %R",
                         shown, wanted);
        }
        return -1;
    }
    path->p += script.n;
    path->n -= script.n;
    return 0;
}

static int
put_target(struct cg_environ *e, PyObject *d, const struct cg_exchange *ex)
{
    const struct cg_request *r = ex->req;
    struct cg_slice target = cg_span_of(ex->base, r->target);
    struct cg_slice path = cg_span_of(ex->base, r->path);
    py_auto *raw = cg_part_latin1(target);
    if (raw == NULL || PyDict_SetItem(d, e->k_raw_uri, raw) < 0) {
        return -1;
    }
    if (split_script(e, d, ex, &path) < 0) {
        return -1;
    }
    /* most often the path is the target: one string serves for both */
    PyObject *shown = path.n == target.n && !r->path_has_percent
                          ? py_new(raw)
                          : path_object(r, path);
    if (py_dict_put(d, e->k_path, shown) < 0) {
        return -1;
    }
    if (r->query.n > 0) {
        return py_dict_put(d, e->k_query,
                           cg_part_latin1(cg_span_of(ex->base, r->query)));
    }
    return 0;
}

/* ---- the peer ---- */

/* 1: *last, mostly that of the request before, has become another object. */
static int
make_last(const char *text, PyObject **last)
{
    size_t n = strlen(text);
    if (*last != NULL && (size_t)PyUnicode_GET_LENGTH(*last) == n &&
        memcmp(PyUnicode_1BYTE_DATA(*last), text, n) == 0) {
        return 0;
    }
    PyObject *value = cg_part_latin1((struct cg_slice){text, n});
    if (value == NULL) {
        return -1;
    }
    Py_XSETREF(*last, value);
    return 1;
}

static int
put_peer(struct cg_environ *e, PyObject *d, const struct cg_peer *peer)
{
    if (peer->addr[0] == '\0') {
        return 0; /* unix socket: "" from the template, no port */
    }
    char text[8];
    int digits = 0;
    for (unsigned port = peer->port; digits == 0 || port > 0; port /= 10) {
        text[7 - digits++] = (char)('0' + port % 10);
    }
    if (make_last(peer->addr, &e->last_addr) < 0 ||
        PyDict_SetItem(d, e->k_addr, e->last_addr) < 0) {
        return -1;
    }
    return py_dict_put(
        d, e->k_port,
        cg_part_latin1((struct cg_slice){text + 8 - digits, (size_t)digits}));
}

/* What a proxy told of the client's connection (PROXY protocol). */
static int
put_proxy(PyObject *d, const struct cg_peer *peer)
{
    py_auto *protocol =
        PyUnicode_FromString(peer->proxied == CG_PROXY_TCP6 ? "TCP6" : "TCP4");
    py_auto *addr = PyUnicode_FromString(peer->proxy_addr);
    py_auto *port = PyUnicode_FromFormat("%d", (int)peer->proxy_port);
    if (protocol == NULL || addr == NULL || port == NULL ||
        PyDict_SetItemString(d, "PROXY_PROTOCOL", protocol) < 0 ||
        PyDict_SetItemString(d, "PROXY_ADDR", addr) < 0) {
        return -1;
    }
    return PyDict_SetItemString(d, "PROXY_PORT", port);
}

static int
put_utf8(PyObject *d, const char *key, const char *text)
{
    py_auto *value = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text),
                                          "backslashreplace");
    return value != NULL ? PyDict_SetItemString(d, key, value) : -1;
}

/* As web servers have long called them (mod_ssl). */
static int
put_client(PyObject *d, const struct cg_secure_client *c)
{
    cg_auto(free) char *verdict =
        c->verified ? cg_strdup("SUCCESS") : cg_strf("FAILED:%s", c->why_not);
    if (put_utf8(d, "SSL_CLIENT_VERIFY", verdict) < 0 ||
        put_utf8(d, "SSL_CLIENT_S_DN", c->subject) < 0 ||
        put_utf8(d, "SSL_CLIENT_I_DN", c->issuer) < 0 ||
        put_utf8(d, "SSL_CLIENT_M_SERIAL", c->serial) < 0) {
        return -1;
    }
    return put_utf8(d, "SSL_CLIENT_CERT", c->pem);
}

/* Behind a unix socket gunicorn takes name and port from Host. */
static int
put_server_from_host(struct cg_environ *e, PyObject *d,
                     const struct cg_exchange *ex)
{
    const struct cg_field *f = cg_request_field(ex->req, CG_FIELD_HOST);
    if (f == NULL) {
        return 0;
    }
    struct cg_slice host = {ex->base + f->value, f->value_n};
    const char *end = host.p + host.n;
    const char *bracket = memchr(host.p, ']', host.n);
    const char *from = bracket != NULL ? bracket : host.p;
    const char *colon = memchr(from, ':', (size_t)(end - from));
    struct cg_slice name = {host.p, (size_t)((colon ? colon : end) - host.p)};
    struct cg_slice port = CG_SLICE("80");
    if (colon != NULL) {
        port = (struct cg_slice){colon + 1, (size_t)(end - colon - 1)};
    } else if (cg_part_is_https(ex)) {
        port = CG_SLICE("443");
    }
    return py_dict_put(d, e->k_server_name, cg_part_latin1(name)) < 0
               ? -1
               : py_dict_put(d, e->k_server_port, cg_part_latin1(port));
}

/* ---- all of it ---- */

/* What gunicorn says of the priorities of RFC 7540 when there are none, and the
 * function for trailers. */
static int
put_http2(struct cg_environ *e, PyObject *d, const struct cg_kit *kit)
{
    py_auto *weight = PyLong_FromLong(16);
    py_auto *depends = PyLong_FromLong(0);
    py_auto *send = cg_wsgi_reply_method(kit->reply, CG_REPLY_SEND_TRAILERS);
    return send == NULL || PyDict_SetItem(d, e->k_h2_trailers, send) < 0 ||
                   weight == NULL || depends == NULL ||
                   PyDict_SetItem(d, e->k_protocol, e->v_http20) < 0 ||
                   PyDict_SetItem(d, e->k_http_version, e->v_2) < 0 ||
                   PyDict_SetItem(d, e->k_h2_weight, weight) < 0 ||
                   PyDict_SetItem(d, e->k_h2_depends, depends) < 0
               ? -1
               : 0;
}

static int
put_line(struct cg_environ *e, PyObject *d, const struct cg_exchange *ex)
{
    const struct cg_request *r = ex->req;
    if (!r->method_is_get &&
        py_dict_put(d, e->k_method,
                    cg_part_latin1(cg_span_of(ex->base, r->method))) < 0) {
        return -1;
    }
    if (r->minor == 0 && PyDict_SetItem(d, e->k_protocol, e->v_http10) < 0) {
        return -1;
    }
    if (cg_part_is_https(ex) &&
        PyDict_SetItem(d, e->k_scheme, e->v_https) < 0) {
        return -1;
    }
    return put_target(e, d, ex);
}

static int
fill(struct cg_environ *e, PyObject *d, const struct cg_kit *kit)
{
    const struct cg_exchange *ex = kit->ex;
    if (PyDict_SetItem(d, e->k_input, kit->input) < 0 ||
        PyDict_SetItem(d, e->k_early_hints, kit->early_hints) < 0 ||
        PyDict_SetItem(d, e->k_socket, kit->socket) < 0 ||
        put_line(e, d, ex) < 0 || (ex->is_h2 && put_http2(e, d, kit) < 0) ||
        put_peer(e, d, ex->peer) < 0 || put_fields(e, d, ex) < 0 ||
        (ex->peer->proxied && put_proxy(d, ex->peer) < 0) ||
        (ex->secure != NULL && ex->secure->client != NULL &&
         put_client(d, ex->secure->client) < 0)) {
        return -1;
    }
    if (e->o->listeners[ex->listener].is_unix) {
        return put_server_from_host(e, d, ex);
    }
    return 0;
}

/* Makes the template say what the connection itself knows of TLS, whatever
 * fields say (PEP 3333, "environ Variables"). */
static int
say_secure(struct cg_environ *e, struct cg_environ_base *base,
           const struct cg_secure *s)
{
    int protocol = make_last(s->protocol, &base->protocol);
    int cipher = make_last(s->cipher, &base->cipher);
    if (protocol == 0 && cipher == 0) {
        return 0;
    }
    if (base->secure.dict == NULL) {
        base->secure.dict = PyDict_Copy(base->plain.dict);
    }
    PyObject *d = base->secure.dict;
    if (protocol >= 0 && cipher >= 0 && d != NULL &&
        PyDict_SetItem(d, e->k_https, e->v_on) == 0 &&
        PyDict_SetItem(d, e->k_tls_protocol, base->protocol) == 0 &&
        PyDict_SetItem(d, e->k_tls_cipher, base->cipher) == 0) {
        return 0;
    }
    Py_CLEAR(base->protocol); /* half said: again next time */
    return -1;
}

/* A new one for a connection as that of the exchange. */
static PyObject *
copy_template(struct cg_environ *e, const struct cg_exchange *ex)
{
    struct cg_environ_base *base = &e->base[ex->listener];
    if (__builtin_expect(ex->secure == NULL, 1)) {
        return cg_template_copy(&base->plain, e->k_request_id, ex->id);
    }
    return say_secure(e, base, ex->secure) < 0
               ? NULL
               : cg_template_copy(&base->secure, e->k_request_id, ex->id);
}

PyObject *
cg_environ_new(const struct cg_kit *kit)
{
    struct cg_environ *e = &cg_kit_lane(kit)->environ;
    py_auto *d = copy_template(e, kit->ex);
    if (d == NULL || fill(e, d, kit) < 0) {
        return NULL;
    }
    return py_take(&d);
}
