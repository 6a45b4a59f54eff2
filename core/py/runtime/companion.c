/* SPDX-License-Identifier: MIT */
#include "core/py/runtime/companion.h"

#include "core/py/compat/hooks_internal.h"
#include "core/py/runtime/ref.h"

/* The memory stays as long as the process. */
static PyObject *
view_of(void *page, size_t n)
{
    return page != NULL
               ? PyMemoryView_FromMemory(page, (Py_ssize_t)n, PyBUF_WRITE)
               : py_new(Py_None);
}

int
cg_py_companion_run(const char *spec, void *page, size_t n)
{
    py_auto *run = cg_glue_get("_cgunicorn_glue.companion", "run");
    py_auto *status =
        run != NULL
            ? PyObject_CallFunction(run, "NN", PyUnicode_DecodeFSDefault(spec),
                                    view_of(page, n))
            : NULL;
    if (status == NULL) {
        PyErr_Print();
        return 1;
    }
    return (int)PyLong_AsLong(status);
}
