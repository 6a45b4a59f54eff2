/* SPDX-License-Identifier: MIT */
#include "core/engine/files/answer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/engine/exchange/inline.h"
#include "core/engine/state.h"
#include "core/http/file_path.h"
#include "core/http/precondition.h"
#include "core/http/range.h"

enum {
    SMALL = 16 * 1024,       /* leaves with its head, by one call */
    PARTS_MAX = 1024 * 1024, /* bytes of several ranges together */
    ETAG_MAX = 48
};

/* ---- fields ---- */

static void
put(struct cg_exchange *ex, const char *name, struct cg_slice value)
{
    cg_exchange_field(ex, cg_slice_of(name), value);
}

static char *
put_hex(char *to, uint64_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[16];
    int count = 0;
    do {
        text[count++] = digits[n & 15];
        n >>= 4;
    } while (n > 0);
    while (count > 0) {
        *to++ = text[--count];
    }
    return to;
}

/* Size and time to the nanosecond: strong, as far as a file system can tell. */
static struct cg_slice
etag_of(const struct cg_found_file *file, char text[ETAG_MAX])
{
    char *to = text;
    *to++ = '"';
    to = put_hex(to, file->size);
    *to++ = '-';
    to = put_hex(to, (uint64_t)file->modified.tv_sec * 1000000000u +
                         (uint64_t)file->modified.tv_nsec);
    if (file->coding >= 0) {
        *to++ = '-';
        to = stpcpy(to, cg_coding_names[file->coding]);
    }
    *to++ = '"';
    return (struct cg_slice){text, (size_t)(to - text)};
}

static struct cg_slice
field_of(const struct cg_exchange *ex, enum cg_field_id id)
{
    const struct cg_field *f = cg_request_field(ex->req, id);
    return f != NULL ? (struct cg_slice){ex->base + f->value, f->value_n}
                     : (struct cg_slice){NULL, 0};
}

static bool
is_conditional(const struct cg_request *req)
{
    for (int i = 0; i < req->nfields; i++) {
        unsigned id = req->fields[i].id;
        if (id >= CG_FIELD_RANGE && id <= CG_FIELD_IF_UNMODIFIED_SINCE) {
            return true;
        }
    }
    return false;
}

static struct cg_preconditions
preconditions_of(const struct cg_exchange *ex)
{
    return (struct cg_preconditions){
        .match = field_of(ex, CG_FIELD_IF_MATCH),
        .none_match = field_of(ex, CG_FIELD_IF_NONE_MATCH),
        .unmodified_since = field_of(ex, CG_FIELD_IF_UNMODIFIED_SINCE),
        .modified_since = field_of(ex, CG_FIELD_IF_MODIFIED_SINCE),
        .if_range = field_of(ex, CG_FIELD_IF_RANGE),
    };
}

/* ---- one file ---- */

struct sending {
    struct cg_exchange *ex;
    struct cg_files *files;
    const struct cg_found_file *file;
    const char *control; /* Cache-Control, or NULL */
    char text[ETAG_MAX];
    struct cg_validators validators;
};

/* What a cache keeps of it, also with a 304 (RFC 9110, 15.4.5). */
static void
start(const struct sending *s, const char *status)
{
    struct cg_exchange *ex = s->ex;
    time_t now = time(NULL), modified = s->validators.modified;
    char date[CG_HTTP_DATE_SIZE];
    cg_http_date(modified < now ? modified : now, date);
    cg_exchange_start(ex, cg_slice_of(status));
    put(ex, "ETag", s->validators.etag);
    put(ex, "Last-Modified", (struct cg_slice){date, sizeof date});
    if (s->control != NULL) {
        put(ex, "Cache-Control", cg_slice_of(s->control));
    }
    if (s->file->varies) {
        put(ex, "Vary", CG_SLICE("Accept-Encoding"));
    }
}

static void
put_representation(const struct sending *s, const char *type)
{
    put(s->ex, "Content-Type", cg_slice_of(type));
    put(s->ex, "Accept-Ranges", CG_SLICE("bytes"));
    if (s->file->coding >= 0) {
        put(s->ex, "Content-Encoding",
            cg_slice_of(cg_coding_names[s->file->coding]));
    }
}

static void
send_empty(const struct sending *s, const char *status)
{
    start(s, status);
    cg_exchange_body(s->ex, "", 0, CG_LAST, NULL);
}

static void
send_part(const struct sending *s, struct cg_range r)
{
    char small[SMALL];
    int fd = s->file->fd;
    bool fits = r.n <= sizeof small && !s->ex->req->method_is_head;
    if (fits && pread(fd, small, r.n, (off_t)r.at) == (ssize_t)r.n) {
        cg_exchange_body(s->ex, small, r.n, CG_LAST, NULL);
    } else {
        cg_exchange_file(s->ex, fd, (off_t)r.at, r.n);
    }
}

static void
send_whole(const struct sending *s)
{
    start(s, "200 OK");
    put_representation(s, s->file->type.text);
    send_part(s, (struct cg_range){0, s->file->size});
}

static void
put_content_range(struct cg_buf *out, struct cg_range r, uint64_t size)
{
    cg_buf_putf(out, "bytes %llu-%llu/%llu", (unsigned long long)r.at,
                (unsigned long long)(r.at + r.n - 1), (unsigned long long)size);
}

static void
send_range(const struct sending *s, struct cg_range r)
{
    cg_auto(buf) struct cg_buf range = {0};
    put_content_range(&range, r, s->file->size);
    start(s, "206 Partial Content");
    put_representation(s, s->file->type.text);
    put(s->ex, "Content-Range", (struct cg_slice){range.p, range.n});
    send_part(s, r);
}

/* All of the parts (RFC 9110, 14.6), which lie in memory: a few, and small.
 * False: the file is not what it was. */
static bool
make_parts(const struct sending *s, const struct cg_ranges *r,
           const char *boundary, struct cg_buf *out)
{
    for (int i = 0; i < r->count; i++) {
        struct cg_range one = r->each[i];
        cg_buf_putf(out,
                    "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: ", boundary,
                    s->file->type.text);
        put_content_range(out, one, s->file->size);
        cg_buf_puts(out, "\r\n\r\n");
        char *to = cg_buf_reserve(out, one.n);
        if (pread(s->file->fd, to, one.n, (off_t)one.at) != (ssize_t)one.n) {
            return false;
        }
        out->n += one.n;
    }
    cg_buf_putf(out, "\r\n--%s--\r\n", boundary);
    return true;
}

static void
send_parts(const struct sending *s, const struct cg_ranges *r)
{
    cg_auto(buf) struct cg_buf body = {0};
    char boundary[40], type[80];
    snprintf(boundary, sizeof boundary, "%016llx%08x",
             (unsigned long long)s->files->boundary,
             atomic_fetch_add(&s->files->serial, 1));
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", boundary);
    if (!make_parts(s, r, boundary, &body)) {
        cg_exchange_abort(s->ex, 500, "");
        return;
    }
    start(s, "206 Partial Content");
    put_representation(s, type);
    cg_exchange_body(s->ex, body.p, body.n, CG_LAST, NULL);
}

static void
send_beyond(const struct sending *s)
{
    cg_auto(buf) struct cg_buf range = {0};
    cg_buf_putf(&range, "bytes */%llu", (unsigned long long)s->file->size);
    start(s, "416 Range Not Satisfiable");
    put(s->ex, "Content-Range", (struct cg_slice){range.p, range.n});
    cg_exchange_body(s->ex, "", 0, CG_LAST, NULL);
}

/* Range is for GET alone (RFC 9110, 14.2). */
static void
send_ranges(const struct sending *s, const struct cg_preconditions *c)
{
    struct cg_ranges r;
    struct cg_slice range = field_of(s->ex, CG_FIELD_RANGE);
    enum cg_ranges_are are = CG_RANGES_IGNORED;
    if (range.p != NULL && s->ex->req->method_is_get &&
        cg_range_holds(c, &s->validators)) {
        are = cg_ranges_read(&r, range, s->file->size);
    }
    if (are == CG_RANGES_BEYOND) {
        send_beyond(s);
    } else if (are == CG_RANGES_IGNORED) {
        send_whole(s);
    } else if (r.count == 1) {
        send_range(s, r.each[0]);
    } else if (r.total <= PARTS_MAX) {
        send_parts(s, &r);
    } else {
        send_whole(s);
    }
}

void
cg_files_send(struct cg_exchange *ex, struct cg_files *f,
              struct cg_found_file *file, const char *cache_control)
{
    struct sending s = {
        .ex = ex, .files = f, .file = file, .control = cache_control};
    s.validators = (struct cg_validators){.etag = etag_of(file, s.text),
                                          .modified = file->modified.tv_sec};
    if (!is_conditional(ex->req)) {
        send_whole(&s);
        return;
    }
    const struct cg_preconditions c = preconditions_of(ex);
    switch (cg_precondition(&c, &s.validators)) {
    case CG_CONDITION_HOLDS: send_ranges(&s, &c); break;
    case CG_CONDITION_SAME: send_empty(&s, "304 Not Modified"); break;
    case CG_CONDITION_FAILED: send_empty(&s, "412 Precondition Failed"); break;
    }
}

/* ---- a request ---- */

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
answer(void *self, struct cg_exchange *ex)
{
    struct request *r = self;
    switch (r->what) {
    case CG_FIND_FILE:
        cg_files_send(
            ex, r->files, &r->file,
            cg_files_cache_control(
                r->files, (struct cg_slice){r->file.path.p, r->file.path.n}));
        break;
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
