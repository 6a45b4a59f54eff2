/* SPDX-License-Identifier: MIT */
/*
 * Scoreboard: one shared anonymous mapping made by the master; a header and a
 * slot per worker. A slot is written by its worker only (but for `pid`,
 * `generation` and the reset, which are the master's, done before the fork) and
 * read by anybody. No locks: single words are atomics, the text of a request in
 * flight is guarded by a sequence counter.
 */
#ifndef CG_ENGINE_SCOREBOARD_H
#define CG_ENGINE_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CG_BOARD_EXECUTORS = 256, CG_BOARD_HIST = 40 };

/* X-macro: the states of a worker, and their words. */
#define CG_WORKER_STATES(X)                                                    \
    X(FREE, "free")         /* slot without a worker */                        \
    X(BOOTING, "booting")   /* forked, application not loaded */               \
    X(IDLE, "idle")         /* waits for events; needs no heartbeat */         \
    X(BUSY, "busy")         /* handles events; `beat` says since when */       \
    X(STOPPING, "stopping") /* finishes what it has */                         \
    X(ENDING, "ending")     /* its loop is over; hooks, Python's end */
enum cg_worker_state {
#define X(id, word) CG_WORKER_##id,
    CG_WORKER_STATES(X)
#undef X
};
const char *cg_worker_state_word(enum cg_worker_state s);

/* What one executor does: written by its thread only. */
struct cg_flight {
    _Alignas(64) _Atomic uint32_t seq; /* odd while the text changes */
    _Atomic uint32_t running;          /* 1 while in the application */
    _Atomic uint64_t since_us;         /* start of the call (monotonic) */
    char method[8];
    char path[112]; /* NUL-terminated, cut */
    char peer[46];
    /* counters belong to the executor */
    _Atomic uint64_t requests;
    _Atomic uint64_t by_class[6]; /* [2] counts 2xx */
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t app_hist[CG_BOARD_HIST];  /* log2 of microseconds */
    _Atomic uint64_t wait_hist[CG_BOARD_HIST]; /* ready -> start */
};

struct cg_slot {
    _Alignas(64) _Atomic int32_t pid; /* 0 = free */
    _Atomic uint32_t age;             /* of the worker: 1, 2, 3 … */
    _Atomic uint32_t generation;
    _Atomic uint32_t state;   /* enum cg_worker_state */
    _Atomic uint32_t booted;  /* 1 when it serves */
    _Atomic uint64_t beat_us; /* last sign of life of the loop (monotonic) */
    _Atomic uint64_t started_us;
    _Atomic int32_t connections;
    _Atomic int32_t keeper;    /* pid of the process that keeps the idle ones */
    _Atomic int32_t executors; /* flights from here on were never used */
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused;    /* requests refused by the parser */
    _Atomic uint64_t given;      /* requests to the shared queue */
    _Atomic uint64_t adopted;    /* requests and idle connections from it */
    _Atomic uint64_t queue_full; /* requests that it did not take */
    _Atomic uint64_t takeovers;  /* relief turned the loop */
    _Atomic uint64_t promotions; /* relief let an idle executor go on */
    _Atomic uint64_t spills;     /* files for what slow clients left behind */
    _Atomic uint64_t spilled;    /* bytes that went to them */
    struct cg_flight flight[CG_BOARD_EXECUTORS];
};

struct cg_scoreboard {
    uint32_t nslots;
    _Atomic uint32_t used;     /* slots from here on were never claimed */
    _Atomic uint32_t draining; /* 1: about to stop; readiness is withdrawn */
    _Atomic uint32_t closing;  /* 1: nobody will accept after its workers */
    _Atomic uint32_t shared;   /* 1: another master's workers accept too */
    struct cg_slot slot[];
};

/* Maps a board with room for nslots; NULL with errno without memory. */
struct cg_scoreboard *cg_scoreboard_new(uint32_t nslots);
void cg_scoreboard_free(struct cg_scoreboard *b);
/* Zeroes a slot and makes it the worker's: BOOTING. Called by the master
 * before it forks; pid is stored by both sides after the fork. */
void cg_slot_claim(struct cg_scoreboard *b, struct cg_slot *s, uint32_t age,
                   uint32_t generation);
/* Its loop is over: no sign of life comes after this one. */
void cg_slot_end(struct cg_slot *s, uint64_t now_us);
/* Back to FREE. */
void cg_slot_clear(struct cg_slot *s);
/*
 * Microseconds for which the worker gave no sign of life although it should
 * (0 while booting, idle or free): a request that runs, or a loop that hangs.
 */
uint64_t cg_slot_silent_us(const struct cg_slot *s, uint64_t now_us);
/* Sum of requests over the executors. */
uint64_t cg_slot_requests(const struct cg_slot *s);

#endif
