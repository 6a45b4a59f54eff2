/* SPDX-License-Identifier: MIT */
/* The executable: finds the Python environment and starts an interpreter in
 * it. */
#include <stdio.h>

#include "cmd/program.h"
#include "core/arbiter/arbiter.h"
#include "core/base/fd.h"
#include "core/base/title.h"
#include "core/py/runtime/interp.h"

static int
start(const char *option, int argc, char *const *argv, struct cg_error *err)
{
    struct cg_python_choice choice;
    int r = cg_python_choose(argv[0], option, &choice, err);
    return r < 0 ? r : cg_python_start(&choice, argc, argv, err);
}

int
main(int argc, char **argv)
{
    const struct cg_front front = {.start = start,
                                   .finish = cg_python_finish,
                                   .python = cg_python_of_build()};
    cg_fd_fill_standard();
    if (!cg_arbiter_check_environ()) {
        fprintf(stderr, "Warning: GUNICORN_PID names a process that is not the "
                        "parent of this one: this is no upgrade, and it is "
                        "ignored\n");
    }
    cg_title_init(argc, argv);
    return cg_program_run(&front, argc, argv);
}
