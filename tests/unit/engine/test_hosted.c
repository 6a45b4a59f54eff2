/* SPDX-License-Identifier: MIT */
/*
 * A hosted engine, polled by the test in place of a package's loop. The host
 * keeps each request until the test ends it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { LIMIT_MS = 30 * 1000, SECOND_US = 1000 * 1000 };

static struct world w; /* its listener and its board */
static struct cg_engine_config config;
static struct cg_engine *engine;
static struct cg_executor *executor;
static struct cg_exchange *running; /* the last request */
static struct fake_host fake;
static _Atomic int nrun;
static bool blocks;        /* run waits until the event set has something */
static uint64_t body_seen; /* decoded of a body under way, when run was last */
static char big[BIG];

/* ---- the host ---- */

/* Bytes so far of the body that has been awaited longest. */
static uint64_t
body_under_way(void)
{
    struct cg_deadline *d =
        cg_deadlines_oldest(&engine->deadlines, DEADLINE_BODY);
    return d != NULL && cg_stream_of(d)->intake != NULL
               ? cg_stream_of(d)->intake->body_n
               : 0;
}

static void
run(void *self, struct cg_exchange *ex)
{
    body_seen = body_under_way();
    struct pollfd p = {.fd = cg_engine_fd(engine), .events = POLLIN};
    if (blocks) {
        ck_assert_int_eq(poll(&p, 1, LIMIT_MS), 1);
    }
    running = ex;
    nrun++;
}

static void
on_awaited(void *self, struct cg_exchange *ex)
{
    ck_assert_ptr_eq(ex, running);
}

/* ---- the engine ---- */

static void
set_up(void)
{
    struct cg_error err = {0};
    struct cg_addr addr;
    const struct cg_listener_options o = {.backlog = 128, .uid = -1, .gid = -1};
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(cg_addr_parse("127.0.0.1:0", &addr, &err), 0);
    ck_assert_int_eq(cg_listener_open(&addr, &o, &w.listener, &err), 0);
    w.board = cg_scoreboard_new(1, 0);
    fake_host_init(&fake, run, NULL);
    fake.on_awaited = on_awaited;
    fake_enter(&fake);
    config = (struct cg_engine_config){
        .intake = {.head = &cg_head_policy_default,
                   .max_body = 1000 * 1000,
                   .body_memory = 64 * 1024},
        .streaming = true,
        .server = "test",
        .first_timeout_us = 60 * SECOND_US,
        .header_timeout_us = 60 * SECOND_US,
        .body_timeout_us = 60 * SECOND_US,
        .response_memory = UINT64_MAX,
        .write_timeout_us = 60 * SECOND_US,
        .keepalive_us = 60 * SECOND_US,
        .max_keepalive_requests = UINT32_MAX,
        .max_connections = 100,
        .max_open = 100,
        .max_executors = 1,
        .hosted = true,
        .beat_us = SECOND_US,
        .max_in_flight = 2,
    };
    cg_slot_claim(w.board, cg_board_slot(w.board, 0), 1, 1);
}

static void
start(void)
{
    struct cg_error err = {0};
    ck_assert_int_eq(cg_engine_new(&config, &fake.host, &fake.runner,
                                   &w.listener, 1, w.board,
                                   cg_board_slot(w.board, 0), &engine, &err),
                     0);
    executor = cg_executor_new(engine, 1);
}

static void
end(void)
{
    cg_engine_free(engine);
    cg_executor_free(executor);
    cg_scoreboard_free(w.board);
    cg_listener_close(&w.listener, true);
}

/* Polls as a loop would until *value is at least n. */
static void
poll_until(_Atomic int *value, int n)
{
    uint64_t limit = cg_now_us() + LIMIT_MS * 1000u;
    struct pollfd p = {.fd = cg_engine_fd(engine), .events = POLLIN};
    while (*value < n) {
        ck_assert_msg(cg_now_us() < limit, "what was waited for did not come");
        ck_assert_int_ge(poll(&p, 1, LIMIT_MS), 0);
        ck_assert(cg_engine_poll(engine, executor));
    }
}

static void
poll_to_the_end(void)
{
    struct pollfd p = {.fd = cg_engine_fd(engine), .events = POLLIN};
    while (cg_engine_poll(engine, executor)) {
        ck_assert_int_gt(poll(&p, 1, LIMIT_MS), 0);
    }
}

static void
answer(struct cg_exchange *ex)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct iovec part = {(void *)(size_t)text, sizeof text - 1};
    ex->status = 200;
    ex->keep = ex->may_keep;
    wire_of(ex)->send(ex, &part, 1, NULL);
    cg_engine_done(ex);
}

static int
begin(const char *text)
{
    int fd = client_connect(&w), before = nrun;
    client_send(fd, text);
    poll_until(&nrun, before + 1);
    return fd;
}

static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static const char half[] = "POST / HTTP/1.1\r\nHost: a\r\n"
                           "Content-Length: 6\r\n\r\nabc";

/* ---- bodies ---- */

START_TEST(a_body_is_waited_for_without_blocking)
{
    start();
    int fd = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert(running->streaming);
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    client_send(fd, "def");
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_str_eq(cg_buf_str(&body), "abcdef");
    ck_assert_int_eq(cg_exchange_read(running, &body), 0);
    answer(running);
    ck_assert_str_eq(client_read(fd), "ok");
    close(fd);
    end();
}
END_TEST

/* Another greenlet of the request answers meanwhile. */
START_TEST(who_waits_for_a_body_is_told_of_what_ends_the_wait)
{
    start();
    int fd = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    struct iovec part = {big, 1};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(wire_of(running)->send(running, &part, 1, NULL), 0);
    }
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    client_send(fd, "def");
    poll_until(&fake.awaited, 2);
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_str_eq(cg_buf_str(&body), "abcdef");
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    ck_assert_int_eq(wire_of(running)->send(running, &part, 1, NULL), 0);
    cg_engine_done(running); /* while it is to be told */
    ck_assert_int_eq(cg_engine_in_flight(engine), 0);
    close(fd);
    end();
}
END_TEST

START_TEST(a_request_in_one_piece_counts_while_it_runs)
{
    static struct cg_budget budget = {.memory.most = 1000, .disk.most = 1000};
    config.intake.budget = &budget;
    start();
    int fd = begin(get);
    ck_assert_uint_eq(atomic_load(&budget.memory.held), strlen(get));
    answer(running);
    ck_assert_uint_eq(atomic_load(&budget.memory.held), 0);
    ck_assert_ptr_nonnull(client_read(fd));
    close(fd);
    end();
}
END_TEST

START_TEST(a_body_without_progress_times_out)
{
    config.body_timeout_us = 1000;
    start();
    int fd = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -ETIMEDOUT);
    ck_assert_int_eq(running->input_status, 408);
    answer(running);
    ck_assert_int_eq(atomic_load(&fake.refused), 1);
    close(fd);
    end();
}
END_TEST

START_TEST(a_body_that_ends_early_says_so_at_every_read)
{
    start();
    int fd = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    close(fd);
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -ECONNRESET);
    ck_assert_int_eq(cg_exchange_read(running, &body), -ECONNRESET);
    answer(running);
    ck_assert_int_eq(cg_engine_in_flight(engine), 0);
    end();
}
END_TEST

START_TEST(a_request_that_ends_while_it_waits_is_not_told)
{
    start();
    int fd = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    answer(running);
    client_send(fd, "def");
    client_send(fd, get);
    ck_assert_str_eq(client_read(fd), "ok");
    poll_until(&nrun, 2); /* the rest of the body was read away */
    ck_assert_int_eq(atomic_load(&fake.awaited), 0);
    answer(running);
    close(fd);
    end();
}
END_TEST

/* ---- answers ---- */

/* More than the socket takes. */
static void
send_big(void)
{
    struct iovec part = {big, sizeof big};
    ck_assert_int_eq(wire_of(running)->send(running, &part, 1, NULL), 0);
    ck_assert_uint_gt(cg_exchange_pending(running), 0);
}

START_TEST(a_reader_that_catches_up_is_told)
{
    start();
    int fd = begin(get);
    for (int i = 0; i < 4; i++) {
        send_big();
    }
    ck_assert_int_eq(cg_exchange_await_room(running, 0), 0);
    size_t got = 0;
    while (got < 4 * sizeof big) {
        char buf[65536];
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        ck_assert(n > 0 || (n < 0 && errno == EAGAIN));
        got += n > 0 ? (size_t)n : 0;
        ck_assert(cg_engine_poll(engine, executor));
    }
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_await_room(running, 0), 1);
    cg_engine_done(running);
    close(fd);
    end();
}
END_TEST

START_TEST(a_reader_that_stalls_is_given_up)
{
    config.write_timeout_us = 1000;
    start();
    int fd = begin(get);
    for (int i = 0; i < 4; i++) {
        send_big();
    }
    ck_assert_int_eq(cg_exchange_await_room(running, 0), 0);
    poll_until(&fake.awaited, 1);
    ck_assert(running->broken);
    ck_assert_int_eq(cg_exchange_await_room(running, 0), -EPIPE);
    cg_engine_done(running);
    ck_assert_int_eq(atomic_load(&fake.stalled), 1);
    close(fd);
    end();
}
END_TEST

START_TEST(a_reader_that_leaves_is_told)
{
    start();
    int fd = begin(get);
    for (int i = 0; i < 4; i++) {
        send_big();
    }
    ck_assert_int_eq(cg_exchange_await_room(running, 0), 0);
    close(fd); /* with unread bytes: a reset */
    poll_until(&fake.awaited, 1);
    ck_assert_int_eq(cg_exchange_await_room(running, 0), -EPIPE);
    cg_engine_done(running);
    end();
}
END_TEST

/* ---- how many ---- */

START_TEST(requests_beyond_the_limit_wait)
{
    start();
    int one = begin(get);
    struct cg_exchange *first = running;
    int two = begin(get);
    struct cg_exchange *second = running;
    int three = client_connect(&w);
    client_send(three, get);
    for (int i = 0; i < 10; i++) {
        ck_assert(cg_engine_poll(engine, executor));
    }
    ck_assert_int_eq(nrun, 2);
    answer(first);
    poll_until(&nrun, 3);
    answer(second);
    answer(running);
    ck_assert_str_eq(client_read(three), "ok");
    close(one);
    close(two);
    close(three);
    end();
}
END_TEST

/* ---- ends ---- */

START_TEST(a_stop_of_an_idle_engine_begins_now)
{
    start();
    ck_assert(cg_engine_poll(engine, executor));
    atomic_store(&cg_board_slot(w.board, 0)->beat_us,
                 1); /* its last look is long ago */
    cg_engine_stop(engine, 20 * SECOND_US);
    poll_to_the_end();
    ck_assert_int_eq(atomic_load(&cg_board_slot(w.board, 0)->state),
                     CG_WORKER_STOPPING);
    struct cg_slot_look slot = cg_slot_look(cg_board_slot(w.board, 0));
    ck_assert_uint_lt(cg_slot_silent_us(&slot, cg_now_us()) / SECOND_US,
                      LIMIT_MS / 1000);
    ck_assert_int_eq(cg_engine_end(engine), CG_END_STOPPED);
    end();
}
END_TEST

START_TEST(a_stop_waits_for_a_request_under_way)
{
    start();
    int fd = begin(get);
    cg_engine_stop(engine, 20 * SECOND_US);
    ck_assert(cg_engine_poll(engine, executor));
    answer(running);
    poll_to_the_end();
    ck_assert_str_eq(client_read(fd), "ok");
    ck_assert_int_eq(cg_engine_end(engine), CG_END_STOPPED);
    close(fd);
    end();
}
END_TEST

START_TEST(a_loop_with_a_request_shows_life_once_per_beat)
{
    config.beat_us = SECOND_US / 1000;
    start();
    int fd = begin(get), beats = 0;
    uint64_t limit = cg_now_us() + LIMIT_MS * 1000u;
    struct pollfd p = {.fd = cg_engine_fd(engine), .events = POLLIN};
    while (beats < 100) {
        ck_assert_msg(cg_now_us() < limit, "%d beats", beats);
        beats += poll(&p, 1, LIMIT_MS);
        ck_assert(cg_engine_poll(engine, executor));
    }
    answer(running);
    close(fd);
    end();
}
END_TEST

START_TEST(a_first_request_that_blocks_is_noticed)
{
    config.beat_us = SECOND_US / 1000;
    blocks = true;
    start();
    int fd = begin(get);
    answer(running);
    close(fd);
    end();
}
END_TEST

START_TEST(a_request_may_end_after_an_abort)
{
    start();
    int one = begin(half);
    cg_auto(buf) struct cg_buf body = {0};
    ck_assert_int_eq(cg_exchange_read(running, &body), 1);
    ck_assert_int_eq(cg_exchange_read(running, &body), -EAGAIN);
    ck_assert_int_eq(cg_exchange_await_input(running), 0);
    struct cg_exchange *first = running;
    int two = begin(get);
    cg_engine_abort(engine);
    ck_assert(!cg_engine_poll(engine, executor));
    cg_engine_done(first);
    cg_engine_done(running);
    ck_assert_int_eq(cg_engine_in_flight(engine), 0);
    ck_assert_int_eq(cg_engine_end(engine), CG_END_FORCED);
    close(one);
    close(two);
    end();
}
END_TEST

/* Sends chunks of 8 bytes until the sockets take no more. */
static size_t
flood(int fd)
{
    static const char chunk[] = "8\r\n12345678\r\n";
    static char block[1000 * (sizeof chunk - 1)];
    size_t sum = 0;
    ssize_t n;
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = chunk[i % (sizeof chunk - 1)];
    }
    while ((n = send(fd, block + sum % sizeof block,
                     sizeof block - sum % sizeof block, MSG_DONTWAIT)) > 0) {
        sum += (size_t)n;
    }
    return sum;
}

/* 256 KiB, and what one look at the socket brings on top of that. */
START_TEST(tiny_chunks_of_one_client_leave_others_their_turn)
{
    enum { SHARE = 256 * 1024 + READ_BUFFER };
    config.streaming = false;
    config.intake.max_body = UINT64_MAX;
    config.intake.body_memory = 64 << 20;
    start();
    int other = begin(get);
    answer(running);
    ck_assert_str_eq(client_read(other), "ok");
    int fd = client_connect(&w);
    client_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n8\r\n12345678\r\n");
    struct pollfd p = {.fd = cg_engine_fd(engine), .events = POLLIN};
    while (body_under_way() == 0) {
        ck_assert_int_eq(poll(&p, 1, LIMIT_MS), 1);
        ck_assert(cg_engine_poll(engine, executor));
    }
    ck_assert_uint_gt(flood(fd), 2 * SHARE);
    client_send(other, get);
    poll_until(&nrun, nrun + 1);
    ck_assert_uint_gt(body_seen, 8);
    ck_assert_uint_le(body_seen, SHARE / 13 * 8 + 16);
    answer(running);
    close(other);
    close(fd);
    end();
}
END_TEST

int
main(void)
{
    const TTest *const tests[] = {
        a_body_is_waited_for_without_blocking,
        who_waits_for_a_body_is_told_of_what_ends_the_wait,
        a_request_in_one_piece_counts_while_it_runs,
        a_body_without_progress_times_out,
        a_body_that_ends_early_says_so_at_every_read,
        a_request_that_ends_while_it_waits_is_not_told,
        a_reader_that_catches_up_is_told,
        a_reader_that_stalls_is_given_up,
        a_reader_that_leaves_is_told,
        requests_beyond_the_limit_wait,
        a_stop_of_an_idle_engine_begins_now,
        a_stop_waits_for_a_request_under_way,
        a_loop_with_a_request_shows_life_once_per_beat,
        a_first_request_that_blocks_is_noticed,
        a_request_may_end_after_an_abort,
        tiny_chunks_of_one_client_leave_others_their_turn};
    return run_tests_in("hosted", set_up, tests, CG_COUNT(tests));
}
