/* SPDX-License-Identifier: MIT */
/*
 * What a peer costs: whoever makes more work than it lets be useful is told to
 * calm down (RFC 9113, 10.5).
 */
#include "core/http/h2/internal.h"

#ifdef CG_HTTP2

enum {
    WINDOW_US = 10 * 1000 * 1000, /* what is counted decays in this time */
    RESETS_MAX = 200,             /* of streams whose reply was not out */
    CONTROL_MAX = 1000,
    MALFORMED_MAX = 10,
};

static void
calm_down(struct cg_h2 *h, const char *why)
{
    if (!h->over) {
        h->fault = why;
        cg_h2_terminate(h, CG_H2_ENHANCE_YOUR_CALM);
    }
}

void
cg_h2_look_at_clock(struct cg_h2 *h, uint64_t now_us)
{
    if (now_us - h->window_us >= WINDOW_US) {
        h->window_us = now_us;
        h->resets = h->control = h->malformed = h->sent = 0;
        h->fed = h->useful = 0;
    }
}

void
cg_h2_count_control(struct cg_h2 *h)
{
    enum { PER_DATA = 10 };
    if (++h->control > CONTROL_MAX + PER_DATA * h->sent) {
        calm_down(h, "too many control frames");
    }
}

void
cg_h2_count_reset(struct cg_h2 *h)
{
    if (++h->resets > RESETS_MAX) {
        calm_down(h, "too many streams were reset");
    }
}

void
cg_h2_count_malformed(struct cg_h2 *h)
{
    if (++h->malformed > MALFORMED_MAX) {
        calm_down(h, "too many malformed requests");
    }
}

/* Frames that nghttp2 ignores are told of by nobody: padding, DATA of streams
 * that are reset. */
void
cg_h2_weigh_bytes(struct cg_h2 *h, size_t n)
{
    enum { SHARE = 8, FREE = 1 << 20 };
    h->fed += n;
    if (h->fed / SHARE > h->useful && h->fed > FREE) {
        calm_down(h, "too many bytes that mean nothing");
    }
}

#endif
