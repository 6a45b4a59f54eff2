/* SPDX-License-Identifier: MIT */
#include "core/http/h2/text.h"

#include "core/http/scan.h"

/* Bytes that would end a word of the request line, or begin a line. */
static bool
is_one_word(struct cg_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    return s.n > 0;
}

static bool
take_word(struct cg_buf *to, bool *has, struct cg_slice value)
{
    if (*has || !is_one_word(value)) {
        return false;
    }
    *has = true;
    cg_buf_put(to, value.p, value.n);
    return true;
}

static bool
add_pseudo(struct cg_h2_head *h, struct cg_slice name, struct cg_slice value)
{
    if (cg_slice_is(name, ":method")) {
        return take_word(&h->method, &h->has_method, value);
    }
    if (cg_slice_is(name, ":path")) {
        return take_word(&h->path, &h->has_path, value);
    }
    if (cg_slice_is(name, ":authority")) {
        return take_word(&h->authority, &h->has_authority, value);
    }
    if (cg_slice_is(name, ":protocol")) {
        return take_word(&h->protocol, &h->has_protocol, value);
    }
    /* the transport knows the scheme better than who asks */
    return cg_slice_is(name, ":scheme");
}

static bool
is_text(struct cg_slice value)
{
    return cg_scan_value(value.p, value.n) == value.n;
}

static bool
add_cookie(struct cg_h2_head *h, struct cg_slice value)
{
    if (h->cookie.n > 0) {
        cg_buf_put(&h->cookie, "; ", 2);
    }
    cg_buf_put(&h->cookie, value.p, value.n);
    return true;
}

bool
cg_h2_head_add(struct cg_h2_head *h, struct cg_slice name,
               struct cg_slice value)
{
    enum { OVERHEAD = 32 };
    h->size += name.n + value.n + OVERHEAD;
    if (name.n > 0 && name.p[0] == ':') {
        return add_pseudo(h, name, value);
    }
    if (name.n == 0 || !is_text(value) ||
        cg_slice_is(name, "transfer-encoding") ||
        cg_slice_is(name, "connection") || cg_slice_is(name, "upgrade")) {
        return false;
    }
    if (h->has_protocol && cg_slice_is(name, "sec-websocket-key")) {
        return true; /* means nothing here (RFC 8441, 5) */
    }
    if (cg_slice_is(name, "host")) {
        return take_word(&h->host, &h->has_host, value);
    }
    if (cg_slice_is(name, "cookie")) {
        return add_cookie(h, value);
    }
    h->has_length = h->has_length || cg_slice_is(name, "content-length");
    cg_buf_put(&h->fields, name.p, name.n);
    cg_buf_put(&h->fields, ": ", 2);
    cg_buf_put(&h->fields, value.p, value.n);
    cg_buf_put(&h->fields, "\r\n", 2);
    return true;
}

static void
put_field(struct cg_buf *out, const char *name, const struct cg_buf *value)
{
    cg_buf_puts(out, name);
    cg_buf_put(out, value->p, value->n);
    cg_buf_put(out, "\r\n", 2);
}

/* A client that names its host twice has to mean the same one. */
static bool
hosts_agree(const struct cg_h2_head *h)
{
    return !h->has_host || !h->has_authority ||
           (h->host.n == h->authority.n &&
            memcmp(h->host.p, h->authority.p, h->host.n) == 0);
}

static bool
is_websocket(const struct cg_h2_head *h)
{
    return cg_slice_is((struct cg_slice){h->protocol.p, h->protocol.n},
                       "websocket");
}

/* An extended CONNECT is whole, and its tunnel has no length. */
static bool
is_tunnel(const struct cg_h2_head *h)
{
    return h->has_path && !h->has_length &&
           cg_slice_is((struct cg_slice){h->method.p, h->method.n}, "CONNECT");
}

bool
cg_h2_head_is_foreign(const struct cg_h2_head *h)
{
    return h->has_protocol && is_tunnel(h) && !is_websocket(h);
}

/* The handshake of RFC 6455; the key is any, its answer does not leave. */
static void
put_handshake(struct cg_buf *out)
{
    cg_buf_puts(out, "upgrade: websocket\r\n"
                     "connection: upgrade\r\n"
                     "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
}

bool
cg_h2_head_text(const struct cg_h2_head *h, bool ends, struct cg_buf *out)
{
    const struct cg_buf *target = h->has_path ? &h->path : &h->authority;
    if (!h->has_method || target->n == 0 || !hosts_agree(h) ||
        (h->has_protocol && !(is_tunnel(h) && is_websocket(h)))) {
        return false;
    }
    if (h->has_protocol) {
        cg_buf_puts(out, "GET");
    } else {
        cg_buf_put(out, h->method.p, h->method.n);
    }
    cg_buf_putc(out, ' ');
    cg_buf_put(out, target->p, target->n);
    cg_buf_puts(out, " HTTP/1.1\r\n");
    if (h->has_authority || h->has_host) {
        put_field(out, "host: ", h->has_authority ? &h->authority : &h->host);
    }
    cg_buf_put(out, h->fields.p, h->fields.n);
    if (h->cookie.n > 0) {
        put_field(out, "cookie: ", &h->cookie);
    }
    if (h->has_protocol) {
        put_handshake(out);
    } else if (!ends && !h->has_length) {
        cg_buf_puts(out, "transfer-encoding: chunked\r\n");
    }
    cg_buf_put(out, "\r\n", 2);
    return true;
}

void
cg_h2_head_release(struct cg_h2_head *h)
{
    cg_buf_release(&h->method);
    cg_buf_release(&h->path);
    cg_buf_release(&h->authority);
    cg_buf_release(&h->host);
    cg_buf_release(&h->cookie);
    cg_buf_release(&h->fields);
    cg_buf_release(&h->protocol);
    *h = (struct cg_h2_head){0};
}
