/* SPDX-License-Identifier: MIT */
/*
 * Replies that are made faster than they are read: the executor is free all the
 * same, the bytes are exact, and nothing is left behind.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

enum {
    REPLY = 16 << 20, /* more than the sockets of both ends take */
    BLOCK = 50000,
    HIGH = 256 * 1024,
    LOW = 64 * 1024
};

static struct world w;
static _Atomic int step, code;

/* ---- applications ---- */

static char
byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static int
drain(struct worker *k, struct cg_exchange *ex)
{
    app_leave(k);
    int r = cg_exchange_drain(ex, LOW);
    app_enter(k);
    return r;
}

static void
begin(struct cg_exchange *ex, size_t length)
{
    char head[128];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    struct iovec part = {head, (size_t)n};
    ex->status = 200;
    ex->keep = ex->may_keep;
    wire_of(ex)->send_more(ex, &part, 1, NULL);
}

/* Bytes from `at` on; a negative errno: nobody wants them. */
static int
post_block(struct worker *k, struct cg_exchange *ex, size_t at, size_t n)
{
    char bytes[BLOCK];
    for (size_t i = 0; i < n; i++) {
        bytes[i] = byte_at(at + i);
    }
    struct iovec part = {bytes, n};
    int r = wire_of(ex)->send_more(ex, &part, 1, NULL);
    return r < 0 || cg_exchange_pending(ex) <= HIGH ? r : drain(k, ex);
}

static void
make_a_long_reply(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, REPLY);
    int r = 0;
    for (size_t at = 0; at < REPLY && r == 0; at += BLOCK) {
        size_t n = REPLY - at < BLOCK ? REPLY - at : BLOCK;
        r = post_block(k, ex, at, n);
    }
    ex->broken = r < 0;
    atomic_store(&code, r);
}

/* Waits until the client has each of its blocks. */
static void
make_a_slow_reply(struct worker *k, struct cg_exchange *ex)
{
    begin(ex, (size_t)BLOCK * 50);
    for (int i = 0; i < 50; i++) {
        post_block(k, ex, (size_t)BLOCK * (size_t)i, BLOCK);
        drain(k, ex);
        app_leave(k);
        wait_for(&step, i + 1);
        app_enter(k);
    }
}

static void
make_an_endless_reply(struct worker *k, struct cg_exchange *ex)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    begin(ex, SIZE_MAX / 2);
    int r = 0;
    for (size_t at = 0; r == 0; at += BLOCK) {
        r = post_block(k, ex, at, BLOCK);
        app_leave(k);
        nanosleep(&ms, NULL); /* not more than a disk holds */
        app_enter(k);
    }
    ex->broken = true;
    atomic_store(&code, r);
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
expect_head(int fd, size_t length)
{
    char head[128], got[128] = "";
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    ck_assert_int_eq(recv(fd, got, strlen(head), MSG_WAITALL),
                     (ssize_t)strlen(head));
    ck_assert_str_eq(got, head);
}

static void
expect_bytes(int fd, size_t from, size_t n)
{
    static char got[65536];
    for (size_t at = from; at < from + n;) {
        size_t most = from + n - at;
        ssize_t r = recv(fd, got, most < sizeof got ? most : sizeof got, 0);
        ck_assert_int_gt(r, 0);
        for (ssize_t i = 0; i < r; i++) {
            if (got[i] != byte_at(at + (size_t)i)) { /* an assertion is slow */
                ck_abort_msg("another byte at %zu", at + (size_t)i);
            }
        }
        at += (size_t)r;
    }
}

/* Files that have no name. */
static int
nameless_files(void)
{
    char path[300], to[300];
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t got = readlink(path, to, sizeof to - 1);
        to[got > 0 ? got : 0] = '\0';
        n += to[0] == '/' && strstr(to, " (deleted)") != NULL;
    }
    closedir(d);
    return n;
}

static int before; /* those of the test's own */

static int
open_spills(void)
{
    return nameless_files() - before;
}

static void
wait_until_none_is_open(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    for (int i = 0; i < 30000 && open_spills() > 0; i++) {
        nanosleep(&ms, NULL);
    }
    ck_assert_int_eq(open_spills(), 0);
}

static struct cg_slot *
slot(void)
{
    return cg_board_slot(w.board, 0);
}

static void
start(own_app *own, int threads, uint64_t max)
{
    before = nameless_files();
    w.spill.max = max;
    world_start_set(&w, 1, threads);
    w.own = own;
    atomic_store(&step, 0);
    atomic_store(&code, 1);
}

/* ---- the tests ---- */

START_TEST(a_client_that_does_not_read_holds_no_executor)
{
    start(make_a_long_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].ran, 1); /* it has read nothing yet */
    ck_assert_int_eq(atomic_load(&code), 0);
    ck_assert_uint_ge(atomic_load(&slot()->spills), 1);
    ck_assert_int_eq(open_spills(), 1);
    int other = client_connect(&w);
    ck_assert_str_eq(client_get(other, "/"), "ok 0");
    expect_head(fd, REPLY);
    expect_bytes(fd, 0, REPLY);
    /* and the connection goes on */
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    wait_until_none_is_open();
    close(fd);
    close(other);
    world_stop(&w);
}
END_TEST

START_TEST(many_of_them_hold_no_thread)
{
    enum { MANY = 3 };
    int fds[MANY];
    start(make_a_long_reply, 2, 1 << 30);
    for (int i = 0; i < MANY; i++) {
        fds[i] = ask();
    }
    wait_for(&w.worker[0].ran, MANY);
    ck_assert_uint_ge(atomic_load(&slot()->spills), MANY);
    for (int i = 0; i < MANY; i++) {
        expect_head(fds[i], REPLY);
        expect_bytes(fds[i], 0, REPLY);
        close(fds[i]);
    }
    world_stop(&w);
}
END_TEST

START_TEST(a_client_that_waits_for_the_application_touches_no_file)
{
    start(make_a_slow_reply, 1, 1 << 30);
    int fd = ask();
    expect_head(fd, (size_t)BLOCK * 50);
    for (int i = 0; i < 50; i++) {
        expect_bytes(fd, (size_t)BLOCK * (size_t)i, BLOCK);
        atomic_store(&step, i + 1);
    }
    close(fd);
    ck_assert_uint_eq(atomic_load(&slot()->spills), 0);
    world_stop(&w);
}
END_TEST

static void
expect_a_wait(int fd)
{
    int other = client_connect(&w);
    client_send(other, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert(!client_hears(other, 50)); /* as it cannot, ever */
    ck_assert_int_eq(atomic_load(&w.worker[0].ran), 0);
    expect_head(fd, REPLY);
    expect_bytes(fd, 0, REPLY);
    ck_assert_str_eq(client_read(other), "ok 0");
    ck_assert_int_eq(atomic_load(&code), 0);
    close(other);
    close(fd);
}

START_TEST(the_executor_waits_while_the_file_is_full)
{
    enum { MAX = 1 << 20 };
    start(make_a_long_reply, 1, MAX);
    int fd = ask();
    wait_for_count(&slot()->spilled, MAX);
    expect_a_wait(fd);
    wait_until_none_is_open();
    world_stop(&w);
    ck_assert_int_eq(w.worker[0].fake.troubles, 0);
}
END_TEST

START_TEST(without_a_file_it_waits)
{
    start(make_a_long_reply, 1, 0);
    expect_a_wait(ask());
    ck_assert_uint_eq(atomic_load(&slot()->spills), 0);
    world_stop(&w);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told_and_the_executor_waits)
{
    w.spill.dir = "/nowhere/at/all";
    start(make_a_long_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].fake.troubles, 1);
    expect_a_wait(fd);
    ck_assert_uint_eq(atomic_load(&slot()->spills), 0);
    world_stop(&w);
    ck_assert_str_eq(w.worker[0].fake.trouble,
                     "cannot make a temporary file for a response in "
                     "'/nowhere/at/all' (tmp_upload_dir): No such file or "
                     "directory; the worker waits for slow clients");
    ck_assert_int_eq(w.worker[0].fake.troubles, 1);
}
END_TEST

START_TEST(a_client_that_leaves_takes_its_file_along)
{
    start(make_a_long_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].ran, 1);
    ck_assert_int_eq(open_spills(), 1);
    close(fd); /* with bytes unread: a reset */
    wait_until_none_is_open();
    fd = client_connect(&w);
    ck_assert_str_eq(client_get(fd, "/"), "ok 0");
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_client_that_leaves_ends_what_is_being_made)
{
    start(make_an_endless_reply, 1, 1 << 30);
    int fd = ask();
    wait_for_count(&slot()->spills, 1);
    close(fd);
    wait_for(&w.worker[0].ran, 1);
    ck_assert_int_lt(atomic_load(&code), 0);
    wait_until_none_is_open();
    world_stop(&w);
}
END_TEST

START_TEST(a_client_that_takes_nothing_is_given_up)
{
    w.write_us = 50 * 1000;
    start(make_an_endless_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].ran, 1);
    ck_assert_int_eq(atomic_load(&code), -ETIMEDOUT);
    wait_until_none_is_open();
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_reply_that_takes_too_long_is_cut_with_its_file)
{
    w.limit_us = 300 * 1000;
    start(make_an_endless_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].ran, 1);
    wait_for(&w.worker[0].fake.overdue, 1);
    ck_assert_int_eq(atomic_load(&w.worker[0].fake.late), CG_LATE_CUT);
    wait_until_none_is_open();
    close(fd);
    world_stop(&w);
}
END_TEST

static void *
stop_the_world(void *arg)
{
    world_stop(&w);
    return arg;
}

START_TEST(what_is_in_the_file_is_delivered_at_a_stop)
{
    pthread_t stopper;
    start(make_a_long_reply, 1, 1 << 30);
    int fd = ask();
    wait_for(&w.worker[0].ran, 1);
    pthread_create(&stopper, NULL, stop_the_world, NULL);
    expect_head(fd, REPLY);
    expect_bytes(fd, 0, REPLY);
    close(fd);
    pthread_join(stopper, NULL);
    wait_until_none_is_open();
}
END_TEST

START_TEST(replies_of_one_item_are_files_beyond_what_all_of_them_may_hold)
{
    enum { CLIENTS = 8 };
    int fd[CLIENTS];
    before = nameless_files();
    w.spill.max = (uint64_t)2 * BIG;
    w.memory = (uint64_t)2 * BIG;
    world_start_set(&w, 1, 1);
    for (int i = 0; i < CLIENTS; i++) {
        fd[i] = client_connect(&w);
        client_send(fd[i], "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for(&w.worker[0].ran, i + 1);
    }
    wait_for_count(&slot()->spills, CLIENTS - 2);
    wait_for(&w.worker[0].fake.dropped, CLIENTS - 2);
    ck_assert_int_eq(open_spills(), CLIENTS - 2);
    for (int i = 0; i < CLIENTS; i++) {
        client_read(fd[i]);
        close(fd[i]);
    }
    wait_until_none_is_open();
    world_stop(&w);
    ck_assert_int_eq(w.worker[0].fake.dropped, w.worker[0].fake.held);
}
END_TEST

TESTS("drain", a_client_that_does_not_read_holds_no_executor,
      many_of_them_hold_no_thread,
      a_client_that_waits_for_the_application_touches_no_file,
      the_executor_waits_while_the_file_is_full, without_a_file_it_waits,
      a_folder_that_is_not_there_is_told_and_the_executor_waits,
      a_client_that_leaves_takes_its_file_along,
      a_client_that_leaves_ends_what_is_being_made,
      a_client_that_takes_nothing_is_given_up,
      a_reply_that_takes_too_long_is_cut_with_its_file,
      what_is_in_the_file_is_delivered_at_a_stop,
      replies_of_one_item_are_files_beyond_what_all_of_them_may_hold)
