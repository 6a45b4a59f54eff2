/* SPDX-License-Identifier: MIT */
/* permessage-deflate: the terms (RFC 7692, 7.1) and the data (7.2). */
#include "core/http/websocket/deflate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/memory.h"

enum {
    BITS = 12, /* our windows, where we choose */
    BITS_MAX = 15,
    BITS_ZLIB_MIN = 9, /* zlib deflates no smaller window */
    MEMORY = 5,        /* memLevel */
    STEP = 16 * 1024,
    PART = 1024 * 1024 /* zlib counts in 32 bits */
};

/* ---- the terms ---- */

/* Up to `end`, outside of quotes; list begins behind it afterwards. */
static struct cg_slice
take_until(struct cg_slice *list, char end)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < list->n && (quoted || list->p[i] != end); i++) {
        quoted = quoted != (list->p[i] == '"');
    }
    struct cg_slice taken = cg_slice_trim((struct cg_slice){list->p, i});
    i += i < list->n;
    *list = (struct cg_slice){list->p + i, list->n - i};
    return taken;
}

struct parameter {
    struct cg_slice name, value;
    bool has_value;
};

static struct parameter
split_parameter(struct cg_slice text)
{
    struct parameter p = {.has_value = memchr(text.p, '=', text.n) != NULL};
    p.name = take_until(&text, '=');
    p.value = cg_slice_trim(text);
    if (p.value.n >= 2 && p.value.p[0] == '"' &&
        p.value.p[p.value.n - 1] == '"') {
        p.value = (struct cg_slice){p.value.p + 1, p.value.n - 2};
    }
    return p;
}

/* 8 to 15 without leading zeros (7.1.2); else 0. */
static unsigned
window_bits(struct cg_slice s)
{
    if (s.n == 1) {
        return s.p[0] == '8' || s.p[0] == '9' ? (unsigned)(s.p[0] - '0') : 0;
    }
    return s.n == 2 && s.p[0] == '1' && s.p[1] >= '0' && s.p[1] <= '5'
               ? 10 + (unsigned)(s.p[1] - '0')
               : 0;
}

static uint8_t
smaller(unsigned a, unsigned b)
{
    return (uint8_t)(a < b ? a : b);
}

static bool
set_flag(const struct parameter *p, bool *flag)
{
    bool good = !p->has_value && !*flag;
    *flag = true;
    return good;
}

static bool
set_server_bits(const struct parameter *p, struct cg_ws_terms *t)
{
    unsigned bits = window_bits(p->value);
    bool good = bits >= BITS_ZLIB_MIN && !t->names_server_bits;
    t->names_server_bits = true;
    t->server_bits = smaller(BITS, bits);
    return good;
}

static bool
set_client_bits(const struct parameter *p, struct cg_ws_terms *t)
{
    unsigned bits = p->has_value ? window_bits(p->value) : BITS_MAX;
    bool good = bits > 0 && !t->names_client_bits;
    t->names_client_bits = true;
    t->client_bits = smaller(BITS, bits);
    return good;
}

static bool
set_parameter(const struct parameter *p, struct cg_ws_terms *t)
{
    if (cg_slice_is_nocase(p->name, "server_no_context_takeover")) {
        return set_flag(p, &t->server_forgets);
    }
    if (cg_slice_is_nocase(p->name, "client_no_context_takeover")) {
        return set_flag(p, &t->client_forgets);
    }
    if (cg_slice_is_nocase(p->name, "server_max_window_bits")) {
        return set_server_bits(p, t);
    }
    return cg_slice_is_nocase(p->name, "client_max_window_bits") &&
           set_client_bits(p, t);
}

static bool
choose_one(struct cg_slice offer, struct cg_ws_terms *ret)
{
    struct cg_ws_terms t = {.server_bits = BITS, .client_bits = BITS_MAX};
    if (!cg_slice_is_nocase(take_until(&offer, ';'), "permessage-deflate")) {
        return false;
    }
    while (offer.n > 0) {
        struct parameter p = split_parameter(take_until(&offer, ';'));
        if (!set_parameter(&p, &t)) {
            return false;
        }
    }
    *ret = t;
    return true;
}

bool
cg_ws_terms_choose(struct cg_slice offers, struct cg_ws_terms *ret)
{
    while (offers.n > 0) {
        if (choose_one(take_until(&offers, ','), ret)) {
            return true;
        }
    }
    return false;
}

void
cg_ws_terms_put(const struct cg_ws_terms *t, struct cg_buf *out)
{
    cg_buf_puts(out, "permessage-deflate");
    if (t->server_forgets) {
        cg_buf_puts(out, "; server_no_context_takeover");
    }
    if (t->client_forgets) {
        cg_buf_puts(out, "; client_no_context_takeover");
    }
    if (t->names_server_bits) {
        cg_buf_putf(out, "; server_max_window_bits=%u", t->server_bits);
    }
    if (t->names_client_bits) {
        cg_buf_putf(out, "; client_max_window_bits=%u", t->client_bits);
    }
}

/* ---- zlib ---- */

static void *
allocate(void *unused, unsigned count, unsigned n)
{
    return cg_calloc(count, n);
}

static void
give_back(void *unused, void *p)
{
    free(p);
}

static z_stream *
new_stream(void)
{
    z_stream *z = cg_calloc(1, sizeof *z);
    z->zalloc = allocate;
    z->zfree = give_back;
    return z;
}

/* A window of 9 reads what is made for 8, and what zlib makes of 8. */
static z_stream *
inflater(struct cg_ws_inflate *i)
{
    if (i->z == NULL) {
        z_stream *z = new_stream();
        int bits = i->bits < BITS_ZLIB_MIN ? BITS_ZLIB_MIN : i->bits;
        CG_ASSERT(inflateInit2(z, -bits) == Z_OK);
        i->z = z;
    }
    return i->z;
}

static int
inflate_all(z_stream *z, const char *p, size_t n, uint64_t limit,
            struct cg_buf *out)
{
    z->next_in = (Bytef *)(uintptr_t)p;
    z->avail_in = (uInt)n;
    do {
        z->next_out = (Bytef *)cg_buf_reserve(out, STEP);
        z->avail_out = STEP;
        int e = inflate(z, Z_SYNC_FLUSH);
        out->n += STEP - z->avail_out;
        if (out->n > limit) {
            return -EFBIG;
        }
        if (e == Z_STREAM_END) { /* 7.2.3.5: a block with BFINAL */
            CG_ASSERT(inflateReset(z) == Z_OK);
        } else if (e != Z_OK && e != Z_BUF_ERROR) {
            return -EBADMSG;
        }
    } while (z->avail_in > 0 || z->avail_out == 0);
    return 0;
}

int
cg_ws_inflate_put(struct cg_ws_inflate *i, const char *p, size_t n, bool last,
                  uint64_t limit, struct cg_buf *out)
{
    static const char tail[] = {0, 0, '\xff', '\xff'}; /* 7.2.2 */
    z_stream *z = inflater(i);
    CG_ASSERT(n <= UINT32_MAX);
    int e = inflate_all(z, p, n, limit, out);
    if (e == 0 && last) {
        e = inflate_all(z, tail, sizeof tail, limit, out);
    }
    if (last && i->forgets) {
        cg_ws_inflate_release(i);
    }
    return e;
}

void
cg_ws_inflate_release(struct cg_ws_inflate *i)
{
    if (i->z != NULL) {
        inflateEnd(i->z);
        free(i->z);
        i->z = NULL;
    }
}

static z_stream *
deflater(struct cg_ws_deflate *d)
{
    if (d->z == NULL) {
        z_stream *z = new_stream();
        CG_ASSERT(deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -d->bits,
                               MEMORY, Z_DEFAULT_STRATEGY) == Z_OK);
        d->z = z;
    }
    return d->z;
}

static void
deflate_all(z_stream *z, const char *p, size_t n, int flush, struct cg_buf *out)
{
    z->next_in = (Bytef *)(uintptr_t)p;
    z->avail_in = (uInt)n;
    do {
        z->next_out = (Bytef *)cg_buf_reserve(out, STEP);
        z->avail_out = STEP;
        int e = deflate(z, flush);
        CG_ASSERT(e == Z_OK || e == Z_BUF_ERROR);
        out->n += STEP - z->avail_out;
    } while (z->avail_out == 0);
}

void
cg_ws_deflate_put(struct cg_ws_deflate *d, struct cg_slice message,
                  struct cg_buf *out)
{
    if (message.n == 0) {
        cg_buf_putc(out, 0); /* 7.2.3.6: zlib flushes nothing twice */
        return;
    }
    z_stream *z = deflater(d);
    for (; message.n > PART; message.p += PART, message.n -= PART) {
        deflate_all(z, message.p, PART, Z_NO_FLUSH, out);
    }
    deflate_all(z, message.p, message.n, Z_SYNC_FLUSH, out);
    out->n -= 4; /* 7.2.1: the empty block's 00 00 ff ff */
    if (d->forgets) {
        CG_ASSERT(deflateReset(z) == Z_OK);
    }
}

void
cg_ws_deflate_release(struct cg_ws_deflate *d)
{
    if (d->z != NULL) {
        deflateEnd(d->z);
        free(d->z);
        d->z = NULL;
    }
}
