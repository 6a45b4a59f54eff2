/* SPDX-License-Identifier: MIT */
/*
 * Replies: whatever an application gives, the head that leaves is one head.
 * Lines of the input are a status, then name:value pairs.
 */
#include <http_parser.h>

#include "core/base/memory.h"
#include "core/http/reply.h"
#include "tests/fuzz/fuzz.h"

static struct cg_slice
next_line(struct fuzz_input *in)
{
    /* 0xfe ends a line, so that fields may hold every other byte */
    const char *end = memchr(in->p, 0xfe, in->n);
    size_t n = end != NULL ? (size_t)(end - in->p) : in->n;
    struct cg_slice line = {in->p, n};
    in->p += end != NULL ? n + 1 : n;
    in->n -= end != NULL ? n + 1 : n;
    return line;
}

static int
on_end(http_parser *hp)
{
    *(bool *)hp->data = true;
    return 1;
}

/* One head, ended by the only empty line, that http-parser reads alike. */
static void
check(const struct cg_reply *r, const struct cg_reply_context *c, bool keep)
{
    static const http_parser_settings callbacks = {.on_headers_complete =
                                                       on_end};
    const char *p = r->out->p + r->begin;
    size_t n = r->end - r->begin;
    bool ended = false;
    http_parser hp;
    http_parser_init(&hp, HTTP_RESPONSE);
    hp.data = &ended;
    size_t used = http_parser_execute(&hp, &callbacks, p, n);
    EXPECT(ended && used == n, "%s\n%.*s",
           http_errno_description(HTTP_PARSER_ERRNO(&hp)), (int)n, p);
    EXPECT(hp.status_code == (unsigned)r->status, "%u", hp.status_code);
    EXPECT(memmem(p, n, "\r\n\r\n", 4) == p + n - 4, "an empty line inside");
    for (size_t i = 0; i < n; i++) {
        EXPECT(p[i] != '\n' || p[i - 1] == '\r', "bare LF");
        EXPECT(p[i] != '\r' || p[i + 1] == '\n', "bare CR");
        EXPECT(p[i] != '\0', "NUL");
    }
    bool chunked = (hp.flags & F_CHUNKED) != 0;
    EXPECT(chunked == (r->framing == CG_FRAME_CHUNKED), "framing");
    EXPECT(!chunked || c->minor >= 1, "chunked for HTTP/1.0");
    EXPECT(r->framing != CG_FRAME_LENGTH || hp.content_length == r->length,
           "length");
    EXPECT(!keep || r->framing != CG_FRAME_CLOSE, "kept without an end");
    EXPECT(!keep || c->keep_alive, "kept against the request's will");
    EXPECT(((hp.flags & F_CONNECTION_KEEP_ALIVE) != 0) == keep, "Connection");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    unsigned how = fuzz_byte(&in);
    struct cg_reply_context c = {.server = how & 1 ? "gunicorn" : NULL,
                                 .date = "Sun, 06 Nov 1994 08:49:37 GMT",
                                 .minor = how & 2 ? 1 : 0,
                                 .head_request = how & 4,
                                 .keep_alive = how & 8};
    int64_t known = how & 16 ? (int64_t)(how >> 5) * 1234567 : -1;
    struct cg_buf out = {0};
    struct cg_reply r = {0};
    cg_reply_start(&r, &out);
    bool good = cg_reply_status(&r, next_line(&in)) == 0;
    while (good && in.n > 0) {
        struct cg_slice line = next_line(&in), name = line;
        const char *colon = memchr(line.p, ':', line.n);
        name.n = colon != NULL ? (size_t)(colon - line.p) : line.n;
        struct cg_slice value = {colon != NULL ? colon + 1 : line.p,
                                 colon != NULL ? line.n - name.n - 1 : 0};
        good = cg_reply_field(&r, name, value) == 0;
    }
    EXPECT(good == (r.fault == NULL), "%s", r.fault);
    if (good) {
        bool keep = cg_reply_finish(&r, &c, known);
        check(&r, &c, keep);
    }
    cg_reply_release(&r);
    cg_buf_release(&out);
    return 0;
}
