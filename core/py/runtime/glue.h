/* SPDX-License-Identifier: MIT */
/*
 * Glue: the Python sources that are embedded in the binary (core/py/glue), the
 * built-in module `_cgunicorn` that they call, and the finder that serves them.
 * Internal to core/py.
 */
#ifndef CG_PY_GLUE_H
#define CG_PY_GLUE_H

#include <stddef.h>

#include "core/py/runtime/ref.h"

/* One embedded source; made by embed.py. */
struct cg_glue_source {
    const char *name; /* "_cgunicorn_glue.hooks" */
    const char *text; /* NUL-terminated UTF-8 */
    int is_package;
    const char
        *code; /* magic number and marshalled code of the build's Python */
    size_t code_size;
};
extern const struct cg_glue_source cg_glue_sources[]; /* name NULL ends */

/* Where the module is an extension: what its init function returns, with more
 * functions (constant, kept). */
PyObject *cg_glue_module(PyMethodDef *more);
/* The same of _cgunicorn_gil, which turns the GIL on. */
PyObject *cg_glue_gil_module(void);
/* Where it is built in: before the interpreter starts. */
int cg_glue_register(void);
/* After it: the finder goes in front of sys.meta_path (our own package) and at
 * its end (a minimal `gunicorn`, which an installed one always beats). */
int cg_glue_install(struct cg_error *err);

#endif
