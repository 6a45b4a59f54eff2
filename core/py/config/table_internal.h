/* SPDX-License-Identifier: MIT */
/* What table.c gives to the module _cgunicorn. Internal to core/py. */
#ifndef CG_PY_TABLE_INTERNAL_H
#define CG_PY_TABLE_INTERNAL_H

#include "core/py/runtime/ref.h"

extern PyMethodDef cg_table_methods[];

#endif
