/* SPDX-License-Identifier: MIT */
/* Which companions the settings ask for, and whether they can be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arbiter/companions/internal.h"
#include "core/arbiter/internal.h"
#include "core/base/memory.h"

/* module:callable, without a blank; anything else is a command. */
bool
cg_companion_is_callable(const char *what)
{
    const char *colon = strchr(what, ':');
    return colon != NULL && colon != what && strchr(what, '/') == NULL &&
           what[strcspn(what, " \t\"'")] == '\0';
}

/* The program that a command names, to be freed; NULL: there is none that we
 * may execute. */
char *
cg_companion_program(const char *name)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0 ? cg_strdup(name) : NULL;
    }
    for (path = path != NULL ? path : "/usr/bin:/bin"; *path != '\0';) {
        size_t n = strcspn(path, ":");
        char *file = cg_strf("%.*s/%s", (int)n, path, name);
        if (n > 0 && access(file, X_OK) == 0) {
            return file;
        }
        free(file);
        path += n + (path[n] == ':');
    }
    return NULL;
}

static int
check_one(const char *name, const char *what, struct cg_error *err)
{
    struct cg_value words = cg_value_list();
    if (cg_companion_is_callable(what)) {
        return 0;
    }
    int r = cg_split_words(what, &words);
    cg_auto(free) char *program =
        r == 0 && words.list.n > 0 ? cg_companion_program(words.list.items[0].s)
                                   : NULL;
    if (r < 0) {
        r = cg_error_set(err, EINVAL,
                         "companions: %s: a quote is not closed in '%s'", name,
                         what);
    } else if (program == NULL) {
        r = cg_error_set(err, ENOENT,
                         "companions: %s: there is no program '%s' that can be "
                         "executed; install it, write its path, or name a "
                         "callable (module:callable)",
                         name, words.list.n > 0 ? words.list.items[0].s : "");
    }
    cg_value_release(&words);
    return r;
}

/* As gunicorn: module:Class, or module:Class:N. */
static int
check_dirty_app(const char *spec, struct cg_error *err)
{
    const char *name = strchr(spec, ':');
    const char *count = name != NULL ? strchr(name + 1, ':') : NULL;
    if (name == NULL || name == spec || name[1] == '\0' || name[1] == ':' ||
        (count != NULL && strchr(count + 1, ':') != NULL)) {
        return cg_error_set(err, EINVAL,
                            "dirty_apps: Invalid import path format: %s. "
                            "Expected 'module.path:ClassName' or "
                            "'module.path:ClassName:N'",
                            spec);
    }
    if (count == NULL) {
        return 0;
    }
    char *end = NULL;
    long n = strtol(count + 1, &end, 10);
    if (end == count + 1 || *end != '\0') {
        return cg_error_set(err, EINVAL,
                            "dirty_apps: Invalid worker count in spec: %s. "
                            "Expected integer, got '%s'",
                            spec, count + 1);
    }
    return n >= 1 ? 0
                  : cg_error_set(err, EINVAL,
                                 "dirty_apps: Invalid worker count in spec: "
                                 "%s. Worker count must be >= 1, got %ld",
                                 spec, n);
}

int
cg_companions_check(const struct cg_settings *s, struct cg_error *err)
{
    const struct cg_value *map = cg_settings_value(s, CG_companions);
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < map->list.n; i += 2) {
        r = check_one(map->list.items[i].s, map->list.items[i + 1].s, err);
    }
    const struct cg_value *apps = cg_settings_value(s, CG_dirty_apps);
    for (size_t i = 0; r == 0 && i < apps->list.n; i++) {
        r = check_dirty_app(apps->list.items[i].s, err);
    }
    return r;
}

/* Dirty workers are kept in the same way, with the process between them and
 * those who call them. */
int
cg_companions_dirty_workers(const struct cg_arbiter *a)
{
    const struct cg_settings *s = a->settings;
    bool any = cg_settings_value(s, CG_dirty_apps)->list.n > 0;
    int n = any ? (int)cg_settings_int(s, CG_dirty_workers) : 0;
    return n > 0 ? n + a->companions.more_dirty : 0;
}

/* The i-th process that the settings name; false: there are no more. */
bool
cg_companion_wish(const struct cg_arbiter *a, int i,
                  struct cg_companion_wish *ret)
{
    const struct cg_value *map = cg_settings_value(a->settings, CG_companions);
    int n = (int)(map->list.n / 2), dirty = cg_companions_dirty_workers(a);
    *ret = (struct cg_companion_wish){.kind = CG_COMPANION_USERS};
    if (i < n) {
        snprintf(ret->name, sizeof ret->name, "%s", map->list.items[2 * i].s);
        ret->what = map->list.items[2 * i + 1].s;
    } else if (i == n && dirty > 0) {
        snprintf(ret->name, sizeof ret->name, "dirty-arbiter");
        ret->what = "_cgunicorn_glue.dirty_broker:main";
        ret->kind = CG_COMPANION_DIRTY_ARBITER;
    } else {
        snprintf(ret->name, sizeof ret->name, "dirty-worker-%d", i - n);
        ret->what = "_cgunicorn_glue.dirty_worker:main";
        ret->kind = CG_COMPANION_DIRTY_WORKER;
        return dirty > 0 && i - n <= dirty;
    }
    return true;
}

bool
cg_companion_wish_of(const struct cg_arbiter *a, const char *name,
                     struct cg_companion_wish *ret)
{
    for (int i = 0; cg_companion_wish(a, i, ret); i++) {
        if (strcmp(ret->name, name) == 0) {
            return true;
        }
    }
    return false;
}
