/* SPDX-License-Identifier: MIT */
/*
 * Transport: how bytes reach one client and come from it. The only way to a
 * client's socket: nobody else receives, sends, waits or shuts it down. A plain
 * one is the socket itself; another kind (TLS) changes the bytes on their way
 * and keeps a state for that.
 *
 * What always holds:
 * - No call blocks but cg_transport_wait.
 * - Results are numbers of the client's own bytes, never of what a kind makes
 *   of them.
 * - Nothing that can be read waits in a state where the descriptor does not
 *   show it: a kind takes no more from the socket than `room` has place for, so
 *   it is given CG_TRANSPORT_ROOM bytes at least.
 * - Bytes that a send did not take are offered again, first and unchanged: a
 *   kind may have made something of them already that a full socket holds up.
 * - It belongs to whoever owns the connection's outbox: the executor in a call,
 *   else the holder of the baton. What a kind works in is the thread's own.
 *
 * Left to others: the event set (loop.h), what waits for the peer (the outbox),
 * deadlines.
 */
#ifndef CG_NET_TRANSPORT_H
#define CG_NET_TRANSPORT_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/base/secure.h"

enum { CG_TRANSPORT_ROOM = 128 * 1024 };

struct cg_transport;

/* What a step of a handshake came to. */
enum cg_shaken {
    CG_SHAKEN_MORE,  /* the peer's next bytes are waited for */
    CG_SHAKEN_FULL,  /* the socket takes no more now */
    CG_SHAKEN_ASKS,  /* somebody has to be asked first: `answer` */
    CG_SHAKEN_DONE,  /* receive and send work from here on; receive, at once */
    CG_SHAKEN_PLAIN, /* the peer speaks plain HTTP */
    CG_SHAKEN_GONE,  /* the peer went before it said anything */
    CG_SHAKEN_FAILED
};

/* A kind that is not plain; as the functions below. */
struct cg_transport_kind {
    /* One step of what comes before the first byte: with the n bytes that came
     * already, if any, else with what the socket has. *ret_why: of FAILED,
     * valid until the next step of this thread. NULL: there is none. */
    enum cg_shaken (*shake)(struct cg_transport *t, const char *p, size_t n,
                            const char **ret_why);
    /* After ASKS; may run anything. NULL: it never asks. */
    void (*answer)(struct cg_transport *t);
    ssize_t (*receive)(struct cg_transport *t, void *p, size_t room);
    ssize_t (*send)(struct cg_transport *t, const struct iovec *parts,
                    int count, bool more);
    /* The last words, before the socket is shut for sending; may be lost. */
    void (*say_end)(struct cg_transport *t);
    /* Frees the state; the socket is still open. */
    void (*release)(struct cg_transport *t);
    /* Of a kind without a descriptor (fd is -1), which others leave NULL: as
     * the functions below of these names. shut: SHUT_RD, or SHUT_RDWR. */
    bool (*wait)(const struct cg_transport *t, short events, int ms);
    uint32_t (*held)(const struct cg_transport *t);
    void (*shut)(struct cg_transport *t, int how);
    bool (*has_left)(const struct cg_transport *t);
};

/* First field of what a kind keeps for a connection. */
struct cg_transport_state {
    const struct cg_transport_kind *kind;
    const struct cg_secure *secure; /* NULL: it keeps no secret */
};

/* Who makes the states of connections that are accepted. */
struct cg_transport_maker {
    /* NULL: a plain one. */
    struct cg_transport_state *(*make)(const struct cg_transport_maker *m,
                                       int listener);
};

struct cg_transport {
    int fd; /* owned; -1 once it is closed, and of a kind without one */
    /* a process that gets the descriptor and nothing else can go on with it */
    bool movable;
    /* how its peer goes on is somebody else's to judge, who cuts it */
    bool patient;
    struct cg_transport_state *state; /* NULL: plain */
};

/* The descriptor moves in; it does not block. */
static inline struct cg_transport
cg_transport_plain(int fd)
{
    return (struct cg_transport){.fd = fd, .movable = true};
}

/* With a state, which moves in, too. */
static inline struct cg_transport
cg_transport_with(int fd, struct cg_transport_state *state)
{
    return (struct cg_transport){.fd = fd, .state = state};
}

static inline bool
cg_transport_is_plain(const struct cg_transport *t)
{
    return __builtin_expect(t->state == NULL, 1);
}

/* What TLS knows of it; NULL: there is none. */
static inline const struct cg_secure *
cg_transport_secure(const struct cg_transport *t)
{
    return cg_transport_is_plain(t) ? NULL : t->state->secure;
}

/* Whether a handshake comes first. */
static inline bool
cg_transport_shakes(const struct cg_transport *t)
{
    return !cg_transport_is_plain(t) && t->state->kind->shake != NULL;
}

/* A plain one until the state is put back: what comes before a handshake, or in
 * its place. */
static inline struct cg_transport_state *
cg_transport_bare(struct cg_transport *t)
{
    struct cg_transport_state *s = t->state;
    t->state = NULL;
    return s;
}

/* What comes of a call that errno explains: -EAGAIN also when it was only
 * interrupted. */
static inline ssize_t
cg_transport_not_now(void)
{
    return errno == EINTR ? -EAGAIN : -errno;
}

/* What `receive` is of a kind whose bytes are those of its socket. */
static inline ssize_t
cg_transport_receive_plain(struct cg_transport *t, void *p, size_t room)
{
    ssize_t n = recv(t->fd, p, room, MSG_DONTWAIT);
    return n >= 0 ? n : cg_transport_not_now();
}

/* Bytes that came; 0: the peer sends no more; -EAGAIN: none are there now; any
 * other negative errno: the peer is gone. */
static inline ssize_t
cg_transport_receive(struct cg_transport *t, void *p, size_t room)
{
    if (!cg_transport_is_plain(t)) {
        return t->state->kind->receive(t, p, room);
    }
    return cg_transport_receive_plain(t, p, room);
}

ssize_t cg_transport_send_plain(struct cg_transport *t,
                                const struct iovec *parts, int count,
                                bool more);

/* Bytes of the parts that were taken, 0 when the socket is full; a negative
 * errno (-EPIPE …) when the peer is gone. `more`: a file follows at once. */
static inline ssize_t
cg_transport_send(struct cg_transport *t, const struct iovec *parts, int count,
                  bool more)
{
    return cg_transport_is_plain(t)
               ? cg_transport_send_plain(t, parts, count, more)
               : t->state->kind->send(t, parts, count, more);
}

/* Up to n bytes of an open file from *offset on, which moves along. As send;
 * -ENODATA: the file ends before. */
ssize_t cg_transport_send_file(struct cg_transport *t, int fd, off_t *offset,
                               size_t n);

/* Bytes that the socket holds for its peer: not acknowledged; not read, of a
 * unix socket, which rounds up. 0 where the kernel does not tell. */
uint32_t cg_transport_held(const struct cg_transport *t);

/* For poll(2), of several at once: when it is worth to try again. */
static inline struct pollfd
cg_transport_poll(const struct cg_transport *t, short events)
{
    return (struct pollfd){.fd = t->fd, .events = events};
}

/* Microseconds since its peer sent something; 0: just now, or nobody knows. */
uint64_t cg_transport_silent_us(const struct cg_transport *t);

/* Whether the peer has closed its side, whatever it sent before. */
bool cg_transport_has_left(const struct cg_transport *t);

/* Waits for POLLIN or POLLOUT. False: not within ms, or a signal came. */
bool cg_transport_wait(const struct cg_transport *t, short events, int ms);

/* The peer hears of a proper end, if the kind knows one. */
static inline void
cg_transport_say_end(struct cg_transport *t)
{
    if (!cg_transport_is_plain(t)) {
        t->state->kind->say_end(t);
    }
}

/* Nothing more is sent; the peer hears of a proper end. */
void cg_transport_end(struct cg_transport *t);
/* Nothing more is received: who waits for it wakes up. */
void cg_transport_deafen(struct cg_transport *t);
/* An end for the peer, whoever else has the descriptor. */
void cg_transport_cut(struct cg_transport *t);
/* The same, so that nobody takes what came for all of it: a reset where the
 * socket knows one. Any thread, in between two sends of others. */
void cg_transport_reset(struct cg_transport *t);
/* An application had the descriptor, and made it a blocking one. */
void cg_transport_unblock(struct cg_transport *t);
/* Frees; the descriptor is -1 then. Says nothing to the peer. */
void cg_transport_close(struct cg_transport *t);

#endif
