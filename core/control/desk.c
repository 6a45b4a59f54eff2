/* SPDX-License-Identifier: MIT */
#include "core/control/desk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/hurry.h"
#include "core/base/memory.h"

enum {
    STRANGERS_A_TURN = 16, /* accepted in one turn */
    PAUSE_MS = 50,         /* after so many, or without descriptors */
    READ_A_TURN = 8192,
    QUESTIONS_A_TURN = 16 /* of one client */
};

struct client {
    int fd; /* -1: a free place */
    struct cg_buf in, out;
    size_t sent;
    bool answered;    /* it has not read all of its answer yet */
    bool leaves;      /* it is closed when it has */
    bool ready;       /* another question of it may be there already */
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
    cg_hurry_close(&c->fd);
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
    cg_hurry_close(&desk->fd);
    free(desk);
}

/* ---- waiting ---- */

/* One that stays and asks nothing. */
static bool
is_idle(const struct cg_desk *d, const struct client *c)
{
    return d->kind.converse != NULL && c->in.n == 0 && !c->answered;
}

/* A free place, or the one of who is idle for longest; NULL: there is none. */
static struct client *
find_place(struct cg_desk *d)
{
    struct client *found = NULL;
    for (int i = 0; i < CG_DESK_CLIENTS; i++) {
        struct client *c = &d->clients[i];
        if (c->fd < 0) {
            return c;
        }
        if (is_idle(d, c) && (found == NULL || c->late_ms < found->late_ms)) {
            found = c;
        }
    }
    return found;
}

int
cg_desk_watch(struct cg_desk *desk, struct pollfd *fds, uint64_t now_ms)
{
    int n = 0;
    if (desk->fd >= 0 && now_ms >= desk->pause_ms && find_place(desk) != NULL) {
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
        if (c->fd >= 0 && c->ready && !c->answered) {
            return 0;
        }
        if (c->fd >= 0 && (next == 0 || c->late_ms < next)) {
            next = c->late_ms;
        }
    }
    return next == 0 ? -1 : next > now_ms ? (int)(next - now_ms) : 0;
}

/* ---- one client ---- */

/* Who stays may ask again. */
static void
finish_answer(const struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    if (c->leaves) {
        dismiss(c);
        return;
    }
    cg_buf_release(&c->out);
    c->sent = 0;
    c->answered = false;
    c->late_ms = now_ms + (c->in.n > 0 ? d->kind.patience_ms : d->kind.idle_ms);
}

static void
send_answer(const struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    ssize_t n;
    while (c->sent < c->out.n &&
           (n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.n) {
        finish_answer(d, c, now_ms);
    } else if (errno != EAGAIN && errno != EINTR) {
        dismiss(c);
    }
}

/* Reads what there is; 1: it may send more, 0: it will not, -1: it is gone. */
static int
receive(const struct cg_desk *d, struct client *c)
{
    size_t room = d->kind.most_in - c->in.n;
    room = room < READ_A_TURN ? room : READ_A_TURN;
    char *to = cg_buf_reserve(&c->in, room);
    struct cg_hurry hurry;
    cg_hurry_begin(&hurry);
    ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);
    cg_hurry_end(&hurry);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    }
    c->in.n += (size_t)n;
    return n > 0 && c->in.n < d->kind.most_in;
}

static void
begin_answer(const struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    c->answered = true;
    c->late_ms = now_ms + d->kind.patience_ms;
    send_answer(d, c, now_ms);
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
    c->leaves = true;
    begin_answer(d, c, now_ms);
}

/* ---- one client that stays ---- */

/* Answers what was asked already; false: the client is to be closed. */
static bool
answer_some(struct cg_desk *d, struct client *c)
{
    size_t used = 0;
    ssize_t n = 1;
    int k = 0;
    for (; k < QUESTIONS_A_TURN && used < c->in.n && n > 0; k++) {
        struct cg_slice in = {c->in.p + used, c->in.n - used};
        n = d->kind.converse(d->kind.self, c->fd, in, &c->out);
        used += n > 0 ? (size_t)n : 0;
    }
    cg_buf_drop(&c->in, used);
    c->ready = n > 0 && c->in.n > 0;
    return n >= 0;
}

static void
hear_again(struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    bool was_idle = c->in.n == 0;
    bool late = now_ms >= c->late_ms;
    bool full = c->in.n >= d->kind.most_in;
    int more = late ? -1 : full ? 1 : receive(d, c);
    if (more < 0) {
        dismiss(c);
        return;
    }
    if (was_idle && c->in.n > 0) {
        c->late_ms = now_ms + d->kind.patience_ms;
    }
    bool good = answer_some(d, c);
    /* what is full and no question never becomes one */
    bool ended = more == 0 && !c->ready && c->in.n < d->kind.most_in;
    c->leaves = !good || ended;
    if (c->out.n > 0) {
        begin_answer(d, c, now_ms);
    } else if (c->leaves) {
        dismiss(c);
    }
}

static void
serve(struct cg_desk *d, struct client *c, uint64_t now_ms)
{
    if (c->answered && now_ms >= c->late_ms) {
        dismiss(c);
    } else if (c->answered) {
        send_answer(d, c, now_ms);
    } else if (d->kind.converse != NULL) {
        hear_again(d, c, now_ms);
    } else {
        hear(d, c, now_ms);
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
        cg_hurry_close(&fd);
        return;
    }
    dismiss(place);
    *place = (struct client){.fd = cg_fd_take(&fd),
                             .late_ms = now_ms + (d->kind.converse != NULL
                                                      ? d->kind.idle_ms
                                                      : d->kind.patience_ms)};
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
           (place = find_place(d)) != NULL && poll(&p, 1, 0) > 0;
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
