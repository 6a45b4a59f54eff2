/* SPDX-License-Identifier: MIT */
/*
 * uwsgi packets: the request that a proxy tells by variables, made a head of
 * HTTP/1.0 that means the same, for the one reader of heads to judge. 1.0,
 * since a packet is the only request of its connection, and who reads the reply
 * (nginx's uwsgi_pass) knows no chunks. Stateless; all bytes of the packet from
 * its first one on are given each time. Whether the peer may send one is the
 * caller's to know.
 *
 * A packet: modifier1 (0), the length of what follows the four bytes (16 bits,
 * little-endian), modifier2 (of no meaning here); then names and values in
 * turn, each with its length (16 bits) in front of it.
 */
#ifndef CG_HTTP_UWSGI_H
#define CG_HTTP_UWSGI_H

#include "core/base/bytes.h"
#include "core/http/request.h"

enum cg_uwsgi_status { CG_UWSGI_MORE, CG_UWSGI_DONE, CG_UWSGI_REFUSED };

/* Longest packet, and the most variables of one. */
enum { CG_UWSGI_MOST = 4 + 65535, CG_UWSGI_VARIABLES = 1000 };

struct cg_uwsgi {
    uint32_t n; /* bytes of the packet; its body begins behind them */
    bool https; /* the variables say that the client came by it */
};

/*
 * DONE: *ret is filled and the head is appended to *head. REFUSED: *why says
 * why, and *at is the span of p that was wrong (n may be 0).
 *
 * The path is encoded, since PATH_INFO is decoded already; the fields are those
 * of HTTP_ variables and CONTENT_*. Variables about the connection between
 * client and proxy (Connection, Transfer-Encoding, Upgrade, Expect …) are left
 * out. A byte that could end a line is refused wherever it comes.
 */
enum cg_uwsgi_status cg_uwsgi_read(const char *p, size_t n, struct cg_buf *head,
                                   struct cg_uwsgi *ret, enum cg_refusal *why,
                                   struct cg_span *at);

#endif
