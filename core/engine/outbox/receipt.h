/* SPDX-License-Identifier: MIT */
/*
 * Receipts: what is remembered of a reply that its peer has not taken when its
 * request is done.
 */
#ifndef CG_ENGINE_RECEIPT_H
#define CG_ENGINE_RECEIPT_H

#include "core/engine/exchange/call.h"

/* A reply that waits for its peer when its request is done. */
struct cg_receipt {
    struct cg_receipt *next;   /* of those that are settled */
    void *line;                /* the host's, or NULL */
    uint64_t sent;             /* body bytes handed over */
    uint64_t unsent;           /* of these, at the end */
    bool slow;                 /* told as such at its end, if it is: */
    struct cg_slow_tale tale;  /* but for what text says, and the sending */
    uint64_t since_us, end_us; /* the request was complete, its call over */
    size_t method_n, target_n, id_n;
    char text[]; /* method, target; the id of one that may be slow */
};

/* Those whose lines wait for an entered thread. */
struct cg_receipts {
    struct cg_receipt *first, **last;
};

/* The executor's, at the end of a call whose reply is not out, or has a line.
 */
void cg_receipt_make(struct cg_call *call);
/* With the baton: the same of a reply that another worker makes and tells of;
 * what has come of it is r->sent's. */
void cg_receipt_of(struct cg_stream *s, const struct cg_request *req,
                   const char *base);
/* With the baton: its reply is out, or the connection is about to be closed. */
void cg_receipt_end(struct cg_engine *e, struct cg_stream *s);
/* With the baton; then, entered, without it. */
struct cg_receipt *cg_receipts_take(struct cg_engine *e);
void cg_receipts_tell(const struct cg_runner *runner, struct cg_receipt *r);
/* With the baton: what is cut, for the log, before the connection is closed. */
void cg_receipt_stalled(struct cg_engine *e, struct cg_stream *s,
                        uint64_t stalled_us);
void cg_call_stalled(struct cg_engine *e, const struct cg_call *call);
uint64_t cg_wire_unsent(const struct cg_exchange *ex);

#endif
