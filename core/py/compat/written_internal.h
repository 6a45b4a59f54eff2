/* SPDX-License-Identifier: MIT */
/* What written.c gives to the module _cgunicorn. Internal to core/py. */
#ifndef CG_PY_WRITTEN_INTERNAL_H
#define CG_PY_WRITTEN_INTERNAL_H

#include "core/py/runtime/ref.h"

extern PyMethodDef cg_written_methods[];

#endif
