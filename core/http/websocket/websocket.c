/* SPDX-License-Identifier: MIT */
/* Frames into messages, and messages into frames (RFC 6455, 5 and 7). */
#include "core/http/websocket/websocket.h"

#include <errno.h>
#include <string.h>

#include "core/base/memory.h"

enum { FIN = 0x80, RSV1 = 0x40, RSV = 0x70, OPCODE = 0x0f, MASKED = 0x80 };
enum { MESSAGE_KEPT = 1024 }; /* bytes of memory that an idle reader keeps */

static enum cg_ws_event
fail(struct cg_ws_reader *r, enum cg_ws_code code, const char *fault)
{
    r->over = true;
    r->code = (uint16_t)code;
    r->fault = fault;
    return CG_WS_FAILED;
}

static bool
is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}

/* ---- the head of a frame ---- */

static size_t
head_size(const struct cg_ws_reader *r)
{
    if (r->head_n < 2) {
        return 2;
    }
    uint8_t n = r->head[1] & 0x7f;
    return 2u + (n == 126 ? 2 : n == 127 ? 8 : 0) + 4u;
}

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static const char *
control_fault(const struct cg_ws_reader *r)
{
    if (r->opcode > CG_WS_OP_PONG) {
        return "a reserved opcode";
    }
    if (!r->fin) {
        return "a control frame in fragments";
    }
    return (r->head[1] & 0x7f) > CG_WS_CONTROL_MAX
               ? "a control frame of more than 125 bytes"
               : NULL;
}

static const char *
data_fault(const struct cg_ws_reader *r)
{
    if (r->opcode > CG_WS_OP_BINARY) {
        return "a reserved opcode";
    }
    if (r->opcode == CG_WS_OP_CONTINUATION && r->kind == 0) {
        return "a continuation of nothing";
    }
    return r->opcode != CG_WS_OP_CONTINUATION && r->kind != 0
               ? "a new message inside another one"
               : NULL;
}

/* Of the first two bytes. */
static const char *
opening_fault(const struct cg_ws_reader *r)
{
    uint8_t rsv = r->head[0] & RSV;
    bool begins = r->opcode == CG_WS_OP_TEXT || r->opcode == CG_WS_OP_BINARY;
    if (rsv != 0 && (rsv != RSV1 || r->inflate == NULL || !begins)) {
        return "a reserved bit";
    }
    if ((r->head[1] & MASKED) == 0) {
        return "a frame without a mask";
    }
    return is_control(r->opcode) ? control_fault(r) : data_fault(r);
}

/* 5.2: the shortest form only, and 63 bits. */
static const char *
length_fault(const struct cg_ws_reader *r)
{
    uint8_t n = r->head[1] & 0x7f;
    if (n == 127 && r->left >> 63 != 0) {
        return "a length of more than 63 bits";
    }
    return (n == 126 && r->left < 126) || (n == 127 && r->left <= 0xffff)
               ? "a length that is not in its shortest form"
               : NULL;
}

static bool
is_too_big(const struct cg_ws_reader *r)
{
    return !is_control(r->opcode) && !r->compressed && r->max_message > 0 &&
           r->left > r->max_message - r->message.n;
}

static void
begin_frame(struct cg_ws_reader *r)
{
    uint8_t n = r->head[1] & 0x7f;
    size_t size = head_size(r);
    r->left = n < 126 ? n : big_endian(r->head + 2, size - 6);
    memcpy(r->mask, r->head + size - 4, 4);
    r->mask_at = 0;
    r->in_frame = true;
    if (is_control(r->opcode)) {
        r->control_n = 0;
    } else if (r->opcode != CG_WS_OP_CONTINUATION) {
        r->kind = r->opcode;
        r->compressed = (r->head[0] & RSV1) != 0;
        r->utf8 = (struct cg_utf8){0};
    }
}

static enum cg_ws_event
read_head(struct cg_ws_reader *r, const char *p, size_t n, size_t *at)
{
    while (*at < n && r->head_n < head_size(r)) {
        r->head[r->head_n++] = (uint8_t)p[(*at)++];
        if (r->head_n == 2) {
            r->opcode = r->head[0] & OPCODE;
            r->fin = (r->head[0] & FIN) != 0;
            const char *fault = opening_fault(r);
            if (fault != NULL) {
                return fail(r, CG_WS_PROTOCOL_ERROR, fault);
            }
        }
    }
    if (r->head_n < head_size(r)) {
        return CG_WS_MORE;
    }
    begin_frame(r);
    const char *fault = length_fault(r);
    if (fault != NULL) {
        return fail(r, CG_WS_PROTOCOL_ERROR, fault);
    }
    return is_too_big(r) ? fail(r, CG_WS_TOO_BIG, "the message is too big")
                         : CG_WS_MORE;
}

/* ---- its payload ---- */

static void
unmask(struct cg_ws_reader *r, char *p, size_t n)
{
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof turned; i++) {
        turned[i] = r->mask[(r->mask_at + i) & 3];
    }
    uint64_t mask, word;
    memcpy(&mask, turned, sizeof mask);
    size_t i = 0;
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        word ^= mask;
        memcpy(p + i, &word, sizeof word);
    }
    for (; i < n; i++) {
        p[i] ^= (char)turned[i & 7];
    }
    r->mask_at = (uint8_t)((r->mask_at + n) & 3);
}

static enum cg_ws_event
inflate_part(struct cg_ws_reader *r, const char *p, size_t n, bool last)
{
    uint64_t limit = r->max_message > 0 ? r->max_message : UINT64_MAX;
    int e = cg_ws_inflate_put(r->inflate, p, n, last, limit, &r->message);
    if (e == -EFBIG) {
        return fail(r, CG_WS_TOO_BIG, "the message is too big");
    }
    return e < 0
               ? fail(r, CG_WS_INVALID_DATA, "compressed data that is invalid")
               : CG_WS_MORE;
}

static enum cg_ws_event
add_data(struct cg_ws_reader *r, const char *p, size_t n, bool last)
{
    size_t before = r->message.n;
    if (r->compressed) {
        enum cg_ws_event ev = inflate_part(r, p, n, last);
        if (ev != CG_WS_MORE) {
            return ev;
        }
    } else {
        cg_buf_put(&r->message, p, n);
    }
    bool good =
        r->kind != CG_WS_OP_TEXT || r->message.n == before ||
        cg_utf8_feed(&r->utf8, r->message.p + before, r->message.n - before);
    if (good && last && r->kind == CG_WS_OP_TEXT) {
        good = cg_utf8_is_whole(&r->utf8);
    }
    return good ? CG_WS_MORE
                : fail(r, CG_WS_INVALID_DATA, "text that is not UTF-8");
}

static enum cg_ws_event
end_close(struct cg_ws_reader *r)
{
    struct cg_utf8 utf8 = {0};
    r->over = true;
    r->code = CG_WS_NO_STATUS;
    if (r->control_n == 0) {
        return CG_WS_CLOSE;
    }
    if (r->control_n == 1) {
        return fail(r, CG_WS_PROTOCOL_ERROR, "a close frame of one byte");
    }
    r->code = (uint16_t)big_endian((const uint8_t *)r->control, 2);
    if (!cg_ws_is_close_code(r->code)) {
        return fail(r, CG_WS_PROTOCOL_ERROR, "a close code that is none");
    }
    r->control_n = (uint8_t)(r->control_n - 2);
    memmove(r->control, r->control + 2, r->control_n);
    return cg_utf8_feed(&utf8, r->control, r->control_n) &&
                   cg_utf8_is_whole(&utf8)
               ? CG_WS_CLOSE
               : fail(r, CG_WS_INVALID_DATA, "a reason that is not UTF-8");
}

static enum cg_ws_event
end_control(struct cg_ws_reader *r)
{
    if (r->opcode == CG_WS_OP_CLOSE) {
        return end_close(r);
    }
    return r->opcode == CG_WS_OP_PING ? CG_WS_PING : CG_WS_PONG;
}

static enum cg_ws_event
end_message(struct cg_ws_reader *r)
{
    enum cg_ws_event what =
        r->kind == CG_WS_OP_TEXT ? CG_WS_TEXT : CG_WS_BINARY;
    r->kind = 0;
    r->compressed = false;
    r->given = true;
    return what;
}

/* All that is there of the payload; the event of its end. */
static enum cg_ws_event
read_payload(struct cg_ws_reader *r, char *p, size_t n, size_t *at)
{
    size_t take = n - *at < r->left ? n - *at : (size_t)r->left;
    char *part = p + *at;
    bool ends = take == r->left;
    *at += take;
    r->left -= take;
    unmask(r, part, take);
    if (ends) {
        r->in_frame = false;
        r->head_n = 0;
    }
    if (is_control(r->opcode)) {
        memcpy(r->control + r->control_n, part, take);
        r->control_n = (uint8_t)(r->control_n + take);
        return ends ? end_control(r) : CG_WS_MORE;
    }
    enum cg_ws_event ev = add_data(r, part, take, ends && r->fin);
    return ev == CG_WS_MORE && ends && r->fin ? end_message(r) : ev;
}

/* ---- reading ---- */

static void
forget_message(struct cg_ws_reader *r)
{
    if (r->given && r->message.cap > MESSAGE_KEPT) {
        cg_buf_release(&r->message);
    } else if (r->given) {
        cg_buf_reset(&r->message);
    }
    r->given = false;
}

enum cg_ws_event
cg_ws_read(struct cg_ws_reader *r, char *p, size_t n, size_t *used)
{
    size_t at = 0;
    enum cg_ws_event ev = CG_WS_MORE;
    forget_message(r);
    while (!r->over && ev == CG_WS_MORE && at < n) {
        if (!r->in_frame) {
            ev = read_head(r, p, n, &at);
        }
        if (ev == CG_WS_MORE && r->in_frame) {
            ev = read_payload(r, p, n, &at);
        }
    }
    *used = r->over ? n : at;
    return ev;
}

void
cg_ws_reader_release(struct cg_ws_reader *r)
{
    cg_buf_release(&r->message);
}

/* ---- writing ---- */

size_t
cg_ws_put_head(char head[CG_WS_HEAD_MAX], enum cg_ws_opcode opcode,
               bool compressed, uint64_t n)
{
    head[0] = (char)(FIN | (compressed ? RSV1 : 0) | (int)opcode);
    if (n < 126) {
        head[1] = (char)n;
        return 2;
    }
    size_t bytes = n <= 0xffff ? 2 : 8;
    head[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++) {
        head[2 + i] = (char)(n >> (8 * (bytes - 1 - i)));
    }
    return 2 + bytes;
}

void
cg_ws_put_frame(struct cg_buf *out, enum cg_ws_opcode opcode,
                struct cg_slice payload)
{
    char head[CG_WS_HEAD_MAX];
    CG_ASSERT(!is_control((uint8_t)opcode) || payload.n <= CG_WS_CONTROL_MAX);
    cg_buf_put(out, head, cg_ws_put_head(head, opcode, false, payload.n));
    cg_buf_put(out, payload.p, payload.n);
}

void
cg_ws_put_message(struct cg_buf *out, struct cg_ws_deflate *d,
                  enum cg_ws_opcode opcode, struct cg_slice payload)
{
    if (d == NULL) {
        cg_ws_put_frame(out, opcode, payload);
        return;
    }
    char head[CG_WS_HEAD_MAX] = {0};
    size_t begin = out->n;
    cg_buf_put(out, head, 2); /* most need no more */
    cg_ws_deflate_put(d, payload, out);
    size_t n = out->n - begin - 2;
    size_t head_n = cg_ws_put_head(head, opcode, true, n);
    cg_buf_reserve(out, head_n);
    memmove(out->p + begin + head_n, out->p + begin + 2, n);
    memcpy(out->p + begin, head, head_n);
    out->n = begin + head_n + n;
}

/* Bytes of s that are whole characters, at most `most`. */
static size_t
whole_characters(struct cg_slice s, size_t most)
{
    size_t n = s.n < most ? s.n : most;
    while (n < s.n && n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

void
cg_ws_put_close(struct cg_buf *out, unsigned code, struct cg_slice reason)
{
    char payload[CG_WS_CONTROL_MAX];
    size_t n = 0;
    if (code != CG_WS_NO_STATUS) {
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        n = whole_characters(reason, sizeof payload - 2);
        memcpy(payload + 2, reason.p, n);
        n += 2;
    }
    cg_ws_put_frame(out, CG_WS_OP_CLOSE, (struct cg_slice){payload, n});
}

bool
cg_ws_is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}
