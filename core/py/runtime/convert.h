/* SPDX-License-Identifier: MIT */
/* Neutral values to Python objects and back. Internal to core/py. */
#ifndef CG_PY_CONVERT_H
#define CG_PY_CONVERT_H

#include "config/settings.h"
#include "core/py/runtime/ref.h"

/* A new reference, or NULL with an exception. */
PyObject *cg_value_to_python(const struct cg_value *v);
/* What is no plain data becomes CG_VALUE_OBJECT. -1 with an exception. */
int cg_value_from_python(PyObject *o, struct cg_value *ret);

#endif
