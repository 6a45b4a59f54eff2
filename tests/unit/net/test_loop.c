/* SPDX-License-Identifier: MIT */
/* The event loop's seam, and who holds a port. */
#include "core/net/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/net/holder.h"
#include "tests/unit/check_main.h"

enum { LONG_MS = 20000 };

START_TEST(what_is_ready_comes_back_with_its_pointer)
{
    struct cg_loop l;
    cg_loop_event events[4];
    int ends[2], mark;
    ck_assert_int_eq(cg_loop_init(&l), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(cg_loop_add(&l, ends[0], CG_LOOP_READ, &mark), 0);
    ck_assert_int_eq(cg_loop_wait(&l, events, 4, 0), 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(cg_loop_wait(&l, events, 4, LONG_MS), 1);
    ck_assert_ptr_eq(events[0].data.ptr, &mark);
    ck_assert_uint_eq(events[0].events, CG_LOOP_READ);
    /* level-triggered: as long as the byte is there */
    ck_assert_int_eq(cg_loop_wait(&l, events, 4, LONG_MS), 1);
    ck_assert_int_eq(cg_loop_change(&l, ends[0], CG_LOOP_WRITE, &ends), 0);
    ck_assert_int_eq(cg_loop_wait(&l, events, 4, LONG_MS), 1);
    ck_assert_ptr_eq(events[0].data.ptr, &ends);
    ck_assert_uint_eq(events[0].events, CG_LOOP_WRITE);
    cg_loop_remove(&l, ends[0]);
    ck_assert_int_eq(cg_loop_wait(&l, events, 4, 0), 0);
    cg_loop_release(&l);
    ck_assert_int_eq(l.fd, -1);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_loop_can_be_watched_by_another)
{
    struct cg_loop inner, outer;
    cg_loop_event event;
    int ends[2];
    ck_assert_int_eq(cg_loop_init(&inner), 0);
    ck_assert_int_eq(cg_loop_init(&outer), 0);
    ck_assert_int_eq(pipe(ends), 0);
    cg_loop_add(&inner, ends[0], CG_LOOP_READ | CG_LOOP_EXCLUSIVE, NULL);
    cg_loop_add(&outer, inner.fd, CG_LOOP_READ, &inner);
    ck_assert_int_eq(cg_loop_wait(&outer, &event, 1, 0), 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(cg_loop_wait(&outer, &event, 1, LONG_MS), 1);
    ck_assert_ptr_eq(event.data.ptr, &inner);
    close(ends[0]);
    close(ends[1]);
    cg_loop_release(&inner);
    cg_loop_release(&outer);
}
END_TEST

START_TEST(mistakes_are_told)
{
    struct cg_loop l;
    cg_loop_event event;
    ck_assert_int_eq(cg_loop_init(&l), 0);
    ck_assert_int_eq(cg_loop_add(&l, 999, CG_LOOP_READ, NULL), -EBADF);
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(cg_loop_change(&l, ends[0], CG_LOOP_READ, NULL), -ENOENT);
    cg_loop_release(&l);
    ck_assert_int_eq(cg_loop_wait(&l, &event, 1, 0), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* ---- holder ---- */

static int
listening(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

START_TEST(the_holder_of_a_port_is_found)
{
    struct cg_holder h = {0};
    uint16_t port;
    cg_auto(fd_close) int fd = listening(&port);
    ck_assert_int_ge(fd, 0);
    ck_assert(cg_holder_find(port, &h));
    ck_assert_int_eq(h.pid, getpid());
    ck_assert_str_eq(h.name, "test_loop");
}
END_TEST

START_TEST(a_holders_name_is_printable)
{
    struct cg_holder h = {0};
    uint16_t port;
    cg_auto(fd_close) int fd = listening(&port);
    ck_assert_int_ge(fd, 0);
    prctl(PR_SET_NAME, "a\x1b\x7f");
    ck_assert(cg_holder_find(port, &h));
    ck_assert_str_eq(h.name, "a??");
}
END_TEST

START_TEST(nobody_holds_a_port_that_is_free)
{
    struct cg_holder h = {.pid = 7};
    uint16_t port;
    int fd = listening(&port);
    close(fd);
    ck_assert(!cg_holder_find(port, &h));
    ck_assert_int_eq(h.pid, 7);
}
END_TEST

TESTS("loop", what_is_ready_comes_back_with_its_pointer,
      a_loop_can_be_watched_by_another, mistakes_are_told,
      the_holder_of_a_port_is_found, a_holders_name_is_printable,
      nobody_holds_a_port_that_is_free)
