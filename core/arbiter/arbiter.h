/* SPDX-License-Identifier: MIT */
/*
 * The master process: owns listeners, scoreboard, pidfile and workers; decides
 * through the pure plan (plan/plan.h) and carries the plan's effects out.
 *
 * What always holds: one thread with one loop; signal handlers write to a pipe,
 * and nothing else happens in them; no request of a client is ever read here; a
 * worker's death, whatever it left, is no reason to end.
 *
 * Left to others: what a worker does (core/worker), where the settings come
 * from (config), the objects that hooks see (core/py/compat).
 */
#ifndef CG_ARBITER_ARBITER_H
#define CG_ARBITER_ARBITER_H

#include <stdbool.h>

#include "config/load.h"
#include "config/settings.h"
#include "logging/log.h"

struct cg_arbiter_start {
    struct cg_settings *settings; /* moves in */
    struct cg_load load;          /* how to load again on HUP */
    const char *start_dir;
    int argc;
    char *const *argv;
    char *const *restart; /* what USR2 executes, its first word a path; NULL:
                             argv */
    int ready_fd; /* daemon: write end of the pipe to the calling shell, or -1:
                     "ready" or the error's text is told there once */
};

/* Before anything reads them: the variables of an upgrade (GUNICORN_PID and so
 * on) count only if our parent has set them. False: they were another server's,
 * by inheritance, and are gone. */
bool cg_arbiter_check_environ(void);
/* Runs the server. GIL held on entry. Returns the process's exit status. */
int cg_arbiter_run(struct cg_arbiter_start *start);

/*
 * -D: leaves the calling shell. In the calling process it returns the exit
 * status in *ret_status (>= 0) after the daemon said that it is ready or why
 * not (printed on stderr); in the daemon it returns with *ret_status = -1 and
 * *ret_ready_fd. GIL held.
 */
int cg_daemonize(const struct cg_settings *s, int *ret_status,
                 int *ret_ready_fd, struct cg_error *err);
#endif
