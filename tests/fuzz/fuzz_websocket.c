/* SPDX-License-Identifier: MIT */
/* WebSocket frames: the same events however they are cut, messages within the
 * limit, text that is UTF-8, and a message that we write comes back. */
#include "core/http/websocket/websocket.h"

#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 20000 };

struct session {
    struct cg_ws_inflate inflate;
    struct cg_ws_reader r;
    struct cg_buf told;
    bool over;
};

static void
check(struct session *s, enum cg_ws_event ev)
{
    const struct cg_ws_reader *r = &s->r;
    struct cg_utf8 utf8 = {0};
    EXPECT(!s->over || ev == CG_WS_MORE, "event %d after the end", ev);
    s->over = s->over || ev == CG_WS_CLOSE || ev == CG_WS_FAILED;
    if (ev == CG_WS_TEXT || ev == CG_WS_BINARY) {
        EXPECT(r->message.n <= LIMIT, "%zu bytes", r->message.n);
        cg_buf_put(&s->told, r->message.p, r->message.n);
    }
    if (ev == CG_WS_TEXT) {
        EXPECT(cg_utf8_feed(&utf8, r->message.p, r->message.n) &&
                   cg_utf8_is_whole(&utf8),
               "text that is none");
    }
    if (ev == CG_WS_PING || ev == CG_WS_PONG || ev == CG_WS_CLOSE) {
        EXPECT(r->control_n <= CG_WS_CONTROL_MAX, "%u", r->control_n);
        cg_buf_put(&s->told, r->control, r->control_n);
    }
    if (ev == CG_WS_CLOSE || ev == CG_WS_FAILED) {
        cg_buf_putf(&s->told, "%u", r->code);
    }
    cg_buf_putc(&s->told, (char)('0' + ev));
}

static struct cg_buf
run(const char *p, size_t n, size_t step, unsigned bits)
{
    struct session s = {.inflate = {.bits = 9}};
    s.inflate.bits = (uint8_t)(8 + (bits & 7));
    s.inflate.forgets = (bits & 8) != 0;
    s.r.max_message = LIMIT;
    s.r.inflate = (bits & 16) != 0 ? &s.inflate : NULL;
    for (size_t at = 0; at < n;) {
        size_t give = n - at < step ? n - at : step, done = 0, used = 0;
        char *exact = cg_malloc(give);
        memcpy(exact, p + at, give);
        while (done < give) {
            enum cg_ws_event ev =
                cg_ws_read(&s.r, exact + done, give - done, &used);
            EXPECT(used <= give - done && used > 0, "%zu used", used);
            done += used;
            if (ev != CG_WS_MORE) {
                check(&s, ev);
            }
        }
        free(exact);
        at += give;
    }
    cg_ws_reader_release(&s.r);
    cg_ws_inflate_release(&s.inflate);
    return s.told;
}

static void
compare(struct fuzz_input in, size_t step, unsigned bits)
{
    struct cg_buf whole = run(in.p, in.n, in.n > 0 ? in.n : 1, bits);
    struct cg_buf parts = run(in.p, in.n, step, bits);
    EXPECT(whole.n == parts.n &&
               (whole.n == 0 || memcmp(whole.p, parts.p, whole.n) == 0),
           "whole %.*s, in steps of %zu %.*s", (int)whole.n, whole.p, step,
           (int)parts.n, parts.p);
    cg_buf_release(&whole);
    cg_buf_release(&parts);
}

/* A message of ours, with a mask of zeros put into its head. */
static void
there_and_back(struct fuzz_input in, bool deflated)
{
    struct cg_ws_deflate d = {.bits = 12};
    struct cg_ws_inflate i = {.bits = 12};
    struct cg_ws_reader r = {.inflate = &i};
    struct cg_buf out = {0}, masked = {0};
    size_t used, n = (size_t)(in.n > 0 ? in.n : 0);
    cg_ws_put_message(&out, deflated ? &d : NULL, CG_WS_OP_BINARY,
                      (struct cg_slice){in.p, n});
    size_t head = out.p[1] < 126 ? 2 : out.p[1] == 126 ? 4 : 10;
    cg_buf_put(&masked, out.p, head);
    masked.p[1] = (char)(masked.p[1] | 0x80);
    cg_buf_put(&masked, "\0\0\0", 4);
    cg_buf_put(&masked, out.p + head, out.n - head);
    enum cg_ws_event ev = cg_ws_read(&r, masked.p, masked.n, &used);
    EXPECT(ev == CG_WS_BINARY && used == masked.n, "%d", ev);
    EXPECT(r.message.n == n && (n == 0 || memcmp(r.message.p, in.p, n) == 0),
           "another message");
    cg_ws_reader_release(&r);
    cg_ws_inflate_release(&i);
    cg_ws_deflate_release(&d);
    cg_buf_release(&out);
    cg_buf_release(&masked);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    size_t step = fuzz_byte(&in) + 1;
    unsigned bits = fuzz_byte(&in);
    struct cg_ws_terms terms;
    struct cg_buf answer = {0};
    if (cg_ws_terms_choose((struct cg_slice){in.p, in.n}, &terms)) {
        cg_ws_terms_put(&terms, &answer);
        EXPECT(terms.server_bits >= 9 && terms.client_bits >= 8, "%u %u",
               terms.server_bits, terms.client_bits);
    }
    cg_buf_release(&answer);
    compare(in, step, bits);
    there_and_back(in, (bits & 32) != 0);
    return 0;
}
