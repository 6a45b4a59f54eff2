/* SPDX-License-Identifier: MIT */
/* Companions that are callables of the application. */
#ifndef CG_PY_COMPANION_H
#define CG_PY_COMPANION_H

#include <stddef.h>

/*
 * In the forked process: imports module:callable and calls it without
 * arguments. TERM raises SystemExit in it. What it raises is written to
 * standard error. `page`: memory that it shows the master (core/share/
 * dirty_page.h), or NULL. The exit status: 0 when it returns. GIL held, main
 * thread.
 */
int cg_py_companion_run(const char *spec, void *page, size_t n);

#endif
