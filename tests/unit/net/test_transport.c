/* SPDX-License-Identifier: MIT */
/* Transports: the same contract for a plain socket and for a kind that changes
 * the bytes. */
#include "core/net/transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "tests/unit/check_main.h"
#include "tests/unit/net/mask.h"

enum { PLAIN, MASKED, KINDS, LONG_MS = 20000 };

/* One end as a transport, the other as a socket. */
struct line {
    struct cg_transport t;
    int peer;
    int kind;
    uint64_t to_peer, from_peer; /* bytes so far, for the mask */
};

static struct line
make_line(int kind)
{
    int ends[2], size = 4096;
    ck_assert_int_eq(socketpair(AF_UNIX,
                                SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                                ends),
                     0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return (struct line){
        .t = kind == PLAIN ? cg_transport_plain(ends[0])
                           : cg_transport_with(ends[0], mask_make(NULL, 0)),
        .peer = ends[1],
        .kind = kind};
}

static void
close_line(struct line *l)
{
    cg_transport_close(&l->t);
    ck_assert_int_eq(l->t.fd, -1);
    close(l->peer);
}

static size_t
peer_reads(struct line *l, char *p, size_t room)
{
    ssize_t n = recv(l->peer, p, room, MSG_DONTWAIT);
    if (n > 0 && l->kind == MASKED) {
        mask_bytes(p, (size_t)n, l->to_peer);
        l->to_peer += (uint64_t)n;
    }
    return n > 0 ? (size_t)n : 0;
}

static void
peer_writes(struct line *l, const char *text)
{
    char bytes[256];
    size_t n = strlen(text);
    memcpy(bytes, text, n);
    if (l->kind == MASKED) {
        mask_bytes(bytes, n, l->from_peer);
        l->from_peer += n;
    }
    ck_assert_int_eq(send(l->peer, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

START_TEST(bytes_come_as_they_are_meant)
{
    static char room[CG_TRANSPORT_ROOM];
    for (int kind = PLAIN; kind < KINDS; kind++) {
        struct line l = make_line(kind);
        ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room),
                         -EAGAIN);
        peer_writes(&l, "abc");
        ck_assert(cg_transport_wait(&l.t, POLLIN, LONG_MS));
        ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), 3);
        ck_assert_mem_eq(room, "abc", 3);
        peer_writes(&l, "de");
        ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), 2);
        ck_assert_mem_eq(room, "de", 2);
        shutdown(l.peer, SHUT_WR);
        ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), 0);
        close_line(&l);
    }
}
END_TEST

/* Offered again and again, all of it arrives, in order. */
START_TEST(what_a_full_socket_does_not_take_is_offered_again)
{
    enum { N = 200000 };
    static char bytes[N], got[N + 1];
    for (size_t i = 0; i < N; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    for (int kind = PLAIN; kind < KINDS; kind++) {
        struct line l = make_line(kind);
        size_t sent = 0, n = 0;
        bool full = false;
        while (n < N) {
            size_t half = (N - sent) / 2;
            struct iovec parts[2] = {{bytes + sent, half},
                                     {bytes + sent + half, N - sent - half}};
            ssize_t s = sent < N ? cg_transport_send(&l.t, parts, 2, false) : 0;
            ck_assert_int_ge(s, 0);
            full |= s == 0;
            sent += (size_t)s;
            if (s == 0) {
                n += peer_reads(&l, got + n, sizeof got - n);
            }
        }
        ck_assert(full);
        ck_assert_uint_eq(n, N);
        ck_assert_int_eq(memcmp(bytes, got, N), 0);
        close_line(&l);
    }
}
END_TEST

START_TEST(a_file_goes_out_from_its_offset_on)
{
    static char got[1000];
    int fd = memfd_create("part", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "0123456789", 10), 10);
    for (int kind = PLAIN; kind < KINDS; kind++) {
        struct line l = make_line(kind);
        off_t at = 3;
        ck_assert_int_eq(cg_transport_send_file(&l.t, fd, &at, 5), 5);
        ck_assert_int_eq(at, 8);
        ck_assert_int_eq(cg_transport_send_file(&l.t, fd, &at, 5), 2);
        ck_assert_int_eq(cg_transport_send_file(&l.t, fd, &at, 3), -ENODATA);
        ck_assert_uint_eq(peer_reads(&l, got, sizeof got), 7);
        ck_assert_mem_eq(got, "3456789", 7);
        close_line(&l);
    }
    close(fd);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_an_error_and_no_signal)
{
    signal(SIGPIPE, SIG_DFL);
    for (int kind = PLAIN; kind < KINDS; kind++) {
        struct line l = make_line(kind);
        char a[] = "a", b[] = "b";
        struct iovec parts[2] = {{a, 1}, {b, 1}};
        shutdown(l.peer, SHUT_RDWR);
        ck_assert_int_eq(cg_transport_send(&l.t, parts, 1, false), -EPIPE);
        ck_assert_int_eq(cg_transport_send(&l.t, parts, 1, true), -EPIPE);
        close_line(&l);
    }
}
END_TEST

/* The last words come before the socket is shut; a cut has none. */
START_TEST(an_end_is_said_and_a_cut_is_not)
{
    static char room[CG_TRANSPORT_ROOM];
    for (int cut = 0; cut < 2; cut++) {
        struct line l = make_line(MASKED);
        int before = atomic_load(&mask_ended);
        if (cut) {
            cg_transport_cut(&l.t);
        } else {
            cg_transport_end(&l.t);
        }
        ck_assert_int_eq(atomic_load(&mask_ended), before + !cut);
        ck_assert_int_eq(recv(l.peer, room, 1, 0), 0);
        if (!cut) { /* it is shut for sending only */
            peer_writes(&l, "x");
            ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), 1);
        }
        int released = atomic_load(&mask_released);
        close_line(&l);
        ck_assert_int_eq(atomic_load(&mask_released), released + 1);
    }
}
END_TEST

static void *
deafen(void *arg)
{
    cg_transport_deafen(arg);
    return NULL;
}

START_TEST(who_waits_for_bytes_wakes_when_none_are_wanted_any_more)
{
    static char room[CG_TRANSPORT_ROOM];
    struct line l = make_line(PLAIN);
    pthread_t other;
    pthread_create(&other, NULL, deafen, &l.t);
    ck_assert(cg_transport_wait(&l.t, POLLIN, LONG_MS));
    pthread_join(other, NULL);
    ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), 0);
    close_line(&l);
}
END_TEST

START_TEST(a_reset_takes_back_what_came)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char byte;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&a, &n);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&a, sizeof a), 0);
    struct cg_transport t =
        cg_transport_plain(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    cg_transport_reset(&t);
    ck_assert_int_lt(recv(client, &byte, 1, 0), 0);
    ck_assert_int_eq(errno, ECONNRESET);
    cg_transport_close(&t);
    close(client);
    close(listener);
}
END_TEST

/* A unix socket knows no reset. */
START_TEST(a_reset_is_an_end_where_there_is_none)
{
    char byte;
    struct line l = make_line(PLAIN);
    cg_transport_reset(&l.t);
    ck_assert_int_eq(recv(l.peer, &byte, 1, 0), 0);
    close_line(&l);
}
END_TEST

START_TEST(an_application_s_blocking_descriptor_is_taken_back)
{
    static char room[CG_TRANSPORT_ROOM];
    struct line l = make_line(PLAIN);
    ck_assert_int_eq(fcntl(l.t.fd, F_SETFL, O_RDWR), 0);
    cg_transport_unblock(&l.t);
    ck_assert_int_ne(fcntl(l.t.fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(cg_transport_receive(&l.t, room, sizeof room), -EAGAIN);
    close_line(&l);
}
END_TEST

TESTS("transport", bytes_come_as_they_are_meant,
      what_a_full_socket_does_not_take_is_offered_again,
      a_file_goes_out_from_its_offset_on,
      a_peer_that_is_gone_is_an_error_and_no_signal,
      an_end_is_said_and_a_cut_is_not,
      who_waits_for_bytes_wakes_when_none_are_wanted_any_more,
      a_reset_takes_back_what_came, a_reset_is_an_end_where_there_is_none,
      an_application_s_blocking_descriptor_is_taken_back)
