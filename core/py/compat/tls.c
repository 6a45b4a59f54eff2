/* SPDX-License-Identifier: MIT */
#include "core/py/compat/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/http/h2/h2.h"
#include "core/py/compat/hooks.h"
#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

/* Of _ssl._SSLContext the first field behind the object's head; that it is
 * there is checked by what is behind it (core/net/tls.h). */
static void *
context_of(PyObject *o)
{
    void *context;
    memcpy(&context, (char *)o + PyBaseObject_Type.tp_basicsize,
           sizeof context);
    return context;
}

static char *
text_of(PyObject *o)
{
    py_auto *bytes = NULL;
    PyObject *encoded = NULL;
    if (!PyUnicode_FSConverter(o, &encoded)) {
        PyErr_Clear();
        return cg_strdup("");
    }
    bytes = encoded;
    return cg_strdup(PyBytes_AS_STRING(bytes));
}

static const char **
names_of(PyObject *tuple)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    const char **names = cg_calloc((size_t)n + 1, sizeof *names);
    for (Py_ssize_t i = 0; i < n; i++) {
        py_auto *name = py_tuple_get(tuple, i);
        names[i] = text_of(name);
    }
    return names;
}

static int
take_site(struct cg_py_tls *t, PyObject *described)
{
    PyObject *context, *names, *source; /* borrowed from the tuple */
    unsigned long long options;
    int verify, least;
    if (!PyArg_ParseTuple(described, "OiKiO!O", &context, &verify, &options,
                          &least, &PyTuple_Type, &names, &source)) {
        return -1;
    }
    t->sites[t->nsites++] = (struct cg_py_site){
        .context = context_of(context),
        .verify_mode = verify,
        .options = options,
        .least_version = least,
        .names = names_of(names),
        .source = text_of(source),
    };
    return PyList_Append(t->objects, context);
}

static int
take_all(struct cg_py_tls *t, PyObject *made)
{
    /* borrowed from the tuple */
    PyObject *library, *contexts, *keylog, *asks, *notice;
    const char *session;
    Py_ssize_t session_n;
    t->objects = PyList_New(0);
    if (t->objects == NULL ||
        !PyArg_ParseTuple(made, "OO!OOy#O", &library, &PyList_Type, &contexts,
                          &keylog, &asks, &session, &session_n, &notice)) {
        return -1;
    }
    t->library = text_of(library);
    t->keylog = text_of(keylog);
    t->notice = text_of(notice);
    t->asks = asks != Py_None ? py_new(asks) : NULL;
    t->session_n = (size_t)session_n < sizeof t->session ? (size_t)session_n
                                                         : sizeof t->session;
    memcpy(t->session, session, t->session_n);
    Py_ssize_t n = PyList_GET_SIZE(contexts);
    t->sites = cg_calloc((size_t)n, sizeof *t->sites);
    for (Py_ssize_t i = 0; i < n; i++) {
        py_auto *described = py_list_get(contexts, i);
        if (take_site(t, described) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A refusal is a sentence; anything else is shown with its type. */
static int
explain(struct cg_error *err)
{
    py_auto *refused = NULL;
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    refused = cg_glue_get("_cgunicorn_glue.tls", "Refused");
    PyErr_Clear();
    PyErr_Restore(t, v, tb);
    bool plain = refused != NULL && PyErr_ExceptionMatches(refused);
    int r = cg_py_error(err, NULL);
    char *text = plain ? strstr(err->text, ": ") : NULL;
    if (text != NULL) {
        memmove(err->text, text + 2, strlen(text + 2) + 1);
    }
    return r;
}

int
cg_py_tls_new(const struct cg_settings *s, struct cg_py_tls **ret,
              struct cg_error *err)
{
    py_auto *cfg = cg_hook_new_config(s);
    py_auto *make =
        cfg != NULL ? cg_glue_get("_cgunicorn_glue.tls", "make") : NULL;
    PyObject *hook = cg_hook_is_set(s, CG_ssl_context) ? Py_True : Py_False;
    PyObject *http2 = cg_h2_is_built() ? Py_True : Py_False;
    py_auto *made = make != NULL ? PyObject_CallFunctionObjArgs(make, cfg, hook,
                                                                http2, NULL)
                                 : NULL;
    if (made == NULL) {
        return explain(err);
    }
    struct cg_py_tls *t = cg_calloc(1, sizeof *t);
    if (take_all(t, made) < 0) {
        int r = explain(err);
        cg_py_tls_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

static void
free_site(struct cg_py_site *site)
{
    for (const char **n = site->names; n != NULL && *n != NULL; n++) {
        free((void *)(uintptr_t)*n);
    }
    free(site->names);
    free(site->source);
}

void
cg_py_tls_free(struct cg_py_tls *t)
{
    if (t == NULL) {
        return;
    }
    for (int i = 0; i < t->nsites; i++) {
        free_site(&t->sites[i]);
    }
    free(t->sites);
    free(t->library);
    free(t->keylog);
    free(t->notice);
    Py_CLEAR(t->objects);
    Py_CLEAR(t->asks);
    free(t);
}

/* What the callback has chosen must outlive the connection's handshake: it is
 * kept with the others, once. */
static void *
keep(struct cg_py_tls *t, PyObject *context)
{
    int known = PySequence_Contains(t->objects, context);
    if (known == 0) {
        known = PyList_Append(t->objects, context) == 0;
    }
    return known > 0 ? context_of(context) : NULL;
}

void *
cg_py_tls_ask(void *self, const char *name, int *ret_alert)
{
    enum { INTERNAL_ERROR = 80 };
    struct cg_py_tls *t = self;
    PyObject *context; /* borrowed from the answer */
    py_auto *type = cg_glue_get("_ssl", "_SSLContext");
    py_auto *ask = cg_glue_get("_cgunicorn_glue.tls", "ask");
    py_auto *first = py_list_get(t->objects, 0);
    py_auto *answer =
        ask != NULL && type != NULL
            ? PyObject_CallFunction(ask, "OOz", t->asks, first, name)
            : NULL;
    *ret_alert = INTERNAL_ERROR;
    if (answer == NULL ||
        !PyArg_ParseTuple(answer, "Oi", &context, ret_alert) ||
        PyObject_IsInstance(context, type) != 1) {
        PyErr_Clear();
        return NULL;
    }
    return context == first ? NULL : keep(t, context);
}
