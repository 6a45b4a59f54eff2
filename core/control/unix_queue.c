/* SPDX-License-Identifier: MIT */
#include "core/control/unix_queue.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

struct question {
    struct nlmsghdr head;
    struct unix_diag_req ask;
};

static void
read_reply(const char *p, size_t n, int64_t *ret_waiting, int64_t *ret_most)
{
    struct nlmsghdr h;
    struct rtattr a;
    size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct unix_diag_msg));
    if (n < sizeof h) {
        return;
    }
    memcpy(&h, p, sizeof h);
    size_t end = h.nlmsg_len < n ? h.nlmsg_len : n;
    if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        return;
    }
    for (; at + sizeof a <= end; at += RTA_ALIGN(a.rta_len)) {
        struct unix_diag_rqlen queue;
        memcpy(&a, p + at, sizeof a);
        if (a.rta_len < sizeof a) {
            return;
        }
        if (a.rta_type == UNIX_DIAG_RQLEN &&
            at + sizeof a + sizeof queue <= end) {
            memcpy(&queue, p + at + sizeof a, sizeof queue);
            *ret_waiting = queue.udiag_rqueue;
            *ret_most = queue.udiag_wqueue;
        }
    }
}

void
cg_unix_queue(int fd, int64_t *ret_waiting, int64_t *ret_most)
{
    struct stat st;
    char reply[512];
    cg_auto(fd_close) int diag =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (diag < 0 || fstat(fd, &st) < 0) {
        return;
    }
    struct question q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .ask = {.sdiag_family = AF_UNIX,
                .udiag_states = ~0U,
                .udiag_ino = (uint32_t)st.st_ino,
                .udiag_show = UDIAG_SHOW_RQLEN,
                .udiag_cookie = {~0U, ~0U}},
    };
    if (send(diag, &q, sizeof q, 0) != (ssize_t)sizeof q) {
        return;
    }
    /* the answer is there when send returns */
    ssize_t n = recv(diag, reply, sizeof reply, MSG_DONTWAIT);
    if (n > 0) {
        read_reply(reply, (size_t)n, ret_waiting, ret_most);
    }
}
