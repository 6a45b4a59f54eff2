/* SPDX-License-Identifier: MIT */
#include "config/operations.h"

const struct cg_operation cg_operations[CG_OPERATIONS] = {
#define CG_OPERATION(word, argument, options, help)                            \
    [CG_OP_##word] = {#word, argument, options, help},
#include "config/operations.def"
#undef CG_OPERATION
};
