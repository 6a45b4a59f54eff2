/* SPDX-License-Identifier: MIT */
#include "cmd/log_check.h"

#include <stdio.h>

#include "cmd/servers.h"
#include "core/arbiter/log_words.h"
#include "core/base/bytes.h"
#include "core/base/memory.h"

struct told {
    const struct cg_settings *s;
    bool strict;
    int status;
};

static void
tell(void *self, enum cg_setting_id id, const char *text)
{
    struct told *t = self;
    cg_auto(buf) struct cg_buf clean = {0};
    cg_put_clean(&clean, text, false);
    fprintf(stderr, "%s: %s: %s\n", t->strict ? "\nError" : "Warning",
            t->s->source[id].text, cg_buf_str(&clean));
    t->status = t->strict ? 1 : t->status;
}

/* Neither a logger class of the user's nor a configuration of Python's. */
static bool
makes_lines_itself(const struct cg_settings *s)
{
    static const enum cg_setting_id others[] = {
        CG_logger_class, CG_logconfig, CG_logconfig_json, CG_logconfig_dict};
    for (size_t i = 0; i < CG_COUNT(others); i++) {
        if (s->source[others[i]].layer != CG_LAYER_DEFAULT) {
            return false;
        }
    }
    return true;
}

int
cg_log_check(const struct cg_settings *s, bool strict)
{
    struct told t = {s, strict, 0};
    cg_log_words_check_level(s, tell, &t);
    if (makes_lines_itself(s)) {
        cg_log_words_check_format(s, tell, &t);
    }
    return t.status;
}
