/* SPDX-License-Identifier: MIT */
#include "core/http/chunk.h"

#include <string.h>

#include "core/http/reader.h"
#include "core/http/scan.h"

enum { SIZE_LINE, DATA, DATA_CR, DATA_LF, TRAILER };
enum {
    DIGITS = 16,
    EXTENSION = 256,
    SIZE_LINE_MAX = DIGITS + EXTENSION + 2,
    OVERHEAD_FREE = 16 * 1024
};

void
cg_chunks_release(struct cg_chunks *c)
{
    cg_buf_release(&c->trailer);
    cg_buf_release(&c->fields);
}

static enum cg_chunk_status
refuse(struct cg_chunks *c, enum cg_refusal why)
{
    c->refusal = why;
    return CG_CHUNK_REFUSED;
}

/* ---- size lines ---- */

static size_t
skip_blanks(struct cg_slice s, size_t i)
{
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t')) {
        i++;
    }
    return i;
}

static size_t
skip_token(struct cg_slice s, size_t i)
{
    while (i < s.n && cg_is_token_char(s.p[i])) {
        i++;
    }
    return i;
}

/* After the opening quote; returns the offset behind the closing one, 0 when
 * there is none. */
static size_t
skip_quoted(struct cg_slice s, size_t i)
{
    for (; i < s.n; i++) {
        if (s.p[i] == '"') {
            return i + 1;
        }
        if (s.p[i] == '\\') {
            i++;
        }
    }
    return 0;
}

/* *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted ) ] ), RFC 9112 7.1.1 */
static bool
extension_is_valid(struct cg_slice s)
{
    size_t i = 0;
    if (s.n > EXTENSION || cg_scan_value(s.p, s.n) != s.n) {
        return false;
    }
    while (i < s.n) {
        i = skip_blanks(s, i);
        if (i == s.n || s.p[i] != ';') {
            return false;
        }
        size_t name = skip_blanks(s, i + 1);
        i = skip_token(s, name);
        if (i == name) {
            return false;
        }
        size_t equals = skip_blanks(s, i);
        if (equals == s.n || s.p[equals] != '=') {
            continue;
        }
        size_t value = skip_blanks(s, equals + 1);
        bool quoted = value < s.n && s.p[value] == '"';
        i = quoted ? skip_quoted(s, value + 1) : skip_token(s, value);
        if (i <= value) {
            return false;
        }
    }
    return true;
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum cg_chunk_status
on_size_line(struct cg_chunks *c, struct cg_slice line)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.n && hex(line.p[i]) >= 0; i++) {
        if (i == DIGITS || size >> 59 != 0) {
            return refuse(c, CG_REFUSE_CHUNK_SIZE);
        }
        size = size << 4 | (uint64_t)hex(line.p[i]);
    }
    if (i == 0) {
        return refuse(c, CG_REFUSE_CHUNK_SIZE);
    }
    if (i < line.n) {
        struct cg_slice rest = {line.p + i, line.n - i};
        size_t mark = skip_blanks(rest, 0);
        if (mark == rest.n || rest.p[mark] != ';') {
            return refuse(c, CG_REFUSE_CHUNK_SIZE);
        }
        if (!extension_is_valid(rest)) {
            return refuse(c, CG_REFUSE_CHUNK_EXTENSION);
        }
    }
    c->left = size;
    c->state = size == 0 ? TRAILER : DATA;
    return CG_CHUNK_MORE;
}

/* ---- trailers ---- */

/* What a trailer must not say (RFC 9110 6.5.1; gunicorn's list). */
static bool
is_forbidden(enum cg_field_id id)
{
    return id == CG_FIELD_HOST || id == CG_FIELD_CONTENT_LENGTH ||
           id == CG_FIELD_TRANSFER_ENCODING || id == CG_FIELD_TRAILER ||
           id == CG_FIELD_AUTHORIZATION || id == CG_FIELD_TE;
}

static enum cg_chunk_status
on_trailer(struct cg_chunks *c, const struct cg_head_policy *policy,
           struct cg_slice line)
{
    struct cg_field_line f;
    if (line.n == 0) {
        return CG_CHUNK_DONE;
    }
    c->trailers_bytes += (uint32_t)line.n + 2;
    if (++c->trailers_n > policy->limit_fields ||
        c->trailers_bytes > policy->limit_head) {
        return refuse(c, CG_REFUSE_TRAILER_LIMIT);
    }
    if (cg_field_line_read(policy, line.p, line.n, &f) != CG_REFUSE_NONE ||
        is_forbidden(cg_field_identify(line.p, f.name_n))) {
        return refuse(c, CG_REFUSE_TRAILER);
    }
    cg_buf_put(&c->fields, line.p, line.n);
    cg_buf_putc(&c->fields, '\n');
    return CG_CHUNK_MORE;
}

/* ---- lines in general ---- */

static uint32_t
line_limit(const struct cg_chunks *c, const struct cg_head_policy *policy)
{
    if (c->state == SIZE_LINE) {
        return SIZE_LINE_MAX;
    }
    return policy->limit_field_size != 0 ? policy->limit_field_size
                                         : policy->limit_head;
}

/* p[0..n) is the line's part that is not kept yet; cut at the limit, so that
 * the verdict does not depend on how the bytes came. */
static enum cg_chunk_status
too_long(struct cg_chunks *c, const char *p, size_t n)
{
    if (c->state == TRAILER) {
        return refuse(c, CG_REFUSE_TRAILER_LIMIT);
    }
    cg_buf_put(&c->trailer, p, n);
    return refuse(c, memchr(c->trailer.p, ';', c->trailer.n) != NULL
                         ? CG_REFUSE_CHUNK_EXTENSION
                         : CG_REFUSE_CHUNK_SIZE);
}

static enum cg_chunk_status
on_whole_line(struct cg_chunks *c, const struct cg_head_policy *policy,
              struct cg_slice line)
{
    if (line.n == 0 || line.p[line.n - 1] != '\r') {
        return refuse(c, c->state == TRAILER ? CG_REFUSE_BARE_LF
                                             : CG_REFUSE_CHUNK_SIZE);
    }
    line.n--;
    if (c->state == TRAILER) {
        return on_trailer(c, policy, line);
    }
    c->overhead += line.n + 4;
    if (c->overhead > OVERHEAD_FREE && c->overhead > c->payload) {
        return refuse(c, CG_REFUSE_CHUNK_OVERHEAD);
    }
    return on_size_line(c, line);
}

/* A line that lies whole in the input is used where it is; a part is kept. */
static enum cg_chunk_status
read_line(struct cg_chunks *c, const struct cg_head_policy *policy,
          const char *p, size_t n, size_t *used)
{
    uint32_t limit = line_limit(c, policy);
    const char *lf = memchr(p, '\n', n);
    size_t part = lf != NULL ? (size_t)(lf - p) : n;
    if (c->trailer.n + part > limit) {
        return too_long(c, p, limit - c->trailer.n);
    }
    *used = part + (lf != NULL ? 1 : 0);
    if (lf == NULL) {
        cg_buf_put(&c->trailer, p, part);
        return CG_CHUNK_MORE;
    }
    if (c->trailer.n == 0) {
        return on_whole_line(c, policy, (struct cg_slice){p, part});
    }
    cg_buf_put(&c->trailer, p, part);
    struct cg_slice line = {c->trailer.p, c->trailer.n};
    enum cg_chunk_status st = on_whole_line(c, policy, line);
    cg_buf_reset(&c->trailer);
    return st;
}

/* ---- payload ---- */

static enum cg_chunk_status
read_data(struct cg_chunks *c, const char *p, size_t n, size_t *used,
          struct cg_slice *data)
{
    size_t take = n < c->left ? n : (size_t)c->left;
    *data = (struct cg_slice){p, take};
    *used = take;
    c->left -= take;
    c->payload += take;
    if (c->left == 0) {
        c->state = DATA_CR;
    }
    return CG_CHUNK_DATA;
}

static enum cg_chunk_status
read_terminator(struct cg_chunks *c, char byte, size_t *used)
{
    if (byte != (c->state == DATA_CR ? '\r' : '\n')) {
        return refuse(c, CG_REFUSE_CHUNK_TERMINATOR);
    }
    c->state = c->state == DATA_CR ? DATA_LF : SIZE_LINE;
    *used = 1;
    return CG_CHUNK_MORE;
}

static enum cg_chunk_status
step(struct cg_chunks *c, const struct cg_head_policy *policy, const char *p,
     size_t n, size_t *used, struct cg_slice *data)
{
    switch (c->state) {
    case DATA: return read_data(c, p, n, used, data);
    case DATA_CR:
    case DATA_LF: return read_terminator(c, *p, used);
    default: return read_line(c, policy, p, n, used);
    }
}

enum cg_chunk_status
cg_chunks_read(struct cg_chunks *c, const struct cg_head_policy *policy,
               const char *p, size_t n, size_t *used, struct cg_slice *data)
{
    *used = 0;
    while (*used < n) {
        size_t taken = 0;
        enum cg_chunk_status st =
            step(c, policy, p + *used, n - *used, &taken, data);
        *used += taken;
        if (st != CG_CHUNK_MORE) {
            return st;
        }
    }
    return CG_CHUNK_MORE;
}
