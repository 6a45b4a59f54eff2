/* SPDX-License-Identifier: MIT */
#include "core/engine/http1/body.h"

#include "core/engine/engine.h"

void
cg_send_continue(struct cg_stream *s, struct cg_intake *i,
                 struct cg_segment **dropped)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (i->continued || !i->req.expect_continue || i->body_n > 0) {
        return;
    }
    i->continued = true;
    struct iovec part = {(void *)(size_t)line, sizeof line - 1};
    /* that the peer is gone is told by the next receive */
    ssize_t n =
        cg_outbox_send(&s->outbox, s->transport, &part, 1, false, dropped);
    if (n >= 0) {
        cg_outbox_put(&s->outbox, line + n, part.iov_len - (size_t)n);
    }
}

/* The first seconds do not count, and neither does framing. */
bool
cg_body_is_slow(const struct cg_engine_config *config,
                const struct cg_intake *i, uint64_t now_us)
{
    uint64_t elapsed = now_us - i->since_us;
    return config->body_min_rate != 0 && elapsed > config->body_grace_us &&
           i->body_n < (elapsed - config->body_grace_us) / 1000 *
                           config->body_min_rate / 1000;
}
