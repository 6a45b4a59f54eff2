/* SPDX-License-Identifier: MIT */
#include "core/engine/files/offload.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/exchange/call.h"
#include "core/engine/files/open.h"
#include "core/engine/files/send.h"
#include "core/engine/state.h"
#include "core/http/files/file_path.h"

/* What the application said, taken out of its reply. */
struct wanted {
    struct cg_buf lines;        /* its fields; owned */
    struct cg_slice file, path; /* X-Sendfile, X-Accel-Redirect; in lines */
    bool has_type;
};

static void
look_at(struct wanted *w, struct cg_slice name, struct cg_slice value)
{
    if (cg_slice_is_nocase(name, "x-sendfile")) {
        w->file = value;
    } else if (cg_slice_is_nocase(name, "x-accel-redirect")) {
        w->path = value;
    } else if (cg_slice_is_nocase(name, "content-type")) {
        w->has_type = true;
    }
}

static void
take_fields(struct wanted *w, const struct cg_reply *r)
{
    struct cg_slice rest = cg_reply_lines(r);
    cg_buf_put(&w->lines, rest.p, rest.n);
    rest.p = w->lines.p;
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\r', rest.n);
        const char *colon = memchr(rest.p, ':', rest.n);
        struct cg_slice name = {rest.p, (size_t)(colon - rest.p)};
        size_t n = (size_t)(end - rest.p);
        look_at(w, name, (struct cg_slice){colon + 2, n - name.n - 2});
        rest = (struct cg_slice){end + 2, rest.n - n - 2};
    }
}

/* A file's own path has the folder in front, or is meant below it. */
static struct cg_slice
below(struct cg_slice path, const char *folder)
{
    struct cg_slice rest, prefix = cg_slice_of(folder);
    while (prefix.n > 1 && prefix.p[prefix.n - 1] == '/') {
        prefix.n--;
    }
    if (folder[0] == '/' && cg_path_is_below(path, prefix, &rest)) {
        path = rest;
    }
    while (path.n > 0 && path.p[0] == '/') {
        path = (struct cg_slice){path.p + 1, path.n - 1};
    }
    return path;
}

/* Appends its name below the folder. False: it is no path. */
static bool
name_of(const struct wanted *w, const char *folder, struct cg_buf *out)
{
    if (w->file.n > 0) {
        struct cg_slice path = below(w->file, folder);
        cg_buf_put(out, path.p, path.n);
    } else {
        const char *query =
            w->path.n > 0 ? memchr(w->path.p, '?', w->path.n) : NULL;
        struct cg_slice path = {
            w->path.p, query != NULL ? (size_t)(query - w->path.p) : w->path.n};
        if (!cg_path_decode(below(path, "."), out)) {
            return false;
        }
    }
    return out->n > 0;
}

static int
open_named(struct cg_mount *m, struct cg_found_file *file, int64_t now_s)
{
    struct stat st;
    cg_auto(fd_close) int fd =
        cg_open_beneath(cg_mount_fd(m, now_s), cg_buf_str(&file->path));
    if (fd < 0) {
        int code = fd;
        fd = -1;
        return code;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return -EISDIR;
    }
    file->fd = cg_fd_take(&fd);
    file->size = (uint64_t)st.st_size;
    file->modified = st.st_mtim;
    return 0;
}

static void
fail(struct cg_exchange *ex, struct cg_engine *e, const struct cg_mount *m,
     struct cg_slice name, int code)
{
    cg_auto(buf) struct cg_buf text = {0};
    cg_buf_putf(&text, "sendfile_root: cannot send '");
    cg_buf_put_escaped(&text, name, 256);
    cg_buf_putf(&text, "' below '%s': %s", m->folder,
                code == -EXDEV ? "it lies outside" : strerror(-code));
    cg_note_trouble(e, cg_buf_str(&text));
    cg_exchange_abort(ex, code == -ENOENT ? 404 : 500, "");
}

static void
send_named(struct cg_exchange *ex, struct cg_files *f, const struct wanted *w)
{
    struct cg_engine *e = ((struct cg_call *)(void *)ex)->executor->engine;
    struct cg_found_file file = {.fd = -1, .coding = -1};
    int64_t now_s = (int64_t)(cg_now_us() / 1000000);
    int r = name_of(w, f->offload.folder, &file.path) ? 0 : -EINVAL;
    if (r == 0) {
        r = open_named(&f->offload, &file, now_s);
    }
    if (r < 0) {
        fail(ex, e, &f->offload, w->file.n > 0 ? w->file : w->path, r);
    } else {
        file.type = cg_media_type_of(
            &f->types, (struct cg_slice){file.path.p, file.path.n});
        cg_files_send(ex, f, &file, NULL,
                      (struct cg_slice){w->lines.p, w->lines.n}, w->has_type);
    }
    cg_found_release(&file);
}

bool
cg_offload(struct cg_exchange *ex)
{
    struct cg_engine *e = ((struct cg_call *)(void *)ex)->executor->engine;
    struct cg_files *f = e->config->files;
    struct cg_reply *r = &ex->writer->reply;
    if (r->offload == CG_OFFLOAD_DONE) {
        return true;
    }
    r->offload = CG_OFFLOAD_NONE;
    if (f == NULL || f->offload.folder == NULL || ex->writer->headed) {
        return false; /* a field like any other */
    }
    struct wanted w = {0};
    take_fields(&w, r);
    send_named(ex, f, &w);
    cg_buf_release(&w.lines);
    r->offload = CG_OFFLOAD_DONE;
    return true;
}
