/* SPDX-License-Identifier: MIT */
/* Fields of an exchange by a name that is known at run time only, as access
 * lines ask for them: of several the last one, as gunicorn's atoms have it. */
#ifndef CG_EXCHANGE_NAMED_H
#define CG_EXCHANGE_NAMED_H

#include "core/exchange/exchange.h"

/* Borrowed from the request or the reply; p = NULL: there is none. */
struct cg_slice cg_named_field(const struct cg_exchange *ex,
                               struct cg_slice name);
/* Of the application's fields: those that the server adds are not in gunicorn's
 * resp.headers either. In the thread that runs the exchange. */
struct cg_slice cg_named_reply_field(const struct cg_exchange *ex,
                                     struct cg_slice name);

#endif
