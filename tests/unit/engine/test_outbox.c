/* SPDX-License-Identifier: MIT */
/* Outboxes: what a socket does not take goes out later, in order. */
#include "core/engine/outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"

/* ends[0] sends, without blocking; what it takes is bounded. */
static void
make_pair(int ends[2])
{
    int size = 4096;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
                     0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
}

static void
close_pair(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static struct cg_transport *
over(int fd)
{
    static struct cg_transport t;
    t = cg_transport_plain(fd);
    return &t;
}

/* Flushes and reads in turn until all is there. */
static void
pump(struct cg_outbox *o, int ends[2], struct cg_buf *got,
     struct cg_segment **dropped)
{
    char bytes[10000];
    int r = 0;
    while (r == 0) {
        r = cg_outbox_flush(o, over(ends[0]), dropped);
        ck_assert_int_ge(r, 0);
        ssize_t n;
        while ((n = recv(ends[1], bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
            cg_buf_put(got, bytes, (size_t)n);
        }
    }
    ck_assert_uint_eq(o->bytes, 0);
    ck_assert_ptr_null(o->first);
}

static int
file_with(const char *p, size_t n)
{
    int fd = memfd_create("part", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
    return fd;
}

static char *
make_bytes(size_t n)
{
    char *bytes = cg_malloc(n);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 256);
    }
    return bytes;
}

static int
count(struct cg_segment *s, void **owners)
{
    int n = 0;
    while (s != NULL) {
        struct cg_segment *next = s->next;
        owners[n++] = s->owner;
        free(s);
        s = next;
    }
    return n;
}

START_TEST(parts_of_every_kind_go_out_in_order)
{
    enum { N = 200000 };
    cg_auto(free) char *bytes = make_bytes(N);
    int ends[2], owner;
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    int fd = file_with(bytes, N);
    cg_outbox_put(&o, bytes, 50000);
    cg_outbox_put(&o, bytes, 0); /* nothing is nothing */
    cg_outbox_hold(&o, bytes + 50000, 50000, 50000, &owner);
    ck_assert_int_eq(cg_outbox_put_file(&o, fd, 100000, 70000), 0);
    close(fd); /* the outbox has its own */
    cg_outbox_put(&o, bytes + 170000, 30000);
    ck_assert_uint_eq(o.bytes, N);
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, N);
    ck_assert_mem_eq(got.p, bytes, N);
    void *owners[4];
    ck_assert_int_eq(count(dropped, owners), 1);
    ck_assert_ptr_eq(owners[0], &owner);
    close_pair(ends);
}
END_TEST

/* An object may have no bytes: it is given back all the same. */
START_TEST(parts_without_bytes_end_and_are_given_back)
{
    int ends[2], owner;
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    int fd = file_with("abc", 3);
    cg_outbox_hold(&o, "", 0, 0, &owner);
    ck_assert_int_eq(cg_outbox_put_file(&o, fd, 0, 0), 0);
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, 0);
    cg_outbox_put(&o, "abc", 3);
    cg_outbox_hold(&o, "", 0, 0, &owner);
    cg_outbox_put(&o, "def", 3);
    cg_outbox_hold(&o, "", 0, 0, &owner);
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, 6);
    ck_assert_mem_eq(got.p, "abcdef", 6);
    void *owners[4];
    ck_assert_int_eq(count(dropped, owners), 3);
    close(fd);
    close_pair(ends);
}
END_TEST

START_TEST(many_small_parts_go_out_too)
{
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0}, want = {0};
    for (int i = 0; i < 1000; i++) {
        char text[8];
        int n = snprintf(text, sizeof text, "%d,", i);
        cg_outbox_put(&o, text, (size_t)n);
        cg_buf_put(&want, text, (size_t)n);
    }
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, want.n);
    ck_assert_mem_eq(got.p, want.p, want.n);
    ck_assert_ptr_null(dropped);
    close_pair(ends);
}
END_TEST

/* Records show how many calls it took. */
START_TEST(collected_parts_leave_together_and_with_what_follows)
{
    int ends[2];
    char bytes[CG_OUTBOX_COLLECTED * 2], follows[] = "and this";
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    for (int round = 0; round < 3; round++) { /* the segment is used again */
        for (int i = 0; i < 64; i++) {
            memset(bytes, 'a' + i % 26, 1024);
            cg_outbox_collect(&o, bytes, 1024);
            ck_assert_ptr_eq(o.first, o.last);
        }
        ck_assert_ptr_null(o.spare);
        struct iovec part = {follows, 8};
        ck_assert_int_eq(
            cg_outbox_send(&o, over(ends[0]), &part, 1, false, &dropped), 8);
        ck_assert_ptr_null(o.first);
        ck_assert_ptr_nonnull(o.spare);
        ck_assert_int_eq(recv(ends[1], bytes, sizeof bytes, 0), 64 * 1024 + 8);
        ck_assert_int_eq(bytes[1023], 'a');
        ck_assert_int_eq(bytes[63 * 1024], 'a' + 63 % 26);
        ck_assert_mem_eq(bytes + 64 * 1024, follows, 8);
    }
    ck_assert_int_eq(
        cg_outbox_send(&o, over(ends[0]), NULL, 0, false, &dropped), 0);
    free(cg_outbox_take_spare(&o));
    ck_assert_ptr_null(o.spare);
    close_pair(ends);
}
END_TEST

START_TEST(collected_parts_that_wait_on_are_no_spare_memory)
{
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    cg_auto(free) char *bytes = cg_calloc(1, CG_OUTBOX_COLLECTED + 1);
    cg_outbox_collect(&o, "abc", 3);
    cg_outbox_collect(&o, bytes, CG_OUTBOX_COLLECTED); /* no room */
    cg_outbox_collect(&o, bytes, CG_OUTBOX_COLLECTED + 1);
    ck_assert_uint_eq(o.bytes, CG_OUTBOX_COLLECTED * 2 + 4);
    ck_assert_ptr_null(cg_outbox_take_spare(&o));
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, CG_OUTBOX_COLLECTED * 2 + 4);
    ck_assert_mem_eq(got.p, "abc", 3);
    ck_assert_ptr_null(o.spare);
    close_pair(ends);
}
END_TEST

START_TEST(parts_behind_what_waits_are_sent_in_order)
{
    enum { N = 100000 };
    cg_auto(free) char *bytes = make_bytes(N);
    int ends[2];
    make_pair(ends);
    struct cg_segment *dropped = NULL;
    for (size_t kind = 0; kind < 3; kind++) {
        struct cg_outbox o = {0};
        cg_auto(buf) struct cg_buf got = {0};
        size_t at = 0;
        if (kind == 1) { /* too many for one call */
            for (; at < 30; at++) {
                cg_outbox_put(&o, bytes + at, 1);
            }
        } else if (kind == 2) {
            int fd = file_with(bytes, 50);
            cg_outbox_put_file(&o, fd, 0, 50);
            close(fd);
            at = 50;
        } else {
            cg_outbox_put(&o, bytes, 10);
            at = 10;
        }
        while (at < N) {
            struct iovec parts[2] = {{bytes + at, (N - at) / 2},
                                     {bytes + at + (N - at) / 2, N - at}};
            parts[1].iov_len -= parts[0].iov_len;
            ssize_t n =
                cg_outbox_send(&o, over(ends[0]), parts, 2, false, &dropped);
            ck_assert_int_ge(n, 0);
            ck_assert(n == 0 || o.first == NULL);
            at += (size_t)n;
            char some[5000];
            n = recv(ends[1], some, sizeof some, 0);
            ck_assert_int_gt(n, 0);
            cg_buf_put(&got, some, (size_t)n);
        }
        pump(&o, ends, &got, &dropped);
        ck_assert_uint_eq(got.n, N);
        ck_assert_mem_eq(got.p, bytes, N);
    }
    close_pair(ends);
}
END_TEST

START_TEST(a_full_socket_takes_nothing_and_blocks_nobody)
{
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    static char bytes[1 << 20];
    cg_outbox_put(&o, bytes, sizeof bytes);
    ck_assert_int_eq(cg_outbox_flush(&o, over(ends[0]), &dropped), 0);
    size_t left = o.bytes;
    ck_assert_uint_lt(left, sizeof bytes);
    ck_assert_int_eq(cg_outbox_flush(&o, over(ends[0]), &dropped), 0);
    ck_assert_uint_eq(o.bytes, left);
    cg_outbox_clear(&o, &dropped);
    ck_assert_uint_eq(o.bytes, 0);
    ck_assert_ptr_null(o.last);
    close_pair(ends);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told)
{
    int ends[2], owner;
    signal(SIGPIPE, SIG_IGN); /* as Python has it: sendfile knows no flags */
    make_pair(ends);
    close(ends[1]);
    for (int kind = 0; kind < 2; kind++) {
        struct cg_outbox o = {0};
        struct cg_segment *dropped = NULL;
        int fd = file_with("abc", 3);
        if (kind == 0) {
            cg_outbox_hold(&o, "abc", 3, 3, &owner);
        } else {
            cg_outbox_put_file(&o, fd, 0, 3);
        }
        close(fd);
        ck_assert_int_eq(cg_outbox_flush(&o, over(ends[0]), &dropped), -EPIPE);
        ck_assert_ptr_null(dropped);
        cg_outbox_clear(&o, &dropped);
        void *owners[2];
        ck_assert_int_eq(count(dropped, owners), kind == 0);
    }
    close(ends[0]);
}
END_TEST

START_TEST(a_file_that_became_shorter_is_told)
{
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    int fd = file_with("abc", 3);
    cg_outbox_put_file(&o, fd, 0, 10);
    close(fd);
    ck_assert_int_eq(cg_outbox_flush(&o, over(ends[0]), &dropped), -ENODATA);
    ck_assert_uint_eq(o.bytes, 7);
    cg_outbox_clear(&o, &dropped);
    close_pair(ends);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_copied_is_told)
{
    struct cg_outbox o = {0};
    ck_assert_int_eq(cg_outbox_put_file(&o, -1, 0, 1), -EBADF);
    ck_assert_ptr_null(o.first);
}
END_TEST

/* ---- spilled ---- */

static int
spill(struct cg_outbox *o, uint64_t max, struct cg_segment **dropped)
{
    struct cg_error err = {0};
    const struct cg_spill_policy policy = {.max = max};
    int r = cg_outbox_spill(o, &policy, dropped, &err);
    ck_assert_int_eq(r, err.code);
    return r;
}

START_TEST(what_is_spilled_goes_out_before_what_comes_later)
{
    enum { N = 400000 };
    cg_auto(free) char *bytes = make_bytes(N);
    int ends[2], owner;
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    cg_outbox_collect(&o, bytes, 1000);
    cg_outbox_put(&o, bytes + 1000, 49000);
    cg_outbox_hold(&o, bytes + 50000, 100000, 100000, &owner);
    ck_assert_int_eq(spill(&o, 1 << 20, &dropped), 0);
    ck_assert_uint_eq(o.bytes, 0);
    ck_assert_uint_eq(cg_spill_bytes(o.spill), 150000);
    ck_assert(!cg_outbox_is_empty(&o));
    cg_outbox_put(&o, bytes + 150000, 50000);
    ck_assert_int_eq(spill(&o, 1 << 20, &dropped), 0); /* behind that */
    cg_outbox_put(&o, bytes + 200000, 100000);
    struct iovec part = {bytes + 300000, 100000};
    ck_assert_int_eq(
        cg_outbox_send(&o, over(ends[0]), &part, 1, false, &dropped), 0);
    cg_outbox_put(&o, bytes + 300000, 100000);
    pump(&o, ends, &got, &dropped);
    ck_assert(cg_outbox_is_empty(&o));
    ck_assert_uint_eq(o.gone, N);
    ck_assert_uint_eq(got.n, N);
    ck_assert_mem_eq(got.p, bytes, N);
    void *owners[4];
    ck_assert_int_eq(count(dropped, owners), 1);
    ck_assert_ptr_eq(owners[0], &owner);
    free(cg_outbox_take_spare(&o));
    close_pair(ends);
}
END_TEST

START_TEST(what_the_spill_has_no_room_for_stays_in_memory)
{
    enum { N = 100000, MAX = 60000 };
    cg_auto(free) char *bytes = make_bytes(N);
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    cg_outbox_put(&o, bytes, 50000);
    cg_outbox_put(&o, bytes + 50000, 50000);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(spill(&o, MAX, &dropped), 0);
        ck_assert_uint_eq(cg_spill_bytes(o.spill), MAX);
        ck_assert_uint_eq(o.bytes, N - MAX);
    }
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, N);
    ck_assert_mem_eq(got.p, bytes, N);
    close_pair(ends);
}
END_TEST

START_TEST(parts_of_files_are_not_spilled)
{
    int ends[2], fd = file_with("def", 3);
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    cg_auto(buf) struct cg_buf got = {0};
    cg_outbox_put(&o, "abc", 3);
    cg_outbox_put_file(&o, fd, 0, 3);
    cg_outbox_put(&o, "ghi", 3);
    close(fd);
    ck_assert_int_eq(spill(&o, 100, &dropped), 0);
    ck_assert_uint_eq(cg_spill_bytes(o.spill), 3);
    ck_assert_uint_eq(o.bytes, 6);
    pump(&o, ends, &got, &dropped);
    ck_assert_uint_eq(got.n, 9);
    ck_assert_mem_eq(got.p, "abcdefghi", 9);
    close_pair(ends);
}
END_TEST

START_TEST(without_a_file_all_stays_in_memory)
{
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    struct cg_error err = {0};
    const struct cg_spill_policy nowhere = {100, "/nowhere/at/all"};
    cg_outbox_put(&o, "abc", 3);
    ck_assert_int_eq(cg_outbox_spill(&o, &nowhere, &dropped, &err), -ENOENT);
    ck_assert_ptr_null(o.spill);
    ck_assert_uint_eq(o.bytes, 3);
    cg_outbox_clear(&o, &dropped);
}
END_TEST

START_TEST(what_is_spilled_ends_with_the_connection)
{
    int ends[2];
    make_pair(ends);
    struct cg_outbox o = {0};
    struct cg_segment *dropped = NULL;
    int next = dup(ends[0]);
    close(next);
    cg_outbox_put(&o, "abc", 3);
    ck_assert_int_eq(spill(&o, 100, &dropped), 0);
    ck_assert_int_ge(fcntl(next, F_GETFD), 0); /* its file */
    close(ends[1]);
    ck_assert_int_eq(cg_outbox_flush(&o, over(ends[0]), &dropped), -EPIPE);
    cg_outbox_clear(&o, &dropped);
    ck_assert(cg_outbox_is_empty(&o));
    ck_assert_int_eq(fcntl(next, F_GETFD), -1);
    close(ends[0]);
}
END_TEST

static char sink[1 << 20];

static void *
read_all(void *arg)
{
    int *fd = arg;
    while (recv(*fd, sink, sizeof sink, 0) > 0) {
    }
    return NULL;
}

/* Else a fast peer of a large file would keep the loop for itself. */
START_TEST(one_flush_sends_no_more_than_a_share_of_files)
{
    enum { N = 32 << 20, SHARE = 6 << 20 };
    pthread_t reader;
    struct cg_segment *dropped = NULL;
    for (int kind = 0; kind < 2; kind++) {
        struct cg_outbox o = {0};
        cg_auto(free) char *bytes = make_bytes(N);
        int ends[2], r = 0;
        make_pair(ends);
        fcntl(ends[0], F_SETFL, 0); /* always room for sendfile */
        pthread_create(&reader, NULL, read_all, &ends[1]);
        if (kind == 0) {
            int fd = file_with(bytes, N);
            cg_outbox_put_file(&o, fd, 0, N);
            close(fd);
        } else {
            cg_outbox_put(&o, bytes, N);
            ck_assert_int_eq(spill(&o, N, &dropped), 0);
        }
        while (r == 0) {
            uint64_t before = o.gone;
            r = cg_outbox_flush(&o, over(ends[0]), &dropped);
            ck_assert_int_ge(r, 0);
            ck_assert_uint_le(o.gone - before, SHARE);
        }
        ck_assert_uint_eq(o.gone, N);
        shutdown(ends[0], SHUT_WR);
        pthread_join(reader, NULL);
        close_pair(ends);
    }
}
END_TEST

TESTS("outbox", parts_of_every_kind_go_out_in_order,
      parts_without_bytes_end_and_are_given_back, many_small_parts_go_out_too,
      collected_parts_leave_together_and_with_what_follows,
      collected_parts_that_wait_on_are_no_spare_memory,
      parts_behind_what_waits_are_sent_in_order,
      a_full_socket_takes_nothing_and_blocks_nobody,
      a_peer_that_is_gone_is_told, a_file_that_became_shorter_is_told,
      a_descriptor_that_cannot_be_copied_is_told,
      what_is_spilled_goes_out_before_what_comes_later,
      what_the_spill_has_no_room_for_stays_in_memory,
      parts_of_files_are_not_spilled, without_a_file_all_stays_in_memory,
      what_is_spilled_ends_with_the_connection,
      one_flush_sends_no_more_than_a_share_of_files)
