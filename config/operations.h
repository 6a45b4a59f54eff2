/* SPDX-License-Identifier: MIT */
/* The commands for a running server, by their words: for the command line, the
 * help, the manual page and completion. */
#ifndef CG_CONFIG_OPERATIONS_H
#define CG_CONFIG_OPERATIONS_H

enum cg_operation_id {
#define CG_OPERATION(word, argument, options, help) CG_OP_##word,
#include "config/operations.def"
#undef CG_OPERATION
    CG_OPERATIONS
};

struct cg_operation {
    const char *word;
    const char *argument; /* "N", "[PID]"; "": it takes none */
    const char *options;  /* besides those of all; each after a space */
    const char *help;
};

extern const struct cg_operation cg_operations[CG_OPERATIONS];

#endif
