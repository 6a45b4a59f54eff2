/* SPDX-License-Identifier: MIT */
/* The files of certificates and keys: seen to have changed, without a signal.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/memory.h"
#include "core/net/tls_internal.h"

enum { LOOK_S = 10 };

struct cg_tls_files {
    void (*changed)(void *self);
    void *self;
    time_t next; /* monotonic, when they are looked at again */
    int n;
    struct file {
        char *path;
        struct timespec time;
        ino_t ino;
        off_t size;
    } * file;
};

static time_t
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

/* Whether it is another one; one that is gone, or cannot be seen, is not. */
static bool
look(struct file *f)
{
    struct stat st;
    if (stat(f->path, &st) < 0) {
        return false;
    }
    bool same = st.st_ino == f->ino && st.st_size == f->size &&
                st.st_mtim.tv_sec == f->time.tv_sec &&
                st.st_mtim.tv_nsec == f->time.tv_nsec;
    f->ino = st.st_ino;
    f->size = st.st_size;
    f->time = st.st_mtim;
    return !same;
}

void
cg_tls_watch(struct cg_tls *t, const char *const *files,
             void (*changed)(void *self), void *self)
{
    cg_tls_forget_files(t);
    struct cg_tls_files *w = cg_calloc(1, sizeof *w);
    *w = (struct cg_tls_files){
        .changed = changed, .self = self, .next = now() + LOOK_S};
    while (files[w->n] != NULL) {
        w->n++;
    }
    w->file = cg_calloc((size_t)w->n + 1, sizeof *w->file);
    for (int i = 0; i < w->n; i++) {
        w->file[i].path = cg_strdup(files[i]);
        look(&w->file[i]);
    }
    t->files = w;
}

void
cg_tls_look_at_files(struct cg_tls *t)
{
    struct cg_tls_files *w = t->files;
    bool changed = false;
    if (now() < w->next) {
        return;
    }
    w->next = now() + LOOK_S;
    for (int i = 0; i < w->n; i++) {
        changed = look(&w->file[i]) || changed;
    }
    if (changed) {
        w->changed(w->self);
    }
}

void
cg_tls_forget_files(struct cg_tls *t)
{
    struct cg_tls_files *w = t->files;
    if (w == NULL) {
        return;
    }
    for (int i = 0; i < w->n; i++) {
        free(w->file[i].path);
    }
    free(w->file);
    free(w);
    t->files = NULL;
}
