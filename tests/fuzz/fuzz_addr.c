/* SPDX-License-Identifier: MIT */
/* Bind addresses: an accepted one is within its bounds, a refused one has a
 * reason and leaves the result as it was. */
#include "core/base/addr.h"
#include "core/base/memory.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cg_auto(free) char *text = cg_strndup((const char *)data, n);
    struct cg_addr a, before;
    struct cg_error err = {0};
    char tuple[400];
    memset(&a, 0x5a, sizeof a);
    before = a;
    if (cg_addr_parse(text, &a, &err) < 0) {
        EXPECT(err.text[0] != '\0', "no reason");
        EXPECT(memcmp(&a, &before, sizeof a) == 0, "touched");
        return 0;
    }
    EXPECT(strcmp(a.text, text) == 0, "%s", a.text);
    EXPECT(memchr(a.host, 0, sizeof a.host) && memchr(a.path, 0, sizeof a.path),
           "no end");
    /* -1: one that systemd names, known later */
    EXPECT(a.kind != CG_ADDR_FD || a.fd >= -1, "%d", a.fd);
    EXPECT(a.kind != CG_ADDR_UNIX || a.path[0] != '\0', "no path");
    cg_addr_tuple(&a, tuple, sizeof tuple);
    return 0;
}
