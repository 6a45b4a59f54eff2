/* SPDX-License-Identifier: MIT */
/*
 * Desk: a listening socket of the master's, where a few clients at a time ask
 * one question each and get one answer, or, where clients stay, one after the
 * other. It never blocks: its descriptors are polled by who owns the loop. What
 * a client may cost is bounded: bytes, time, places, and how often it wakes the
 * master. A forked child has none of its descriptors.
 */
#ifndef CG_CONTROL_DESK_H
#define CG_CONTROL_DESK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/bytes.h"

enum { CG_DESK_CLIENTS = 16, CG_DESK_FDS = CG_DESK_CLIENTS + 1 };

struct cg_desk_kind {
    /* Whether that peer is heard; NULL: everybody. */
    bool (*admit)(void *self, int fd);
    /*
     * Looks at all that the client has sent. False: more is needed. True:
     * *reply has what it gets, and it is closed behind it; nothing for one that
     * gets no answer. `last`: no more will come (its end, too much, too late).
     */
    bool (*answer)(void *self, int fd, struct cg_slice in, bool last,
                   struct cg_buf *reply);
    /*
     * Instead of `answer`, where clients stay: how many bytes at the beginning
     * of `in` were a question, to whose answer *reply has grown; 0: more is
     * needed; -1: it is closed, once it has what was answered before.
     */
    ssize_t (*converse)(void *self, int fd, struct cg_slice in,
                        struct cg_buf *reply);
    void *self;
    size_t most_in;       /* bytes of a question */
    uint64_t patience_ms; /* for the question and, again, for the answer */
    uint64_t idle_ms;     /* for the next question of one that stays; who is
                             longest without one makes room for a new client */
};

struct cg_desk;

/* listen_fd moves in: bound, listening, non-blocking. kind is copied. */
struct cg_desk *cg_desk_new(int listen_fd, const struct cg_desk_kind *kind);
/* Closes everything. desk may be NULL. */
void cg_desk_free(struct cg_desk *desk);
/* Fills in what to wait for, at most CG_DESK_FDS; returns how many. */
int cg_desk_watch(struct cg_desk *desk, struct pollfd *fds, uint64_t now_ms);
/* Milliseconds until it wants a turn without an event; -1: none. */
int cg_desk_patience(const struct cg_desk *desk, uint64_t now_ms);
/* After the wait: serves whatever is ready. */
void cg_desk_turn(struct cg_desk *desk, uint64_t now_ms);

#endif
