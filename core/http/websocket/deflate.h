/* SPDX-License-Identifier: MIT */
/*
 * permessage-deflate (RFC 7692): what is agreed on, and zlib on both sides.
 * Windows are small, since a server has many connections: 4 KiB where the peer
 * lets us choose. Memory is taken with the first compressed message, and is
 * zlib's: about 22 KiB to deflate, the window and 10 KiB to inflate.
 */
#ifndef CG_HTTP_WEBSOCKET_DEFLATE_H
#define CG_HTTP_WEBSOCKET_DEFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

/* One agreement on the extension. */
struct cg_ws_terms {
    uint8_t server_bits, client_bits;          /* windows, log2 */
    bool server_forgets, client_forgets;       /* no_context_takeover */
    bool names_server_bits, names_client_bits; /* they are in the offer */
};

/* Chooses from the value of one Sec-WebSocket-Extensions field. False: none of
 * its offers is for permessage-deflate with parameters that we can meet. */
bool cg_ws_terms_choose(struct cg_slice offers, struct cg_ws_terms *ret);
/* Appends the value of the answer. */
void cg_ws_terms_put(const struct cg_ws_terms *t, struct cg_buf *out);

/* Zeroed memory with the terms set is fresh; nothing is allocated yet. */
struct cg_ws_inflate {
    uint8_t bits;
    bool forgets;
    void *z; /* z_stream, once it was needed; owned */
};

struct cg_ws_deflate {
    uint8_t bits;
    bool forgets;
    void *z;
};

/* Appends what p[0..n) inflates to, `last`: the message ends with it. At most
 * `limit` bytes may be in out afterwards. 0; -EFBIG above the limit, -EBADMSG
 * for data that is none; then only release is possible. */
int cg_ws_inflate_put(struct cg_ws_inflate *i, const char *p, size_t n,
                      bool last, uint64_t limit, struct cg_buf *out);
void cg_ws_inflate_release(struct cg_ws_inflate *i);

/* Appends one message, deflated. */
void cg_ws_deflate_put(struct cg_ws_deflate *d, struct cg_slice message,
                       struct cg_buf *out);
void cg_ws_deflate_release(struct cg_ws_deflate *d);

#endif
