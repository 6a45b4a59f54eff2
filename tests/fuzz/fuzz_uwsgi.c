/* SPDX-License-Identifier: MIT */
/* uwsgi packets: the verdict does not depend on the cut, and the head that one
 * becomes has as many lines as it is to have, whatever the bytes were. */
#include "core/http/proxy/uwsgi.h"

#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

static size_t
count_ends(const struct cg_buf *head)
{
    size_t n = 0;
    for (size_t i = 0; i + 1 < head->n; i++) {
        EXPECT(head->p[i] != '\n' || (i > 0 && head->p[i - 1] == '\r'),
               "a bare LF at %zu", i);
        n += head->p[i] == '\r' && head->p[i + 1] == '\n';
    }
    return n;
}

/* No line is empty but the last, so no byte of a variable ended the head. */
static void
check(const struct cg_buf *head, const struct cg_uwsgi *u, size_t n)
{
    EXPECT(u->n <= n && u->n <= CG_UWSGI_MOST, "%u bytes", u->n);
    EXPECT(head->n >= 4 && memcmp(head->p + head->n - 4, "\r\n\r\n", 4) == 0,
           "no end");
    EXPECT(count_ends(head) <= CG_UWSGI_VARIABLES + 4, "too many lines");
    for (size_t i = 0; i + 4 < head->n; i++) {
        EXPECT(memcmp(head->p + i, "\r\n\r\n", 4) != 0, "an early end");
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    size_t step = fuzz_byte(&in) + 1;
    enum cg_uwsgi_status a = CG_UWSGI_MORE, b;
    struct cg_buf parts = {0}, whole = {0};
    struct cg_uwsgi u = {0}, v = {0};
    enum cg_refusal why = CG_REFUSE_NONE, other = CG_REFUSE_NONE;
    struct cg_span at = {0};
    for (size_t have = 0; a == CG_UWSGI_MORE && have < in.n;) {
        have = have + step < in.n ? have + step : in.n;
        char *exact = cg_malloc(have);
        memcpy(exact, in.p, have);
        a = cg_uwsgi_read(exact, have, &parts, &u, &why, &at);
        free(exact);
    }
    b = cg_uwsgi_read(in.p, in.n, &whole, &v, &other, &at);
    EXPECT(a == b && why == other, "%d and %d", a, b);
    EXPECT(parts.n == whole.n &&
               (whole.n == 0 || memcmp(parts.p, whole.p, whole.n) == 0),
           "another head");
    EXPECT(a != CG_UWSGI_MORE || in.n < CG_UWSGI_MOST, "for ever");
    if (a == CG_UWSGI_DONE) {
        check(&parts, &u, in.n);
    }
    cg_buf_release(&parts);
    cg_buf_release(&whole);
    return 0;
}
