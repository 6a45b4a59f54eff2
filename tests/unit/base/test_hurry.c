/* SPDX-License-Identifier: MIT */
/* Descriptors that others left in a socket do not keep who drops them. */
#include "core/base/hurry.h"

#include "tests/unit/base/lingering.h"

static int pair[2], peer;

static void
send_one(void)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert(send_lingering(pair[0], &peer));
}

START_TEST(a_close_does_not_wait_for_them)
{
    uint64_t now = cg_now_us();
    send_one();
    cg_hurry_close(&pair[1]);
    check_in_time(now);
    ck_assert_int_eq(pair[1], -1);
    cg_hurry_close(&pair[1]); /* is none */
    close(pair[0]);
    close(peer);
}
END_TEST

START_TEST(nor_does_a_call_that_takes_the_bytes_alone)
{
    struct cg_hurry h;
    char bytes[8];
    uint64_t now = cg_now_us();
    send_one();
    cg_hurry_begin(&h);
    ck_assert_int_eq(recv(pair[1], bytes, sizeof bytes, MSG_DONTWAIT), 1);
    cg_hurry_end(&h);
    check_in_time(now);
    close(pair[0]);
    close(pair[1]);
    close(peer);
}
END_TEST

START_TEST(none_come_to_a_socket_that_refuses_them)
{
    int got = -1;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    cg_hurry_refuse(pair[1]);
    bool sent = send_lingering(pair[0], &peer);
    if (sent) { /* an old kernel's */
        cg_hurry_close(&pair[1]);
        close(peer);
    } else {
        ck_assert_int_eq(send(pair[0], "x", 1, 0), 1); /* bytes do */
        got = (int)recv(pair[1], (char[8]){0}, 8, MSG_DONTWAIT);
        ck_assert_int_eq(got, 1);
        close(pair[1]);
    }
    close(pair[0]);
}
END_TEST

TESTS("hurry", a_close_does_not_wait_for_them,
      nor_does_a_call_that_takes_the_bytes_alone,
      none_come_to_a_socket_that_refuses_them)
