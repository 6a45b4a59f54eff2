/* SPDX-License-Identifier: MIT */
/* Whole replies that the server itself makes, other than error pages. */
#include <stdio.h>

#include "core/base/memory.h"
#include "core/http/writer.h"

void
cg_small_reply(struct cg_buf *out, int status, const char *type,
               struct cg_slice body, const struct cg_reply_context *context)
{
    struct cg_writer w = {0};
    struct cg_parts parts = {0};
    char line[16];
    snprintf(line, sizeof line, "%d", status);
    cg_writer_start(&w, cg_slice_of(line));
    cg_writer_field(&w, CG_SLICE("Content-Type"), cg_slice_of(type));
    cg_writer_field(&w, CG_SLICE("Cache-Control"), CG_SLICE("no-store"));
    if (status == 405) {
        cg_writer_field(&w, CG_SLICE("Allow"), CG_SLICE("GET, HEAD"));
    }
    cg_writer_head(&w, context, (int64_t)body.n);
    cg_writer_body(&w, body.p, body.n, true, &parts);
    for (int i = 0; i < parts.n; i++) {
        cg_buf_put(out, parts.v[i].iov_base, parts.v[i].iov_len);
    }
    cg_writer_release(&w);
}
