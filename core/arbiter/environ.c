/* SPDX-License-Identifier: MIT */
/*
 * raw_env in os.environ of the master, which workers inherit. What a variable
 * was before comes back ahead of a reload, as in gunicorn: a configuration that
 * is read anew sees the environment the server was started with.
 */
#include <stdlib.h>
#include <string.h>

#include "core/arbiter/internal.h"
#include "core/base/memory.h"
#include "core/py/config/config_file.h"

static bool
is_remembered(const struct cg_arbiter *a, const char *name)
{
    for (size_t i = 0; i < a->noriginals; i++) {
        if (strcmp(a->originals[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void
remember(struct cg_arbiter *a, const char *name)
{
    const char *value = getenv(name);
    if (is_remembered(a, name)) {
        return;
    }
    a->originals =
        cg_realloc(a->originals, (a->noriginals + 1) * sizeof *a->originals);
    a->originals[a->noriginals++] = (struct cg_variable){
        .name = cg_strdup(name),
        .value = value != NULL ? cg_strdup(value) : NULL,
    };
}

static int
put_variable(void *self, const char *name, const char *value,
             struct cg_error *err)
{
    remember(self, name);
    return cg_python_setenv(name, value, err);
}

int
cg_arbiter_apply_env(struct cg_arbiter *a, struct cg_error *err)
{
    return cg_settings_each_variable(a->settings, put_variable, a, err);
}

void
cg_arbiter_restore_env(struct cg_arbiter *a)
{
    struct cg_error ignored;
    for (size_t i = 0; i < a->noriginals; i++) {
        cg_python_setenv(a->originals[i].name, a->originals[i].value, &ignored);
    }
    cg_arbiter_forget_env(a);
}

void
cg_arbiter_forget_env(struct cg_arbiter *a)
{
    for (size_t i = 0; i < a->noriginals; i++) {
        free(a->originals[i].name);
        free(a->originals[i].value);
    }
    free(a->originals);
    a->originals = NULL;
    a->noriginals = 0;
}
