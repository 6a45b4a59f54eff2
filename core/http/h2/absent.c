/* SPDX-License-Identifier: MIT */
/* A build without nghttp2: the start refuses what asks for HTTP/2. */
#include "core/http/h2/h2.h"

#ifndef CG_HTTP2

bool
cg_h2_is_built(void)
{
    return false;
}

const char *
cg_h2_version(void)
{
    return "";
}

struct cg_h2 *
cg_h2_new(const struct cg_h2_policy *policy, const struct cg_h2_events *events,
          void *self)
{
    return NULL;
}

void
cg_h2_free(struct cg_h2 *h)
{
}

int
cg_h2_upgrade(struct cg_h2 *h, const uint8_t *settings, size_t n,
              struct cg_slice text, bool head_request)
{
    return -1;
}

int
cg_h2_feed(struct cg_h2 *h, const char *p, size_t n, uint64_t now_us)
{
    return -1;
}

ssize_t
cg_h2_pull(struct cg_h2 *h, const uint8_t **ret)
{
    return -1;
}

bool
cg_h2_is_alive(const struct cg_h2 *h)
{
    return false;
}

const char *
cg_h2_fault(const struct cg_h2 *h)
{
    return NULL;
}

int
cg_h2_reply(struct cg_h2_stream *s, const char *p, size_t n)
{
    return -1;
}

void
cg_h2_end(struct cg_h2_stream *s)
{
}

size_t
cg_h2_unsent(const struct cg_h2_stream *s)
{
    return 0;
}

bool
cg_h2_is_dry(const struct cg_h2_stream *s)
{
    return false;
}

void
cg_h2_consume(struct cg_h2_stream *s, size_t n)
{
}

void
cg_h2_reset(struct cg_h2_stream *s, uint32_t code)
{
}

void
cg_h2_notify(struct cg_h2 *h)
{
}

void
cg_h2_goaway(struct cg_h2 *h)
{
}

void
cg_h2_terminate(struct cg_h2 *h, uint32_t code)
{
}

#endif
