/* SPDX-License-Identifier: MIT */
/*
 * The GIL: every function of core/py expects it, but where its header says
 * otherwise. Builds with a sanitizer and with DEBUG=1 assert that at the doors
 * through which others come in, and that it is given up around waits.
 */
#ifndef CG_PY_GIL_H
#define CG_PY_GIL_H

#include <Python.h>

#include "core/base/memory.h"

#ifdef CG_CHECK_OWNERS
#define CG_HAS_GIL() CG_ASSERT(PyGILState_Check())
#define CG_HAS_NO_GIL() CG_ASSERT(!PyGILState_Check())
#else
#define CG_HAS_GIL() ((void)0)
#define CG_HAS_NO_GIL() ((void)0)
#endif

#endif
