/* SPDX-License-Identifier: MIT */
/*
 * Config report: the settings that the server runs with, and what it was
 * started with, for `cgunicorn config explain --running` and its like. Values
 * are as they are shown to people; a digest of the whole value tells whether
 * two are the same where a secret is left out.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/inspect.h"
#include "core/arbiter/internal.h"
#include "core/base/memory.h"

static void
put_setting(const struct cg_settings *s, enum cg_setting_id id,
            struct cg_json *j)
{
    cg_auto(buf) struct cg_buf shown = {0};
    cg_auto(buf) struct cg_buf because = {0};
    const struct cg_source *source = &s->source[id];
    char digest[CG_CONFIG_DIGEST];
    bool is_default = source->layer == CG_LAYER_DEFAULT;
    cg_config_show(s, id, &shown);
    cg_json_open(j, '{');
    cg_json_put_text(j, "name", cg_setting_name(id));
    cg_json_put_text(j, "value", cg_buf_str(&shown));
    cg_json_put_text(j, "source", is_default ? NULL : source->text);
    cg_json_put_text(j, "hides", source->hidden);
    cg_json_put_text(j, "because",
                     cg_config_because(s, id, &because) ? cg_buf_str(&because)
                                                        : NULL);
    cg_json_put_bool(j, "is_code", s->value[id].kind == CG_VALUE_OBJECT);
    cg_config_digest(s, id, digest);
    cg_json_put_text(j, "digest", digest);
    cg_json_close(j, '}');
}

/* What of the environment the next reload will read, too. */
static void
put_environment(struct cg_json *j)
{
    cg_json_key(j, "environment");
    cg_json_open(j, '{');
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        size_t n = strcspn(*e, "=");
        cg_auto(free) char *name = cg_strf("%.*s", (int)n, *e);
        if ((*e)[n] == '=' && cg_config_reads_variable(name)) {
            cg_json_put_text(j, name, *e + n + 1);
        }
    }
    cg_json_close(j, '}');
}

void
cg_arbiter_put_config(const struct cg_arbiter *a, struct cg_buf *out)
{
    struct cg_json j = {.out = out};
    cg_json_open(&j, '{');
    cg_json_put_int(&j, "pid", a->master_pid);
    cg_json_put_text(&j, "folder", a->start->start_dir);
    cg_json_key(&j, "command_line");
    cg_json_open(&j, '[');
    for (int i = 0; i < a->start->load.argc; i++) {
        cg_json_text(&j, a->start->load.argv[i]);
    }
    cg_json_close(&j, ']');
    put_environment(&j);
    cg_json_key(&j, "settings");
    cg_json_open(&j, '[');
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        put_setting(a->settings, (enum cg_setting_id)id, &j);
    }
    cg_json_close(&j, ']');
    cg_json_close(&j, '}');
}
