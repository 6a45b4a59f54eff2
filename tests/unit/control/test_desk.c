/* SPDX-License-Identifier: MIT */
/* A desk's clients: how much they may cost, and that they get their answer. */
#include "core/control/desk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "tests/unit/base/lingering.h"

enum { MOST = 64, PATIENCE = 1000 };

static struct sockaddr_un name;
static socklen_t name_n;
static bool hears;

static bool
admit(void *self, int fd)
{
    return hears;
}

/* A line is answered with itself; what is no line, with "?". */
static bool
answer(void *self, int fd, struct cg_slice in, bool last, struct cg_buf *reply)
{
    const char *end = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    if (end != NULL) {
        cg_buf_put(reply, in.p, (size_t)(end - in.p));
    } else if (last && in.n > 0) {
        cg_buf_putc(reply, '?');
    }
    return end != NULL || last;
}

static struct cg_desk *
open_desk(void)
{
    const struct cg_desk_kind kind = {.admit = admit,
                                      .answer = answer,
                                      .most_in = MOST,
                                      .patience_ms = PATIENCE};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    name = (struct sockaddr_un){.sun_family = AF_UNIX};
    hears = true;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)),
                     0); /* a name of the kernel's choice */
    name_n = sizeof name;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &name_n), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    return cg_desk_new(fd, &kind);
}

static int
client(const char *text)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, name_n), 0);
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
                     (int)strlen(text));
    return fd;
}

/* What it got until its connection ended; "-": it is open still. */
static const char *
got(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n < 0 && errno == EAGAIN ? "-" : text;
}

START_TEST(a_line_is_answered)
{
    struct cg_desk *d = open_desk();
    int fd = client("hello\n");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "hello");
    ck_assert_str_eq(got(fd), "");
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(who_is_not_heard_is_closed_unread)
{
    struct cg_desk *d = open_desk();
    hears = false;
    int fd = client("hello\n");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "");
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(half_a_line_waits_and_is_late)
{
    struct cg_desk *d = open_desk();
    int fd = client("hel");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "-");
    ck_assert_int_eq(cg_desk_patience(d, 1), PATIENCE);
    cg_desk_turn(d, PATIENCE);
    ck_assert_str_eq(got(fd), "-");
    cg_desk_turn(d, PATIENCE + 1);
    ck_assert_str_eq(got(fd), "?");
    ck_assert_int_eq(cg_desk_patience(d, PATIENCE + 1), -1);
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(too_long_a_line_is_cut_off)
{
    struct cg_desk *d = open_desk();
    char text[MOST * 4];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    int fd = client(text);
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "?");
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(places_are_bounded_and_come_free)
{
    struct cg_desk *d = open_desk();
    struct pollfd fds[CG_DESK_FDS];
    int slow[CG_DESK_CLIENTS];
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        slow[i] = client("h");
    }
    int fd = client("hello\n");
    cg_desk_turn(d, 1);
    cg_desk_turn(d, 100);
    ck_assert_str_eq(got(fd), "-");
    ck_assert_int_eq(cg_desk_watch(d, fds, 100), CG_DESK_CLIENTS);
    cg_desk_turn(d, PATIENCE + 1);
    ck_assert_str_eq(got(slow[0]), "?");
    cg_desk_turn(d, PATIENCE + 100);
    ck_assert_str_eq(got(fd), "hello");
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        close(slow[i]);
    }
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(a_flood_of_strangers_gets_a_pause)
{
    struct cg_desk *d = open_desk();
    struct pollfd fds[CG_DESK_FDS];
    int fd[CG_DESK_CLIENTS + 4];
    hears = false;
    for (int i = 0; i < CG_DESK_CLIENTS + 4; i++) {
        fd[i] = client("");
    }
    cg_desk_turn(d, 1);
    ck_assert_int_eq(cg_desk_watch(d, fds, 1), 0);
    ck_assert_int_gt(cg_desk_patience(d, 1), 0);
    cg_desk_turn(d, 1 + 50);
    ck_assert_str_eq(got(fd[CG_DESK_CLIENTS + 3]), "");
    for (int i = 0; i < CG_DESK_CLIENTS + 4; i++) {
        close(fd[i]);
    }
    cg_desk_free(d);
}
END_TEST

/* ---- clients that stay ---- */

enum { IDLE = 5000 };

/* A line is answered with itself and a dot; "!" ends the conversation. */
static ssize_t
converse(void *self, int fd, struct cg_slice in, struct cg_buf *reply)
{
    const char *end = memchr(in.p, '\n', in.n);
    if (in.p[0] == '!' || in.n == MOST) {
        return -1;
    }
    if (end == NULL) {
        return 0;
    }
    cg_buf_put(reply, in.p, (size_t)(end - in.p));
    cg_buf_putc(reply, '.');
    return end - in.p + 1;
}

static struct cg_desk *
open_parlour(void)
{
    const struct cg_desk_kind kind = {.converse = converse,
                                      .most_in = MOST,
                                      .patience_ms = PATIENCE,
                                      .idle_ms = IDLE};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    name = (struct sockaddr_un){.sun_family = AF_UNIX};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)),
                     0);
    name_n = sizeof name;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &name_n), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    return cg_desk_new(fd, &kind);
}

START_TEST(who_stays_asks_again_and_again)
{
    struct cg_desk *d = open_parlour();
    int fd = client("one\ntwo\nthr");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "one.two.");
    ck_assert_str_eq(got(fd), "-");
    ck_assert_int_eq(send(fd, "ee\n", 3, 0), 3);
    cg_desk_turn(d, 2);
    ck_assert_str_eq(got(fd), "three.");
    ck_assert_int_eq(cg_desk_patience(d, 2), IDLE);
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(many_questions_are_answered_some_in_each_turn)
{
    struct cg_desk *d = open_parlour();
    int fd = client("a\na\na\na\na\na\na\na\na\na\na\na\na\na\na\na\n"
                    "b\nb\n");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.");
    ck_assert_int_eq(cg_desk_patience(d, 1), 0);
    cg_desk_turn(d, 2);
    ck_assert_str_eq(got(fd), "b.b.");
    ck_assert_int_eq(cg_desk_patience(d, 2), IDLE);
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(who_ends_after_the_last_question_gets_every_answer)
{
    struct cg_desk *d = open_parlour();
    int fd = client("a\na\na\na\na\na\na\na\na\na\na\na\na\na\na\na\n"
                    "last\nha");
    shutdown(fd, SHUT_WR);
    cg_desk_turn(d, 1);
    cg_desk_turn(d, 2);
    ck_assert_str_eq(got(fd), "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.last.");
    ck_assert_str_eq(got(fd), "");
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(what_is_no_question_ends_it_behind_the_answers_before)
{
    struct cg_desk *d = open_parlour();
    int fd = client("one\n!");
    cg_desk_turn(d, 1);
    ck_assert_str_eq(got(fd), "one.");
    ck_assert_str_eq(got(fd), "");
    close(fd);
    cg_desk_free(d);
}
END_TEST

START_TEST(who_begins_a_question_has_less_time_than_who_is_idle)
{
    struct cg_desk *d = open_parlour();
    int idle = client(""), slow = client("hal");
    cg_desk_turn(d, 1);
    cg_desk_turn(d, PATIENCE + 1);
    ck_assert_str_eq(got(slow), "");
    ck_assert_str_eq(got(idle), "-");
    cg_desk_turn(d, IDLE + 1);
    ck_assert_str_eq(got(idle), "");
    close(slow);
    close(idle);
    cg_desk_free(d);
}
END_TEST

START_TEST(who_is_idle_for_longest_makes_room)
{
    struct cg_desk *d = open_parlour();
    int fd[CG_DESK_CLIENTS + 1];
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        fd[i] = client("");
        cg_desk_turn(d, (uint64_t)i + 1);
    }
    fd[CG_DESK_CLIENTS] = client("hello\n");
    cg_desk_turn(d, 100);
    ck_assert_str_eq(got(fd[CG_DESK_CLIENTS]), "hello.");
    ck_assert_str_eq(got(fd[0]), "");
    ck_assert_str_eq(got(fd[1]), "-");
    for (int i = 0; i <= CG_DESK_CLIENTS; i++) {
        close(fd[i]);
    }
    cg_desk_free(d);
}
END_TEST

START_TEST(a_forked_child_has_none_of_it)
{
    struct cg_desk *d = open_desk();
    int fd = client("h"), status = 0;
    cg_desk_turn(d, 1);
    struct pollfd fds[CG_DESK_FDS];
    int n = cg_desk_watch(d, fds, 1);
    ck_assert_int_eq(n, 2);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(fcntl(fds[0].fd, F_GETFD) < 0 && fcntl(fds[1].fd, F_GETFD) < 0
                  ? 0
                  : 1);
    }
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_ge(fcntl(fds[0].fd, F_GETFD), 0);
    close(fd);
    cg_desk_free(d);
}
END_TEST

/* Heard, not heard, and not even accepted. */
START_TEST(descriptors_that_clients_send_do_not_keep_it)
{
    struct cg_desk *d = open_desk();
    int fd[3], peer[3];
    uint64_t now = cg_now_us();
    for (int i = 0; i < 3; i++) {
        hears = i == 0;
        fd[i] = client("");
        ck_assert(send_lingering(fd[i], &peer[i]));
        if (i < 2) {
            cg_desk_turn(d, 1);
        }
    }
    cg_desk_turn(d, PATIENCE + 1);
    ck_assert_str_eq(got(fd[0]), "?");
    cg_desk_free(d);
    check_in_time(now);
    for (int i = 0; i < 3; i++) {
        close(fd[i]);
        close(peer[i]);
    }
}
END_TEST

TESTS("desk", a_line_is_answered, who_is_not_heard_is_closed_unread,
      half_a_line_waits_and_is_late, too_long_a_line_is_cut_off,
      places_are_bounded_and_come_free, a_flood_of_strangers_gets_a_pause,
      who_stays_asks_again_and_again,
      many_questions_are_answered_some_in_each_turn,
      who_ends_after_the_last_question_gets_every_answer,
      what_is_no_question_ends_it_behind_the_answers_before,
      who_begins_a_question_has_less_time_than_who_is_idle,
      who_is_idle_for_longest_makes_room, a_forked_child_has_none_of_it,
      descriptors_that_clients_send_do_not_keep_it)
