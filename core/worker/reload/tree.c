/* SPDX-License-Identifier: MIT */
#include "core/worker/reload/tree.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

enum { DEPTH_MAX = 24, FOLDERS_MAX = 10000, LEAVES_MAX = 100000 };

struct scan {
    struct cg_tree *tree;
    char kind;           /* of the place: C, D, F or G */
    const char *pattern; /* of G */
    size_t folders;
    struct seen {
        dev_t dev;
        ino_t ino;
    } above[DEPTH_MAX]; /* folders that we are in: links may lead back */
    void (*on_folder)(void *self, const char *path);
    void *self;
};

static bool
is_noise(const char *name)
{
    static const char *const endings[] = {".pyc", ".pyo", "~",    ".swp",
                                          ".swx", ".log", ".tmp", "4913"};
    if (name[0] == '.' || name[0] == '#') {
        return true;
    }
    for (size_t i = 0; i < CG_COUNT(endings); i++) {
        if (cg_ends_with(name, endings[i])) {
            return true;
        }
    }
    return false;
}

static bool
is_closed(const char *name)
{
    return name[0] == '.' || strcmp(name, "__pycache__") == 0 ||
           strcmp(name, "node_modules") == 0 ||
           strcmp(name, "site-packages") == 0;
}

static bool
counts(const struct scan *s, const char *path, const char *name)
{
    switch (s->kind) {
    case 'C': return name[0] != '.' && cg_ends_with(name, ".py");
    case 'G': return fnmatch(s->pattern, path, FNM_PATHNAME) == 0;
    case 'D': return !is_noise(name);
    default: return true;
    }
}

static void
add_leaf(struct scan *s, const char *path, const struct stat *st)
{
    struct cg_tree *t = s->tree;
    enum { STEP = 256 };
    if (t->n == LEAVES_MAX) {
        t->full = true;
        return;
    }
    if (t->n % STEP == 0) {
        t->leaf = cg_realloc(t->leaf, (t->n + STEP) * sizeof *t->leaf);
    }
    t->leaf[t->n++] = (struct cg_leaf){.path = cg_strdup(path),
                                       .modified = st->st_mtim,
                                       .size = st->st_size,
                                       .inode = st->st_ino};
}

static void
tell_folder_of(const struct scan *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (s->on_folder != NULL && slash != NULL) {
        cg_auto(free) char *folder =
            cg_strndup(path, slash == path ? 1 : (size_t)(slash - path));
        s->on_folder(s->self, folder);
    }
}

/* What a link leads to changes where that is. */
static void
tell_target_of(const struct scan *s, const char *path)
{
    cg_auto(free) char *target =
        s->on_folder != NULL ? realpath(path, NULL) : NULL;
    if (target != NULL) {
        tell_folder_of(s, target);
    }
}

static void scan_folder(struct scan *s, const char *path, const struct stat *st,
                        int depth);

static void
scan_entry(struct scan *s, const char *folder, const struct dirent *entry,
           int depth)
{
    struct stat st;
    cg_auto(free) char *path = cg_strf("%s/%s", folder, entry->d_name);
    bool may_be_folder = entry->d_type != DT_REG;
    if (!may_be_folder && !counts(s, path, entry->d_name)) {
        return;
    }
    if (stat(path, &st) < 0) {
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        if (!is_closed(entry->d_name)) {
            scan_folder(s, path, &st, depth + 1);
        }
    } else if (S_ISREG(st.st_mode) && counts(s, path, entry->d_name)) {
        if (entry->d_type == DT_LNK) {
            tell_target_of(s, path);
        }
        add_leaf(s, path, &st);
    }
}

static bool
is_environment(const char *path)
{
    cg_auto(free) char *mark = cg_strf("%s/pyvenv.cfg", path);
    return access(mark, F_OK) == 0;
}

static bool
was_above(struct scan *s, const struct stat *st, int depth)
{
    for (int i = 0; i < depth; i++) {
        if (s->above[i].dev == st->st_dev && s->above[i].ino == st->st_ino) {
            return true;
        }
    }
    s->above[depth] = (struct seen){st->st_dev, st->st_ino};
    return false;
}

static void
scan_folder(struct scan *s, const char *path, const struct stat *st, int depth)
{
    if (depth == DEPTH_MAX || was_above(s, st, depth) ||
        (depth > 0 && is_environment(path))) {
        return;
    }
    if (s->folders++ == FOLDERS_MAX) {
        s->tree->full = true;
        return;
    }
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    if (s->on_folder != NULL) {
        s->on_folder(s->self, path);
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 && !s->tree->full) {
            scan_entry(s, path, entry, depth);
        }
    }
    closedir(dir);
}

/* The folder that a pattern does not vary. */
static char *
fixed_part(const char *pattern)
{
    size_t n = strcspn(pattern, "*?[");
    while (n > 0 && pattern[n - 1] != '/') {
        n--;
    }
    return n > 1 ? cg_strndup(pattern, n - 1) : cg_strdup(n == 1 ? "/" : ".");
}

static void
scan_place(struct scan *s, const char *path)
{
    struct stat st;
    cg_auto(free) char *fixed = s->kind == 'G' ? fixed_part(path) : NULL;
    s->pattern = path;
    if (s->kind == 'F') {
        tell_folder_of(s, path);
        tell_target_of(s, path);
        if (stat(path, &st) == 0) {
            add_leaf(s, path, &st);
        }
        return;
    }
    const char *root = fixed != NULL ? fixed : path;
    if (stat(root, &st) == 0 && S_ISDIR(st.st_mode)) {
        scan_folder(s, root, &st, 0);
    }
}

static int
compare(const void *a, const void *b)
{
    return strcmp(((const struct cg_leaf *)a)->path,
                  ((const struct cg_leaf *)b)->path);
}

void
cg_tree_scan(struct cg_tree *t, struct cg_slice places,
             void (*on_folder)(void *self, const char *path), void *self)
{
    struct scan s = {.tree = t, .on_folder = on_folder, .self = self};
    for (size_t at = 0; at < places.n;) {
        const char *place = places.p + at;
        s.kind = place[0];
        t->others = t->others || s.kind != 'C';
        scan_place(&s, place + 1);
        at += strlen(place) + 1;
    }
    if (t->n > 0) {
        qsort(t->leaf, t->n, sizeof *t->leaf, compare);
    }
}

void
cg_tree_release(struct cg_tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->leaf[i].path);
    }
    free(t->leaf);
    *t = (struct cg_tree){0};
}

static bool
same(const struct cg_leaf *a, const struct cg_leaf *b)
{
    return a->modified.tv_sec == b->modified.tv_sec &&
           a->modified.tv_nsec == b->modified.tv_nsec && a->size == b->size &&
           a->inode == b->inode;
}

const char *
cg_tree_difference(const struct cg_tree *a, const struct cg_tree *b)
{
    size_t i = 0, k = 0;
    while (i < a->n || k < b->n) {
        int order = i == a->n   ? 1
                    : k == b->n ? -1
                                : compare(&a->leaf[i], &b->leaf[k]);
        if (order != 0) {
            return order < 0 ? a->leaf[i].path : b->leaf[k].path;
        }
        if (!same(&a->leaf[i], &b->leaf[k])) {
            return b->leaf[k].path;
        }
        i++;
        k++;
    }
    return NULL;
}

static bool
is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

const char *
cg_tree_modified(const struct cg_tree *t, struct timespec since,
                 struct timespec until)
{
    for (size_t i = 0; i < t->n; i++) {
        if (is_before(since, t->leaf[i].modified) &&
            is_before(t->leaf[i].modified, until)) {
            return t->leaf[i].path;
        }
    }
    return NULL;
}
