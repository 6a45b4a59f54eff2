/* SPDX-License-Identifier: MIT */
/* Keys of tickets: they turn, old ones still open, and they are handed on. */
#include "core/net/tickets.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check_main.h"

static struct cg_tickets
open_tickets(int fd)
{
    struct cg_tickets t = CG_TICKETS_NONE;
    struct cg_error err = {0};
    ck_assert_msg(cg_tickets_open(fd, &t, &err) == 0, "%s", err.text);
    return t;
}

static struct cg_ticket_key
newest(const struct cg_tickets *t)
{
    struct cg_ticket_key k;
    cg_tickets_newest(t->view, &k);
    return k;
}

START_TEST(a_key_seals_for_an_hour_and_opens_for_three)
{
    struct cg_tickets t = open_tickets(-1);
    int64_t now = (int64_t)time(NULL);
    struct cg_ticket_key first = newest(&t), found;
    bool is_newest;
    cg_tickets_turn(&t, now + CG_TICKET_TURN_S - 10);
    ck_assert_mem_eq(first.name, newest(&t).name, CG_TICKET_NAME);
    for (int i = 1; i < CG_TICKET_KEYS; i++) {
        now += CG_TICKET_TURN_S + 1;
        cg_tickets_turn(&t, now);
        ck_assert_mem_ne(first.name, newest(&t).name, CG_TICKET_NAME);
        ck_assert(cg_tickets_find(t.view, first.name, &found, &is_newest));
        ck_assert(!is_newest);
        ck_assert_mem_eq(&found, &first, sizeof found);
    }
    cg_tickets_turn(&t, now + CG_TICKET_TURN_S + 1);
    ck_assert(!cg_tickets_find(t.view, first.name, &found, &is_newest));
    cg_tickets_close(&t);
}
END_TEST

START_TEST(a_new_master_goes_on_with_the_keys_of_the_old_one)
{
    struct cg_tickets old = open_tickets(-1);
    struct cg_tickets t = open_tickets(fcntl(old.fd, F_DUPFD_CLOEXEC, 3));
    ck_assert_mem_eq(newest(&old).name, newest(&t).name, CG_TICKET_NAME);
    cg_tickets_turn(&t, (int64_t)time(NULL) + CG_TICKET_TURN_S + 1);
    ck_assert_mem_eq(newest(&old).name, newest(&t).name, CG_TICKET_NAME);
    cg_tickets_close(&old);
    cg_tickets_close(&t);
}
END_TEST

START_TEST(what_is_no_old_masters_memory_is_left_alone)
{
    int fd = memfd_create("other", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, sizeof(struct cg_ticket_board)), 0);
    struct cg_tickets t = open_tickets(fd);
    static const uint8_t zero[CG_TICKET_SECRET];
    ck_assert_mem_ne(newest(&t).aes, zero, sizeof zero);
    ck_assert_int_ne(t.fd, fd);
    cg_tickets_close(&t);
    close(fd);
}
END_TEST

START_TEST(all_keys_are_random_from_the_start)
{
    struct cg_tickets t = open_tickets(-1);
    static const struct cg_ticket_key zero;
    for (int i = 0; i < CG_TICKET_KEYS; i++) {
        ck_assert_mem_ne(&t.board->key[i], &zero, sizeof zero);
    }
    cg_tickets_close(&t);
}
END_TEST

/* Of its own accord, that is: it may run anything. */
START_TEST(a_worker_cannot_make_them_writable)
{
    struct cg_tickets t = open_tickets(-1), worker = t;
    worker.fd = fcntl(t.fd, F_DUPFD_CLOEXEC, 3);
    worker.board = NULL; /* a process has one of each; these are both in one */
    cg_tickets_enter(&worker);
    ck_assert_int_eq(worker.fd, -1);
    ck_assert_int_lt(mprotect((void *)(uintptr_t)t.view, sizeof *t.view,
                              PROT_READ | PROT_WRITE),
                     0);
    cg_tickets_turn(&worker, (int64_t)time(NULL) + 2 * CG_TICKET_TURN_S);
    struct cg_ticket_key before = newest(&t);
    cg_tickets_turn(&t, (int64_t)time(NULL) + CG_TICKET_TURN_S + 1);
    ck_assert_mem_ne(before.name, newest(&worker).name, CG_TICKET_NAME);
    cg_tickets_close(&t);
}
END_TEST

/* By a master that was killed while it turned them. */
START_TEST(what_was_left_half_written_keeps_nobody)
{
    struct cg_tickets old = open_tickets(-1);
    struct cg_ticket_key first = newest(&old), found;
    bool is_newest;
    atomic_store(&old.board->seq, atomic_load(&old.board->seq) + 1);
    cg_tickets_find(old.view, first.name, &found, &is_newest);
    struct cg_tickets t = open_tickets(old.fd);
    ck_assert_int_ne(t.fd, old.fd);
    ck_assert_mem_ne(newest(&t).name, newest(&old).name, CG_TICKET_NAME);
    cg_tickets_close(&t);
    cg_tickets_close(&old);
}
END_TEST

TESTS("tickets", a_key_seals_for_an_hour_and_opens_for_three,
      a_new_master_goes_on_with_the_keys_of_the_old_one,
      what_is_no_old_masters_memory_is_left_alone,
      all_keys_are_random_from_the_start, a_worker_cannot_make_them_writable,
      what_was_left_half_written_keeps_nobody)
