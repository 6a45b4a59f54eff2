/* SPDX-License-Identifier: MIT */
/*
 * Tickets: the keys by which a client's TLS session goes on in any worker, of
 * any generation, and after an upgrade. They lie in memory that the master
 * shares with its workers, and that it hands to a new master. The newest seals,
 * the others only open what was sealed before.
 */
#ifndef CG_NET_TICKETS_H
#define CG_NET_TICKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

enum {
    CG_TICKET_KEYS = 3,
    CG_TICKET_NAME = 16,
    CG_TICKET_SECRET = 32,
    /* seconds after which another one seals */
    CG_TICKET_TURN_S = 3600
};

/* As OpenSSL's 80 bytes. */
struct cg_ticket_key {
    uint8_t name[CG_TICKET_NAME];
    uint8_t hmac[CG_TICKET_SECRET];
    uint8_t aes[CG_TICKET_SECRET];
};

/* In shared memory; the master alone writes. */
struct cg_ticket_board {
    _Atomic uint32_t seq;   /* odd while keys move */
    _Atomic int64_t made_s; /* when the first one was made (clock of day) */
    struct cg_ticket_key key[CG_TICKET_KEYS]; /* newest first */
};

struct cg_tickets {
    int fd; /* the memory, to be handed on; -1 in a worker */
    struct cg_ticket_board *board;      /* to write; NULL in a worker */
    const struct cg_ticket_board *view; /* to read; can never be written */
};

#define CG_TICKETS_NONE ((struct cg_tickets){.fd = -1})

/* The memory behind fd, which an old master handed over and which moves in; or
 * new keys if it is none (or -1, or one that was left half written): fd is left
 * alone then. */
int cg_tickets_open(int fd, struct cg_tickets *ret, struct cg_error *err);
void cg_tickets_close(struct cg_tickets *t);
/* In a worker: keys can only be read from here on, by the view, whatever code
 * runs here. Without /proc they can be made writable again. */
void cg_tickets_enter(struct cg_tickets *t);
/* A new key when it is time. */
void cg_tickets_turn(struct cg_tickets *t, int64_t now_s);
/* The newest one. Any process. Who writes is waited for, but not for ever. */
void cg_tickets_newest(const struct cg_ticket_board *b,
                       struct cg_ticket_key *ret);
/* That of a ticket; false: it is too old, or another server's. *ret_newest:
 * nothing newer is there. */
bool cg_tickets_find(const struct cg_ticket_board *b, const uint8_t *name,
                     struct cg_ticket_key *ret, bool *ret_newest);

#endif
