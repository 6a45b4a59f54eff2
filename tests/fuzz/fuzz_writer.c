/* SPDX-License-Identifier: MIT */
/*
 * Writer: in whatever order an application gives its reply, the bytes that
 * leave are that reply for http-parser, too: its status, its body as far as
 * the head allows it, and an end exactly when there is one.
 */
#include <http_parser.h>

#include "core/http/writer.h"
#include "tests/fuzz/fuzz.h"

enum { MOST = 1 << 16 };
enum step { BODY, LAST, FILES, TRAILERS, PAGE, START, STEPS };

struct read {
    struct cg_buf body;
    bool complete;
    bool head_request;
    int interim; /* responses still to come before the last one */
};

static int
on_headers(http_parser *hp)
{
    const struct read *r = hp->data;
    return r->head_request && hp->status_code >= 200 ? 1 : 0;
}

static int
on_body(http_parser *hp, const char *p, size_t n)
{
    cg_buf_put(&((struct read *)hp->data)->body, p, n);
    return 0;
}

static int
on_complete(http_parser *hp)
{
    struct read *r = hp->data;
    r->complete = r->interim == 0;
    r->interim--;
    return 0;
}

struct world {
    struct cg_reply_context context;
    struct cg_writer w;
    struct cg_buf wire; /* what was to be sent */
    struct cg_buf body; /* what the head allowed of the body */
    bool keep;
};

static void
take(struct world *v, const struct cg_parts *parts)
{
    EXPECT(parts->n >= 0 && parts->n <= 4, "%d parts", parts->n);
    for (int i = 0; i < parts->n; i++) {
        cg_buf_put(&v->wire, parts->v[i].iov_base, parts->v[i].iov_len);
    }
}

static void
head(struct world *v, int64_t known)
{
    if (!v->w.headed) {
        v->keep = cg_writer_head(&v->w, &v->context, known);
    }
}

static struct cg_slice
some(struct fuzz_input *in)
{
    size_t n = fuzz_byte(in);
    n = n < in->n ? n : in->n;
    struct cg_slice s = {in->p, n};
    in->p += n;
    in->n -= n;
    return s;
}

static void
give(struct world *v, struct cg_slice s, bool last)
{
    struct cg_parts parts;
    uint64_t before = v->w.sent;
    head(v, last ? (int64_t)s.n : -1);
    bool more = cg_writer_body(&v->w, s.p, s.n, last, &parts);
    EXPECT(v->w.sent - before <= s.n, "more than there was");
    cg_buf_put(&v->body, s.p, (size_t)(v->w.sent - before));
    EXPECT(!more || v->w.misfit == CG_FITS, "misfit");
    EXPECT(!last || v->w.ended, "no end");
    take(v, &parts);
}

static void
give_file(struct world *v, struct cg_slice s)
{
    struct cg_parts parts;
    size_t n;
    v->context.trailers = false; /* it leaves by its length */
    head(v, (int64_t)s.n);
    cg_writer_file(&v->w, s.n, &n, &parts);
    EXPECT(n <= s.n, "more of the file than there is");
    take(v, &parts);
    cg_buf_put(&v->wire, s.p, n);
    cg_buf_put(&v->body, s.p, n);
}

static void
give_trailers(struct world *v, struct fuzz_input *in)
{
    struct cg_parts parts;
    struct cg_fields fields = {0};
    struct cg_slice name = some(in), value = some(in);
    cg_fields_add(&fields, name, value, true);
    head(v, -1);
    cg_writer_trailers(&v->w, &fields, &parts);
    take(v, &parts);
    cg_fields_release(&fields);
}

static void
give_page(struct world *v)
{
    struct cg_parts parts;
    cg_writer_page(&v->w, &v->context, 500, CG_SLICE("<no>"), &parts);
    v->keep = false;
    take(v, &parts);
    struct iovec page = parts.v[0];
    const char *body = memmem(page.iov_base, page.iov_len, "\r\n\r\n", 4);
    cg_buf_put(&v->body, body + 4, (size_t)v->w.sent);
}

static void
check(struct world *v, int interim)
{
    static const http_parser_settings callbacks = {
        .on_headers_complete = on_headers,
        .on_body = on_body,
        .on_message_complete = on_complete};
    struct read r = {.head_request = v->context.head_request,
                     .interim = interim};
    const struct cg_writer *w = &v->w;
    bool framed = w->reply.framing != CG_FRAME_CLOSE;
    http_parser hp;
    http_parser_init(&hp, HTTP_RESPONSE);
    hp.data = &r;
    /* of HTTP/2: no such head is on a wire of HTTP/1 */
    hp.allow_chunked_length = v->context.trailers;
    size_t used = http_parser_execute(&hp, &callbacks, v->wire.p, v->wire.n);
    EXPECT(HTTP_PARSER_ERRNO(&hp) == HPE_OK && used == v->wire.n, "%s at %zu",
           http_errno_description(HTTP_PARSER_ERRNO(&hp)), used);
    EXPECT(!w->headed || r.body.n == v->body.n, "%zu of %zu", r.body.n,
           v->body.n);
    EXPECT(r.body.n == 0 || memcmp(r.body.p, v->body.p, r.body.n) == 0, "body");
    if (framed && w->ended) {
        EXPECT(r.complete == (w->misfit != CG_TOO_SHORT), "end");
    }
    EXPECT(w->ended || !r.complete || w->full, "an end too early");
    cg_buf_release(&r.body);
}

/* Fields of the head; what http-parser must not see twice is left out. */
static void
start(struct world *v, struct fuzz_input *in)
{
    unsigned how = fuzz_byte(in);
    char length[16];
    snprintf(length, sizeof length, "%u", fuzz_byte(in));
    if (cg_writer_start(&v->w, how & 1 ? CG_SLICE("200 OK")
                                       : CG_SLICE("204 No Content")) < 0) {
        return;
    }
    if (how & 2) {
        cg_writer_field(&v->w, CG_SLICE("Content-Length"), cg_slice_of(length));
    }
    if (how & 4) {
        cg_writer_field(&v->w, CG_SLICE("X"), CG_SLICE("1"));
    }
}

static void
step(struct world *v, struct fuzz_input *in)
{
    switch ((enum step)(fuzz_byte(in) % STEPS)) {
    case BODY: give(v, some(in), false); break;
    case LAST: give(v, some(in), true); break;
    case FILES:
        if (!v->w.headed) {
            give_file(v, some(in));
        }
        break;
    case TRAILERS: give_trailers(v, in); break;
    case PAGE:
        if (!v->w.headed) {
            give_page(v);
        }
        break;
    case START: start(v, in); break;
    case STEPS: break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    unsigned how = fuzz_byte(&in);
    struct world v = {.context = {.server = "gunicorn",
                                  .date = "Sun, 06 Nov 1994 08:49:37 GMT",
                                  .minor = how & 1,
                                  .head_request = how & 2,
                                  .keep_alive = how & 4,
                                  .trailers = (how & 17) == 17}};
    struct cg_fields none = {0};
    int interim = how & 8 ? 1 : 0;
    if (interim) {
        cg_writer_interim(&v.wire, 103, &none);
    }
    start(&v, &in);
    while (in.n > 0 && !v.w.ended && v.w.sent < MOST) {
        step(&v, &in);
    }
    check(&v, interim);
    cg_writer_release(&v.w);
    cg_buf_release(&v.wire);
    cg_buf_release(&v.body);
    return 0;
}
