/* SPDX-License-Identifier: MIT */
/* The master's signals: handlers write one byte, the loop reads it. */
#ifndef CG_ARBITER_SIGNALS_H
#define CG_ARBITER_SIGNALS_H

#include "core/base/error.h"

/* Installs the handlers; *ret_fd is readable when signals wait. Whoever forks
 * has a child with the default handlers. Once in a process. */
int cg_signals_init(int *ret_fd, struct cg_error *err);
/* Once more, after somebody else may have installed handlers. */
void cg_signals_install(void);
/* The next signal that came, 0 for none. */
int cg_signals_next(void);
/* As if the signal had come; any thread. */
void cg_signals_raise(int sig);
/* In a forked child of ours, signals blocked: all of them to their default,
 * whoever took them. */
void cg_signals_reset_in_child(void);

#endif
