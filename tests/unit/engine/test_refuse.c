/* SPDX-License-Identifier: MIT */
/* Error pages: they reach who has to read something else first. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"

static struct world w;

/* Takes all the room that the client's socket has. */
static void
fill_socket(struct worker *k, struct cg_exchange *ex)
{
    static const char zeros[4096];
    for (size_t n = sizeof zeros; n > 0;) {
        if (send(socket_of(ex), zeros, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            ck_assert_int_eq(errno, EAGAIN);
            n /= 2;
        }
    }
    ex->status = 200;
    ex->keep = ex->may_keep;
}

/* A client that has not read the answer to its first request. */
static int
ask_badly(void)
{
    world_start_set(&w, 1, 1);
    w.own = fill_socket;
    int fd = client_connect(&w);
    client_send(fd, "GET /own HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n");
    wait_for(&w.worker[0].fake.refused, 1);
    return fd;
}

/* What comes behind the zeros; all of it up to the end. */
static const char *
page_of(int fd)
{
    static char got[(16 << 20) + 1];
    size_t n = 0;
    for (ssize_t r = 1; r > 0; n += (size_t)r) {
        r = recv(fd, got + n, sizeof got - 1 - n, 0);
        ck_assert_int_ge(r, 0);
    }
    const char *page = memchr(got, 'H', n);
    return page != NULL ? page : "";
}

START_TEST(a_page_waits_until_the_client_has_read)
{
    int fd = ask_badly();
    const char *page = page_of(fd);
    ck_assert_int_eq(strncmp(page, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    ck_assert_ptr_nonnull(strstr(page, "</html>"));
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(a_client_that_does_not_read_it_is_given_up)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    w.write_us = 50 * 1000;
    int fd = ask_badly();
    while (atomic_load(&cg_board_slot(w.board, 0)->connections) > 0) {
        nanosleep(&ms, NULL);
    }
    close(fd);
    world_stop(&w);
}
END_TEST

TESTS("refuse", a_page_waits_until_the_client_has_read,
      a_client_that_does_not_read_it_is_given_up)
