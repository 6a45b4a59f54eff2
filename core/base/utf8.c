/* SPDX-License-Identifier: MIT */
#include "core/base/utf8.h"

#include <string.h>

/* What a first byte demands of the rest: RFC 3629, 4. */
static bool
begin(struct cg_utf8 *u, uint8_t c)
{
    if (c < 0xc2 || c > 0xf4) {
        return false;
    }
    u->left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool
go_on(struct cg_utf8 *u, uint8_t c)
{
    if (c < u->low || c > u->high) {
        return false;
    }
    u->left--;
    u->low = 0x80;
    u->high = 0xbf;
    return true;
}

/* Bytes of p that are ASCII, counted by words. */
static size_t
ascii_run(const char *p, size_t n)
{
    size_t i = 0;
    uint64_t word;
    while (n - i >= sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        i += sizeof word;
    }
    return i;
}

bool
cg_utf8_feed(struct cg_utf8 *u, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i];
        if (u->left > 0) {
            if (!go_on(u, c)) {
                return false;
            }
        } else if (c >= 0x80) {
            if (!begin(u, c)) {
                return false;
            }
        } else {
            size_t run = ascii_run(p + i, n - i);
            i += run > 0 ? run - 1 : 0;
        }
    }
    return true;
}
