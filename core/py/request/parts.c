/* SPDX-License-Identifier: MIT */
#include "core/py/request/parts.h"

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
cg_part_decode_path(struct cg_slice path, struct cg_buf *ret)
{
    char *to = cg_buf_reserve(ret, path.n + 1);
    for (size_t i = 0; i < path.n; i++) {
        int hi, lo;
        if (path.p[i] == '%' && i + 2 < path.n &&
            (hi = hex_digit(path.p[i + 1])) >= 0 &&
            (lo = hex_digit(path.p[i + 2])) >= 0) {
            *to++ = (char)(hi << 4 | lo);
            i += 2;
        } else {
            *to++ = path.p[i];
        }
    }
    ret->n = (size_t)(to - ret->p);
}
