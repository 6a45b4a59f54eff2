/* SPDX-License-Identifier: MIT */
/*
 * The program and its two front ends: the executable that has an interpreter
 * inside (main.c), and the extension module that runs inside one (module.c).
 * All that differs between them is what this struct says. The room reads the
 * command line, answers what ends at once (--version, --check-config, the
 * commands of `config`), becomes a daemon, and hands over to the master
 * (core/arbiter); what a failure of the start says is told here, once.
 */
#ifndef CG_CMD_PROGRAM_H
#define CG_CMD_PROGRAM_H

#include "core/base/error.h"

struct cg_front {
    /* has Python run, ours in place, GIL held; `option` is --python's value or
     * NULL. 0, or -errno. */
    int (*start)(const char *option, int argc, char *const *argv,
                 struct cg_error *err);
    /* after the last use of Python: 0, or the exit status of its end */
    int (*finish)(void);
    const char *python;   /* for --version: the interpreter */
    char *const *restart; /* what USR2 executes, its first word a path; NULL:
                             the program as it was called */
};

/* Everything but the end of the process; returns its exit status. argv is
 * copied. Once in a process. */
int cg_program_run(const struct cg_front *front, int argc, char *const *argv);
/* The same for a program that embeds the server: `settings` is a Python
 * callable that says how it is configured, see cg_python_program_reader. */
int cg_program_serve(const struct cg_front *front, void *settings, int argc,
                     char *const *argv);

#endif
