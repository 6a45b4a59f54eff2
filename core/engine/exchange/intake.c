/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/base/tmpfile.h"

enum {
    ROOM_MIN = 64 * 1024,
    ROOM_MAX = 256 * 1024,
    ROOM_SPARE = 16 * 1024, /* what is left is used up before more is made */
    FEW = 4 * 1024,         /* chunks below that are gathered in blocks */
    BLOCK = 64 * 1024
};

struct cg_intake *
cg_intake_new(void)
{
    struct cg_intake *i = cg_calloc(1, sizeof *i);
    i->body_fd = -1;
    return i;
}

void
cg_intake_free(struct cg_intake *i)
{
    if (i == NULL) {
        return;
    }
    cg_buf_release(&i->head);
    cg_request_release(&i->req);
    cg_chunks_release(&i->chunks);
    cg_buf_release(&i->body);
    cg_tmpfile_close(&i->body_fd);
    if (i->budget != NULL) {
        cg_purse_give(&i->budget->memory, i->memory_n);
        cg_purse_give(&i->budget->disk, i->disk_n);
    }
    free(i);
}

/* ---- the budget ---- */

/* False: it may not hold so many bytes in memory. */
static bool
hold(struct cg_intake *i, const struct cg_intake_policy *policy, uint64_t n)
{
    if (policy->budget == NULL || n <= i->memory_n) {
        return true;
    }
    if (!cg_purse_take(&policy->budget->memory, n - i->memory_n)) {
        return false;
    }
    i->budget = policy->budget;
    i->memory_n = n;
    return true;
}

int
cg_intake_charge(struct cg_intake *i, const struct cg_intake_policy *policy,
                 struct cg_error *err)
{
    return hold(i, policy, i->head.n + i->body.n)
               ? 0
               : cg_budget_tell(err, &policy->budget->memory, "memory",
                                "request_memory");
}

void
cg_intake_count(struct cg_intake *i, const struct cg_intake_policy *policy)
{
    uint64_t n = i->head.n + i->body.n;
    if (policy->budget != NULL && n > i->memory_n) {
        cg_purse_add(&policy->budget->memory, n - i->memory_n);
        i->budget = policy->budget;
        i->memory_n = n;
    }
}

/* The same for n more bytes in its file. */
static int
hold_on_disk(struct cg_intake *i, const struct cg_intake_policy *policy,
             uint64_t n, struct cg_error *err)
{
    if (policy->budget == NULL) {
        return 0;
    }
    if (!cg_purse_take(&policy->budget->disk, n)) {
        return cg_budget_tell(err, &policy->budget->disk, "files",
                              "request_disk");
    }
    i->budget = policy->budget;
    i->disk_n += n;
    return 0;
}

/* A sibling makes such a file of a body that lay in its memory: of files of a
 * file system none can be sealed. */
static bool
is_in_memory(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SEAL) == 0;
}

int
cg_intake_adopt(struct cg_intake *i, const struct cg_intake_policy *policy,
                struct cg_request *req, const char *head, struct cg_body body,
                struct cg_error *err)
{
    cg_intake_take_head(i, req, head);
    cg_buf_put(&i->chunks.fields, body.trailers.p, body.trailers.n);
    i->body_fd = body.fd;
    i->body_n = body.n;
    i->body_left = 0;
    i->done = true;
    if (!is_in_memory(body.fd)) {
        return hold_on_disk(i, policy, body.n, err);
    }
    return hold(i, policy, i->head.n + body.n)
               ? 0
               : cg_budget_tell(err, &policy->budget->memory, "memory",
                                "request_memory");
}

enum cg_refusal
cg_intake_too_large(const struct cg_intake_policy *policy, uint64_t n)
{
    const struct cg_budget *b = policy->budget;
    if (n > policy->max_body) {
        return CG_REFUSE_BODY_LIMIT;
    }
    if (b == NULL || policy->streams || n <= b->disk.most ||
        (n <= policy->body_memory && n <= b->memory.most)) {
        return CG_REFUSE_NONE;
    }
    return CG_REFUSE_BODY_BUDGET;
}

static void
head_is_done(struct cg_intake *i)
{
    i->head_done = true;
    i->body_left = i->req.has_length ? i->req.content_length : 0;
}

void
cg_intake_take_head(struct cg_intake *i, struct cg_request *req, const char *p)
{
    cg_buf_put(&i->head, p, req->head_n);
    cg_request_move(&i->req, req);
    head_is_done(i);
}

void
cg_intake_take_part(struct cg_intake *i, struct cg_request *req, const char *p,
                    size_t n)
{
    cg_buf_put(&i->head, p, n);
    cg_request_move(&i->req, req);
}

/* ---- storing the body ---- */

static int
write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w <= 0) {
            return w < 0 ? -errno : -ENOSPC;
        }
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static const char *
tmp_dir(const struct cg_intake_policy *policy)
{
    return cg_tmpfile_dir(policy->tmp_dir);
}

static int
append_to_file(struct cg_intake *i, const struct cg_intake_policy *policy,
               const char *p, size_t n, struct cg_error *err)
{
    int r = hold_on_disk(i, policy, n, err);
    if (r < 0) {
        return r;
    }
    r = write_all(i->body_fd, p, n);
    return r == 0 ? 0
                  : cg_error_set(err, -r,
                                 "cannot write a request body to '%s' "
                                 "(tmp_upload_dir): %s",
                                 tmp_dir(policy), strerror(-r));
}

static int
spill(struct cg_intake *i, const struct cg_intake_policy *policy,
      struct cg_error *err)
{
    if (policy->body_memory == SIZE_MAX) {
        return cg_error_set(err, ENOMEM, "no memory for a request body");
    }
    int r = cg_tmpfile_open(tmp_dir(policy), "body");
    if (r < 0) {
        return cg_error_set(err, -r,
                            "cannot make a temporary file for a request body "
                            "in '%s' (tmp_upload_dir): %s",
                            tmp_dir(policy), strerror(-r));
    }
    i->body_fd = r;
    r = append_to_file(i, policy, i->body.p, i->body.n, err);
    cg_buf_release(&i->body);
    if (i->budget != NULL && i->memory_n > i->head.n) {
        cg_purse_give(&i->budget->memory, i->memory_n - i->head.n);
        i->memory_n = i->head.n;
    }
    return r;
}

/* Room for n bytes, and for as many again that Content-Length announces: a
 * length that is only announced costs nothing. False when memory is out. */
static bool
put_in_memory(struct cg_intake *i, const struct cg_intake_policy *policy,
              const char *p, size_t n)
{
    size_t ahead = i->body.n + n;
    size_t now = i->head.n + i->body.n + n;
    if (i->body_left < n + ahead) {
        ahead = i->body_left > n ? (size_t)(i->body_left - n) : 0;
    }
    if ((!hold(i, policy, now + ahead) ||
         cg_buf_try_reserve(&i->body, n + ahead) == NULL) &&
        (!hold(i, policy, now) || cg_buf_try_reserve(&i->body, n) == NULL)) {
        return false;
    }
    cg_buf_put(&i->body, p, n);
    return true;
}

/* Beyond the limit, and where memory ends before it, the file takes over; a
 * body that is streamed never has one. */
static bool
fits_in_memory(struct cg_intake *i, const struct cg_intake_policy *policy,
               const char *p, size_t n)
{
    return i->body_fd < 0 && n <= policy->body_memory - i->body.n &&
           put_in_memory(i, policy, p, n);
}

static int
store(struct cg_intake *i, const struct cg_intake_policy *policy, const char *p,
      size_t n, struct cg_error *err)
{
    int r = 0;
    if (!fits_in_memory(i, policy, p, n)) {
        r = i->body_fd < 0 ? spill(i, policy, err) : 0;
        if (r == 0) {
            r = append_to_file(i, policy, p, n, err);
        }
    }
    i->body_n += n;
    return r;
}

/* ---- feeding ---- */

static enum cg_intake_status
refuse(struct cg_intake *i, enum cg_refusal why)
{
    i->req.refusal = why;
    i->req.refused_at = (struct cg_span){0, 0};
    return CG_INTAKE_REFUSED;
}

static enum cg_intake_status
complete(struct cg_intake *i)
{
    i->done = true;
    return CG_INTAKE_COMPLETE;
}

/* Chunks of a few bytes are gathered: each would be a write(2) of its own. */
static int
store_few(struct cg_intake *i, const struct cg_intake_policy *policy,
          struct cg_buf *few, struct cg_error *err)
{
    int r = few->n > 0 ? store(i, policy, few->p, few->n, err) : 0;
    cg_buf_reset(few);
    return r;
}

static int
store_chunk(struct cg_intake *i, const struct cg_intake_policy *policy,
            struct cg_buf *few, struct cg_slice data, struct cg_error *err)
{
    if (data.n < FEW && few->n < BLOCK) {
        cg_buf_put(few, data.p, data.n);
        return 0;
    }
    int r = store_few(i, policy, few, err);
    return r < 0 ? r : store(i, policy, data.p, data.n, err);
}

/* Up to the end of the bytes, the body, or what may be stored. */
static enum cg_chunk_status
decode(struct cg_intake *i, const struct cg_intake_policy *policy,
       struct cg_buf *few, struct cg_slice in, size_t *used,
       struct cg_error *err)
{
    for (;;) {
        struct cg_slice data = {NULL, 0};
        size_t step = 0;
        enum cg_chunk_status st = cg_chunks_read(
            &i->chunks, policy->head, in.p + *used, in.n - *used, &step, &data);
        *used += step;
        if (st != CG_CHUNK_DATA) {
            return st;
        }
        enum cg_refusal why =
            cg_intake_too_large(policy, i->body_n + few->n + data.n);
        if (why != CG_REFUSE_NONE) {
            i->chunks.refusal = why;
            return CG_CHUNK_REFUSED;
        }
        if (store_chunk(i, policy, few, data, err) < 0) {
            return CG_CHUNK_DATA;
        }
    }
}

static enum cg_intake_status
feed_chunks(struct cg_intake *i, const struct cg_intake_policy *policy,
            const char *p, size_t n, size_t *used, struct cg_error *err)
{
    cg_auto(buf) struct cg_buf few = {0};
    *used = 0;
    enum cg_chunk_status st =
        decode(i, policy, &few, (struct cg_slice){p, n}, used, err);
    if (st == CG_CHUNK_DATA || store_few(i, policy, &few, err) < 0) {
        return CG_INTAKE_FAILED;
    }
    switch (st) {
    case CG_CHUNK_DATA:
    case CG_CHUNK_MORE: break;
    case CG_CHUNK_DONE: return complete(i);
    case CG_CHUNK_REFUSED: return refuse(i, i->chunks.refusal);
    }
    return CG_INTAKE_MORE;
}

static enum cg_intake_status
feed_length(struct cg_intake *i, const struct cg_intake_policy *policy,
            const char *p, size_t n, size_t *used, struct cg_error *err)
{
    size_t take = n < i->body_left ? n : (size_t)i->body_left;
    *used = take;
    if (take > 0 && store(i, policy, p, take, err) < 0) {
        return CG_INTAKE_FAILED;
    }
    i->body_left -= take;
    return i->body_left == 0 ? complete(i) : CG_INTAKE_MORE;
}

static enum cg_intake_status
feed_body(struct cg_intake *i, const struct cg_intake_policy *policy,
          const char *p, size_t n, size_t *used, struct cg_error *err)
{
    if (i->req.chunked) {
        return feed_chunks(i, policy, p, n, used, err);
    }
    return feed_length(i, policy, p, n, used, err);
}

enum cg_intake_status
cg_intake_feed(struct cg_intake *i, const struct cg_intake_policy *policy,
               bool trusted, const char *p, size_t n, size_t *used,
               struct cg_error *err)
{
    if (i->head_done) {
        return feed_body(i, policy, p, n, used, err);
    }
    size_t before = i->head.n;
    if (cg_buf_try_reserve(&i->head, n) == NULL) {
        *used = 0;
        cg_error_set(err, ENOMEM, "no memory for the head of a request");
        return CG_INTAKE_FAILED;
    }
    cg_buf_put(&i->head, p, n);
    if (cg_intake_charge(i, policy, err) < 0) {
        *used = 0;
        return CG_INTAKE_FAILED;
    }
    switch (
        cg_head_read(&i->req, policy->head, trusted, i->head.p, i->head.n)) {
    case CG_HEAD_MORE: *used = n; return CG_INTAKE_MORE;
    case CG_HEAD_REFUSED: *used = n; return CG_INTAKE_REFUSED;
    case CG_HEAD_DONE: break;
    }
    head_is_done(i);
    enum cg_refusal why = cg_intake_too_large(policy, i->req.content_length);
    if (why != CG_REFUSE_NONE) {
        return refuse(i, why);
    }
    size_t own = i->req.head_n - before;
    i->head.n = i->req.head_n;
    size_t body = 0;
    enum cg_intake_status st =
        feed_body(i, policy, p + own, n - own, &body, err);
    *used = own + body;
    return st;
}

char *
cg_intake_room(struct cg_intake *i, const struct cg_intake_policy *policy,
               size_t *n)
{
    if (!i->head_done || i->req.chunked || i->body_left == 0 ||
        i->body_fd >= 0 || i->req.content_length > policy->body_memory) {
        return NULL;
    }
    /* grows with what really came */
    size_t room = i->body.cap - i->body.n;
    if (room < ROOM_SPARE) {
        room = i->body.n < ROOM_MIN ? ROOM_MIN : i->body.n;
    }
    if (room > ROOM_MAX) {
        room = ROOM_MAX;
    }
    if (room > i->body_left) {
        room = (size_t)i->body_left;
    }
    *n = room;
    return hold(i, policy, i->head.n + i->body.n + room)
               ? cg_buf_try_reserve(&i->body, room)
               : NULL;
}

enum cg_intake_status
cg_intake_filled(struct cg_intake *i, size_t n)
{
    i->body.n += n;
    i->body_n += n;
    i->body_left -= n;
    return i->body_left == 0 ? complete(i) : CG_INTAKE_MORE;
}

struct cg_body
cg_intake_body(const struct cg_intake *i)
{
    struct cg_body body = {
        .n = i->body_n,
        .fd = i->body_fd,
        .trailers = {i->chunks.fields.p, i->chunks.fields.n}};
    if (i->body_fd < 0) {
        body.p = i->body.p != NULL ? i->body.p : "";
    }
    return body;
}

struct cg_intake_policy
cg_intake_in_memory(const struct cg_intake_policy *policy)
{
    struct cg_intake_policy p = *policy;
    p.body_memory = SIZE_MAX;
    p.budget = NULL;
    return p;
}
