/* SPDX-License-Identifier: MIT */
#include "core/base/sha1.h"

#include <string.h>

enum { BLOCK = 64 };

static uint32_t
rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static uint32_t
word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static void
put_word(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

/* The function and constant of round t. */
static uint32_t
mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20) {
        return ((b & c) | (~b & d)) + 0x5a827999u;
    }
    if (t < 40) {
        return (b ^ c ^ d) + 0x6ed9eba1u;
    }
    return t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu
                  : (b ^ c ^ d) + 0xca62c1d6u;
}

static void
digest(uint32_t h[5], const uint8_t block[BLOCK])
{
    uint32_t w[80];
    for (int t = 0; t < 16; t++) {
        w[t] = word_at(block + (size_t)4 * (size_t)t);
    }
    for (int t = 16; t < 80; t++) {
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void
cg_sha1(const void *p, size_t n, uint8_t ret[CG_SHA1_SIZE])
{
    uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                     0xc3d2e1f0u};
    const uint8_t *at = p;
    size_t left = n;
    for (; left >= BLOCK; at += BLOCK, left -= BLOCK) {
        digest(h, at);
    }
    uint8_t last[2 * BLOCK] = {0};
    memcpy(last, at, left);
    last[left] = 0x80;
    size_t end = left < BLOCK - 8 ? BLOCK : sizeof last;
    put_word(last + end - 4, (uint32_t)(n * 8));
    digest(h, last);
    if (end > BLOCK) {
        digest(h, last + BLOCK);
    }
    for (size_t i = 0; i < 5; i++) {
        put_word(ret + 4 * i, h[i]);
    }
}
