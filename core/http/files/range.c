/* SPDX-License-Identifier: MIT */
#include "core/http/files/range.h"

#include <stdbool.h>

/* Digits at the front of s, which go; a number too large is the largest. False:
 * there are none. */
static bool
take_number(struct cg_slice *s, uint64_t *ret)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        unsigned digit = (unsigned)(s->p[i] - '0');
        n = n > (UINT64_MAX - digit) / 10 ? UINT64_MAX : n * 10 + digit;
    }
    *s = (struct cg_slice){s->p + i, s->n - i};
    *ret = n;
    return i > 0;
}

/* The last n bytes. */
static struct cg_range
suffix(uint64_t n, uint64_t size)
{
    uint64_t some = n < size ? n : size;
    return (struct cg_range){size - some, some};
}

/* "0-99", "100-", "-50". False: malformed. Without bytes: not inside. */
static bool
read_one(struct cg_slice s, uint64_t size, struct cg_range *ret)
{
    uint64_t first, last = UINT64_MAX;
    bool has_first = take_number(&s, &first), has_last;
    if (s.n == 0 || s.p[0] != '-') {
        return false;
    }
    s = (struct cg_slice){s.p + 1, s.n - 1};
    has_last = take_number(&s, &last);
    if (s.n > 0 || (!has_first && !has_last)) {
        return false;
    }
    if (!has_first) {
        *ret = suffix(last, size);
        return true;
    }
    if (has_last && last < first) {
        return false;
    }
    *ret = (struct cg_range){first, 0};
    if (first < size) {
        uint64_t end = has_last && last < size - 1 ? last + 1 : size;
        ret->n = end - first;
    }
    return true;
}

static bool
add(struct cg_ranges *r, struct cg_range one, uint64_t size)
{
    if (one.n == 0) {
        return true;
    }
    if (r->count == CG_RANGES_MAX || one.n > size - r->total) {
        return false;
    }
    r->each[r->count++] = one;
    r->total += one.n;
    return true;
}

enum cg_ranges_are
cg_ranges_read(struct cg_ranges *r, struct cg_slice value, uint64_t size)
{
    static const char unit[] = "bytes=";
    enum { UNIT = sizeof unit - 1 };
    bool any = false;
    *r = (struct cg_ranges){0};
    if (value.n < UNIT ||
        !cg_slice_is_nocase((struct cg_slice){value.p, UNIT}, unit)) {
        return CG_RANGES_IGNORED;
    }
    for (size_t at = UNIT; at < value.n;) {
        const char *comma = memchr(value.p + at, ',', value.n - at);
        size_t end = comma != NULL ? (size_t)(comma - value.p) : value.n;
        struct cg_slice item =
            cg_slice_trim((struct cg_slice){value.p + at, end - at});
        struct cg_range one;
        at = end + 1;
        if (item.n == 0) {
            continue; /* an empty element (RFC 9110, 5.6.1.2) */
        }
        if (!read_one(item, size, &one) || !add(r, one, size)) {
            return CG_RANGES_IGNORED;
        }
        any = true;
    }
    return r->count > 0 ? CG_RANGES_GIVEN
           : any        ? CG_RANGES_BEYOND
                        : CG_RANGES_IGNORED;
}
