/* SPDX-License-Identifier: MIT */
/*
 * Requests whose connection cannot move are lent to a sibling while their own
 * worker is in a long call: what comes back reaches the client by the owner's
 * transport, complete or visibly cut, and runs once.
 */
#include <poll.h>
#include <sys/mman.h>

#include "tests/unit/engine/masked_client.h"

static struct world w;

static void
start(int workers)
{
    w.transports = &mask_maker;
    world_start_set(&w, workers, 1);
}

static void
stop(void)
{
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&mask_made), atomic_load(&mask_released));
}

static struct cg_slot *
slot(int worker)
{
    return cg_board_slot(w.board, (uint32_t)worker);
}

/* A client of that worker, whose first request is answered. */
static struct client
client_of(int worker)
{
    for (;;) {
        struct client c = begin(&w);
        ask(&c, "/");
        hear(&c, "ok ");
        hear_body(&c, 4);
        if (worker_of(strstr(c.text, "ok ")) == worker) {
            return c;
        }
        end(&c);
    }
}

/* Worker 0 is in a call from here on. */
static struct client
block_first(void)
{
    struct client c = client_of(0);
    ask(&c, "/block");
    wait_for(&w.worker[0].blocked, 1);
    return c;
}

static void
unblock(struct client *blocked)
{
    world_unblock(&w);
    hear(blocked, "ok 0");
    end(blocked);
}

START_TEST(a_request_of_a_blocked_worker_is_answered_by_an_idle_one)
{
    start(2);
    struct client c = client_of(0), blocked = block_first();
    for (int i = 0; i < 20; i++) {
        ask(&c, "/");
        hear(&c, "ok 1");
    }
    ck_assert_uint_eq(atomic_load(&slot(0)->given), 20);
    ck_assert_uint_eq(atomic_load(&slot(0)->lent), 20);
    ck_assert_uint_eq(atomic_load(&slot(1)->adopted), 20);
    unblock(&blocked);
    ask(&c, "/"); /* the connection is the owner's still */
    hear(&c, "ok 0");
    end(&c);
    stop();
}
END_TEST

START_TEST(its_body_goes_with_it)
{
    enum { SMALL = 5, MEDIUM = 40000, LARGE = 300000 };
    static const int sizes[] = {SMALL, MEDIUM, LARGE};
    static char data[LARGE + 200];
    start(2);
    struct client c = client_of(0), blocked = block_first();
    for (int i = 0; i < 3; i++) {
        char wanted[32];
        int n = snprintf(data, 200,
                         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
                         "%d\r\n\r\n",
                         sizes[i]);
        memset(data + n, 'x', (size_t)sizes[i]);
        c.n = 0;
        c.text[0] = '\0';
        say(&c, data, (size_t)(n + sizes[i]));
        snprintf(wanted, sizeof wanted, "body %d", sizes[i]);
        hear(&c, wanted);
    }
    ck_assert_uint_eq(atomic_load(&slot(0)->lent), 3);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

START_TEST(pipelined_requests_are_lent_one_after_the_other)
{
    static const char three[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                                "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                                "GET /close HTTP/1.1\r\nHost: a\r\n\r\n";
    start(2);
    struct client c = client_of(0), blocked = block_first();
    c.n = 0;
    c.text[0] = '\0';
    say(&c, three, sizeof three - 1);
    hear(&c, NULL);
    int n = 0;
    for (const char *at = c.text; (at = strstr(at, "ok 1")) != NULL; at++) {
        n++;
    }
    ck_assert_int_eq(n, 3);
    ck_assert_uint_eq(atomic_load(&slot(0)->lent), 3);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

START_TEST(a_large_reply_waits_for_its_client_in_the_sibling)
{
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/big");
    wait_for(&w.worker[1].ran, 1);
    /* its request is done there, and the owner holds no more than a share */
    ck_assert_uint_le(atomic_load(&w.worker[0].engine->hoard.bytes),
                      2 * CG_LOAN_SHARE);
    const char *body = hear_body(&c, BIG);
    size_t wrong = 0;
    for (size_t i = 0; i < BIG; i++) {
        wrong += body[i] != 0;
    }
    ck_assert_uint_eq(wrong, 0);
    ask(&c, "/");
    hear(&c, "ok 1");
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_cut_by_the_owner)
{
    w.write_us = 100 * 1000;
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/big");
    wait_for(&w.worker[0].fake.stalled, 1);
    ck_assert_int_eq(atomic_load(&w.worker[1].fake.stalled), 0);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

static void
send_text(struct cg_exchange *ex, const char *text)
{
    struct iovec part = {(void *)(size_t)text, strlen(text)};
    wire_of(ex)->send(ex, &part, 1, NULL);
}

static void
answer_a_part(struct worker *k, struct cg_exchange *ex)
{
    ex->status = 200;
    send_text(ex, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    ex->broken = true;
    ex->keep = false;
}

START_TEST(a_reply_that_is_cut_is_cut_for_the_client)
{
    w.own = answer_a_part;
    start(2);
    struct client c = client_of(0), blocked = block_first();
    int ended = atomic_load(&mask_ended);
    ask(&c, "/own");
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "\r\n\r\nhalf"));
    ck_assert_int_eq(atomic_load(&mask_ended), ended); /* no proper end */
    end(&c);
    c = client_of(1);
    ask(&c, "/close");
    hear(&c, NULL);
    ck_assert_int_gt(atomic_load(&mask_ended), ended);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

START_TEST(a_reply_that_says_close_ends_the_connection_properly)
{
    start(2);
    struct client c = client_of(0), blocked = block_first();
    int ended = atomic_load(&mask_ended);
    ask(&c, "/close");
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "ok 1"));
    ck_assert_int_gt(atomic_load(&mask_ended), ended);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

static _Atomic int gone;

/* Until its client is. */
static void
answer_for_ever(struct worker *k, struct cg_exchange *ex)
{
    ex->status = 200;
    ex->keep = false;
    send_text(ex, "HTTP/1.1 200 OK\r\n\r\nbegin");
    while (!ex->broken) {
        send_text(ex, "more");
    }
    atomic_fetch_add(&gone, 1);
}

START_TEST(who_answers_hears_that_the_client_has_left)
{
    w.own = answer_for_ever;
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/own");
    hear(&c, "begin");
    end(&c);
    wait_for(&gone, 1);
    unblock(&blocked);
    stop();
}
END_TEST

/* It says no more, and reads on: so it gets its answer. */
START_TEST(a_client_that_ends_its_side_is_answered)
{
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/big");
    shutdown(c.fd, SHUT_WR);
    hear_body(&c, BIG);
    unblock(&blocked);
    end(&c);
    stop();
}
END_TEST

START_TEST(what_takes_too_long_in_the_sibling_is_answered_504)
{
    w.limit_us = 50 * 1000;
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/block");
    wait_for(&w.worker[1].blocked, 1);
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "504 Gateway Time"));
    hear(&blocked, "504 Gateway Time");
    end(&blocked);
    end(&c);
    world_unblock(&w);
    stop();
}
END_TEST

START_TEST(a_reply_under_way_that_takes_too_long_is_cut)
{
    w.limit_us = 50 * 1000;
    start(2);
    struct client c = client_of(0), blocked = block_first();
    int ended = atomic_load(&mask_ended);
    ask(&c, "/half");
    wait_for(&w.worker[1].blocked, 1);
    hear(&blocked, "504 Gateway Time");
    hear(&blocked, NULL);
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "\r\n\r\nhalf"));
    ck_assert_ptr_null(strstr(c.text, "rest"));
    ck_assert_int_le(atomic_load(&mask_ended), ended + 2); /* the 504's */
    end(&blocked);
    end(&c);
    world_unblock(&w);
    stop();
}
END_TEST

START_TEST(when_all_were_blocked_nothing_is_lost)
{
    enum { CLIENTS = 6 };
    start(2);
    struct client a = client_of(0), b = client_of(1), c[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = client_of(i % 2);
    }
    ask(&a, "/block");
    ask(&b, "/block");
    wait_for(&w.worker[0].blocked, 1);
    wait_for(&w.worker[1].blocked, 1);
    for (int i = 0; i < CLIENTS; i++) {
        ask(&c[i], "/");
    }
    /* who is free first takes them, the lender included */
    wait_for_count(&slot(0)->lent, 1);
    wait_for_count(&slot(1)->lent, 1);
    world_unblock(&w);
    for (int i = 0; i < CLIENTS; i++) {
        hear(&c[i], "ok ");
        end(&c[i]);
    }
    hear(&a, "ok 0");
    hear(&b, "ok 1");
    end(&a);
    end(&b);
    stop();
}
END_TEST

/* A tunnel has bytes both ways. */
START_TEST(an_upgrade_stays_with_its_worker)
{
    static const char upgrade[] =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
        "Upgrade: thing\r\n\r\n";
    start(2);
    struct client c = client_of(0), other = client_of(0);
    struct client blocked = block_first();
    c.n = 0;
    c.text[0] = '\0';
    say(&c, upgrade, sizeof upgrade - 1);
    ask(&other, "/");
    hear(&other, "ok 1"); /* one that came later */
    unblock(&blocked);
    hear(&c, "ok 0");
    end(&c);
    end(&other);
    stop();
}
END_TEST

/* The client sees no proper end of what is not complete. */
START_TEST(an_owner_that_ends_at_once_cuts_what_it_has_lent)
{
    start(2);
    struct client c = client_of(0), blocked = block_first();
    ask(&c, "/half");
    hear(&c, "half");
    cg_engine_abort(w.worker[0].engine);
    stop();
    hear(&c, NULL);
    end(&c);
    end(&blocked);
}
END_TEST

/* ---- lenders that one cannot trust ---- */

static const struct cg_message lent = {
    .head = CG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), .lent = true};

/* No sockets, and one that is full. */
START_TEST(descriptors_that_are_no_sockets_harm_nobody)
{
    enum { KINDS = 3 };
    int pipes[2], full[2], ends[2];
    char text[4096] = "";
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, full), 0);
    while (send(full[0], text, sizeof text, MSG_DONTWAIT) > 0) {
    }
    int word[KINDS] = {pipes[1], memfd_create("test", MFD_CLOEXEC), full[0]};
    start(1);
    for (int i = 0; i < KINDS; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        int fds[] = {ends[1], word[i]};
        ck_assert_int_eq(cg_handover_send(&w.handover, &lent, fds, 2), 0);
        close(ends[1]);
        cg_handover_poke(&w.handover);
        ck_assert_ptr_nonnull(strstr(client_read(ends[0]), "ok 0"));
        close(ends[0]);
    }
    /* and one where the reply would go */
    int fds[] = {pipes[1], word[2]};
    ck_assert_int_eq(cg_handover_send(&w.handover, &lent, fds, 2), 0);
    cg_handover_poke(&w.handover);
    wait_for_count(&slot(0)->adopted, KINDS + 1);
    struct client c = client_of(0);
    end(&c);
    for (int i = 0; i < 2; i++) {
        close(pipes[i]);
        close(full[i]);
    }
    close(word[1]);
    stop();
}
END_TEST

START_TEST(a_loan_without_its_descriptors_is_told_and_closed)
{
    int ends[2];
    bool reset;
    start(1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(cg_handover_send(&w.handover, &lent, &ends[1], 1), 0);
    close(ends[1]);
    cg_handover_poke(&w.handover);
    ck_assert_str_eq(client_rest(ends[0], &reset), "");
    wait_for(&w.worker[0].fake.troubles, 1);
    ck_assert_ptr_nonnull(strstr(w.worker[0].fake.trouble, "descriptors"));
    close(ends[0]);
    stop();
}
END_TEST

TESTS("loans", a_request_of_a_blocked_worker_is_answered_by_an_idle_one,
      its_body_goes_with_it, pipelined_requests_are_lent_one_after_the_other,
      a_large_reply_waits_for_its_client_in_the_sibling,
      a_client_that_takes_nothing_is_cut_by_the_owner,
      a_reply_that_is_cut_is_cut_for_the_client,
      a_reply_that_says_close_ends_the_connection_properly,
      who_answers_hears_that_the_client_has_left,
      a_client_that_ends_its_side_is_answered,
      what_takes_too_long_in_the_sibling_is_answered_504,
      a_reply_under_way_that_takes_too_long_is_cut,
      when_all_were_blocked_nothing_is_lost, an_upgrade_stays_with_its_worker,
      an_owner_that_ends_at_once_cuts_what_it_has_lent,
      descriptors_that_are_no_sockets_harm_nobody,
      a_loan_without_its_descriptors_is_told_and_closed)
