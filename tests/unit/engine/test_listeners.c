/* SPDX-License-Identifier: MIT */
/* Engines with more listeners than a byte can number. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { MANY = 300 };

static struct world w;

/* Answers with the number of its listener. */
static void
tell_listener(struct worker *k, struct cg_exchange *ex)
{
    char body[16], head[64];
    int n = snprintf(body, sizeof body, "%d", ex->listener);
    int head_n = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n);
    struct iovec parts[2] = {{head, (size_t)head_n}, {body, (size_t)n}};
    ex->status = 200;
    ex->keep = ex->may_keep;
    wire_of(ex)->send(ex, parts, 2, NULL);
}

static void
start(int workers)
{
    memset(&w, 0, sizeof w);
    w.nlisteners = MANY;
    w.own = tell_listener;
    world_start_set(&w, workers, 1);
}

static void
check_listener(int fd, int number)
{
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%d", number);
    ck_assert_str_eq(client_get(fd, "/own"), wanted);
}

START_TEST(a_request_knows_its_listener_however_many_there_are)
{
    static const int some[] = {0, 14, 15, 255, 256, 299};
    start(1);
    for (size_t i = 0; i < CG_COUNT(some); i++) {
        int fd = client_connect_to(&w.all[some[i]]);
        check_listener(fd, some[i]);
        close(fd);
    }
    world_stop(&w);
}
END_TEST

/* So does one that was handed over, by its worker or by a keeper. */
START_TEST(a_hand_over_keeps_the_number)
{
    start(0);
    int fd = client_connect_to(&w.all[280]);
    int ours = listener_accept(&w.all[280]);
    const struct cg_message m = {.listener = 280, .requests = 1};
    ck_assert_int_eq(cg_handover_send(&w.handover, &m, &ours, 1), 0);
    close(ours);
    world_add_worker(&w);
    check_listener(fd, 280);
    close(fd);
    world_stop(&w);
}
END_TEST

/* In relief's place, which gives the loop to whoever wants it. */
static void
pass_on(struct cg_engine *e)
{
    enum { NOBODY = 99 }; /* no executor of this engine */
    cg_baton_take(&e->baton, NOBODY);
    cg_watch_pass_on(e);
    cg_baton_free(&e->baton);
}

/* Who cannot take a client rings for another worker, whichever of its listeners
 * the client waits at. */
START_TEST(a_client_at_the_last_listener_is_rung_for)
{
    start(0);
    world_add_worker(&w);
    int blocked = client_connect(&w);
    client_send(blocked, "GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    wait_for_count(&cg_board_slot(w.board, 0)->takeovers, 1);
    /* relief has the loop, and the listeners are out of its set */
    int fd = client_connect_to(&w.all[MANY - 1]);
    struct pollfd bell = {.fd = w.handover.bell_fd, .events = POLLIN};
    pass_on(w.worker[0].engine);
    ck_assert_int_eq(poll(&bell, 1, 0), 1);
    world_unblock(&w);
    ck_assert_str_eq(client_read(blocked), "ok 0");
    check_listener(fd, MANY - 1);
    close(fd);
    close(blocked);
    world_stop(&w);
}
END_TEST

static bool
is_rung(void)
{
    struct pollfd bell = {.fd = w.handover.bell_fd, .events = POLLIN};
    return poll(&bell, 1, 0) == 1;
}

/* Relief that accepts for a busy worker, since nobody is idle, hears the bell,
 * too: one that it left alone would wake it again and again. */
START_TEST(who_listens_in_place_of_a_busy_worker_hears_the_bell)
{
    memset(&w, 0, sizeof w);
    w.queue_us = 3600 * 1000000ull;
    world_start_set(&w, 1, 1);
    int blocked = client_connect(&w);
    client_send(blocked, "GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    wait_for_count(&cg_board_slot(w.board, 0)->takeovers, 1);
    uint64_t end = cg_now_us() + 30 * 1000000ull;
    cg_handover_ring(&w.handover);
    while (is_rung()) {
        ck_assert_msg(cg_now_us() < end, "the bell was left alone");
    }
    int waits = client_connect(&w);
    client_send(waits, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&cg_board_slot(w.board, 0)->waiting, 1);
    ck_assert(!is_rung());
    world_unblock(&w);
    ck_assert_str_eq(client_read(blocked), "ok 0");
    ck_assert_str_eq(client_read(waits), "ok 0");
    close(waits);
    close(blocked);
    world_stop(&w);
}
END_TEST

TESTS("listeners", a_request_knows_its_listener_however_many_there_are,
      a_hand_over_keeps_the_number, a_client_at_the_last_listener_is_rung_for,
      who_listens_in_place_of_a_busy_worker_hears_the_bell)
