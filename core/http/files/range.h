/* SPDX-License-Identifier: MIT */
/*
 * Ranges: the parts of a representation that a client asks for (RFC 9110, 14).
 * A request may name any number of them; how many are answered is bounded here.
 */
#ifndef CG_HTTP_RANGE_H
#define CG_HTTP_RANGE_H

#include <stdint.h>

#include "core/base/bytes.h"

enum { CG_RANGES_MAX = 16 };

struct cg_range {
    uint64_t at, n; /* bytes; n > 0 */
};

struct cg_ranges {
    int count;
    uint64_t total; /* bytes of all of them */
    struct cg_range each[CG_RANGES_MAX];
};

enum cg_ranges_are {
    CG_RANGES_IGNORED, /* another unit, malformed, or asking too much */
    CG_RANGES_GIVEN,
    CG_RANGES_BEYOND /* none of them lies inside: 416 */
};

/* Those of a field Range that lie within `size` bytes. More than the most, or
 * more bytes than there are (they overlap), is a waste that nobody needs:
 * ignored, so that the answer is the whole (RFC 9110, 14.2). */
enum cg_ranges_are cg_ranges_read(struct cg_ranges *r, struct cg_slice value,
                                  uint64_t size);

#endif
