/* SPDX-License-Identifier: MIT */
/* A client of a world whose transports wear a mask (tests/unit/net/mask.h). */
#ifndef TESTS_UNIT_ENGINE_MASKED_CLIENT_H
#define TESTS_UNIT_ENGINE_MASKED_CLIENT_H

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

static inline struct client
begin(struct world *w)
{
    return (struct client){.fd = client_connect(w),
                           .text = cg_calloc(1, BIG + 4096)};
}

static inline void
end(struct client *c)
{
    close(c->fd);
    free(c->text);
}

static inline void
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
static inline void
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

static inline void
ask(struct client *c, const char *path)
{
    char text[256];
    int n =
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    c->n = 0;
    c->text[0] = '\0';
    say(c, text, (size_t)n);
}

/* Reads on until a reply of so many bytes of body is there; returns it. */
static inline const char *
hear_body(struct client *c, size_t body_n)
{
    hear(c, "\r\n\r\n");
    size_t at = (size_t)(strstr(c->text, "\r\n\r\n") + 4 - c->text);
    while (c->n < at + body_n) {
        ssize_t n = recv(c->fd, c->text + c->n, at + body_n - c->n, 0);
        ck_assert_int_gt(n, 0);
        mask_bytes(c->text + c->n, (size_t)n, c->got);
        c->got += (uint64_t)n;
        c->n += (size_t)n;
    }
    return c->text + at;
}

#endif
