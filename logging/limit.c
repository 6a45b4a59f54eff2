/* SPDX-License-Identifier: MIT */
#include "logging/limit.h"

enum { SECOND_US = 1000 * 1000 };

bool
cg_log_limit_pass(struct cg_log_limit *l, uint64_t now_us, uint32_t most)
{
    if (now_us - l->since_us >= SECOND_US) {
        l->since_us = now_us;
        l->shown = 0;
    }
    if (l->shown < most) {
        l->shown++;
        return true;
    }
    l->held++;
    return false;
}

uint64_t
cg_log_limit_take(struct cg_log_limit *l)
{
    uint64_t held = l->held;
    l->held = 0;
    return held;
}
