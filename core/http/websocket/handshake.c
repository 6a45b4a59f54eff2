/* SPDX-License-Identifier: MIT */
#include "core/http/websocket/handshake.h"

#include <stdint.h>
#include <string.h>

#include "core/base/sha1.h"
#include "core/http/scan.h"

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
                             "xyz0123456789+/";
enum { KEY_SIZE = 24 };

static struct cg_slice
value_of(const struct cg_field *f, const char *base)
{
    return (struct cg_slice){base + f->value, f->value_n};
}

/* The field's value if it is there exactly once. */
static struct cg_slice
only_value(const struct cg_request *r, const char *base, enum cg_field_id id)
{
    struct cg_slice found = {NULL, 0};
    for (int i = 0; i < r->nfields; i++) {
        if (r->fields[i].id == id) {
            if (found.p != NULL) {
                return (struct cg_slice){NULL, 0};
            }
            found = value_of(&r->fields[i], base);
        }
    }
    return found;
}

/* The next element of a comma list, trimmed; *at is where it goes on. */
static bool
next_element(struct cg_slice list, uint32_t *at, struct cg_slice *ret)
{
    while (*at < list.n) {
        const char *p = list.p + *at, *comma = memchr(p, ',', list.n - *at);
        size_t n = comma != NULL ? (size_t)(comma - p) : list.n - *at;
        *at += (uint32_t)(n + (comma != NULL));
        *ret = cg_slice_trim((struct cg_slice){p, n});
        if (ret->n > 0) {
            return true;
        }
    }
    return false;
}

static bool
asks_for_websocket(const struct cg_request *r, const char *base)
{
    struct cg_slice word;
    for (int i = 0; i < r->nfields; i++) {
        uint32_t at = 0;
        while (r->fields[i].id == CG_FIELD_UPGRADE &&
               next_element(value_of(&r->fields[i], base), &at, &word)) {
            if (cg_slice_is_nocase(word, "websocket")) {
                return true;
            }
        }
    }
    return false;
}

/* 16 bytes in base64: 22 digits and two signs of padding. */
static bool
is_key(struct cg_slice s)
{
    if (s.n != KEY_SIZE || s.p[22] != '=' || s.p[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (s.p[i] == '\0' || strchr(digits, s.p[i]) == NULL) {
            return false;
        }
    }
    return true;
}

enum cg_ws_request
cg_ws_request_check(const struct cg_request *r, const char *base)
{
    if (!r->upgrade || r->minor == 0 || !asks_for_websocket(r, base)) {
        return CG_WS_REQUEST_NONE;
    }
    if (!r->method_is_get) {
        return CG_WS_REQUEST_BAD_METHOD;
    }
    if (!cg_slice_is(only_value(r, base, CG_FIELD_SEC_WEBSOCKET_VERSION),
                     "13")) {
        return CG_WS_REQUEST_BAD_VERSION;
    }
    return is_key(cg_ws_request_key(r, base)) ? CG_WS_REQUEST_GOOD
                                              : CG_WS_REQUEST_BAD_KEY;
}

int
cg_ws_request_status(enum cg_ws_request what, const char **ret_text)
{
    switch (what) {
    case CG_WS_REQUEST_BAD_METHOD:
        *ret_text = "a WebSocket handshake is a GET request";
        return 400;
    case CG_WS_REQUEST_BAD_VERSION:
        *ret_text = "Sec-WebSocket-Version is not 13";
        return 426;
    case CG_WS_REQUEST_BAD_KEY:
        *ret_text = "Sec-WebSocket-Key is not 16 bytes in base64";
        return 400;
    case CG_WS_REQUEST_NONE:
    case CG_WS_REQUEST_GOOD: break;
    }
    *ret_text = "";
    return 101;
}

struct cg_slice
cg_ws_request_key(const struct cg_request *r, const char *base)
{
    return only_value(r, base, CG_FIELD_SEC_WEBSOCKET_KEY);
}

/* Of n bytes, n a multiple of 3 or one less. */
static void
put_base64(const uint8_t *p, size_t n, char *to)
{
    for (size_t i = 0; i < n; i += 3) {
        unsigned last = i + 2 < n ? p[i + 2] : 0;
        unsigned three = (unsigned)p[i] << 16 | (unsigned)p[i + 1] << 8 | last;
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = digits[three >> 6 & 63];
        *to++ = i + 2 < n ? digits[three & 63] : '=';
    }
    *to = '\0';
}

void
cg_ws_accept(struct cg_slice key, char ret[CG_WS_ACCEPT_SIZE])
{
    char text[KEY_SIZE + sizeof guid - 1];
    uint8_t hash[CG_SHA1_SIZE];
    size_t n = key.n < KEY_SIZE ? key.n : KEY_SIZE;
    memcpy(text, key.p, n);
    memcpy(text + n, guid, sizeof guid - 1);
    cg_sha1(text, n + sizeof guid - 1, hash);
    put_base64(hash, sizeof hash, ret);
}

static bool
is_named(const struct cg_field *f, const char *base, const char *lower)
{
    size_t n = strlen(lower);
    return f->name_n == n && cg_name_is(base + f->name, lower, n);
}

bool
cg_ws_protocol_next(const struct cg_request *r, const char *base,
                    struct cg_ws_protocols *at, struct cg_slice *ret)
{
    for (; at->field < r->nfields; at->field++, at->at = 0) {
        const struct cg_field *f = &r->fields[at->field];
        if (is_named(f, base, "sec-websocket-protocol") &&
            next_element(value_of(f, base), &at->at, ret)) {
            return true;
        }
    }
    return false;
}

bool
cg_ws_request_terms(const struct cg_request *r, const char *base,
                    struct cg_ws_terms *ret)
{
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        if (is_named(f, base, "sec-websocket-extensions") &&
            cg_ws_terms_choose(value_of(f, base), ret)) {
            return true;
        }
    }
    return false;
}
