/* SPDX-License-Identifier: MIT */
/* Request id: the name of a request, of the front's or of our own making. */
#ifndef CG_ENGINE_REQUEST_ID_H
#define CG_ENGINE_REQUEST_ID_H

enum { CG_REQUEST_ID_MAX = 128 };

struct cg_call;

/*
 * Sets call->ex.id: to what a trusted peer sent, if that is sane (1 to
 * CG_REQUEST_ID_MAX letters, digits and "-._~+/=@:", so that it needs no quotes
 * anywhere), else to a new UUID of version 7 (RFC 9562, 5.7).
 */
void cg_request_id_take(struct cg_call *call);
/* Before the head of its reply is made: the field, if it is wanted and the
 * application has not set it. */
void cg_request_id_reply(struct cg_call *call);

#endif
