/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/companion.h"

#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

int
cg_py_companion_run(const char *spec)
{
    py_auto *run = cg_glue_get("_cgunicorn_glue.companion", "run");
    py_auto *status =
        run != NULL
            ? PyObject_CallFunction(run, "N", PyUnicode_DecodeFSDefault(spec))
            : NULL;
    if (status == NULL) {
        PyErr_Print();
        return 1;
    }
    return (int)PyLong_AsLong(status);
}
