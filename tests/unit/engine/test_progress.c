/* SPDX-License-Identifier: MIT */
/* Progress: what the peer takes counts, not what the socket's buffer takes. */
#include "core/engine/outbox/progress.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

static char bytes[65536];

static uint32_t
held(int fd)
{
    const struct cg_transport t = cg_transport_plain(fd);
    return cg_transport_held(&t);
}

static uint64_t
look(struct cg_progress *p, uint64_t gone, int fd, uint64_t now_us)
{
    const struct cg_transport t = cg_transport_plain(fd);
    return cg_progress_look(p, gone, &t, now_us);
}

static void
make_unix(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
                     0);
}

static void
make_tcp(int ends[2])
{
    int size = 16384;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&at, &n);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(ends[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&at, n), 0);
    ends[0] = accept(listener, NULL, NULL);
    ck_assert_int_ge(ends[0], 0);
    close(listener);
}

/* Until the socket takes no more. */
static void
fill(int fd)
{
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

/* The peer reads until its kernel has told the sender, but never so much that
 * the sender's socket says there is room. */
static void
read_until_seen(int ends[2])
{
    uint32_t before = held(ends[0]);
    struct pollfd room = {.fd = ends[0], .events = POLLOUT};
    do {
        ck_assert_int_gt(recv(ends[1], bytes, 4096, 0), 0);
        ck_assert_int_eq(poll(&room, 1, 0), 0);
    } while (held(ends[0]) >= before);
}

static void
check_a_reader(int ends[2])
{
    struct cg_progress p = {0};
    fill(ends[0]);
    ck_assert_uint_gt(held(ends[0]), 0);
    ck_assert_uint_eq(look(&p, 0, ends[0], 1000), 0);
    ck_assert_uint_eq(look(&p, 0, ends[0], 3000), 2000);
    read_until_seen(ends);
    ck_assert_uint_eq(look(&p, 0, ends[0], 4000), 0);
    ck_assert_uint_eq(look(&p, 0, ends[0], 4500), 500);
    ck_assert_uint_eq(look(&p, 7, ends[0], 5000), 0);
    ck_assert_uint_eq(look(&p, 7, ends[0], 4999), 0);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(a_reader_of_tcp_is_seen_before_there_is_room)
{
    int ends[2];
    make_tcp(ends);
    check_a_reader(ends);
}
END_TEST

START_TEST(a_reader_of_a_unix_socket_is_seen_before_there_is_room)
{
    int ends[2];
    make_unix(ends);
    check_a_reader(ends);
}
END_TEST

START_TEST(a_descriptor_that_does_not_tell_holds_nothing)
{
    ck_assert_uint_eq(held(-1), 0);
}
END_TEST

/* Of a reply for another worker's client, which that one looks after. */
START_TEST(a_patient_transport_is_never_too_slow)
{
    int ends[2];
    struct cg_progress p = {0};
    make_unix(ends);
    fill(ends[0]);
    struct cg_transport t = cg_transport_plain(ends[0]);
    t.patient = true;
    for (uint64_t us = 1; us < 100; us++) {
        ck_assert_uint_eq(cg_progress_look(&p, 5, &t, us * 1000000), 0);
    }
    t.patient = false;
    ck_assert_uint_gt(cg_progress_look(&p, 5, &t, 200 * 1000000), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

TESTS("progress", a_patient_transport_is_never_too_slow,
      a_reader_of_tcp_is_seen_before_there_is_room,
      a_reader_of_a_unix_socket_is_seen_before_there_is_room,
      a_descriptor_that_does_not_tell_holds_nothing)
