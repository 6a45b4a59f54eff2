/* SPDX-License-Identifier: MIT */
/*
 * Dirty workers and their arbiter: companions of the server's own. What is
 * theirs alone: the folder of the socket, and the page that each worker shows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arbiter/companions/internal.h"
#include "core/arbiter/internal.h"
#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/py/config/config_file.h"
#include "core/share/dirty_page.h"

/* ---- the folder ---- */

/* Where the dirty arbiter's socket is, from the first one on: the workers that
 * are forked afterwards know it. Of the workers' user, and of nobody else. */
void
cg_dirty_make_folder(struct cg_arbiter *a)
{
    const char *tmp = getenv("TMPDIR");
    uid_t user = (uid_t)cg_settings_int(a->settings, CG_user);
    gid_t group = (gid_t)cg_settings_int(a->settings, CG_group);
    if (a->companions.folder != NULL || cg_companions_dirty_workers(a) == 0) {
        return;
    }
    char *folder = cg_strf("%s/gunicorn-dirty-XXXXXX",
                           tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(folder) == NULL ||
        (geteuid() == 0 && chown(folder, user, group) < 0)) {
        cg_log_line(a->log, CG_ERROR,
                    "dirty_workers: there can be no folder '%s' for their "
                    "socket: %s (TMPDIR names another place)",
                    folder, strerror(errno));
        free(folder);
        return;
    }
    a->companions.folder = folder;
    cg_auto(free) char *path = cg_strf("%s/arbiter.sock", folder);
    cg_python_setenv("GUNICORN_DIRTY_SOCKET", path, NULL);
}

void
cg_dirty_remove_folder(struct cg_arbiter *a)
{
    if (a->companions.folder != NULL) {
        cg_auto(free) char *path =
            cg_strf("%s/arbiter.sock", a->companions.folder);
        unlink(path);
        rmdir(a->companions.folder);
        free(a->companions.folder);
        a->companions.folder = NULL;
    }
}

/* ---- the page ---- */

/* A new one for each process: nothing of an earlier one is left. */
void
cg_dirty_open_page(struct cg_arbiter *a, struct cg_companion *c)
{
    cg_dirty_close_page(c);
    if (c->kind != CG_COMPANION_DIRTY_WORKER) {
        return;
    }
    int threads = (int)cg_settings_int(a->settings, CG_dirty_threads);
    size_t n = cg_dirty_page_size(threads);
    void *page = mmap(NULL, n, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) { /* without one it works and shows nothing */
        c->page = page;
        c->page_n = n;
    }
}

/* Others that are forked later have no way to it. */
void
cg_dirty_keep_page(struct cg_companion *c)
{
    if (c->page != NULL) {
        madvise(c->page, c->page_n, MADV_DONTFORK);
    }
}

void
cg_dirty_close_page(struct cg_companion *c)
{
    if (c->page != NULL) {
        munmap(c->page, c->page_n);
        c->page = NULL;
        c->page_n = 0;
    }
}

void
cg_dirty_put_losses(const struct cg_companion *c, struct cg_buf *out)
{
    int told = 0;
    for (int i = 0; i < cg_dirty_seats(c->page, c->page_n); i++) {
        struct cg_dirty_call call;
        if (cg_dirty_read_call(c->page, c->page_n, i, &call)) {
            uint64_t now = cg_now_us();
            uint64_t us = now > call.since_us ? now - call.since_us : 0;
            cg_buf_puts(out, told++ > 0 ? ", " : "");
            cg_buf_put_escaped(out, cg_slice_of(call.what), sizeof call.what);
            cg_buf_putf(out, " for %.3f s", (double)us / 1e6);
        }
    }
}
