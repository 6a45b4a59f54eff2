/* SPDX-License-Identifier: MIT */
/* Spills: what goes in comes out, in order, within their bound. */
#include "core/engine/outbox/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static struct cg_error err;

/* ends[0] sends; both may block: a spill does not. */
static void
make_pair(int ends[2])
{
    int size = 4096;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
                     0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static void
close_pair(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static struct cg_spill *
spill_of(uint64_t max)
{
    struct cg_spill *s =
        cg_spill_new(&(struct cg_spill_policy){.max = max}, &err);
    ck_assert_msg(s != NULL, "%s", err.text);
    ck_assert_uint_eq(cg_spill_bytes(s), 0);
    return s;
}

/* Byte i of all that goes in. */
static char
byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static ssize_t
put(struct cg_spill *s, size_t from, size_t n)
{
    cg_auto(free) char *bytes = cg_malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = byte_at(from + i);
    }
    return cg_spill_put(s, bytes, n, &err);
}

static struct cg_transport *
over(int fd)
{
    static struct cg_transport t;
    t = cg_transport_plain(fd);
    return &t;
}

/* Sends one piece and reads it. Returns its size. */
static size_t
get(struct cg_spill *s, int ends[2], size_t from)
{
    static char bytes[1 << 20];
    ssize_t sent = cg_spill_send(s, over(ends[0]));
    ck_assert_int_gt(sent, 0);
    ck_assert_int_eq(recv(ends[1], bytes, (size_t)sent, MSG_WAITALL), sent);
    for (ssize_t i = 0; i < sent; i++) {
        ck_assert_int_eq(bytes[i], byte_at(from + (size_t)i));
    }
    return (size_t)sent;
}

START_TEST(bytes_come_out_in_order)
{
    enum { N = 300000 };
    int ends[2];
    make_pair(ends);
    struct cg_spill *s = spill_of(1 << 30);
    ck_assert_int_eq(put(s, 0, 1), 1);
    ck_assert_int_eq(put(s, 1, 0), 0);
    ck_assert_int_eq(put(s, 1, N - 1), N - 1);
    ck_assert_uint_eq(cg_spill_bytes(s), N);
    for (size_t at = 0; at < N;) {
        at += get(s, ends, at);
        ck_assert_uint_eq(cg_spill_bytes(s), N - at);
    }
    cg_spill_free(s);
    close_pair(ends);
}
END_TEST

/* Pieces in and out of all sizes: the ring turns many times. */
START_TEST(what_was_sent_makes_room_and_the_order_stays)
{
    enum { MAX = 5000, TOTAL = 400000 };
    int ends[2];
    make_pair(ends);
    struct cg_spill *s = spill_of(MAX);
    size_t in = 0, out = 0;
    for (size_t i = 0; out < TOTAL; i++) {
        size_t n = i * 37 % 1900;
        n = n < TOTAL - in ? n : TOTAL - in;
        ssize_t taken = put(s, in, n);
        size_t room = MAX - (in - out);
        ck_assert_int_eq(taken, (ssize_t)(n < room ? n : room));
        in += (size_t)taken;
        ck_assert_uint_eq(cg_spill_bytes(s), in - out);
        if (in > out && (i % 3 == 0 || in - out == MAX || in == TOTAL)) {
            out += get(s, ends, out);
        }
    }
    ck_assert_uint_eq(cg_spill_bytes(s), 0);
    cg_spill_free(s);
    close_pair(ends);
}
END_TEST

START_TEST(a_full_one_takes_nothing)
{
    struct cg_spill *s = spill_of(10);
    ck_assert_int_eq(put(s, 0, 11), 10);
    ck_assert_int_eq(put(s, 10, 1), 0);
    ck_assert_uint_eq(cg_spill_bytes(s), 10);
    cg_spill_free(s);
}
END_TEST

START_TEST(a_full_socket_takes_nothing_and_blocks_nobody)
{
    enum { N = 1 << 20 };
    int ends[2];
    make_pair(ends);
    struct cg_spill *s = spill_of(N);
    ck_assert_int_eq(put(s, 0, N), N);
    ssize_t sent;
    size_t at = 0;
    while ((sent = cg_spill_send(s, over(ends[0]))) > 0) {
        at += (size_t)sent;
    }
    ck_assert_int_eq(sent, 0);
    ck_assert_uint_eq(cg_spill_bytes(s), N - at);
    cg_spill_free(s);
    close_pair(ends);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told)
{
    int ends[2];
    make_pair(ends);
    close(ends[1]);
    struct cg_spill *s = spill_of(100);
    put(s, 0, 10);
    ck_assert_int_eq(cg_spill_send(s, over(ends[0])), -EPIPE);
    ck_assert_uint_eq(cg_spill_bytes(s), 10);
    cg_spill_free(s);
    close(ends[0]);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
    const struct cg_spill_policy nowhere = {100, "/nowhere/at/all"};
    ck_assert_ptr_null(cg_spill_new(&nowhere, &err));
    ck_assert_str_eq(err.text, "cannot make a temporary file for a response in "
                               "'/nowhere/at/all' (tmp_upload_dir): No such "
                               "file or directory");
}
END_TEST

/* What the disk took before is not lost, and neither is the order. */
START_TEST(a_full_disk_is_told_and_loses_nothing)
{
    int ends[2];
    make_pair(ends);
    struct rlimit old, small = {.rlim_cur = 1000};
    signal(SIGXFSZ, SIG_IGN); /* as Python has it */
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    struct cg_spill *s = spill_of(100000);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert_int_eq(put(s, 0, 1500), 1000);
    ck_assert_int_eq(put(s, 1000, 500), -EFBIG);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write a response to '"));
    ck_assert_ptr_nonnull(
        strstr(err.text, "' (tmp_upload_dir): File too large"));
    setrlimit(RLIMIT_FSIZE, &old);
    ck_assert_int_eq(put(s, 1000, 500), 500);
    for (size_t at = 0; at < 1500;) {
        at += get(s, ends, at);
    }
    cg_spill_free(s);
    close_pair(ends);
}
END_TEST

TESTS("spill", bytes_come_out_in_order,
      what_was_sent_makes_room_and_the_order_stays, a_full_one_takes_nothing,
      a_full_socket_takes_nothing_and_blocks_nobody,
      a_peer_that_is_gone_is_told, a_folder_that_is_not_there_is_told,
      a_full_disk_is_told_and_loses_nothing)
