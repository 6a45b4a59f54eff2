/* SPDX-License-Identifier: MIT */
#include "core/engine/files/send.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/http/files/precondition.h"
#include "core/http/files/range.h"

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
    const char *control;  /* Cache-Control, or NULL */
    struct cg_slice kept; /* lines of fields that the caller wants in it */
    bool has_type;        /* Content-Type is one of them */
    char text[ETAG_MAX];
    struct cg_validators validators;
};

/* What the file has to say for itself. */
static bool
is_of_file(struct cg_slice name)
{
    static const char *const names[] = {
        "x-sendfile",    "x-accel-redirect", "content-length", "accept-ranges",
        "content-range", "content-encoding", "etag",           "last-modified"};
    for (size_t i = 0; i < CG_COUNT(names); i++) {
        if (cg_slice_is_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

static void
put_kept(const struct sending *s)
{
    struct cg_slice rest = s->kept;
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\r', rest.n);
        const char *colon = memchr(rest.p, ':', rest.n);
        struct cg_slice name = {rest.p, (size_t)(colon - rest.p)};
        size_t n = (size_t)(end - rest.p);
        if (!is_of_file(name)) {
            cg_exchange_field(s->ex, name,
                              (struct cg_slice){colon + 2, n - name.n - 2});
        }
        rest = (struct cg_slice){end + 2, rest.n - n - 2};
    }
}

/* What a cache keeps of it, also with a 304 (RFC 9110, 15.4.5). */
static void
start(const struct sending *s, const char *status)
{
    struct cg_exchange *ex = s->ex;
    time_t now = time(NULL), modified = s->validators.modified;
    char date[CG_HTTP_DATE_SIZE];
    cg_http_date(modified < now ? modified : now, date);
    cg_exchange_start(ex, cg_slice_of(status));
    put_kept(s);
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
    if (!s->has_type) {
        put(s->ex, "Content-Type", cg_slice_of(type));
    }
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
    if (are == CG_RANGES_GIVEN && r.count > 1 && s->has_type) {
        are = CG_RANGES_IGNORED; /* the parts would need its type */
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
              const struct cg_found_file *file, const char *cache_control,
              struct cg_slice kept, bool has_type)
{
    struct sending s = {.ex = ex,
                        .files = f,
                        .file = file,
                        .control = cache_control,
                        .kept = kept,
                        .has_type = has_type};
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
