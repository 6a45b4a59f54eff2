/* SPDX-License-Identifier: MIT */
/* Keeper: which connections are marked, and what becomes of them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/share/keeper.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum { MARKS = 1024 };

static struct world w;
static _Atomic uint32_t marks[MARKS];
static const struct cg_keeper table = {.mark = marks, .n = MARKS};

/* How many connections have that mark. */
static int
marked(unsigned what)
{
    int n = 0;
    for (int i = 0; i < MARKS; i++) {
        n += atomic_load(&marks[i]) == what;
    }
    return n;
}

static void
wait_marked(unsigned what, int n)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    while (marked(what) != n) {
        nanosleep(&ms, NULL);
    }
}

START_TEST(who_waits_for_a_request_is_marked)
{
    w.keeper = &table;
    world_start_set(&w, 1, 1);
    int fresh = client_connect(&w);
    int fd = client_connect(&w);
    wait_marked(CG_KEEPER_IDLE, 2);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    wait_marked(CG_KEEPER_IDLE | CG_KEEPER_ANSWERED, 1);
    ck_assert_int_eq(marked(CG_KEEPER_IDLE), 1);
    close(fd);
    wait_marked(CG_KEEPER_IDLE | CG_KEEPER_ANSWERED, 0);
    close(fresh);
    wait_marked(CG_KEEPER_IDLE, 0);
    world_stop(&w);
}
END_TEST

START_TEST(who_has_sent_a_part_of_one_is_not)
{
    w.keeper = &table;
    world_start_set(&w, 1, 1);
    int fd = client_connect(&w);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    wait_marked(CG_KEEPER_IDLE | CG_KEEPER_ANSWERED, 1);
    client_send(fd, "GET / HT");
    wait_marked(CG_KEEPER_IDLE | CG_KEEPER_ANSWERED, 0);
    client_send(fd, "TP/1.1\r\nHost: a\r\n\r\nGET /block HTTP/1.1\r\n"
                    "Host: a\r\n\r\nGET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&w.worker[0].blocked, 1);
    ck_assert_int_eq(marked(0), MARKS);
    world_unblock(&w);
    for (int i = 0; i < 3; i++) {
        client_read(fd);
    }
    wait_marked(CG_KEEPER_IDLE | CG_KEEPER_ANSWERED, 1);
    world_stop(&w);
    ck_assert_int_eq(marked(0), MARKS);
    close(fd);
}
END_TEST

/* As a keeper does it. */
static int
give_waiting(const struct cg_handover *h, int fd, uint16_t listener,
             bool answered)
{
    const struct cg_message m = {.requests = answered, .listener = listener};
    return cg_handover_send(h, &m, &fd, 1);
}

/* One that a client has made before any worker listens. */
static void
start_late(int *client, int *ours)
{
    world_start_set(&w, 0, 0);
    *client = client_connect(&w);
    *ours = listener_accept(&w.listener);
    world_add_worker(&w);
}

START_TEST(an_idle_one_is_served_by_who_adopts_it)
{
    int client, ours;
    start_late(&client, &ours);
    ck_assert_int_eq(give_waiting(&w.handover, ours, 0, true), 0);
    close(ours);
    cg_handover_poke(&w.handover);
    wait_for_count(&cg_board_slot(w.board, 0)->adopted, 1);
    ck_assert_str_eq(client_get(client, "/"), "ok 0");
    close(client);
    world_stop(&w);
}
END_TEST

START_TEST(what_it_had_asked_is_answered)
{
    world_start_set(&w, 0, 0);
    int new = client_connect(&w);
    int old = client_connect(&w);
    for (int i = 0; i < 2; i++) {
        int ours = listener_accept(&w.listener);
        ck_assert_int_eq(give_waiting(&w.handover, ours, 0, i == 1), 0);
        close(ours);
    }
    client_send(new, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_send(old, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world_add_worker(&w);
    ck_assert_str_eq(client_read(new), "ok 0");
    ck_assert_str_eq(client_read(old), "ok 0");
    close(new);
    close(old);
    world_stop(&w);
}
END_TEST

START_TEST(one_that_is_gone_already_does_no_harm)
{
    int client, ours;
    start_late(&client, &ours);
    const struct linger now = {.l_onoff = 1};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client); /* a reset */
    ck_assert_int_eq(give_waiting(&w.handover, ours, 0, true), 0);
    close(ours);
    wait_for_count(&cg_board_slot(w.board, 0)->adopted, 1);
    client = client_connect(&w);
    ck_assert_str_eq(client_get(client, "/"), "ok 0");
    close(client);
    world_stop(&w);
}
END_TEST

/* A pipe, and a file that is too short, in place of its body. */
START_TEST(a_body_that_is_no_file_of_its_length_harms_nobody)
{
    const struct cg_message m = {
        .head = CG_SLICE("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9"
                         "\r\n\r\n"),
        .has_file = true,
        .file_n = 9};
    int pipes[2];
    bool reset;
    ck_assert_int_eq(pipe(pipes), 0);
    int body[] = {pipes[0], memfd_create("test", MFD_CLOEXEC)};
    ck_assert_int_eq(write(body[1], "12345678", 8), 8);
    int client[CG_COUNT(body)];
    world_start_set(&w, 0, 0);
    for (size_t i = 0; i < CG_COUNT(body); i++) {
        client[i] = client_connect(&w);
        int fds[] = {listener_accept(&w.listener), body[i]};
        ck_assert_int_eq(cg_handover_send(&w.handover, &m, fds, 2), 0);
        close(fds[0]);
        close(body[i]);
    }
    world_add_worker(&w);
    for (size_t i = 0; i < CG_COUNT(body); i++) {
        cg_handover_poke(&w.handover);
        ck_assert_str_eq(client_rest(client[i], &reset), "");
        close(client[i]);
    }
    wait_for(&w.worker[0].fake.troubles, 2);
    ck_assert_ptr_nonnull(
        strstr(w.worker[0].fake.trouble, "its body is no file of that length"));
    close(pipes[1]);
    world_stop(&w);
}
END_TEST

/* What is not understood is closed and told, and the worker serves on. */
START_TEST(a_message_that_makes_no_sense_harms_nobody)
{
    static char zeros[CG_MESSAGE_MOST];
    const struct cg_slice head = CG_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const struct cg_message wrong[] = {
        {.listener = 200},
        {.head = head, .trailers = CG_SLICE("no field")},
        {.head = head, .peer = {.family = 99}},
        {.head = {zeros, sizeof zeros}, .requests = UINT32_MAX}};
    int client[CG_COUNT(wrong)];
    bool reset;
    world_start_set(&w, 0, 0);
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        client[i] = client_connect(&w);
        int ours = listener_accept(&w.listener);
        ck_assert_int_eq(cg_handover_send(&w.handover, &wrong[i], &ours, 1), 0);
        close(ours);
    }
    world_add_worker(&w);
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        cg_handover_poke(&w.handover);
        const char *told = client_rest(client[i], &reset);
        ck_assert_int_eq(strncmp(told, "HTTP/1.1 400", i < 3 ? 0 : 12), 0);
        close(client[i]);
    }
    wait_for(&w.worker[0].fake.troubles, 3);
    int fd = client_connect(&w);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    close(fd);
    world_stop(&w);
}
END_TEST

/* ---- the process ---- */

static enum cg_keeper_parent parent = CG_KEEPER_ORPHAN;
static bool is_replaced;

/* Somebody kills it; then there is another one. */
static int
replace(struct cg_keeper *k)
{
    struct cg_error err = {0};
    if (cg_keeper_is_dead(k) || kill(k->pid, SIGKILL) < 0) {
        return -1;
    }
    while (!cg_keeper_is_dead(k)) {
        sched_yield();
    }
    return cg_keeper_replace(k, &w.handover, "test", parent, &err);
}

/* A "worker": marks what it is told to, says so, and sleeps until it is killed.
 * Has a file locked. */
static _Noreturn void
be_worker(int said, int ours, const char *path, bool ends)
{
    struct cg_error err = {0};
    struct cg_keeper k;
    int other = fcntl(ours, F_DUPFD_CLOEXEC, 0);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (flock(file, LOCK_EX) < 0 ||
        cg_keeper_start(&k, &w.handover, "test", parent, &err) < 0 ||
        (is_replaced && replace(&k) < 0)) {
        _exit(1);
    }
    cg_keeper_mark(&k, ours, CG_KEEPER_IDLE | CG_KEEPER_ANSWERED);
    cg_keeper_mark(&k, other, 0);
    cg_keeper_mark(&k, INT_MAX, CG_KEEPER_IDLE); /* beyond the table */
    if (ends) {
        cg_keeper_end(&k);
        _exit(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD ? 0 : 2);
    }
    if (waitpid(-1, NULL, WNOHANG) == 0 || errno != ECHILD ||
        write(said, "", 1) != 1) {
        _exit(3);
    }
    for (;;) {
        pause();
    }
}

static pid_t
fork_worker(int ours, const char *path, bool ends)
{
    int said[2];
    char byte;
    ck_assert_int_eq(pipe2(said, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        be_worker(said[1], ours, path, ends);
    }
    close(said[1]);
    if (!ends) {
        ck_assert_int_eq(read(said[0], &byte, 1), 1);
    }
    close(said[0]);
    return pid;
}

static void
kill_a_worker(void)
{
    char path[] = "/tmp/test_keeper.XXXXXX";
    int file = mkstemp(path);
    int status;
    world_start_set(&w, 0, 0);
    int client = client_connect(&w);
    int ours = listener_accept(&w.listener);
    pid_t pid = fork_worker(ours, path, false);
    close(ours);
    ck_assert_int_eq(flock(file, LOCK_EX | LOCK_NB), -1);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(flock(file, LOCK_EX), 0); /* free, at once or soon */
    world_add_worker(&w);
    ck_assert_str_eq(client_get(client, "/"), "ok 0");
    close(client);
    close(file);
    unlink(path);
    world_stop(&w);
}

START_TEST(a_killed_workers_connection_goes_to_another_one)
{
    kill_a_worker();
}
END_TEST

START_TEST(the_masters_keeper_does_the_same)
{
    parent = CG_KEEPER_OF_MASTER;
    kill_a_worker();
}
END_TEST

START_TEST(another_in_a_killed_ones_place_does_the_same)
{
    is_replaced = true;
    kill_a_worker();
}
END_TEST

START_TEST(one_that_ends_by_itself_leaves_nothing)
{
    char path[] = "/tmp/test_keeper.XXXXXX";
    int file = mkstemp(path);
    int status;
    bool reset;
    world_start_set(&w, 0, 0);
    int client = client_connect(&w);
    int ours = listener_accept(&w.listener);
    pid_t pid = fork_worker(ours, path, true);
    close(ours);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_str_eq(client_rest(client, &reset), "");
    close(client);
    close(file);
    unlink(path);
    world_add_worker(&w);
    world_stop(&w);
}
END_TEST

TESTS("keeper", a_body_that_is_no_file_of_its_length_harms_nobody,
      a_message_that_makes_no_sense_harms_nobody,
      who_waits_for_a_request_is_marked, who_has_sent_a_part_of_one_is_not,
      an_idle_one_is_served_by_who_adopts_it, what_it_had_asked_is_answered,
      one_that_is_gone_already_does_no_harm,
      a_killed_workers_connection_goes_to_another_one,
      the_masters_keeper_does_the_same,
      another_in_a_killed_ones_place_does_the_same,
      one_that_ends_by_itself_leaves_nothing)
