/* SPDX-License-Identifier: MIT */
/*
 * Message: what travels through the queue of a generation beside a connection's
 * descriptor. One complete request: the raw bytes of its head, the body
 * (decoded already; in the last descriptor when it is large), trailers, and
 * what was pipelined behind it; or nothing of these, for a connection that
 * waits for a request.
 *
 * A request may be lent: its connection stays where it is, and the first
 * descriptor is one end of a pair of sockets for the bytes of the reply, the
 * second one is for the word that it is complete
 * (core/engine/loan/borrowed.h).
 *
 * Pure: no system call. What is decoded may be anything: an older version's, a
 * broken worker's, a stranger's.
 */
#ifndef CG_SHARE_MESSAGE_H
#define CG_SHARE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "core/base/bytes.h"
#include "core/base/peer.h"

enum {
    CG_MESSAGE_PARTS = 6,
    CG_MESSAGE_FDS = 3, /* at most */
    /* of all a message's bytes but the header: no more is sent, and who
     * receives has room for it */
    CG_MESSAGE_MOST = 48 * 1024
};

struct cg_message {
    uint64_t ready_us; /* when the request was complete (monotonic) */
    uint32_t requests; /* of the connection, so far */
    uint16_t listener;
    bool lent;       /* the connection is not in the message */
    bool is_h2;      /* its request came over HTTP/2; only of a lent one */
    bool told_https; /* the packet of a uwsgi peer said so */
    bool has_file;   /* the body is in the last descriptor */
    uint64_t file_n; /* bytes of it */
    /* head.n is 0: the connection waits for a request; then nothing follows */
    struct cg_slice head, body, trailers, rest;
    struct cg_slice facts; /* of TLS (facts.h), of a lent one; n is 0: none */
    struct cg_peer peer;   /* family 0: whoever adopts it finds out */
};

/* How many descriptors go with it. */
static inline int
cg_message_fds(const struct cg_message *m)
{
    return 1 + m->lent + m->has_file;
}

/* All its bytes but the header. */
static inline size_t
cg_message_bytes(const struct cg_message *m)
{
    return m->head.n + m->body.n + m->trailers.n + m->rest.n + m->facts.n;
}

/* The bytes that precede the parts. */
struct cg_message_header {
    uint32_t magic;
    uint32_t head_n, body_n, trailers_n, rest_n, facts_n;
    uint64_t file_n;
    uint64_t ready_us;
    uint32_t requests;
    uint16_t listener;
    uint8_t has_file, lent, is_h2, told_https;
    struct cg_peer peer;
};

/* The message as parts to be sent with one call; they point into *header and to
 * what m's slices do. */
void cg_message_encode(const struct cg_message *m,
                       struct cg_message_header *header,
                       struct iovec parts[CG_MESSAGE_PARTS]);
/* p[0..n) came with `nfds` descriptors, for one of `listeners` listeners. NULL
 * when *ret_m is filled, with slices of p; else what is wrong. */
const char *cg_message_decode(const char *p, size_t n, int nfds,
                              unsigned listeners, struct cg_message *ret_m);

#endif
