/* SPDX-License-Identifier: MIT */
/* Who gave which order, by whichever way it came. */
#include "core/arbiter/internal.h"
#include "core/base/memory.h"

void
cg_arbiter_tell_order(struct cg_arbiter *a, const struct cg_channel_peer *peer,
                      const char *const *words, int n)
{
    cg_auto(buf) struct cg_buf text = {0};
    for (int i = 0; i < n; i++) {
        cg_buf_puts(&text, i > 0 ? " " : "");
        cg_buf_put_escaped(&text, cg_slice_of(words[i]), 40);
    }
    cg_log_line(a->log, CG_INFO, "Command of uid %d (pid:%d): %s",
                (int)peer->uid, peer->pid, cg_buf_str(&text));
    cg_events_add(&a->events, CG_HAPPENED_COMMAND, 0, "%s (uid %d, pid %d)",
                  cg_buf_str(&text), (int)peer->uid, peer->pid);
}
