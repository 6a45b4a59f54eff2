/* SPDX-License-Identifier: MIT */
/* Queue time: how long a request waited for its application. */
#ifndef CG_EXCHANGE_QUEUE_H
#define CG_EXCHANGE_QUEUE_H

#include "core/base/clock.h"
#include "core/exchange/exchange.h"
#include "core/http/request_start.h"

/*
 * Microseconds from the complete request to the runner; from the front's stamp
 * (X-Request-Start) when a trusted one sent it. Clocks of two machines differ:
 * a stamp of the future, or of more than a day ago, counts for nothing.
 */
static inline uint64_t
cg_exchange_queue_us(const struct cg_exchange *ex)
{
    const uint64_t day = (uint64_t)24 * 3600 * 1000000;
    uint64_t here =
        ex->start_us > ex->since_us ? ex->start_us - ex->since_us : 0;
    const struct cg_field *f =
        cg_request_field(ex->req, CG_FIELD_X_REQUEST_START);
    if (f == NULL || !ex->peer->trusted) {
        return here;
    }
    uint64_t stamp =
        cg_request_start_us((struct cg_slice){ex->base + f->value, f->value_n});
    uint64_t begun = cg_wall_us() - (cg_now_us() - ex->start_us);
    bool good = stamp != 0 && stamp <= begun && begun - stamp < day;
    return good && begun - stamp > here ? begun - stamp : here;
}

#endif
