/* SPDX-License-Identifier: MIT */
/* A reply in HTTP/1.1's form, taken apart. */
#include "core/http/h2/text.h"

#include "core/http/scan.h"

/* Of all heads, of a line, of trailers; nobody has more than 64 KiB sent. */
enum { LINES_MOST = 1 << 20 };

enum phase {
    PHASE_HEAD,
    PHASE_LENGTH,     /* `left` bytes follow */
    PHASE_CHUNK_SIZE, /* a line with the size of the next chunk */
    PHASE_CHUNK,
    PHASE_CHUNK_END, /* the CRLF behind it */
    PHASE_TRAILERS,
    PHASE_CLOSE, /* bytes up to the end */
    PHASE_END
};

bool
cg_h2_reply_field(struct cg_slice lines, size_t *at, struct cg_slice *name,
                  struct cg_slice *value)
{
    static const char *const own[] = {
        "connection", "transfer-encoding", "keep-alive",
        "upgrade",    "proxy-connection",  "sec-websocket-accept"};
    while (*at < lines.n && lines.p[*at] != '\r') {
        const char *p = lines.p + *at, *end = lines.p + lines.n;
        const char *eol = memchr(p, '\r', (size_t)(end - p));
        const char *colon =
            eol != NULL ? memchr(p, ':', (size_t)(eol - p)) : NULL;
        bool skip = colon == NULL;
        if (eol == NULL) {
            return false;
        }
        *at = (size_t)(eol - lines.p) + 2;
        for (size_t i = 0; !skip && i < sizeof own / sizeof *own; i++) {
            skip =
                cg_slice_is((struct cg_slice){p, (size_t)(colon - p)}, own[i]);
        }
        if (!skip) {
            *name = (struct cg_slice){p, (size_t)(colon - p)};
            *value = cg_slice_trim(
                (struct cg_slice){colon + 1, (size_t)(eol - colon) - 1});
            return true;
        }
    }
    return false;
}

/* HTTP/2 has its names in lower case. */
static void
lower_names(char *p, size_t n)
{
    bool in_name = true;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            in_name = true;
        } else if (p[i] == ':') {
            in_name = false;
        } else if (in_name && p[i] >= 'A' && p[i] <= 'Z') {
            p[i] = (char)(p[i] | 0x20);
        }
    }
}

/* Takes bytes up to the end of a line, or of lines up to an empty one. */
static bool
take_lines(struct cg_h2_reply *r, const char *p, size_t n, bool many,
           size_t *used)
{
    if (r->drop) {
        cg_buf_reset(&r->text);
        r->drop = false;
    }
    for (size_t at = 0; at < n;) {
        const char *lf = memchr(p + at, '\n', n - at);
        size_t take = lf != NULL ? (size_t)(lf - p) + 1 - at : n - at;
        cg_buf_put(&r->text, p + at, take);
        at += take;
        *used = at;
        size_t m = r->text.n;
        bool empty =
            m == 2 || (m >= 4 && memcmp(r->text.p + m - 4, "\r\n\r\n", 4) == 0);
        if (lf != NULL && (!many || empty)) {
            return true;
        }
    }
    return false;
}

static void
choose_body(struct cg_h2_reply *r, struct cg_slice lines)
{
    bool chunked = false, sized = false;
    for (size_t at = 0; at < lines.n;) {
        const char *p = lines.p + at;
        const char *eol = memchr(p, '\n', lines.n - at);
        size_t n = eol != NULL ? (size_t)(eol - p) : lines.n - at;
        struct cg_slice line = {p, n};
        if (line.n > 15 && memcmp(line.p, "content-length:", 15) == 0) {
            struct cg_slice v = {line.p + 15, line.n - 15};
            if (v.p[v.n - 1] == '\r') {
                v.n--;
            }
            sized = cg_length_read(cg_slice_trim(v), &r->left);
        } else if (line.n > 18 &&
                   memcmp(line.p, "transfer-encoding:", 18) == 0) {
            chunked = true;
        }
        at += n + 1;
    }
    if (r->head_request || r->status == 204 || r->status == 304 ||
        (!chunked && sized && r->left == 0)) {
        r->phase = PHASE_END;
    } else {
        r->phase = chunked ? PHASE_CHUNK_SIZE
                   : sized ? PHASE_LENGTH
                           : PHASE_CLOSE;
    }
}

/* Lines that are not complete. */
static enum cg_h2_piece
wait_for_lines(const struct cg_h2_reply *r)
{
    return r->text.n > LINES_MOST ? CG_H2_BAD : CG_H2_NOTHING;
}

/* "HTTP/1.1 200 OK"; 0: it has none. */
static int
status_of(const char *line, size_t n)
{
    enum { AT = 9, DIGITS = 3 };
    int status = 0;
    if (n < AT + DIGITS || memcmp(line, "HTTP/1.", 7) != 0) {
        return 0;
    }
    for (int i = AT; i < AT + DIGITS; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return 0;
        }
        status = status * 10 + (line[i] - '0');
    }
    return status >= 100 ? status : 0;
}

static enum cg_h2_piece
take_head(struct cg_h2_reply *r, const char *p, size_t n, size_t *used,
          struct cg_slice *ret)
{
    bool whole = take_lines(r, p, n, true, used);
    r->heads += *used;
    if (r->heads > LINES_MOST) {
        return CG_H2_BAD;
    }
    if (!whole) {
        return CG_H2_NOTHING;
    }
    const char *eol = memchr(r->text.p, '\n', r->text.n);
    size_t line = (size_t)(eol - r->text.p) + 1;
    r->status = status_of(r->text.p, line);
    if (r->status == 0) {
        return CG_H2_BAD;
    }
    lower_names(r->text.p + line, r->text.n - line);
    *ret = (struct cg_slice){r->text.p + line, r->text.n - line};
    r->final = r->status >= 200 || r->status == 101;
    if (r->final) {
        choose_body(r, *ret);
    }
    r->drop = true;
    return CG_H2_HEAD;
}

static uint64_t
size_of_chunk(const struct cg_buf *line)
{
    uint64_t n = 0;
    for (size_t i = 0; i < line->n; i++) {
        char c = line->p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            break;
        }
        n = n * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return n;
}

static enum cg_h2_piece
take_data(struct cg_h2_reply *r, const char *p, size_t n, size_t *used,
          struct cg_slice *ret, enum phase next)
{
    size_t take = n < r->left ? n : (size_t)r->left;
    r->left -= take;
    *used = take;
    *ret = (struct cg_slice){p, take};
    if (r->left == 0) {
        r->phase = (uint8_t)next;
    }
    return CG_H2_DATA;
}

static enum cg_h2_piece
take_trailers(struct cg_h2_reply *r, const char *p, size_t n, size_t *used,
              struct cg_slice *ret)
{
    if (!take_lines(r, p, n, true, used)) {
        return wait_for_lines(r);
    }
    r->phase = PHASE_END;
    r->drop = true;
    if (r->text.n <= 2) {
        return CG_H2_NOTHING;
    }
    lower_names(r->text.p, r->text.n);
    *ret = (struct cg_slice){r->text.p, r->text.n};
    return CG_H2_TRAILERS;
}

enum cg_h2_piece
cg_h2_reply_next(struct cg_h2_reply *r, const char *p, size_t n, size_t *used,
                 struct cg_slice *ret)
{
    *used = 0;
    if (r->phase == PHASE_END) {
        *used = n; /* nothing may follow, and the writer lets nothing follow */
        return CG_H2_END;
    }
    if (n == 0) {
        return CG_H2_NOTHING;
    }
    switch ((enum phase)r->phase) {
    case PHASE_HEAD: return take_head(r, p, n, used, ret);
    case PHASE_LENGTH: return take_data(r, p, n, used, ret, PHASE_END);
    case PHASE_CHUNK: return take_data(r, p, n, used, ret, PHASE_CHUNK_END);
    case PHASE_CHUNK_SIZE:
        if (take_lines(r, p, n, false, used)) {
            r->left = size_of_chunk(&r->text);
            r->phase = r->left != 0 ? PHASE_CHUNK : PHASE_TRAILERS;
            r->drop = true;
        }
        return wait_for_lines(r);
    case PHASE_CHUNK_END:
        if (take_lines(r, p, n, false, used)) {
            r->phase = PHASE_CHUNK_SIZE;
            r->drop = true;
        }
        return wait_for_lines(r);
    case PHASE_TRAILERS: return take_trailers(r, p, n, used, ret);
    case PHASE_CLOSE:
        *used = n;
        *ret = (struct cg_slice){p, n};
        return CG_H2_DATA;
    case PHASE_END: break;
    }
    return CG_H2_END;
}

bool
cg_h2_reply_has_ended(const struct cg_h2_reply *r)
{
    return r->phase == PHASE_END;
}

bool
cg_h2_reply_is_whole(const struct cg_h2_reply *r)
{
    return r->phase == PHASE_END || r->phase == PHASE_CLOSE;
}

void
cg_h2_reply_release(struct cg_h2_reply *r)
{
    cg_buf_release(&r->text);
}
