/* SPDX-License-Identifier: MIT */
/*
 * Borrowed: a connection whose other end is not a client but the worker that
 * lent one of its requests (loan.h). It serves that request as any plain one
 * does, and ends with it. What TLS knows of the client came with the request.
 *
 * Its transport says one word when the reply is complete, on a socket of its
 * own that is never full: so a worker that dies, or a reply that is cut, says
 * none. How the client goes on is the lender's to judge, who closes.
 */
#ifndef CG_ENGINE_BORROWED_H
#define CG_ENGINE_BORROWED_H

#include "core/engine/conn/conn.h"
#include "core/share/message.h"

/* The reply is complete, and the head of it said this of the connection. */
enum cg_loan_word { CG_LOAN_NO_WORD, CG_LOAN_KEEP = 'k', CG_LOAN_CLOSE = 'c' };

/* With the baton, all of these. c is new and plain; word_fd moves in. */
void cg_borrow(struct cg_conn *c, int word_fd, const struct cg_message *m);
bool cg_is_borrowed(const struct cg_conn *c);
/* Its request goes back to the queue, for who is free first. False: it stays;
 * else c is gone. */
bool cg_borrowed_pass_on(struct cg_engine *e, struct cg_conn *c,
                         const struct cg_message *m, int file);

#endif
