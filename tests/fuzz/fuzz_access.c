/* SPDX-License-Identifier: MIT */
/* Access log formats and what peers put into them: one line, no control byte of
 * a peer's. The first line is the format, the rest the peer's bytes. */
#include "core/base/memory.h"
#include "logging/access.h"
#include "tests/fuzz/fuzz.h"

static struct cg_slice peers;

static struct cg_slice
lookup(void *self, char kind, struct cg_slice name)
{
    EXPECT(kind == 'i' || kind == 'o' || kind == 'e', "%c", kind);
    return name.n % 3 == 0 ? (struct cg_slice){NULL, 0} : peers;
}

static void
on_unknown(void *self, const char *atom)
{
    EXPECT(strlen(atom) < 4096, "an endless atom");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *end = memchr(data, '\n', n);
    size_t format_n = end != NULL ? (size_t)(end - (const char *)data) : n;
    cg_auto(free) char *format = cg_strndup((const char *)data, format_n);
    peers = (struct cg_slice){(const char *)data + format_n, n - format_n};
    struct cg_access_format *f = cg_access_compile(format, on_unknown, NULL);
    struct cg_access_record r = {
        .remote_addr = CG_SLICE("127.0.0.1"),
        .authorization = peers,
        .method = peers,
        .uri = peers,
        .protocol = CG_SLICE("HTTP/1.1"),
        .path = peers,
        .query = peers,
        .referer = peers,
        .user_agent = peers,
        .status = 200,
        .body_bytes = n,
        .duration_us = 1234567 * (n + 1),
        .pid = 42,
        .lookup = n % 2 ? lookup : NULL,
    };
    cg_auto(buf) struct cg_buf out = {0};
    cg_access_format(f, &r, &out);
    bool clean = true; /* the format's own bytes are the operator's */
    for (size_t i = 0; i < format_n; i++) {
        clean = clean && (unsigned char)format[i] >= 0x20;
    }
    for (size_t i = 0; clean && i < out.n; i++) {
        EXPECT((unsigned char)out.p[i] >= 0x20, "byte %d of %.*s", out.p[i],
               (int)out.n, out.p);
    }
    cg_access_free(f);
    return 0;
}
