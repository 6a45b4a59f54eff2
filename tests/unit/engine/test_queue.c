/* SPDX-License-Identifier: MIT */
/* Queue: which one is next, who has left, who waited too long. */
#include "core/engine/queue.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/engine/state.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/fake_host.h"

enum { MS = 1000, ALL = 200 };

static struct cg_engine *e;
static struct cg_engine_config config;
static struct fake_host fake;
static struct cg_scoreboard *board;
static struct cg_listener listener;
static int peers[ALL], npeers;

static void
run(void *self, struct cg_exchange *ex)
{
}

/* An engine that nobody turns: its time stands still. */
static void
set_up(void)
{
    const struct cg_listener_options o = {.backlog = 16, .uid = -1, .gid = -1};
    struct cg_error err = {0};
    struct cg_addr addr;
    config = (struct cg_engine_config){
        .intake = {.head = &cg_head_policy_default, .max_body = UINT64_MAX},
        .server = "test",
        .response_memory = UINT64_MAX,
        .max_connections = 1000,
        .max_open = 1000,
        .newest_first = true,
    };
    fake_host_init(&fake, run, NULL);
    ck_assert_int_eq(cg_addr_parse("127.0.0.1:0", &addr, &err), 0);
    ck_assert_int_eq(cg_listener_open(&addr, &o, &listener, &err), 0);
    board = cg_scoreboard_new(1, 0);
    cg_slot_claim(board, cg_board_slot(board, 0), 1, 1);
    ck_assert_int_eq(cg_engine_new(&config, &fake.host, &fake.runner, &listener,
                                   1, board, cg_board_slot(board, 0), &e, &err),
                     0);
    npeers = 0;
}

static struct cg_stream *popped[64]; /* that nobody runs */
static int npopped;

static void
tear_down(void)
{
    for (int i = 0; i < npopped; i++) {
        cg_conn_close(e, popped[i]->conn);
    }
    npopped = 0;
    cg_engine_free(e);
    for (int i = 0; i < npeers; i++) {
        close(peers[i]);
    }
    cg_listener_close(&listener, true);
    cg_scoreboard_free(board);
    pthread_mutex_destroy(&fake.gil);
}

/* A connection whose request has been waiting for so long; the peer's end is
 * the next of `peers`. */
static struct cg_stream *
wait_for(uint64_t waited_us)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    struct cg_conn *c = cg_conn_new(e, cg_transport_plain(pair[0]));
    c->stream.ready_us = e->now_us - waited_us;
    peers[npeers++] = pair[1];
    cg_ready_push(e, &c->stream);
    return &c->stream;
}

static struct cg_stream *
next_one(void)
{
    struct cg_stream *s = cg_queue_next(e);
    if (s != NULL) {
        popped[npopped++] = s;
    }
    return s;
}

static uint64_t
abandoned(void)
{
    return atomic_load(&e->slot->abandoned);
}

START_TEST(the_oldest_is_the_next_one)
{
    struct cg_stream *b = wait_for(20 * MS), *c = wait_for(10 * MS);
    struct cg_stream *a = wait_for(30 * MS); /* given back by a sibling */
    ck_assert_ptr_eq(next_one(), a);
    ck_assert_ptr_eq(next_one(), b);
    ck_assert_ptr_eq(next_one(), c);
    ck_assert_ptr_null(next_one());
    ck_assert_uint_eq(e->overload.tale.run, 3);
    ck_assert_uint_eq(e->overload.tale.longest_us, 30 * MS);
}
END_TEST

START_TEST(the_newest_is_the_next_one_while_the_queue_stands)
{
    struct cg_stream *a = wait_for(300 * MS), *b = wait_for(200 * MS);
    struct cg_stream *c = wait_for(100 * MS);
    e->overload.standing = true;
    e->overload.debt_us = 1;
    ck_assert_ptr_eq(next_one(), c);
    ck_assert_ptr_eq(next_one(), b);
    ck_assert(!e->overload.oldest);
    e->overload.debt_us = 0;
    ck_assert_ptr_eq(next_one(), a);
    ck_assert(e->overload.oldest);
}
END_TEST

START_TEST(an_exempt_one_is_before_all_others)
{
    wait_for(300 * MS);
    struct cg_stream *vip = wait_for(1 * MS);
    cg_ready_take(e, vip);
    vip->exempt = true;
    cg_ready_push(e, vip);
    wait_for(1 * MS);
    ck_assert_ptr_eq(next_one(), vip);
    e->overload.standing = true;
    npopped = 0; /* it waits again */
    cg_ready_push(e, vip);
    ck_assert_ptr_eq(next_one(), vip);
}
END_TEST

START_TEST(who_has_closed_is_not_run)
{
    wait_for(30 * MS);
    struct cg_stream *b = wait_for(20 * MS);
    close(peers[0]);
    peers[0] = -1;
    ck_assert_ptr_eq(next_one(), b);
    ck_assert_uint_eq(abandoned(), 1);
    ck_assert_uint_eq(e->overload.tale.abandoned, 1);
    ck_assert_int_eq(atomic_load(&fake.refused), 1); /* its line is written */
}
END_TEST

START_TEST(who_sends_no_more_is_run_until_abandoned_after)
{
    config.abandoned_us = 100 * MS;
    struct cg_stream *a = wait_for(99 * MS);
    shutdown(peers[0], SHUT_WR);
    ck_assert_ptr_eq(next_one(), a);
    npopped = 0; /* it waits again */
    cg_ready_push(e, a);
    e->now_us += 1 * MS;
    ck_assert_ptr_null(next_one());
    ck_assert_uint_eq(abandoned(), 1);
}
END_TEST

START_TEST(who_sends_no_more_is_run_always_if_told_so)
{
    struct cg_stream *a = wait_for(9000 * MS);
    shutdown(peers[0], SHUT_WR);
    ck_assert_ptr_eq(next_one(), a);
}
END_TEST

/* A look is a system call, and most wait for less than that takes to matter. */
START_TEST(who_has_hardly_waited_is_not_looked_at)
{
    struct cg_stream *a = wait_for(1 * MS);
    shutdown(peers[0], SHUT_RDWR);
    ck_assert_ptr_eq(next_one(), a);
}
END_TEST

START_TEST(who_waited_too_long_is_answered)
{
    char reply[1024] = "";
    config.max_queue_us = 100 * MS;
    wait_for(101 * MS);
    struct cg_stream *b = wait_for(100 * MS);
    ck_assert_ptr_eq(next_one(), b);
    ck_assert_int_gt(recv(peers[0], reply, sizeof reply - 1, MSG_DONTWAIT), 0);
    ck_assert_int_eq(strncmp(reply, "HTTP/1.1 503 ", 13), 0);
    ck_assert_ptr_nonnull(strstr(reply, "Retry-After: 1\r\n"));
    ck_assert_uint_eq(atomic_load(&e->slot->shed), 1);
}
END_TEST

START_TEST(an_exempt_one_is_never_refused)
{
    config.max_queue_us = 100 * MS;
    struct cg_stream *vip = wait_for(1 * MS);
    cg_ready_take(e, vip);
    vip->exempt = true;
    vip->ready_us = e->now_us - 900 * MS;
    cg_ready_push(e, vip);
    ck_assert_ptr_eq(next_one(), vip);
}
END_TEST

/* More than one poll(2) has room for. */
START_TEST(a_sweep_drops_all_that_have_left)
{
    for (int i = 0; i < ALL; i++) {
        wait_for(20 * MS);
    }
    for (int i = 0; i < ALL; i += 2) {
        close(peers[i]);
        peers[i] = -1;
    }
    cg_queue_sweep(e);
    ck_assert_uint_eq(abandoned(), ALL / 2);
    ck_assert_int_eq(e->ready.n, ALL / 2);
    ck_assert_uint_eq(e->overload.tale.abandoned, ALL / 2);
}
END_TEST

START_TEST(a_sweep_is_due_while_somebody_waits)
{
    ck_assert_uint_eq(cg_queue_sweep_us(e), UINT64_MAX);
    wait_for(0);
    cg_queue_sweep(e);
    uint64_t due = cg_queue_sweep_us(e);
    ck_assert_uint_gt(due, e->now_us);
    ck_assert_uint_le(due, e->now_us + 50 * MS);
}
END_TEST

START_TEST(an_adopted_one_that_has_left_is_not_admitted)
{
    struct cg_stream *a = wait_for(30 * MS), *b = wait_for(30 * MS);
    const struct cg_request none = {0};
    const struct cg_arrival arrival = {.req = &none, .base = ""};
    cg_ready_take(e, a);
    cg_ready_take(e, b);
    close(peers[0]);
    peers[0] = -1;
    ck_assert(!cg_queue_admits(e, a, &arrival));
    ck_assert(cg_queue_admits(e, b, &arrival));
    ck_assert_uint_eq(abandoned(), 1);
    cg_conn_close(e, b->conn);
}
END_TEST

TESTS_BETWEEN("queue", set_up, tear_down, the_oldest_is_the_next_one,
              the_newest_is_the_next_one_while_the_queue_stands,
              an_exempt_one_is_before_all_others, who_has_closed_is_not_run,
              who_sends_no_more_is_run_until_abandoned_after,
              who_sends_no_more_is_run_always_if_told_so,
              who_has_hardly_waited_is_not_looked_at,
              who_waited_too_long_is_answered, an_exempt_one_is_never_refused,
              a_sweep_drops_all_that_have_left,
              a_sweep_is_due_while_somebody_waits,
              an_adopted_one_that_has_left_is_not_admitted)
