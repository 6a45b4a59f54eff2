/* SPDX-License-Identifier: MIT */
/* What a worker may write on the board, and what the master makes of it. */
#include "core/share/scoreboard.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/share/flights.h"
#include "core/share/pages.h"
#include "tests/unit/check_main.h"

enum { SLOTS = 3, EXTRA = 4096 };

static struct cg_scoreboard *
board(void)
{
    struct cg_scoreboard *b = cg_scoreboard_new(SLOTS, EXTRA);
    ck_assert_ptr_nonnull(b);
    return b;
}

/* Runs `attack` in a worker that has the slot 1; its wait status. */
static int
attack_from(struct cg_scoreboard *b, void (*attack)(struct cg_scoreboard *b))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        cg_scoreboard_enter(b, cg_board_slot(b, 1));
        attack(b);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void
lie_about_itself(struct cg_scoreboard *b)
{
    memset(cg_board_slot(b, 1), 0xff, sizeof(struct cg_slot));
    memset(cg_slot_extra(b, cg_board_slot(b, 1)), 0xff, EXTRA);
}

static void
write_to_a_sibling(struct cg_scoreboard *b)
{
    memset(cg_board_slot(b, 0), 0xff, 64);
}

static void
write_to_the_head(struct cg_scoreboard *b)
{
    memset(b->write, 0xff, 64);
}

static void
make_it_writable(struct cg_scoreboard *b)
{
    char *all = (char *)(size_t)b->head;
    if (mprotect(all, b->head_n + SLOTS * b->stride, PROT_READ | PROT_WRITE) ==
        0) {
        memset(all, 0xff, b->head_n + b->stride);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (i != 1 && mprotect((char *)(size_t)cg_board_view(b, i), b->stride,
                               PROT_READ | PROT_WRITE) == 0) {
            _exit(1);
        }
    }
    if (mprotect(all, b->head_n, PROT_READ | PROT_WRITE) == 0) {
        _exit(2);
    }
}

/* One file for all slots would let a mapping of the own one grow. */
static void
grow_into_the_next(struct cg_scoreboard *b)
{
    char *own = (char *)cg_board_slot(b, 1);
    char *grown = mremap(own, b->stride, 2 * b->stride, MREMAP_MAYMOVE);
    if (grown != MAP_FAILED) {
        memset(grown + b->stride, 0xff, 64); /* SIGBUS: behind the file */
    }
}

static void
assert_untouched(struct cg_scoreboard *b)
{
    ck_assert_uint_eq(b->nslots, SLOTS);
    ck_assert_uint_eq(atomic_load(&b->head->used), 2);
    ck_assert_uint_eq(atomic_load(&b->head->closing), 0);
    for (uint32_t i = 0; i < SLOTS; i += 2) {
        ck_assert_uint_eq(atomic_load(&cg_board_view(b, i)->state),
                          CG_WORKER_FREE);
        ck_assert_int_eq(atomic_load(&cg_board_view(b, i)->pid), 0);
    }
}

START_TEST(a_worker_writes_its_own_slot_and_everybody_sees_it)
{
    struct cg_scoreboard *b = board();
    cg_slot_claim(b, cg_board_slot(b, 1), 1, 1);
    ck_assert_int_eq(attack_from(b, lie_about_itself), 0);
    ck_assert_uint_eq(atomic_load(&cg_board_view(b, 1)->state), UINT32_MAX);
    assert_untouched(b);
    cg_scoreboard_free(b);
}
END_TEST

START_TEST(a_worker_cannot_write_what_others_say)
{
    struct cg_scoreboard *b = board();
    cg_slot_claim(b, cg_board_slot(b, 1), 1, 1);
    int status = attack_from(b, write_to_a_sibling);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    status = attack_from(b, write_to_the_head);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    assert_untouched(b);
    cg_scoreboard_free(b);
}
END_TEST

START_TEST(a_worker_cannot_get_the_right_to_write)
{
    struct cg_scoreboard *b = board();
    cg_slot_claim(b, cg_board_slot(b, 1), 1, 1);
    if (b->sealed) {
        int status = attack_from(b, make_it_writable);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 0);
    }
    attack_from(b, grow_into_the_next);
    assert_untouched(b);
    cg_scoreboard_free(b);
}
END_TEST

START_TEST(what_a_worker_says_is_bounded)
{
    struct cg_scoreboard *b = board();
    struct cg_slot *s = cg_board_slot(b, 1);
    cg_slot_claim(b, s, 1, 1);
    atomic_store(&s->executors, 20000);
    atomic_store(&s->connections, -5);
    ck_assert_int_eq(cg_slot_look(s).executors, CG_BOARD_EXECUTORS);
    ck_assert_int_eq(cg_slot_look(s).connections, 0);
    ck_assert_uint_eq(cg_slot_requests(s), 0);
    cg_slot_clear(s);
    ck_assert_int_eq(cg_slot_look(s).executors, 0);
    atomic_store(&s->executors, -1);
    ck_assert_int_eq(cg_slot_look(s).executors, 0);
    atomic_store(&s->executors, 5000);
    cg_slot_claim(b, s, 2, 1);
    assert_untouched(b);
    cg_scoreboard_free(b);
}
END_TEST

START_TEST(the_last_error_has_its_first_and_last_line_and_is_cut)
{
    struct cg_slot *s = cg_calloc(1, sizeof *s);
    char text[200], much[1000];
    uint64_t at = 0;
    ck_assert(!cg_slot_last_error(s, text, &at));
    cg_slot_tell_error(s, "plain", 5, 3);
    ck_assert(cg_slot_last_error(s, text, &at));
    ck_assert_str_eq(text, "plain");
    ck_assert_uint_eq(at, 3);
    const char trace[] = "Error handling /\nTraceback\n  File\nKeyError: 1\n";
    cg_slot_tell_error(s, trace, sizeof trace - 1, 4);
    ck_assert(cg_slot_last_error(s, text, &at));
    ck_assert_str_eq(text, "Error handling /: KeyError: 1");
    memset(much, 'x', sizeof much);
    much[150] = '\n';
    cg_slot_tell_error(s, much, sizeof much, 5);
    ck_assert(cg_slot_last_error(s, text, &at));
    ck_assert_uint_eq(strlen(text), 199);
    cg_slot_tell_error(s, "", 0, 6);
    ck_assert(cg_slot_last_error(s, text, &at));
    ck_assert_str_eq(text, "");
    free(s);
}
END_TEST

START_TEST(time_in_the_application_counts_calls_under_way)
{
    struct cg_slot *s = cg_calloc(1, sizeof *s);
    struct cg_flight *f = cg_slot_flight(s, 1);
    f->by_class[2].app_us = 100;
    f->by_class[5].app_us = 11;
    f->since_us = 1000;
    ck_assert_uint_eq(cg_slot_app_us(s, 1500), 111);
    f->running = 1;
    ck_assert_uint_eq(cg_slot_app_us(s, 1500), 611);
    ck_assert_uint_eq(cg_slot_app_us(s, 900), 111);
    free(s);
}
END_TEST

START_TEST(a_flight_of_an_earlier_worker_is_not_told)
{
    struct cg_scoreboard *b = board();
    struct cg_slot *s = cg_board_slot(b, 1);
    cg_auto(buf) struct cg_buf out = {0};
    cg_slot_claim(b, s, 1, 1);
    struct cg_flight *f = cg_slot_flight(s, 2);
    atomic_store(&f->running, 1);
    memset(f->path, 'a', sizeof f->path); /* without an end */
    memset(f->method, '\n', sizeof f->method);
    ck_assert_int_eq(cg_flights_put(&out, s, 1), 1);
    ck_assert_ptr_null(strchr(cg_buf_str(&out), '\n'));
    cg_slot_claim(b, s, 2, 1);
    ck_assert_int_eq(cg_flights_put(&out, s, 1), 0);
    cg_slot_flight(s, 2);
    ck_assert_int_eq(cg_flights_put(&out, s, 1), 0);
    cg_scoreboard_free(b);
}
END_TEST

START_TEST(a_board_costs_what_is_used)
{
    unsigned char resident[4096] = {0};
    struct cg_scoreboard *b = board();
    size_t page = cg_pages_size(1), pages = b->stride / page, n = 0;
    cg_slot_claim(b, cg_board_slot(b, 0), 1, 1);
    ck_assert_uint_le(pages, sizeof resident);
    ck_assert_int_eq(mincore(cg_board_slot(b, 0), b->stride, resident), 0);
    for (size_t i = 0; i < pages; i++) {
        n += resident[i] & 1;
    }
    ck_assert_uint_le(n, 1);
    cg_scoreboard_free(b);
}
END_TEST

TESTS("scoreboard", a_worker_writes_its_own_slot_and_everybody_sees_it,
      a_worker_cannot_write_what_others_say,
      a_worker_cannot_get_the_right_to_write, what_a_worker_says_is_bounded,
      the_last_error_has_its_first_and_last_line_and_is_cut,
      time_in_the_application_counts_calls_under_way,
      a_flight_of_an_earlier_worker_is_not_told, a_board_costs_what_is_used)
