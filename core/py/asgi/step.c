/* SPDX-License-Identifier: MIT */
/* One step of a coroutine, in both of Python's ways to tell how it ended: a
 * PySendResult, and what its methods raise. */
#include "core/py/asgi/internal.h"

PyObject *
cg_step_result(PySendResult what, PyObject *result)
{
    if (what == PYGEN_NEXT) {
        return result;
    }
    if (what == PYGEN_RETURN) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
        Py_DECREF(result);
    }
    return NULL;
}

PyObject *
cg_raise_args(PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_ParseTuple(args, "O|OO", &type, &value, &traceback)) {
        return NULL;
    }
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    } else {
        PyErr_SetObject(type, value);
    }
    return NULL;
}

/* The end of a generator as Python's methods tell it. */
PySendResult
cg_step_stopped(PyObject **ret)
{
    *ret = NULL;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyErr_Clear();
    *ret = py_new(Py_None);
    return PYGEN_RETURN;
}

PySendResult
cg_coro_send(struct cg_asgi *a, PyObject *coro, PyObject *arg, PyObject **ret)
{
#if PY_VERSION_HEX >= 0x030A0000
    return PyIter_Send(coro, arg, ret);
#else
    *ret = PyObject_CallMethodOneArg(coro, word(a, W_send), arg);
    return *ret != NULL ? PYGEN_NEXT : cg_step_stopped(ret);
#endif
}
