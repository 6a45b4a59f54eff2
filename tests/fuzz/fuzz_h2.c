/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2: whatever bytes a peer sends, in whatever pieces, a session tells a
 * stream's end once and nothing behind it, and replies that are given in pieces
 * meanwhile disturb nothing.
 */
#include "core/base/memory.h"
#include "core/http/h2/h2.h"
#include "tests/fuzz/fuzz.h"

enum { MOST = 256 };

struct owner {
    struct cg_h2_stream *stream;
    bool ended;
};

struct world {
    struct owner owners[MOST];
    int n;
};

static void *
on_head(void *self, struct cg_h2_stream *s, struct cg_slice text, bool ends)
{
    struct world *w = self;
    EXPECT(text.n > 4 && memcmp(text.p + text.n - 4, "\r\n\r\n", 4) == 0,
           "a head ends with an empty line");
    if (w->n == MOST) {
        return NULL;
    }
    w->owners[w->n] = (struct owner){s, ends};
    return &w->owners[w->n++];
}

static void
on_body(void *self, void *owner, const char *p, size_t n, bool chunked)
{
    struct owner *o = owner;
    EXPECT(!o->ended && n > 0, "no bytes behind the end");
    cg_h2_consume(o->stream, n);
}

static void
on_end(void *self, void *owner, bool chunked, struct cg_slice trailers)
{
    struct owner *o = owner;
    EXPECT(!o->ended, "one end");
    o->ended = true;
}

static void
on_moved(void *self, void *owner)
{
}

static void
on_gone(void *self, void *owner, uint32_t code)
{
    struct owner *o = owner;
    EXPECT(o->stream != NULL, "it goes once");
    o->stream = NULL;
}

static const struct cg_h2_events events = {on_head, on_body, on_end, on_moved,
                                           on_gone};

static void
answer(struct world *w, unsigned choice)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
         "X: y\r\n\r\n"),
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"};
    for (int i = 0; i < w->n; i++) {
        struct owner *o = &w->owners[i];
        if (o->stream != NULL && (choice >> (i & 7) & 1) != 0) {
            const char *text = replies[(choice + (unsigned)i) % 4];
            cg_h2_reply(o->stream, text, strlen(text));
            cg_h2_end(o->stream);
        }
    }
}

static void
pull(struct cg_h2 *h)
{
    const uint8_t *p;
    for (int i = 0; i < 1000 && cg_h2_pull(h, &p) > 0; i++) {
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\0\0\0\4\0\0\0\0\0";
    const struct cg_h2_policy policy = {20, 65535, 16384, 8192, true};
    struct fuzz_input in = fuzz_input(data, n);
    struct world *w = cg_calloc(1, sizeof *w);
    struct cg_h2 *h = cg_h2_new(&policy, &events, w);
    int r = cg_h2_feed(h, preface, sizeof preface - 1, 0);
    while (r == 0 && in.n > 0) {
        size_t step = fuzz_byte(&in) + 1;
        step = step < in.n ? step : in.n;
        r = cg_h2_feed(h, in.p, step, in.n);
        in.p += step;
        in.n -= step;
        if (r == 0) {
            answer(w, fuzz_byte(&in));
        }
        pull(h);
    }
    cg_h2_free(h);
    free(w);
    return 0;
}
