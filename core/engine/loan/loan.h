/* SPDX-License-Identifier: MIT */
/*
 * The room of loans: requests whose connection cannot move (its keys, or the
 * session of its HTTP/2, are in this worker) and that would wait here for a
 * long call. The request goes to the queue of the generation, the connection
 * stays: its stream is AWAY while a sibling answers into a pair of sockets, and
 * whoever turns the loop here passes the reply on.
 *
 * What always holds: a loan begins with a complete request and is never run
 * again; no more than CG_LOAN_SHARE bytes of a reply lie here, and none is read
 * before the client has taken those; a reply without the word that it is
 * complete is cut.
 *
 * Loan: the owner's side. Who borrows: borrowed.h. With the baton.
 */
#ifndef CG_ENGINE_LOAN_H
#define CG_ENGINE_LOAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

enum {
    CG_LOAN_SHARE = 64 * 1024,
    CG_LOANS_MOST = 256 /* of a worker: each has two descriptors here */
};

struct cg_conn;
struct cg_engine;
struct cg_loan;
struct cg_message;
struct cg_request;
struct cg_stream;

struct cg_loans {
    struct cg_loan *first;
    int n;
    uint64_t last_us;   /* one began then */
    uint64_t failed_us; /* the queue took none then */
};

/* Whether a request may be lent: a sibling that answers it has no way to talk
 * to the client but by this reply, and there have to be descriptors. */
bool cg_loan_may_begin(const struct cg_engine *e, const struct cg_stream *s,
                       const struct cg_request *req);
/* What the message says of the connection that stays; *facts holds bytes that
 * *m refers to. */
void cg_loan_describe(const struct cg_conn *c, struct cg_buf *facts,
                      struct cg_message *m);
/* True: the request is in the queue, s is AWAY, and file stays the caller's. A
 * request that is borrowed itself goes on to who is free, and s is gone. */
bool cg_loan_begin(struct cg_engine *e, struct cg_stream *s,
                   const struct cg_request *req, const struct cg_message *m,
                   int file);
/* At the end of the engine: their clients are cut. */
void cg_loans_release(struct cg_engine *e);

#endif
