/* SPDX-License-Identifier: MIT */
/*
 * Content codings: which of them a client takes (RFC 9110, 12.5.3), for a file
 * that lies there in several.
 */
#ifndef CG_HTTP_CODING_H
#define CG_HTTP_CODING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* id, name, ending of a file: the one that we like best first. */
#define CG_CODINGS(X)                                                          \
    X(BR, "br", ".br") X(ZSTD, "zstd", ".zst") X(GZIP, "gzip", ".gz")
enum cg_coding {
#define X(id, name, ending) CG_CODING_##id,
    CG_CODINGS(X)
#undef X
        CG_CODING_COUNT
};

extern const char *const cg_coding_names[CG_CODING_COUNT];
extern const char *const cg_coding_endings[CG_CODING_COUNT];

/* Weights in thousandths; zeroed memory is a client that said nothing. */
struct cg_accepted {
    uint16_t q[CG_CODING_COUNT];
    uint16_t identity, any;
    bool has[CG_CODING_COUNT], has_identity, has_any;
};

/* One field of Accept-Encoding; there may be several. What is malformed in it
 * is skipped. */
void cg_accepted_read(struct cg_accepted *a, struct cg_slice value);
/* The codings that are taken and liked at least as much as none, best first.
 * How many. */
int cg_accepted_order(const struct cg_accepted *a,
                      enum cg_coding ret[CG_CODING_COUNT]);

#endif
