/* SPDX-License-Identifier: MIT */
/* gunicorn's control protocol: frames, ids, words, and what is no question. */
#include "core/control/interface.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"

static struct sockaddr_un name;
static socklen_t name_n;
static char heard[512];

/* Answers with the number of args; "fail" is a fault. */
static int
run(void *self, const struct cg_channel_peer *peer,
    const struct cg_interface_request *r, struct cg_json *data,
    struct cg_error *err)
{
    snprintf(heard, sizeof heard, "%s", r->command);
    for (int i = 0; i < r->nargs; i++) {
        size_t n = strlen(heard);
        snprintf(heard + n, sizeof heard - n, "|%s", r->args[i]);
    }
    ck_assert_int_eq((int)peer->uid, (int)geteuid());
    if (strcmp(r->command, "fail") == 0) {
        return cg_error_set(err, EINVAL, "no \"such\" thing");
    }
    cg_json_int(data, r->nargs);
    return 0;
}

static const struct cg_interface_calls calls = {.run = run};

static struct cg_desk *
open_desk(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    name = (struct sockaddr_un){.sun_family = AF_UNIX};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)),
                     0);
    name_n = sizeof name;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&name, &name_n), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    return cg_interface_new(fd, &calls);
}

/* What the question gets: its text, "" when the connection ends, "-" when
 * nothing comes. It is sent in two pieces, cut at `cut`. */
static const char *
ask_cut(const void *frame, size_t n, size_t cut)
{
    static char text[1024];
    struct cg_desk *d = open_desk();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, name_n), 0);
    ck_assert_int_eq(send(fd, frame, cut, 0), (int)cut);
    cg_desk_turn(d, 1);
    send(fd, (const char *)frame + cut, n - cut, MSG_NOSIGNAL);
    cg_desk_turn(d, 2);
    ssize_t got = recv(fd, text, sizeof text - 1, 0);
    bool none = got < 0 && errno == EAGAIN;
    text[got > 0 ? got : 0] = '\0';
    close(fd);
    cg_desk_free(d);
    return none ? "-" : got > 4 ? text + 4 : "";
}

static const char *
ask(const char *text)
{
    char frame[1024] = {0};
    size_t n = strlen(text);
    frame[2] = (char)(n >> 8);
    frame[3] = (char)n;
    memcpy(frame + 4, text, n);
    const char *got = ask_cut(frame, n + 4, 0);
    for (size_t cut = 1; cut < n + 4; cut++) {
        char before[1024];
        snprintf(before, sizeof before, "%s", got);
        got = ask_cut(frame, n + 4, cut);
        ck_assert_str_eq(got, before);
    }
    return got;
}

START_TEST(a_question_has_its_answer_at_every_cut)
{
    ck_assert_str_eq(ask("{\"id\": 7, \"command\": \"show all\"}"),
                     "{\"id\":7,\"status\":\"ok\",\"data\":0}");
    ck_assert_str_eq(heard, "show all");
    ck_assert_str_eq(ask("{\"command\":\"fail\",\"id\":\"x\"}"),
                     "{\"id\":\"x\",\"status\":\"error\",\"error\":"
                     "\"no \\\"such\\\" thing\"}");
}
END_TEST

START_TEST(an_id_of_any_kind_comes_back_and_none_is_0)
{
    ck_assert_str_eq(ask("{\"id\": [1, {\"a\": null}] }"),
                     "{\"id\":[1, {\"a\": null}],\"status\":\"ok\","
                     "\"data\":0}");
    ck_assert_str_eq(ask("{}"), "{\"id\":0,\"status\":\"ok\",\"data\":0}");
}
END_TEST

START_TEST(args_are_words_as_python_writes_them)
{
    ask("{\"command\":\"c\",\"args\":[2, \"x y\", true, false, null, 1.5]}");
    ck_assert_str_eq(heard, "c|2|x y|True|False|None|1.5");
    ask("{\"command\":\"c\",\"args\":null}");
    ck_assert_str_eq(heard, "c");
}
END_TEST

START_TEST(args_that_are_no_words_are_told)
{
    const char *wrong = "{\"id\":0,\"status\":\"error\",\"error\":\"Invalid "
                        "argument: args is no list of words\"}";
    ck_assert_str_eq(ask("{\"args\":\"abc\"}"), wrong);
    ck_assert_str_eq(ask("{\"args\":[[]]}"), wrong);
    ck_assert_str_eq(ask("{\"args\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}"),
                     "{\"id\":0,\"status\":\"error\",\"error\":\"Invalid "
                     "argument: too many args\"}");
}
END_TEST

START_TEST(what_is_no_question_is_closed_without_a_word)
{
    static const char *const wrong[] = {
        "x",     "[]",       "1",        "{\"command\":1}",
        "{} {}", "{\"a\":}", "\"\xff\"", "{\"id\":\"\xc3\"}"};
    for (size_t i = 0; i < CG_COUNT(wrong); i++) {
        ck_assert_str_eq(ask(wrong[i]), "");
    }
    ck_assert_str_eq(ask_cut("\0\0\0\0", 4, 0), "");
    ck_assert_str_eq(ask_cut("\0\1\0\1", 4, 0), "");
    ck_assert_str_eq(ask_cut("\xff\xff\xff\xff{}", 6, 0), "");
    ck_assert_str_eq(ask_cut("\0\0\0\2{", 5, 0), "-");
}
END_TEST

TESTS("interface", a_question_has_its_answer_at_every_cut,
      an_id_of_any_kind_comes_back_and_none_is_0,
      args_are_words_as_python_writes_them, args_that_are_no_words_are_told,
      what_is_no_question_is_closed_without_a_word)
