/* SPDX-License-Identifier: MIT */
#include "core/control/desk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"

enum {
    STRANGERS_A_TURN = 16, /* accepted in one turn */
    PAUSE_MS = 50,         /* after so many, or without descriptors */
    READ_A_TURN = 8192
};

struct client {
    int fd; /* -1: a free place */
    struct cg_buf in, out;
    size_t sent;
    bool answered;
    uint64_t late_ms; /* then its patience is over */
};

struct cg_desk {
    int fd;
    struct cg_desk_kind kind;
    struct client clients[CG_DESK_CLIENTS];
    uint64_t pause_ms; /* nobody is accepted until then */
    struct cg_desk *next;
};

static struct cg_desk *desks; /* all of this process */

/* ---- forks ---- */

/* In a child of whoever forked: async-signal-safe things only. */
static void
on_fork_in_child(void)
{
    for (struct cg_desk *d = desks; d != NULL; d = d->next) {
        cg_fd_close(&d->fd);
        for (int i = 0; i < CG_DESK_CLIENTS; i++) {
            cg_fd_close(&d->clients[i].fd);
        }
    }
}

/* ---- life ---- */

struct cg_desk *
cg_desk_new(int listen_fd, const struct cg_desk_kind *kind)
{
    static bool prepared;
    struct cg_desk *d = cg_calloc(1, sizeof *d);
    d->fd = listen_fd;
    d->kind = *kind;
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        d->clients[i].fd = -1;
    }
    if (!prepared) {
        pthread_atfork(NULL, NULL, on_fork_in_child);
        prepared = true;
    }
    d->next = desks;
    desks = d;
    return d;
}

static void
dismiss(struct client *c)
{
    cg_fd_close(&c->fd);
    cg_buf_release(&c->in);
    cg_buf_release(&c->out);
}

void
cg_desk_free(struct cg_desk *desk)
{
    if (desk == NULL) {
        return;
    }
    struct cg_desk **at = &desks;
    while (*at != desk) {
        at = &(*at)->next;
    }
    *at = desk->next;
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        dismiss(&desk->clients[i]);
    }
    cg_fd_close(&desk->fd);
    free(desk);
}

/* ---- waiting ---- */

static struct client *
free_place(struct cg_desk *d)
{
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        if (d->clients[i].fd < 0) {
            return &d->clients[i];
        }
    }
    return NULL;
}

int
cg_desk_watch(struct cg_desk *desk, struct pollfd *fds, uint64_t now_ms)
{
    int n = 0;
    if (desk->fd >= 0 && now_ms >= desk->pause_ms && free_place(desk) != NULL) {
        fds[n++] = (struct pollfd){.fd = desk->fd, .events = POLLIN};
    }
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        const struct client *c = &desk->clients[i];
        if (c->fd >= 0) {
            fds[n++] = (struct pollfd){
                .fd = c->fd, .events = c->answered ? POLLOUT : POLLIN};
        }
    }
    return n;
}

int
cg_desk_patience(const struct cg_desk *desk, uint64_t now_ms)
{
    uint64_t next = desk->pause_ms > now_ms ? desk->pause_ms : 0;
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        const struct client *c = &desk->clients[i];
        if (c->fd >= 0 && (next == 0 || c->late_ms < next)) {
            next = c->late_ms;
        }
    }
    return next == 0 ? -1 : next > now_ms ? (int)(next - now_ms) : 0;
}

/* ---- one client ---- */

static void
send_answer(struct client *c)
{
    ssize_t n;
    while (c->sent < c->out.n &&
           (n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.n || (errno != EAGAIN && errno != EINTR)) {
        dismiss(c);
    }
}

/* Reads what there is; 1: it may send more, 0: it will not, -1: it is gone. */
static int
receive(const struct cg_desk *d, struct client *c)
{
    size_t room = d->kind.most_in - c->in.n;
    room = room < READ_A_TURN ? room : READ_A_TURN;
    ssize_t n = recv(c->fd, cg_buf_reserve(&c->in, room), room, MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    }
    c->in.n += (size_t)n;
    return n > 0 && c->in.n < d->kind.most_in;
}

static void
hear(struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    bool late = now_ms >= c->late_ms;
    int more = late ? 0 : receive(d, c);
    if (more < 0) {
        dismiss(c);
        return;
    }
    struct cg_slice in = {c->in.p, c->in.n};
    if (!d->kind.answer(d->kind.self, c->fd, in, more == 0, &c->out)) {
        if (more == 0) {
            dismiss(c);
        }
        return;
    }
    c->answered = true;
    c->late_ms = now_ms + d->kind.patience_ms;
    send_answer(c);
}

static void
serve(struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    if (!c->answered) {
        hear(d, c, now_ms);
    } else if (now_ms >= c->late_ms) {
        dismiss(c);
    } else {
        send_answer(c);
    }
}

/* ---- all of them ---- */

static void
receive_client(struct cg_desk *d, struct client *place, uint64_t now_ms)
{
    cg_auto(fd_close) int fd =
        accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        /* not at once again, when it is for want of descriptors */
        d->pause_ms = now_ms + (errno == EAGAIN ? 0 : PAUSE_MS);
        return;
    }
    if (d->kind.admit != NULL && !d->kind.admit(d->kind.self, fd)) {
        return;
    }
    *place = (struct client){.fd = cg_fd_take(&fd),
                             .late_ms = now_ms + d->kind.patience_ms};
}

static void
receive_clients(struct cg_desk *d, uint64_t now_ms)
{
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    struct client *place;
    int n = 0;
    if (d->fd < 0 || now_ms < d->pause_ms) {
        return;
    }
    for (; n < STRANGERS_A_TURN && now_ms >= d->pause_ms &&
           (place = free_place(d)) != NULL && poll(&p, 1, 0) > 0;
         n++) {
        receive_client(d, place, now_ms);
    }
    if (n == STRANGERS_A_TURN) {
        d->pause_ms = now_ms + PAUSE_MS;
    }
}

void
cg_desk_turn(struct cg_desk *desk, uint64_t now_ms)
{
    receive_clients(desk, now_ms);
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        if (desk->clients[i].fd >= 0) {
            serve(desk, &desk->clients[i], now_ms);
        }
    }
}
