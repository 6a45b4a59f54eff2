/* SPDX-License-Identifier: MIT */
/*
 * An engine whose connections are not plain: no byte of a client goes around
 * the transport, on no way that a reply or a request takes, and what was not
 * taken is offered again unchanged (the mask ends the test otherwise).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "tests/unit/check_main.h"
#include "tests/unit/engine/world.h"
#include "tests/unit/net/mask.h"

/* A client that wears the mask, too. */
struct client {
    int fd;
    uint64_t sent, got;
    char *text; /* all that came, NUL-terminated */
    size_t n;
};

static struct world w;

static struct client
begin(void)
{
    return (struct client){.fd = client_connect(&w),
                           .text = cg_calloc(1, BIG + 4096)};
}

static void
end(struct client *c)
{
    close(c->fd);
    free(c->text);
}

static void
say(struct client *c, const char *bytes, size_t n)
{
    char *masked = cg_malloc(n + 1);
    memcpy(masked, bytes, n);
    mask_bytes(masked, n, c->sent);
    c->sent += n;
    ck_assert_int_eq(send(c->fd, masked, n, MSG_NOSIGNAL), (ssize_t)n);
    free(masked);
}

/* Reads until `what` is there, or to the end. */
static void
hear(struct client *c, const char *what)
{
    while (what == NULL || strstr(c->text, what) == NULL) {
        ssize_t n = recv(c->fd, c->text + c->n, 64 * 1024, 0);
        ck_assert_msg(n > 0 || what == NULL, "no '%s' in '%.500s'", what,
                      c->text);
        if (n <= 0) {
            return;
        }
        mask_bytes(c->text + c->n, (size_t)n, c->got);
        c->got += (uint64_t)n;
        c->n += (size_t)n;
        c->text[c->n] = '\0';
    }
}

static void
ask(struct client *c, const char *path)
{
    char text[256];
    int n =
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    c->n = 0;
    c->text[0] = '\0';
    say(c, text, (size_t)n);
}

static void
start(int workers)
{
    memset(&w, 0, sizeof w);
    w.transports = &mask_maker;
    world_start_set(&w, workers, 1);
}

static void
stop(void)
{
    world_stop(&w);
    ck_assert_int_eq(atomic_load(&mask_made), atomic_load(&mask_released));
}

START_TEST(requests_and_replies_pass_the_transport)
{
    start(1);
    struct client c = begin();
    for (int i = 0; i < 3; i++) {
        ask(&c, "/");
        hear(&c, "ok 0");
    }
    say(&c, "GET / HTTP/1.1\r\nHo", 18); /* in pieces */
    c.n = 0;
    c.text[0] = '\0';
    say(&c, "st: a\r\n\r\n", 9);
    hear(&c, "ok 0");
    ask(&c, "/close");
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "ok 0"));
    end(&c);
    stop();
}
END_TEST

START_TEST(a_body_that_fills_its_room_passes_it)
{
    enum { N = 600000 };
    static char body[N];
    start(1);
    struct client c = begin();
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n"
        "Expect: 100-continue\r\n\r\n";
    say(&c, head, sizeof head - 1);
    hear(&c, "100 Continue");
    for (size_t at = 0; at < N; at += N / 6) {
        say(&c, body, N / 6);
    }
    hear(&c, "body 600000");
    end(&c);
    stop();
}
END_TEST

START_TEST(what_waits_for_a_slow_client_passes_it)
{
    start(1);
    struct client c = begin();
    ask(&c, "/big");
    wait_for(&w.worker[0].ran, 1);
    hear(&c, "\r\n\r\n");
    size_t whole = (size_t)(strstr(c.text, "\r\n\r\n") + 4 - c.text) + BIG;
    while (c.n < whole) {
        ssize_t n = recv(c.fd, c.text + c.n, whole - c.n, 0);
        ck_assert_int_gt(n, 0);
        mask_bytes(c.text + c.n, (size_t)n, c.got);
        c.got += (uint64_t)n;
        c.n += (size_t)n;
    }
    size_t wrong = 0;
    for (size_t i = whole - BIG; i < whole; i++) {
        wrong += c.text[i] != 0;
    }
    ck_assert_uint_eq(wrong, 0);
    ask(&c, "/");
    hear(&c, "ok 0");
    end(&c);
    stop();
}
END_TEST

START_TEST(a_refusal_passes_it_and_ends_properly)
{
    start(1);
    struct client c = begin();
    say(&c, "GET / HTTP/9.9\r\n\r\n", 18);
    hear(&c, NULL);
    ck_assert_ptr_nonnull(strstr(c.text, "HTTP/1.1 "));
    ck_assert_ptr_nonnull(strstr(c.text, "</html>"));
    ck_assert_int_eq(atomic_load(&mask_ended), 1);
    end(&c);
    stop();
}
END_TEST

/* Its worker has the state: neither the queue nor a sibling can go on. */
START_TEST(such_a_connection_stays_with_its_worker)
{
    start(2);
    struct client blocked = begin();
    ask(&blocked, "/block");
    /* whoever has it counts it in its slot */
    int busy = 0;
    while (atomic_load(&w.worker[busy].blocked) == 0) {
        busy = !busy;
        client_hears(blocked.fd, 1);
    }
    struct client c[4];
    for (int i = 0; i < 4; i++) {
        c[i] = begin();
        ask(&c[i], "/");
    }
    world_unblock(&w);
    for (int i = 0; i < 4; i++) {
        hear(&c[i], "ok ");
        end(&c[i]);
    }
    hear(&blocked, "ok ");
    ck_assert_int_eq(worker_of(strstr(blocked.text, "ok ")), busy);
    end(&blocked);
    ck_assert_uint_eq(atomic_load(&cg_board_slot(w.board, 0)->given) +
                          atomic_load(&cg_board_slot(w.board, 1)->given),
                      0);
    stop();
}
END_TEST

TESTS("masked", requests_and_replies_pass_the_transport,
      a_body_that_fills_its_room_passes_it,
      what_waits_for_a_slow_client_passes_it,
      a_refusal_passes_it_and_ends_properly,
      such_a_connection_stays_with_its_worker)
