/* SPDX-License-Identifier: MIT */
/* Chunked bodies: the same payload and verdict however they are cut, bounded
 * framing, and a body that we chunk ourselves comes back as it was. */
#include "core/http/chunk.h"

#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

struct outcome {
    enum cg_chunk_status st;
    enum cg_refusal why;
    size_t used; /* bytes of the body's own, when it is done */
    struct cg_buf payload;
};

static struct outcome
decode(const char *p, size_t n, size_t step)
{
    struct outcome o = {.st = CG_CHUNK_MORE};
    struct cg_chunks c = {0};
    while (o.used < n && (o.st == CG_CHUNK_MORE || o.st == CG_CHUNK_DATA)) {
        struct cg_slice data = {NULL, 0};
        size_t give = n - o.used < step ? n - o.used : step, used = 0;
        char *exact = cg_malloc(give);
        memcpy(exact, p + o.used, give);
        o.st = cg_chunks_read(&c, &cg_head_policy_default, exact, give, &used,
                              &data);
        EXPECT(used <= give, "%zu of %zu", used, give);
        EXPECT(used > 0 || o.st == CG_CHUNK_REFUSED, "no progress");
        if (o.st == CG_CHUNK_DATA) {
            cg_buf_put(&o.payload, data.p, data.n);
        }
        o.used += used;
        free(exact);
    }
    EXPECT(c.overhead <= 16 * 1024 + 300 || c.overhead <= c.payload + 300,
           "%llu of framing", (unsigned long long)c.overhead);
    o.why = c.refusal;
    o.st = o.st == CG_CHUNK_DATA ? CG_CHUNK_MORE : o.st;
    cg_chunks_release(&c);
    return o;
}

static void
compare(const char *p, size_t n, size_t step)
{
    struct outcome a = decode(p, n, n > 0 ? n : 1), b = decode(p, n, step);
    EXPECT(a.st == b.st && a.why == b.why, "%d %s and %d %s", a.st,
           cg_refusal_name(a.why), b.st, cg_refusal_name(b.why));
    EXPECT(a.payload.n == b.payload.n &&
               (a.payload.n == 0 ||
                memcmp(a.payload.p, b.payload.p, a.payload.n) == 0),
           "payloads differ");
    EXPECT(a.st != CG_CHUNK_DONE || a.used == b.used, "%zu and %zu", a.used,
           b.used);
    cg_buf_release(&a.payload);
    cg_buf_release(&b.payload);
}

static void
there_and_back(struct fuzz_input in, size_t step)
{
    struct cg_buf coded = {0};
    for (size_t at = 0; at < in.n;) {
        size_t n = 1 + (unsigned char)in.p[at] * 7u;
        n = n < in.n - at ? n : in.n - at;
        cg_buf_putf(&coded, "%zx\r\n", n);
        cg_buf_put(&coded, in.p + at, n);
        cg_buf_puts(&coded, "\r\n");
        at += n;
    }
    cg_buf_puts(&coded, "0\r\n\r\n");
    struct outcome o = decode(coded.p, coded.n, step);
    if (o.why != CG_REFUSE_CHUNK_OVERHEAD) {
        EXPECT(o.st == CG_CHUNK_DONE && o.used == coded.n, "%d", o.st);
        EXPECT(o.payload.n == in.n &&
                   (in.n == 0 || memcmp(o.payload.p, in.p, in.n) == 0),
               "another payload");
    }
    cg_buf_release(&o.payload);
    cg_buf_release(&coded);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    size_t step = fuzz_byte(&in) + 1;
    compare(in.p, in.n, step);
    there_and_back(in, step);
    return 0;
}
