/* SPDX-License-Identifier: MIT */
/*
 * Frames: where they begin (RFC 9113, 4.1). nghttp2 drops DATA of closed
 * streams without a word, so their heads are looked at before it has them.
 */
#include "core/http/h2/internal.h"

#ifdef CG_HTTP2

#include <string.h>

/* Takes what there is of a head; true: it is whole. */
static bool
take_head(struct cg_h2_frames *f, const char *p, size_t n, size_t *at)
{
    size_t lacks = sizeof f->head - f->n;
    size_t more = n - *at < lacks ? n - *at : lacks;
    memcpy(f->head + f->n, p + *at, more);
    f->n += (unsigned)more;
    *at += more;
    return f->n == sizeof f->head;
}

int32_t
cg_h2_next_data(struct cg_h2_frames *f, const char *p, size_t n, size_t *at,
                size_t *cut)
{
    const uint8_t *h = f->head;
    for (;;) {
        size_t skip = f->left < n - *at ? f->left : n - *at;
        f->left -= skip;
        *at += skip;
        if (f->left > 0 || !take_head(f, p, n, at)) {
            return 0;
        }
        f->n = 0;
        f->left = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
        int32_t id =
            (int32_t)((uint32_t)(h[5] & 0x7f) << 24 | (uint32_t)h[6] << 16 |
                      (uint32_t)h[7] << 8 | h[8]);
        if (h[3] == NGHTTP2_DATA && id != 0) {
            *cut = *at > sizeof f->head ? *at - sizeof f->head : 0;
            return id;
        }
    }
}

#endif
