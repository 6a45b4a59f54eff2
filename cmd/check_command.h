/* SPDX-License-Identifier: MIT */
/*
 * `cgunicorn check [--json] [OPTIONS] [APP]`: everything that a start would
 * find wrong, and what it would not: limits of the system that do not fit, and
 * what the import of the application costs and leaves behind. A module that is
 * called `check` is served as before; `cgunicorn --check-config` looks at the
 * same and prints as gunicorn does.
 */
#ifndef CG_CMD_CHECK_COMMAND_H
#define CG_CMD_CHECK_COMMAND_H

#include <stdbool.h>

#include "config/findings.h"
#include "config/settings.h"

/* A check under way, and what it found. */
struct cg_check {
    bool json, strict;
    struct cg_findings found;
    bool imported; /* the next two are known */
    double import_s;
    long rss_kb; /* that the import added */
};

/* The line begins with `check`. */
bool cg_check_is(int argc, char *const *argv);
/* Takes the command's own words out of the line: what is left is that of a
 * start. */
void cg_check_take_words(struct cg_check *c, int *argc, char **argv);

/* Adds what the settings and the system do not agree on. */
void cg_check_system(struct cg_check *c, const struct cg_settings *s);
/*
 * Runs load(self) in a child process, so that nothing of the application stays
 * here, and adds what is learned of it: its time and memory, and with
 * preload_app what would not survive a fork. What the child prints is shown.
 * Returns what load returned; the end of the child by a signal is a finding.
 */
int cg_check_import(struct cg_check *c, struct cg_settings *s,
                    int (*load)(struct cg_settings *s));

/* Prints the outcome. Returns the exit status: 0; 1 with an error (`status` or
 * a finding); 3 with warnings, if they are asked to count. */
int cg_check_report(const struct cg_check *c, int status);
void cg_check_release(struct cg_check *c);

#endif
