/* SPDX-License-Identifier: MIT */
/*
 * What the GIL does for core/py, on a Python that may run without one: an
 * object is one thread's at a time, and what it is told of who else has it
 * holds. Where there is a GIL all of this is nothing.
 *
 * py_held is a critical section (PEP 703): as the GIL it is given up around
 * waits (Py_BEGIN_ALLOW_THREADS) and whenever Python code waits for something,
 * so what was looked at before has to be looked at again behind them, and two
 * of them cannot block each other for good.
 */
#ifndef CG_PY_HELD_H
#define CG_PY_HELD_H

#include <stdbool.h>

#include "core/py/runtime/ref.h"

#ifdef Py_GIL_DISABLED

#ifdef __SANITIZE_THREAD__
/* The sanitizer sees nothing of what Python's library does. */
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define cg_saw_taken(o) __tsan_acquire(o)
#define cg_saw_given(o) __tsan_release(o)
#else
#define cg_saw_taken(o) ((void)0)
#define cg_saw_given(o) ((void)0)
#endif

struct cg_held {
    PyCriticalSection section;
    PyObject *o;
};

static inline void
cg_held_begin(struct cg_held *h, PyObject *o)
{
    h->o = o;
    PyCriticalSection_Begin(&h->section, o);
    cg_saw_taken(o);
}

static inline void
cg_held_end(struct cg_held *h)
{
    cg_saw_given(h->o);
    PyCriticalSection_End(&h->section);
}

/* From here to the end of the block this object is the caller's. */
#define py_held(object)                                                        \
    __attribute__((cleanup(cg_held_end))) struct cg_held held_;                \
    cg_held_begin(&held_, (PyObject *)(object))
#else
#define cg_saw_taken(o) ((void)0)
#define cg_saw_given(o) ((void)0)
#define py_held(object) ((void)0)
#endif

/* Whether there are `n` references to o, which the caller knows all of: nobody
 * else has it, nor will. Of an object that another thread made the answer is
 * no. */
static inline bool
py_is_only(PyObject *o, Py_ssize_t n)
{
#ifdef Py_GIL_DISABLED
    return __atomic_load_n(&o->ob_tid, __ATOMIC_RELAXED) == _Py_ThreadId() &&
           __atomic_load_n(&o->ob_ref_local, __ATOMIC_RELAXED) == (uint32_t)n &&
           __atomic_load_n(&o->ob_ref_shared, __ATOMIC_ACQUIRE) == 0;
#else
    return Py_REFCNT(o) == n;
#endif
}

/* A list that nobody changes while it is read without running Python: where
 * other threads run meanwhile that is a copy. New reference, or NULL with an
 * exception. */
static inline PyObject *
py_list_still(PyObject *list)
{
#ifdef Py_GIL_DISABLED
    return PyList_GetSlice(list, 0, PY_SSIZE_T_MAX);
#else
    return py_new(list);
#endif
}

#endif
