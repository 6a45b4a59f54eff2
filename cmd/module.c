/* SPDX-License-Identifier: MIT */
/* The extension module: the program in an interpreter that runs already. */
#include "core/py/runtime/module.h"

#include <stddef.h>

#include "cmd/program.h"
#include "core/base/fd.h"
#include "core/base/title.h"

static int
start(const char *option, int argc, char *const *argv, struct cg_error *err)
{
    return cg_python_adopt(option, err);
}

static int
run(void *settings, int argc, char *const *argv, char *const *restart)
{
    const struct cg_front front = {.start = start,
                                   .finish = cg_python_leave,
                                   .python = restart[0],
                                   .restart = restart};
    cg_fd_fill_standard();
    cg_title_find();
    return settings != NULL ? cg_program_serve(&front, settings, argc, argv)
                            : cg_program_run(&front, argc, argv);
}

__attribute__((visibility("default"))) void *PyInit__cgunicorn(void);
__attribute__((visibility("default"))) void *PyInit__cgunicorn_gil(void);

void *
PyInit__cgunicorn(void)
{
    return cg_python_module(run);
}

/* Found by core/py/glue/gil.py, in the same file. */
void *
PyInit__cgunicorn_gil(void)
{
    return cg_python_gil_module();
}
