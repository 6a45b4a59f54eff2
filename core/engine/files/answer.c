/* SPDX-License-Identifier: MIT */
#include "core/engine/files/answer.h"

#include <string.h>

#include "core/engine/exchange/inline.h"
#include "core/engine/files/send.h"
#include "core/engine/state.h"
#include "core/http/files/file_path.h"

static void
put(struct cg_exchange *ex, const char *name, struct cg_slice value)
{
    cg_exchange_field(ex, cg_slice_of(name), value);
}

struct request {
    struct cg_files *files;
    struct cg_found_file file;
    enum cg_find what;
};

/* The same path with a slash, as it was sent. */
static void
send_slash(struct cg_exchange *ex)
{
    cg_auto(buf) struct cg_buf to = {0};
    const struct cg_request *req = ex->req;
    struct cg_slice path = cg_span_of(ex->base, req->path);
    cg_buf_put(&to, path.p, path.n);
    cg_buf_putc(&to, '/');
    if (req->has_query) {
        struct cg_slice query = cg_span_of(ex->base, req->query);
        cg_buf_putc(&to, '?');
        cg_buf_put(&to, query.p, query.n);
    }
    cg_exchange_start(ex, CG_SLICE("301 Moved Permanently"));
    put(ex, "Location", (struct cg_slice){to.p, to.n});
    cg_exchange_body(ex, "", 0, CG_LAST, NULL);
}

static void
send_missing(struct cg_exchange *ex)
{
    static const char text[] = "Not Found\n";
    cg_exchange_start(ex, CG_SLICE("404 Not Found"));
    put(ex, "Content-Type", CG_SLICE("text/plain; charset=utf-8"));
    cg_exchange_body(ex, text, sizeof text - 1, CG_LAST, NULL);
}

static void
send_file(struct cg_exchange *ex, const struct request *r)
{
    struct cg_slice path = {r->file.path.p, r->file.path.n};
    cg_files_send(ex, r->files, &r->file,
                  cg_files_cache_control(r->files, path), CG_SLICE(""), false);
}

static void
answer(void *self, struct cg_exchange *ex)
{
    struct request *r = self;
    switch (r->what) {
    case CG_FIND_FILE: send_file(ex, r); break;
    case CG_FIND_SLASH: send_slash(ex); break;
    case CG_FIND_NOTHING:
    case CG_FIND_DENIED: send_missing(ex); break;
    case CG_FIND_TROUBLE: cg_exchange_abort(ex, 503, ""); break;
    }
}

/* The application has what is not there, unless the settings say otherwise;
 * never what the system refuses to tell. */
static bool
is_ours(const struct request *r)
{
    return r->files->ends || r->what == CG_FIND_FILE ||
           r->what == CG_FIND_SLASH || r->what == CG_FIND_TROUBLE;
}

static void
tell_trouble(struct cg_engine *e, const struct cg_mount *m,
             const struct request *r)
{
    if (r->what == CG_FIND_DENIED || r->what == CG_FIND_TROUBLE) {
        cg_auto(buf) struct cg_buf text = {0};
        cg_buf_putf(&text, "static: cannot open '%s/", m->folder);
        cg_buf_put_escaped(
            &text, (struct cg_slice){r->file.path.p, r->file.path.n}, 256);
        cg_buf_putf(&text, "': %s%s", strerror(r->file.code),
                    r->what == CG_FIND_DENIED
                        ? ": let the user that workers run as read it"
                        : "");
        cg_tell_trouble(e, cg_buf_str(&text));
    }
}

/* Opens what it asks for, without the baton: a disk may be slow. Relief keeps
 * it: nobody is there to take it. */
static void
find(struct cg_executor *x, struct cg_stream *s, const struct cg_arrival *a,
     struct cg_mount *m, struct cg_slice rest, struct request *r)
{
    struct cg_engine *e = x->engine;
    int64_t now_s = (int64_t)(e->now_us / 1000000);
    uint8_t state = s->state;
    s->state = STREAM_RUN;
    uint32_t mine = cg_inline_open(x);
    r->what = cg_find_file(r->files, cg_mount_fd(m, now_s), rest, a->req,
                           a->base, &r->file);
    cg_inline_back(x, mine);
    s->state = state;
}

bool
cg_files_answer(struct cg_executor *x, struct cg_stream *s,
                const struct cg_arrival *a)
{
    CG_HAS_BATON(x->engine);
    cg_auto(buf) struct cg_buf decoded = {0};
    struct request r = {.files = x->engine->config->files};
    const struct cg_request *req = a->req;
    struct cg_slice path = cg_span_of(a->base, req->path), rest;
    if (!req->method_is_get && !req->method_is_head) {
        return false;
    }
    if (req->path_has_percent) {
        if (!cg_path_decode(path, &decoded)) {
            return false;
        }
        path = (struct cg_slice){decoded.p, decoded.n};
    }
    struct cg_mount *m = cg_files_mount_of(r.files, path, &rest);
    if (m == NULL) {
        return false;
    }
    find(x, s, a, m, rest, &r);
    tell_trouble(x->engine, m, &r);
    bool ours = is_ours(&r);
    if (ours) {
        cg_inline_answer(x, s, a, answer, &r);
    }
    cg_found_release(&r.file);
    return ours;
}
