/* SPDX-License-Identifier: MIT */
/*
 * 100 Continue over a transport that takes little at a time: a client hears all
 * of it, once, and in its place.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/narrow.h"
#include "tests/unit/engine/world.h"

static struct world w;

static const char head[] = "POST /own HTTP/1.1\r\nHost: a\r\n"
                           "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* What came so far, until `what` is at its end; then the test goes on. */
static const char *
hear(int fd, const char *what)
{
    static char text[16 * 1024];
    size_t n = 0, want = strlen(what);
    text[0] = '\0';
    while (n < want || strcmp(text + n - want, what) != 0) {
        ssize_t got = recv(fd, text + n, 1, 0);
        ck_assert_msg(got == 1, "no '%s' at the end of '%s'", what, text);
        text[++n] = '\0';
        ck_assert_uint_lt(n, sizeof text - 1);
    }
    return text;
}

static void
start(bool streaming, own_app *app)
{
    memset(&w, 0, sizeof w);
    w.transports = &narrow_maker;
    w.streaming = streaming;
    w.own = app;
    world_start_set(&w, 1, 1);
}

/* ---- applications ---- */

static void
put(struct worker *k, struct cg_exchange *ex, const char *text,
    enum cg_more more)
{
    app_leave(k);
    ck_assert_int_ge(cg_exchange_body(ex, text, strlen(text), more, NULL), 0);
    app_enter(k);
}

static void
begin(struct cg_exchange *ex)
{
    ck_assert_int_eq(cg_exchange_start(ex, CG_SLICE("200 OK")), 0);
}

/* Echoes a body that is there. */
static void
echo(struct worker *k, struct cg_exchange *ex)
{
    cg_auto(buf) struct cg_buf body = {0};
    cg_buf_put(&body, ex->body.p, (size_t)ex->body.n);
    begin(ex);
    put(k, ex, cg_buf_str(&body), CG_LAST);
}

static void
read_all(struct worker *k, struct cg_exchange *ex, struct cg_buf *body)
{
    app_leave(k);
    while (cg_exchange_read(ex, body) > 0) {
    }
    app_enter(k);
}

/* Echoes one that is still coming. */
static void
echo_stream(struct worker *k, struct cg_exchange *ex)
{
    cg_auto(buf) struct cg_buf body = {0};
    read_all(k, ex, &body);
    begin(ex);
    put(k, ex, cg_buf_str(&body), CG_LAST);
}

/* The same, but for what it says before. */
static void
greet_and_echo(struct worker *k, struct cg_exchange *ex)
{
    cg_auto(buf) struct cg_buf body = {0};
    begin(ex);
    put(k, ex, "greeted.", CG_MORE);
    put(k, ex, "", CG_MORE);
    read_all(k, ex, &body);
    put(k, ex, cg_buf_str(&body), CG_LAST);
}

/* ---- tests ---- */

static void
a_body_is_asked_for_and_echoed(void)
{
    int fd = client_connect(&w);
    for (int i = 0; i < 2; i++) {
        client_send(fd, head);
        ck_assert_str_eq(hear(fd, "\r\n\r\n"), go);
        client_send(fd, "hello");
        ck_assert_ptr_nonnull(strstr(hear(fd, "\r\n\r\nhello"), " 200 OK"));
    }
    close(fd);
    world_stop(&w);
}

START_TEST(a_client_hears_all_of_it)
{
    start(false, echo);
    a_body_is_asked_for_and_echoed();
}
END_TEST

START_TEST(a_client_of_an_application_that_reads_hears_all_of_it)
{
    start(true, echo_stream);
    a_body_is_asked_for_and_echoed();
}
END_TEST

/* It does not wait, so that most of 100 is not out when the answer comes. */
START_TEST(the_reply_comes_behind_it)
{
    start(false, echo);
    int fd = client_connect(&w);
    client_send(fd, head);
    client_send(fd, "hello");
    const char *text = hear(fd, "\r\n\r\nhello");
    if (strncmp(text, go, 12) == 0) { /* the body may have been faster */
        ck_assert_int_eq(strncmp(text, go, sizeof go - 1), 0);
        text += sizeof go - 1;
    }
    ck_assert_int_eq(strncmp(text, "HTTP/1.1 200 OK\r\n", 17), 0);
    close(fd);
    world_stop(&w);
}
END_TEST

START_TEST(an_error_page_comes_behind_it)
{
    static const char chunked[] =
        "POST / HTTP/1.1\r\nHost: a\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    bool reset;
    start(false, echo);
    int fd = client_connect(&w);
    client_send(fd, chunked);
    char first;
    ck_assert_int_eq(recv(fd, &first, 1, MSG_PEEK), 1);
    client_send(fd, "no chunk\r\n");
    const char *text = client_rest(fd, &reset);
    ck_assert_int_eq(strncmp(text, go, sizeof go - 1), 0);
    ck_assert_int_eq(
        strncmp(text + sizeof go - 1, "HTTP/1.1 400 Bad Request\r\n", 26), 0);
    close(fd);
    world_stop(&w);
}
END_TEST

/* RFC 9110, 10.1.1: it would lie in the middle of the reply. */
START_TEST(none_is_sent_once_the_reply_has_begun)
{
    start(true, greet_and_echo);
    int fd = client_connect(&w);
    client_send(fd, head);
    ck_assert_ptr_nonnull(strstr(hear(fd, "greeted.\r\n"), " 200 OK"));
    client_send(fd, "hello");
    ck_assert_str_eq(hear(fd, "\r\n0\r\n\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    close(fd);
    world_stop(&w);
}
END_TEST

TESTS("continue", a_client_hears_all_of_it,
      a_client_of_an_application_that_reads_hears_all_of_it,
      the_reply_comes_behind_it, an_error_page_comes_behind_it,
      none_is_sent_once_the_reply_has_begun)
