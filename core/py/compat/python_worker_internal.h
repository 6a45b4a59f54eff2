/* SPDX-License-Identifier: MIT */
/* What python_worker.c gives to the module _cgunicorn. Internal to core/py. */
#ifndef CG_PY_PYTHON_WORKER_INTERNAL_H
#define CG_PY_PYTHON_WORKER_INTERNAL_H

#include "core/py/runtime/ref.h"

extern PyMethodDef cg_python_worker_methods[];

#endif
