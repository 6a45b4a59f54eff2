/* SPDX-License-Identifier: MIT */
/* Blocks of a reply that wait for more: together, in order, never for long. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { MANY = 2000, HUGE_BYTES = 8 << 20, BLOCKS = 20, ROUNDS = 4 };

static struct world w;
static _Atomic int step, code;

/* ---- applications ---- */

static void
begin(struct cg_exchange *ex, size_t length)
{
    char head[128];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    struct iovec part = {head, (size_t)n};
    ex->status = 200;
    ex->keep = ex->may_keep;
    atomic_store(&code, wire_of(ex)->send_more(ex, &part, 1, NULL));
}

static int
post(struct cg_exchange *ex, const char *p, size_t n)
{
    struct iovec part = {(void *)(size_t)p, n};
    int r = wire_of(ex)->send_more(ex, &part, 1, NULL);
    if (r < 0) {
        atomic_store(&code, r);
    }
    return r;
}

static void
end(struct cg_exchange *ex, const char *text)
{
    struct iovec part = {(void *)(size_t)text, strlen(text)};
    wire_of(ex)->send(ex, &part, 1, NULL);
}

/* Waits, without the GIL, until the client says that it got the last one. */
static void
wait_for_client(struct worker *k, int n)
{
    app_leave(k);
    wait_for(&step, n);
    app_enter(k);
}

static void
post_and_wait(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, 8);
    post(ex, "ab", 2);
    wait_for_client(k, 1);
    post(ex, "cd", 2); /* the application was slow: leaves at once */
    wait_for_client(k, 2);
    post(ex, "e", 1);
    post(ex, "f", 1);
    wait_for_client(k, 3);
    end(ex, "gh");
}

static void
post_quickly(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, BLOCKS * 10 + 3);
    for (int i = 0; i < BLOCKS; i++) {
        post(ex, "0123456789", 10);
    }
    end(ex, "end");
}

/* Byte i of a long reply. */
static char
byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static char *
make_bytes(size_t n)
{
    char *p = cg_malloc(n);
    for (size_t i = 0; i < n; i++) {
        p[i] = byte_at(i);
    }
    return p;
}

/* Blocks of many sizes: some sent, some held, some of a file. */
static void
post_a_mixture(struct worker *k, struct cg_exchange *ex)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < MANY; i++) {
        total += i * 37 % 5000;
    }
    cg_auto(free) char *bytes = make_bytes(total);
    int fd = memfd_create("blocks", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, bytes, total), (ssize_t)total);
    begin(ex, total);
    for (size_t i = 0; i < MANY; i++) {
        size_t n = i * 37 % 5000;
        struct iovec part = {bytes + at, n};
        if (i % 50 == 3) {
            wire_of(ex)->send(ex, &part, 1, NULL);
        } else if (i % 50 == 30) {
            part.iov_len = 0;
            wire_of(ex)->send_file(ex, &part, 1, fd, (off_t)at, n);
        } else {
            wire_of(ex)->send_more(ex, &part, 1, NULL);
        }
        at += n;
    }
    close(fd);
}

/* More than any socket takes, then a wait until the client has it all. */
static void
post_too_much(struct worker *k, struct cg_exchange *ex)
{
    cg_auto(free) char *bytes = make_bytes(HUGE_BYTES);
    begin(ex, HUGE_BYTES + 4);
    for (size_t at = 0; at < HUGE_BYTES; at += 4096) {
        post(ex, bytes + at, 4096);
    }
    wait_for_client(k, 1);
    post(ex, "t", 1);
    wait_for_client(k, 2);
    end(ex, "end");
}

static void
post_until_it_fails(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, SIZE_MAX / 2);
    while (post(ex, "0123456789", 10) == 0) {
    }
    ex->broken = true;
}

/* A block that is too large to wait, and the first of its worker. */
static void
post_one_block_and_wait(struct worker *k, struct cg_exchange *ex)
{
    cg_auto(free) char *bytes = make_bytes(HUGE_BYTES);
    char head[128];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
                     HUGE_BYTES + 3);
    struct iovec parts[2] = {{head, (size_t)n}, {bytes, HUGE_BYTES}};
    ex->status = 200;
    ex->keep = ex->may_keep;
    wire_of(ex)->send_more(ex, parts, 2, NULL);
    wait_for_client(k, 1);
    end(ex, "end");
}

/* Each block an object's, which outlives the call when the last ones wait. */
static void
post_objects(struct worker *k, struct cg_exchange *ex)
{
    enum { BLOCK = 1 << 20, LOW = 64 * 1024 };
    static char bytes[HUGE_BYTES];
    int most = 0;
    for (size_t i = 0; i < HUGE_BYTES; i++) {
        bytes[i] = byte_at(i);
    }
    begin(ex, (size_t)HUGE_BYTES * ROUNDS);
    for (size_t at = 0; at < (size_t)HUGE_BYTES * ROUNDS; at += BLOCK) {
        struct iovec part = {bytes + at % HUGE_BYTES, BLOCK};
        wire_of(ex)->send_more(ex, &part, 1, bytes);
        int live = atomic_load(&k->fake.held) - atomic_load(&k->fake.dropped);
        most = live > most ? live : most;
        app_leave(k);
        cg_exchange_drain(ex, LOW);
        app_enter(k);
    }
    atomic_store(&code, most);
}

static void
post_and_forget(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, 4);
    post(ex, "abcd", 4);
}

/* ---- clients ---- */

static int
ask(void)
{
    int fd = client_connect(&w);
    client_send(fd, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
    return fd;
}

static void
expect(int fd, const char *text)
{
    char got[64] = "";
    size_t n = strlen(text);
    ck_assert_int_eq(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
    ck_assert_str_eq(got, text);
}

static void
expect_head(int fd, size_t length)
{
    char head[128];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    char got[128] = "";
    ck_assert_int_eq(recv(fd, got, strlen(head), MSG_WAITALL),
                     (ssize_t)strlen(head));
    ck_assert_str_eq(got, head);
}

static void
expect_bytes(int fd, size_t n)
{
    static char got[65536];
    for (size_t at = 0; at < n;) {
        size_t most = n - at < sizeof got ? n - at : sizeof got;
        ssize_t r = recv(fd, got, most, 0);
        ck_assert_int_gt(r, 0);
        for (ssize_t i = 0; i < r; i++) {
            if (got[i] != byte_at(at + (size_t)i)) { /* an assertion is slow */
                ck_abort_msg("another byte at %zu", at + (size_t)i);
            }
        }
        at += (size_t)r;
    }
}

static unsigned
segments_in(int fd)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof info;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    return info.tcpi_data_segs_in;
}

static void
start(own_app *own, int threads)
{
    world_start(&w, 1, threads);
    w.own = own;
    atomic_store(&step, 0);
    atomic_store(&code, 0);
}

/* ---- the tests ---- */

static void
read_in_steps(int fd)
{
    expect_head(fd, 8);
    expect(fd, "ab");
    atomic_store(&step, 1);
    expect(fd, "cd");
    atomic_store(&step, 2);
    expect(fd, "ef");
    atomic_store(&step, 3);
    expect(fd, "gh");
    close(fd);
}

START_TEST(a_block_arrives_while_the_application_makes_the_next)
{
    start(post_and_wait, 1);
    read_in_steps(ask());
    world_stop(&w);
}
END_TEST

START_TEST(with_threads_it_does_so_too)
{
    start(post_and_wait, 2);
    read_in_steps(ask());
    world_stop(&w);
}
END_TEST

/* How many is a matter of time, so it is tried until it was seen. */
START_TEST(blocks_that_follow_one_another_quickly_leave_together)
{
    start(post_quickly, 1);
    uint64_t since = cg_now_us();
    unsigned least = UINT32_MAX;
    while (least > 1) {
        int fd = ask();
        ck_assert_uint_eq(strlen(client_read(fd)), BLOCKS * 10 + 3);
        unsigned n = segments_in(fd);
        least = n < least ? n : least;
        close(fd);
        ck_assert_msg(cg_now_us() - since < 30 * 1000000u,
                      "%d blocks came in %u pieces at best", BLOCKS, least);
    }
    world_stop(&w);
}
END_TEST

START_TEST(blocks_of_all_kinds_keep_their_order)
{
    size_t total = 0;
    for (size_t i = 0; i < MANY; i++) {
        total += i * 37 % 5000;
    }
    start(post_a_mixture, 2);
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = ask();
    }
    for (int i = 0; i < 4; i++) {
        expect_head(fds[i], total);
        expect_bytes(fds[i], total);
        close(fds[i]);
    }
    world_stop(&w);
}
END_TEST

START_TEST(what_a_full_socket_left_is_sent_while_the_application_waits)
{
    start(post_too_much, 2);
    int fd = ask();
    expect_head(fd, HUGE_BYTES + 4);
    expect_bytes(fd, HUGE_BYTES);
    atomic_store(&step, 1);
    expect(fd, "t");
    atomic_store(&step, 2);
    expect(fd, "end");
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_large_block_is_sent_to_its_end_while_the_application_waits)
{
    start(post_one_block_and_wait, 1);
    int fd = ask();
    expect_head(fd, HUGE_BYTES + 3);
    expect_bytes(fd, HUGE_BYTES);
    atomic_store(&step, 1);
    expect(fd, "end");
    close(fd);
    world_stop(&w);
}
END_TEST

/* Not until the end of the reply, which may be long. */
START_TEST(objects_are_dropped_when_their_bytes_are_out)
{
    start(post_objects, 1);
    int fd = ask();
    expect_head(fd, (size_t)HUGE_BYTES * ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        expect_bytes(fd, HUGE_BYTES);
    }
    close(fd);
    wait_for(&w.worker[0].ran, 1);
    ck_assert_int_gt(atomic_load(&w.worker[0].fake.held), 0);
    ck_assert_int_le(atomic_load(&code), 2);
    world_stop(&w);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_noticed)
{
    start(post_until_it_fails, 1);
    int fd = ask();
    expect_head(fd, SIZE_MAX / 2);
    close(fd); /* with bytes unread: a reset */
    wait_for(&w.worker[0].ran, 1);
    ck_assert_int_lt(atomic_load(&code), 0);
    world_stop(&w);
}
END_TEST

START_TEST(the_last_block_leaves_with_the_end_of_the_call)
{
    start(post_and_forget, 1);
    int fd = client_connect(&w);
    for (int i = 0; i < 100; i++) {
        ck_assert_str_eq(client_get(fd, "/own"), "abcd");
    }
    close(fd);
    world_stop(&w);
}
END_TEST

/* Many calls whose blocks wait at once. */
START_TEST(calls_side_by_side_do_not_meet)
{
    start(post_quickly, THREADS);
    int fds[16];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 16; i++) {
            fds[i] = round == 0 ? client_connect(&w) : fds[i];
            client_send(fds[i], "GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for (int i = 0; i < 16; i++) {
            ck_assert_uint_eq(strlen(client_read(fds[i])), BLOCKS * 10 + 3);
        }
    }
    for (int i = 0; i < 16; i++) {
        close(fds[i]);
    }
    world_stop(&w);
}
END_TEST

START_TEST(without_a_thread_every_block_leaves_at_once)
{
    start(post_and_wait, 1);
    int fd = client_connect(&w);
    client_get(fd, "/"); /* the connection is accepted */
    struct rlimit old, none = {0};
    getrlimit(RLIMIT_NOFILE, &old);
    none.rlim_max = old.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    client_send(fd, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
    read_in_steps(fd);
    setrlimit(RLIMIT_NOFILE, &old);
    world_stop(&w);
}
END_TEST

TESTS("cork", a_block_arrives_while_the_application_makes_the_next,
      with_threads_it_does_so_too,
      blocks_that_follow_one_another_quickly_leave_together,
      blocks_of_all_kinds_keep_their_order,
      what_a_full_socket_left_is_sent_while_the_application_waits,
      a_large_block_is_sent_to_its_end_while_the_application_waits,
      objects_are_dropped_when_their_bytes_are_out,
      a_peer_that_is_gone_is_noticed,
      the_last_block_leaves_with_the_end_of_the_call,
      calls_side_by_side_do_not_meet,
      without_a_thread_every_block_leaves_at_once)
