/* SPDX-License-Identifier: MIT */
/* The folders that are served, and for how long what lies there may be kept. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/files/files.h"
#include "core/http/files/file_path.h"

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static const char for_ever[] = "public, max-age=31536000, immutable";

static int
mount_init(struct cg_mount *m, struct cg_slice prefix, const char *folder,
           struct cg_error *err)
{
    while (prefix.n > 0 && prefix.p[prefix.n - 1] == '/') {
        prefix.n--;
    }
    int fd = open(folder, FOLDER);
    /* whoever may not go through it finds nothing in it */
    if (fd < 0 || faccessat(fd, ".", X_OK, AT_EACCESS) < 0) {
        int code = errno;
        cg_fd_close(&fd);
        return cg_error_set(
            err, code, "cannot open the folder '%s': %s%s", folder,
            strerror(code),
            code == EACCES ? " (for the user that workers run as)" : "");
    }
    *m = (struct cg_mount){.prefix = {cg_strndup(prefix.p, prefix.n), prefix.n},
                           .folder = cg_strdup(folder),
                           .fd = fd};
    return 0;
}

static void
mount_release(struct cg_mount *m)
{
    free((void *)(size_t)m->prefix.p);
    free(m->folder);
    if (m->folder != NULL) {
        cg_fd_close(&m->fd);
    }
    *m = (struct cg_mount){.fd = -1};
}

int
cg_files_mount(struct cg_files *f, struct cg_slice prefix, const char *folder,
               struct cg_error *err)
{
    struct cg_mount m;
    int r = mount_init(&m, prefix, folder, err);
    if (r < 0) {
        return r;
    }
    f->mounts =
        cg_realloc(f->mounts, ((size_t)f->nmounts + 1) * sizeof *f->mounts);
    int at = f->nmounts++;
    for (; at > 0 && f->mounts[at - 1].prefix.n < m.prefix.n; at--) {
        memcpy(&f->mounts[at], &f->mounts[at - 1], sizeof m);
    }
    memcpy(&f->mounts[at], &m, sizeof m);
    return 0;
}

int
cg_files_open_offload(struct cg_files *f, const char *folder,
                      struct cg_error *err)
{
    /* applications name files by whole paths */
    cg_auto(free) char *here = folder[0] != '/' ? getcwd(NULL, 0) : NULL;
    cg_auto(free) char *whole =
        here != NULL ? cg_strf("%s/%s", here, folder) : cg_strdup(folder);
    return mount_init(&f->offload, CG_SLICE(""), whole, err);
}

void
cg_files_expire(struct cg_files *f, struct cg_slice pattern, uint32_t seconds)
{
    f->expiry =
        cg_realloc(f->expiry, ((size_t)f->nexpiry + 1) * sizeof *f->expiry);
    f->expiry[f->nexpiry++] = (struct cg_expiry){
        .pattern = cg_strndup(pattern.p, pattern.n),
        .control = seconds == UINT32_MAX ? cg_strdup(for_ever)
                   : seconds == 0        ? cg_strdup("no-cache")
                                  : cg_strf("public, max-age=%u", seconds)};
}

static void
read_types(struct cg_media_types *types)
{
    enum { MOST = 1 << 20 };
    cg_auto(fd_close) int fd = open("/etc/mime.types", O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > MOST) {
        return;
    }
    cg_auto(free) char *text = cg_malloc((size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n > 0) {
        cg_media_types_read(types, (struct cg_slice){text, (size_t)n});
    }
}

void
cg_files_complete(struct cg_files *f)
{
    read_types(&f->types);
    if (getrandom(&f->boundary, sizeof f->boundary, GRND_NONBLOCK) < 0) {
        f->boundary = (uint64_t)getpid();
    }
}

void
cg_files_release(struct cg_files *f)
{
    for (int i = 0; i < f->nmounts; i++) {
        mount_release(&f->mounts[i]);
    }
    for (int i = 0; i < f->nexpiry; i++) {
        free(f->expiry[i].pattern);
        free(f->expiry[i].control);
    }
    mount_release(&f->offload);
    cg_media_types_release(&f->types);
    free(f->mounts);
    free(f->expiry);
    free(f->index);
    free(f->fallback);
    *f = (struct cg_files){0};
}

struct cg_mount *
cg_files_mount_of(struct cg_files *f, struct cg_slice path,
                  struct cg_slice *ret_rest)
{
    for (int i = 0; i < f->nmounts; i++) {
        if (cg_path_is_below(path, f->mounts[i].prefix, ret_rest)) {
            return &f->mounts[i];
        }
    }
    return NULL;
}

/* The number stays, so that who uses it meanwhile has the old folder or the new
 * one. */
static void
look_again(struct cg_mount *m)
{
    struct stat here, there;
    if (stat(m->folder, &there) < 0 || fstat(m->fd, &here) < 0 ||
        (here.st_dev == there.st_dev && here.st_ino == there.st_ino)) {
        return;
    }
    cg_auto(fd_close) int fd = open(m->folder, FOLDER);
    if (fd >= 0) {
        dup3(fd, m->fd, O_CLOEXEC);
    }
}

int
cg_mount_fd(struct cg_mount *m, int64_t now_s)
{
    int64_t due = atomic_load_explicit(&m->look_s, memory_order_relaxed);
    if (now_s > due &&
        atomic_compare_exchange_strong(&m->look_s, &due, now_s)) {
        look_again(m);
    }
    return m->fd;
}

const char *
cg_files_cache_control(const struct cg_files *f, struct cg_slice path)
{
    cg_auto(free) char *name = NULL;
    for (int i = 0; i < f->nexpiry; i++) {
        if (name == NULL) {
            name = cg_strndup(path.p, path.n);
        }
        const char *slash = strrchr(name, '/');
        const char *pattern = f->expiry[i].pattern;
        /* a pattern without a slash is one of names */
        bool whole = strchr(pattern, '/') != NULL || slash == NULL;
        if (fnmatch(pattern, whole ? name : slash + 1, 0) == 0) {
            return f->expiry[i].control;
        }
    }
    return cg_path_is_hashed(path) ? for_ever : NULL;
}
