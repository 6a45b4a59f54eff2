/* SPDX-License-Identifier: MIT */
#include "core/worker/folders.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

static bool
is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static char *
copy_of(const struct cg_settings *s, enum cg_setting_id id)
{
    const char *text = cg_settings_str(s, id);
    return is_given(text) ? cg_strdup(text) : NULL;
}

/* "/static=folder": the settings have looked at it. */
static int
open_mounts(struct cg_files *f, const struct cg_value *list,
            struct cg_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < list->list.n; i++) {
        const char *pair = list->list.items[i].s;
        size_t n = strcspn(pair, "=");
        r = cg_files_mount(f, (struct cg_slice){pair, n}, pair + n + 1, err);
    }
    return r < 0 ? cg_error_prefix(err, "static") : 0;
}

/* "*.css=3600": a pattern may have an equals sign, a number has none. */
static void
read_expiry(struct cg_files *f, const struct cg_value *list)
{
    for (size_t i = 0; i < list->list.n; i++) {
        const char *pair = list->list.items[i].s;
        const char *equals = strrchr(pair, '=');
        bool ever = strcmp(equals + 1, "immutable") == 0;
        cg_files_expire(f, (struct cg_slice){pair, (size_t)(equals - pair)},
                        ever ? UINT32_MAX : (uint32_t)atoll(equals + 1));
    }
}

int
cg_folders_open(const struct cg_settings *s, struct cg_files **ret,
                struct cg_error *err)
{
    const struct cg_value *mounts = cg_settings_value(s, CG_static);
    const char *root = cg_settings_str(s, CG_sendfile_root);
    const char *missing = cg_settings_str(s, CG_static_missing);
    if (mounts->list.n == 0 && !is_given(root)) {
        return 0;
    }
    struct cg_files *f = cg_calloc(1, sizeof *f);
    int r = open_mounts(f, mounts, err);
    if (r == 0 && is_given(root)) {
        r = cg_files_open_offload(f, root, err);
        r = r < 0 ? cg_error_prefix(err, "sendfile_root") : 0;
    }
    if (r < 0) {
        cg_folders_close(f);
        return r;
    }
    read_expiry(f, cg_settings_value(s, CG_static_expires));
    f->index = copy_of(s, CG_static_index);
    f->fallback = copy_of(s, CG_static_fallback);
    f->ends = missing != NULL && strcmp(missing, "404") == 0;
    cg_files_complete(f);
    *ret = f;
    return 0;
}

void
cg_folders_close(struct cg_files *f)
{
    if (f != NULL) {
        cg_files_release(f);
        free(f);
    }
}
