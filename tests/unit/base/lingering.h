/* SPDX-License-Identifier: MIT */
/* A descriptor whose close waits for its peer, who reads nothing. */
#ifndef TESTS_UNIT_BASE_LINGERING_H
#define TESTS_UNIT_BASE_LINGERING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/unit/check_main.h"

enum { LINGERS_S = 100, IN_TIME_US = 20 * 1000 * 1000 };

/* One end of TCP; *ret_peer is the other. */
static inline int
lingering(int *ret_peer)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger how = {.l_onoff = 1, .l_linger = LINGERS_S};
    static const char bytes[64 * 1024];
    socklen_t n = sizeof to;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&to, n), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&to, &n), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, n), 0);
    *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(*ret_peer, 0);
    close(listener);
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof how),
                     0);
    return fd;
}

/* A byte with such a descriptor, which is nobody else's then. False: the
 * kernel does not let it through. */
static inline bool
send_lingering(int to, int *ret_peer)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    int fd = lingering(ret_peer);
    memset(&control, 0, sizeof control);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    bool sent = sendmsg(to, &m, MSG_NOSIGNAL) == 1;
    if (!sent) { /* it must not keep us, either */
        close(*ret_peer);
        *ret_peer = -1;
    }
    close(fd);
    return sent;
}

static inline void
check_in_time(uint64_t since_us)
{
    ck_assert_uint_lt(cg_now_us() - since_us, IN_TIME_US);
}

#endif
