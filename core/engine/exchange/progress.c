/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/progress.h"

#include <linux/sockios.h>
#include <stdbool.h>
#include <sys/ioctl.h>

uint32_t
cg_socket_held(int socket)
{
    int n = 0;
    return ioctl(socket, SIOCOUTQ, &n) == 0 && n > 0 ? (uint32_t)n : 0;
}

uint64_t
cg_progress_look(struct cg_progress *p, uint64_t gone, int socket,
                 uint64_t now_us)
{
    uint32_t held = cg_socket_held(socket);
    bool moved = p->since_us == 0 || gone != p->gone || held < p->held;
    if (moved) {
        p->since_us = now_us;
    }
    p->gone = gone;
    p->held = held;
    /* looks of another thread may have been later than the caller's clock */
    return now_us > p->since_us ? now_us - p->since_us : 0;
}
