/* SPDX-License-Identifier: MIT */
/* Companions that are callables of the application. */
#ifndef CG_PY_COMPANION_H
#define CG_PY_COMPANION_H

/*
 * In the forked process: imports module:callable and calls it without
 * arguments. TERM raises SystemExit in it. What it raises is written to
 * standard error. The exit status: 0 when it returns. GIL held, main thread.
 */
int cg_py_companion_run(const char *spec);

#endif
