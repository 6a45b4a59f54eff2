/* SPDX-License-Identifier: MIT */
/*
 * What `--dev` shows at a terminal. Colours only where it is one, and where
 * nobody has said NO_COLOR (no-color.org).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/base/memory.h"

bool
cg_arbiter_wants_colour(const struct cg_settings *s)
{
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
    return cg_settings_bool(s, CG_dev) && isatty(STDOUT_FILENO) == 1 &&
           (none == NULL || *none == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* In one piece: workers write to the same place. */
void
cg_arbiter_put_banner(const struct cg_arbiter *a)
{
    bool colour = cg_arbiter_wants_colour(a->settings);
    const char *bold = colour ? "\033[1m" : "",
               *plain = colour ? "\033[0m" : "";
    cg_auto(buf) struct cg_buf text = {0};
    if (!cg_settings_bool(a->settings, CG_dev)) {
        return;
    }
    cg_buf_putf(&text, "\n  cgunicorn %s serves %s while you develop it:\n\n",
                CG_VERSION, cg_settings_proc_name(a->settings));
    for (int i = 0; i < a->sockets.n; i++) {
        cg_buf_putf(&text, "    %s%s%s\n", bold, a->sockets.items[i].text,
                    plain);
    }
    cg_buf_putf(&text, "\n  %sCtrl-C ends it.\n\n",
                cg_settings_bool(a->settings, CG_reload)
                    ? "A change of its files loads it anew. "
                    : "");
    ssize_t ignored = write(STDOUT_FILENO, text.p, text.n);
    (void)ignored;
}
