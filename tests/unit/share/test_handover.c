/* SPDX-License-Identifier: MIT */
/* Descriptors travel with their messages, and none is left behind, however
 * many a worker sends that one cannot trust. */
#include "core/share/handover.h"

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "tests/unit/base/lingering.h"

enum { TOO_MANY = 8 };

static const struct cg_message lent = {
    .head = CG_SLICE("GET / HTTP/1.1\r\n\r\n"), .lent = true, .has_file = true};

static char room[1024 + CG_MESSAGE_MOST];

static int
open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static struct cg_handover
queue(void)
{
    struct cg_handover h;
    struct cg_error err = {0};
    ck_assert_int_eq(cg_handover_new(&h, -1, &err), 0);
    return h;
}

static int
close_all(struct cg_handover_got *got)
{
    int n = 0;
    for (int i = 0; i < CG_MESSAGE_FDS; i++) {
        n += got->fds[i] >= 0;
        cg_fd_close(&got->fds[i]);
    }
    return n;
}

START_TEST(a_message_brings_its_descriptors)
{
    struct cg_handover h = queue();
    struct cg_handover_got got;
    const int fds[CG_MESSAGE_FDS] = {h.poke_fd, h.bell_fd, h.read_fd};
    for (int n = 1; n <= CG_MESSAGE_FDS; n++) {
        ck_assert_int_eq(cg_handover_send(&h, &lent, fds, n), 0);
        ck_assert(cg_handover_receive(&h, room, sizeof room, &got));
        ck_assert(!got.lost);
        ck_assert_int_eq(close_all(&got), n);
    }
    cg_handover_release(&h);
}
END_TEST

/* The kernel rounds what it has room for. */
static void
send_too_many(const struct cg_handover *h, int n)
{
    union {
        char bytes[CMSG_SPACE(TOO_MANY * sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    memset(&control, 0, sizeof control);
    size_t size = (size_t)n * sizeof(int);
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    for (int i = 0; i < n; i++) {
        memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &h->poke_fd,
               sizeof(int));
    }
    ck_assert_int_eq(sendmsg(h->write_fd, &m, 0), 1);
}

START_TEST(descriptors_beyond_those_of_a_message_are_left_to_the_kernel)
{
    struct cg_handover h = queue();
    struct cg_handover_got got;
    int before = open_descriptors();
    for (int n = CG_MESSAGE_FDS + 1; n <= TOO_MANY; n++) {
        send_too_many(&h, n);
        ck_assert(cg_handover_receive(&h, room, sizeof room, &got));
        ck_assert(got.lost);
        ck_assert_int_eq(close_all(&got), CG_MESSAGE_FDS);
    }
    ck_assert_int_eq(open_descriptors(), before);
    cg_handover_release(&h);
}
END_TEST

START_TEST(what_a_worker_left_in_it_does_not_keep_who_ends_it)
{
    struct cg_handover h = queue();
    int peer;
    uint64_t now = cg_now_us();
    ck_assert(send_lingering(h.write_fd, &peer));
    cg_handover_release(&h);
    check_in_time(now);
    close(peer);
}
END_TEST

TESTS("handover", a_message_brings_its_descriptors,
      descriptors_beyond_those_of_a_message_are_left_to_the_kernel,
      what_a_worker_left_in_it_does_not_keep_who_ends_it)
