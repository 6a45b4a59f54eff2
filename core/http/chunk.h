/* SPDX-License-Identifier: MIT */
/*
 * Chunked body (RFC 9112, 7.1): bytes in, payload slices out. Extensions are
 * checked and dropped, trailers are checked and kept. Bounded: 16 hex
 * digits, 256 bytes of extension, framing no larger than 16 KiB plus payload,
 * trailers as large as a head.
 */
#ifndef CG_HTTP_CHUNK_H
#define CG_HTTP_CHUNK_H

#include "core/http/request.h"

struct cg_chunks {
    uint8_t state;         /* private; zeroed memory is a fresh decoder */
    uint16_t line_n;       /* bytes of the current size line */
    uint64_t left;         /* payload bytes left in this chunk */
    uint64_t payload;      /* payload bytes so far */
    uint64_t overhead;     /* framing bytes so far */
    struct cg_buf trailer; /* a part of the current line; owned */
    uint32_t trailers_n, trailers_bytes;
    struct cg_buf fields; /* the trailer's lines, with LF in place of CRLF */
    enum cg_refusal refusal;
};

enum cg_chunk_status {
    CG_CHUNK_MORE,   /* all input used, body goes on */
    CG_CHUNK_DATA,   /* *data is payload (a part of p); call again */
    CG_CHUNK_DONE,   /* body and trailers complete; *used bytes were its own */
    CG_CHUNK_REFUSED /* refusal says why; nothing after it may be parsed */
};

/* Reads p[0..n); *used is how far it came. `policy` limits trailers. */
enum cg_chunk_status cg_chunks_read(struct cg_chunks *c,
                                    const struct cg_head_policy *policy,
                                    const char *p, size_t n, size_t *used,
                                    struct cg_slice *data);
void cg_chunks_release(struct cg_chunks *c);

#endif
