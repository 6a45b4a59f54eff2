/* SPDX-License-Identifier: MIT */
#include "core/http/request_start.h"

#include <stdbool.h>
#include <string.h>

/* Up to six digits behind the point, as millionths. */
static bool
read_fraction(struct cg_slice s, uint64_t *ret)
{
    uint64_t n = 0, unit = 1000000;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        unit /= 10;
        n += unit * (uint64_t)(s.p[i] - '0');
    }
    *ret = n;
    return s.n > 0;
}

uint64_t
cg_request_start_us(struct cg_slice value)
{
    enum { DIGITS_MAX = 16 };
    uint64_t n = 0, fraction = 0;
    size_t i = 0;
    if (value.n > 2 && memcmp(value.p, "t=", 2) == 0) {
        value.p += 2;
        value.n -= 2;
    }
    for (; i < value.n && i < DIGITS_MAX && value.p[i] >= '0' &&
           value.p[i] <= '9';
         i++) {
        n = n * 10 + (uint64_t)(value.p[i] - '0');
    }
    if (i == 10 && i < value.n && value.p[i] == '.') { /* seconds */
        struct cg_slice rest = {value.p + i + 1, value.n - i - 1};
        return read_fraction(rest, &fraction) ? n * 1000000 + fraction : 0;
    }
    if (i != value.n) {
        return 0;
    }
    return i == 10 ? n * 1000000 : i == 13 ? n * 1000 : i == 16 ? n : 0;
}
