/* SPDX-License-Identifier: MIT */
/*
 * A connection's bytes: preamble, heads and bodies, one after the other. The
 * same events however the bytes are cut, and nothing after the end.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/http/stream.h"

static struct stream
run(struct fuzz_input in, enum cg_proxy_mode proxy, bool trusted, uint32_t seed,
    bool whole)
{
    struct stream s = {
        .policy = &cg_head_policy_default, .proxy = proxy, .trusted = trusted};
    while (in.n > 0) {
        seed = seed * 1664525 + 1013904223;
        size_t n = whole ? in.n : 1 + (seed >> 16) % (seed >> 31 ? 5 : 200);
        n = n < in.n ? n : in.n;
        stream_feed(&s, in.p, n);
        in.p += n;
        in.n -= n;
    }
    return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    unsigned how = fuzz_byte(&in);
    uint32_t seed = fuzz_byte(&in);
    enum cg_proxy_mode proxy = (enum cg_proxy_mode)(how & 3);
    bool trusted = how & 4;
    struct stream whole = run(in, proxy, trusted, seed, true);
    struct stream parts = run(in, proxy, trusted, seed, false);
    EXPECT(strcmp(cg_buf_str(&whole.events), cg_buf_str(&parts.events)) == 0,
           "\n%s-- and\n%s", cg_buf_str(&whole.events),
           cg_buf_str(&parts.events));
    EXPECT(whole.state == parts.state, "%d, %d", whole.state, parts.state);
    EXPECT(whole.body.n == parts.body.n, "bodies under way");
    stream_release(&whole);
    stream_release(&parts);
    return 0;
}
