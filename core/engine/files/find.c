/* SPDX-License-Identifier: MIT */
#include "core/engine/files/find.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/engine/files/open.h"
#include "core/http/files/file_path.h"

void
cg_found_release(struct cg_found_file *f)
{
    cg_fd_close(&f->fd);
    cg_buf_release(&f->path);
}

static enum cg_find
failure(struct cg_found_file *ret, int code)
{
    ret->code = -code;
    switch (-code) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ENXIO: /* a socket, or a device without its driver */
    case ELOOP:
    case EXDEV: return CG_FIND_NOTHING;
    case EACCES: return CG_FIND_DENIED;
    default: return CG_FIND_TROUBLE;
    }
}

/* A file of ret->path; *is_folder: it is one, and left alone. */
static enum cg_find
open_file(int dir, struct cg_found_file *ret, bool *is_folder)
{
    struct stat st = {0};
    int fd =
        cg_open_beneath(dir, ret->path.n > 0 ? cg_buf_str(&ret->path) : ".");
    *is_folder = false;
    if (fd < 0) {
        return failure(ret, fd);
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        *is_folder = S_ISDIR(st.st_mode);
        cg_fd_close(&fd);
        return CG_FIND_NOTHING;
    }
    cg_fd_close(&ret->fd);
    ret->fd = fd;
    ret->size = (uint64_t)st.st_size;
    ret->modified = st.st_mtim;
    return CG_FIND_FILE;
}

static enum cg_find
open_name(int dir, struct cg_found_file *ret, struct cg_slice name)
{
    bool is_folder;
    cg_buf_put(&ret->path, name.p, name.n);
    return open_file(dir, ret, &is_folder);
}

/* What lies beside it in a coding that the client likes. */
static void
try_codings(int dir, struct cg_found_file *ret, const struct cg_request *req,
            const char *base)
{
    struct cg_accepted accepted = {0};
    enum cg_coding order[CG_CODING_COUNT];
    for (int i = 0; i < req->nfields; i++) {
        const struct cg_field *f = &req->fields[i];
        if (f->id == CG_FIELD_ACCEPT_ENCODING) {
            cg_accepted_read(&accepted,
                             (struct cg_slice){base + f->value, f->value_n});
        }
    }
    int n = cg_accepted_order(&accepted, order);
    size_t length = ret->path.n;
    for (int i = 0; i < n; i++) {
        const char *ending = cg_coding_endings[order[i]];
        enum cg_find found = open_name(dir, ret, cg_slice_of(ending));
        ret->path.n = length;
        if (found == CG_FIND_FILE) {
            ret->coding = (int)order[i];
            return;
        }
    }
}

/* A page that is not there may be one that a program in the browser makes: one
 * without an ending, that is no file. */
static enum cg_find
fall_back(const struct cg_files *f, int dir, struct cg_slice rest,
          struct cg_found_file *ret)
{
    const char *slash = rest.n > 0 ? memrchr(rest.p, '/', rest.n) : NULL;
    const char *name = slash != NULL ? slash + 1 : rest.p;
    size_t n = (size_t)(rest.p + rest.n - name);
    if (f->fallback == NULL || (n > 0 && memchr(name, '.', n) != NULL)) {
        return CG_FIND_NOTHING;
    }
    cg_buf_reset(&ret->path);
    return open_name(dir, ret, cg_slice_of(f->fallback));
}

/* rest has no slash in front. */
static enum cg_find
find_name(const struct cg_files *f, int dir, struct cg_slice rest,
          bool has_slash, struct cg_found_file *ret)
{
    bool is_folder = rest.n == 0 || rest.p[rest.n - 1] == '/';
    enum cg_find found = CG_FIND_NOTHING;
    cg_buf_put(&ret->path, rest.p, rest.n);
    if (is_folder && has_slash) {
        return f->index != NULL ? open_name(dir, ret, cg_slice_of(f->index))
                                : CG_FIND_NOTHING;
    }
    found = open_file(dir, ret, &is_folder);
    if (is_folder && f->index != NULL) {
        if (rest.n > 0) {
            cg_buf_putc(&ret->path, '/');
        }
        found = open_name(dir, ret, cg_slice_of(f->index));
        return found == CG_FIND_FILE ? CG_FIND_SLASH : found;
    }
    return found;
}

enum cg_find
cg_find_file(const struct cg_files *f, int dir, struct cg_slice rest,
             const struct cg_request *req, const char *base,
             struct cg_found_file *ret)
{
    *ret = (struct cg_found_file){.fd = -1, .coding = -1};
    bool has_slash = rest.n > 0;
    if (has_slash) {
        rest = (struct cg_slice){rest.p + 1, rest.n - 1};
    }
    if (!cg_path_is_plain(rest)) {
        return CG_FIND_NOTHING;
    }
    enum cg_find found = find_name(f, dir, rest, has_slash, ret);
    if (found == CG_FIND_NOTHING) {
        found = fall_back(f, dir, rest, ret);
    }
    if (found == CG_FIND_FILE) {
        struct cg_slice path = {ret->path.p, ret->path.n};
        ret->type = cg_media_type_of(&f->types, path);
        ret->varies = ret->type.is_text;
        if (ret->varies &&
            cg_request_field(req, CG_FIELD_ACCEPT_ENCODING) != NULL) {
            try_codings(dir, ret, req, base);
        }
    }
    return found;
}
