/* SPDX-License-Identifier: MIT */
/*
 * Inquest: what a worker was doing when it got stuck or died, and who ended
 * it. Reads the scoreboard and /proc; peers' bytes are escaped before they
 * reach the log.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/base/process.h"
#include "core/share/flights.h"

enum { TRACE_MOST = 64 * 1024 };

static const char *
state_text(char state)
{
    switch (state) {
    case 'D': return ", waiting for a device or file system";
    case 'T':
    case 't': return ", stopped by a signal or a debugger";
    case 'R': return ", using the CPU";
    case 'S': return ", waiting";
    default: return "";
    }
}

/* For the log, and for the report on its end. */
static void
tell(struct cg_arbiter *a, struct cg_child *c, enum cg_level level,
     const struct cg_buf *text)
{
    size_t room = CG_REPORT_SIZE - c->story.n;
    cg_arbiter_log_apart(a, level, (struct cg_slice){text->p, text->n});
    if (room > 1) {
        cg_buf_put(&c->story, text->p, text->n < room - 1 ? text->n : room - 1);
        cg_buf_putc(&c->story, '\n');
    }
}

void
cg_arbiter_explain(struct cg_arbiter *a, int pid)
{
    struct cg_child *c = cg_arbiter_child(a, pid);
    cg_auto(buf) struct cg_buf text = {0};
    if (c == NULL) {
        return;
    }
    if (c->beat_fd >= 0) { /* it says no more than that it lives */
        cg_buf_putf(&text,
                    "Worker (pid:%d) is of a class written in Python: its "
                    "stacks show what it runs",
                    pid);
        tell(a, c, CG_CRITICAL, &text);
        return;
    }
    cg_buf_putf(&text, "Worker (pid:%d) is running: ", pid);
    if (cg_flights_put(&text, c->slot, cg_now_us()) == 0) {
        cg_buf_puts(&text, "no request");
    }
    cg_buf_putf(&text, "; %d connections%s", cg_slot_look(c->slot).connections,
                state_text(cg_process_state(pid)));
    tell(a, c, CG_CRITICAL, &text);
}

/* After an end that was not asked for, before its slot is cleared. */
void
cg_arbiter_tell_losses(struct cg_arbiter *a, struct cg_child *c)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_auto(buf) struct cg_buf flights = {0};
    int n = cg_flights_put(&flights, c->slot, cg_now_us());
    struct cg_slot_look look = cg_slot_look(c->slot);
    int others = look.connections - n;
    bool kept = others > 0 && look.kept;
    if (n > 0) {
        cg_buf_putf(&text,
                    "Worker (pid:%d) took %d request%s with it: %s; %d other "
                    "connection%s%s",
                    c->pid, n, n > 1 ? "s" : "", cg_buf_str(&flights),
                    others > 0 ? others : 0, others == 1 ? "" : "s",
                    kept ? ", of which those that waited for a request go to "
                           "other workers"
                         : "");
        tell(a, c, CG_ERROR, &text);
    }
}

/* ---- stacks ---- */

int
cg_arbiter_trace_file(void)
{
    return memfd_create("cgunicorn-trace", MFD_CLOEXEC); /* -1: no traces */
}

bool
cg_arbiter_tell_trace(struct cg_arbiter *a, struct cg_child *c,
                      const char *what)
{
    cg_auto(buf) struct cg_buf out = {0};
    cg_auto(free) char *text = cg_malloc(TRACE_MOST);
    ssize_t n = c->trace_fd >= 0 ? pread(c->trace_fd, text, TRACE_MOST, 0) : -1;
    if (n <= 0) {
        return false;
    }
    cg_buf_putf(&out, "%s (pid:%d)\n", what, c->pid);
    /* Python's own text, but names in it are the application's */
    cg_buf_put_harmless(
        &out, cg_slice_chomp((struct cg_slice){text, (size_t)n}), "\n");
    if (n == TRACE_MOST) {
        cg_buf_puts(&out, "\n…");
    }
    tell(a, c, CG_ERROR, &out);
    /* its offset is shared with the worker: the next one begins at 0 again */
    if (ftruncate(c->trace_fd, 0) == 0) {
        lseek(c->trace_fd, 0, SEEK_SET);
    }
    return true;
}

void
cg_arbiter_tell_stacks(struct cg_arbiter *a, int pid)
{
    struct cg_child *c = cg_arbiter_child(a, pid);
    if (c != NULL && !cg_arbiter_tell_trace(a, c, "Stacks of worker")) {
        cg_log_line(a->log, CG_ERROR,
                    "Worker (pid:%d) gives no stacks: it takes no signals%s",
                    pid, state_text(cg_process_state(pid)));
    }
}
