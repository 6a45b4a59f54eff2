/* SPDX-License-Identifier: MIT */
/*
 * Trouble: which lines of the master's log are events as well, and where a
 * reader of the log finds them. Calls nobody else of the arbiter.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/arbiter/internal.h"

bool
cg_arbiter_logs_to_file(const struct cg_arbiter *a)
{
    const char *errorlog = cg_settings_str(a->settings, CG_errorlog);
    return errorlog != NULL && strcmp(errorlog, "-") != 0;
}

/* Threads of hooks have no say in that, nor has a child that is about to become
 * another process. */
static void
on_trouble(void *self, enum cg_level level, struct cg_slice text)
{
    struct cg_arbiter *a = self;
    if (!a->apart && syscall(SYS_gettid) == a->master_pid) {
        cg_events_trouble(&a->events, text);
    }
}

void
cg_arbiter_hear_trouble(struct cg_arbiter *a)
{
    cg_log_set_witness(a->log,
                       (struct cg_log_witness){CG_WARNING, on_trouble, a});
}

void
cg_arbiter_log_apart(struct cg_arbiter *a, enum cg_level level,
                     struct cg_slice text)
{
    a->apart = true;
    cg_log_text(a->log, level, text);
    a->apart = false;
}
