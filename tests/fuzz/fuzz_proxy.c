/* SPDX-License-Identifier: MIT */
/* PROXY preambles: the verdict does not depend on the cut, addresses are
 * addresses, and the preamble is bounded. */
#include "core/http/proxy/proxy.h"

#include <arpa/inet.h>

#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

static enum cg_proxy_status
read_in_steps(enum cg_proxy_mode mode, struct fuzz_input in, size_t step,
              struct cg_proxy *ret, enum cg_refusal *why)
{
    enum cg_proxy_status st = CG_PROXY_MORE;
    for (size_t have = 0; st == CG_PROXY_MORE && have < in.n;) {
        have = have + step < in.n ? have + step : in.n;
        char *exact = cg_malloc(have);
        memcpy(exact, in.p, have);
        st = cg_proxy_read(mode, exact, have, ret, why);
        free(exact);
    }
    return st;
}

static void
check(const struct cg_proxy *p, size_t n)
{
    unsigned char binary[16];
    int family = p->kind == CG_PROXY_TCP6 ? AF_INET6 : AF_INET;
    EXPECT(p->n <= n && p->n <= CG_PROXY_MOST, "%u bytes", p->n);
    EXPECT(p->kind != CG_PROXY_LOCAL || p->client[0] == '\0', "%s", p->client);
    if (p->kind != CG_PROXY_LOCAL) {
        EXPECT(inet_pton(family, p->client, binary) == 1, "%s", p->client);
        EXPECT(inet_pton(family, p->server, binary) == 1, "%s", p->server);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    enum cg_proxy_mode mode = (enum cg_proxy_mode)(fuzz_byte(&in) & 3);
    size_t step = fuzz_byte(&in) + 1;
    struct cg_proxy whole = {0}, parts = {0};
    enum cg_refusal why = CG_REFUSE_NONE, other = CG_REFUSE_NONE;
    enum cg_proxy_status a = read_in_steps(mode, in, in.n, &whole, &why);
    enum cg_proxy_status b = read_in_steps(mode, in, step, &parts, &other);
    EXPECT(a == b, "%d and %d", a, b);
    EXPECT(memcmp(&whole, &parts, sizeof whole) == 0, "another result");
    EXPECT(a != CG_PROXY_REFUSED || why == other, "another reason");
    EXPECT(a != CG_PROXY_MORE || in.n < CG_PROXY_MOST, "for ever");
    if (a == CG_PROXY_DONE) {
        check(&whole, in.n);
    }
    return 0;
}
