/* SPDX-License-Identifier: MIT */
/*
 * Scoreboard: what the master and its workers tell each other without a
 * message. A header that the master writes, and a slot for each worker, which
 * that worker writes (but for `pid`, `age`, `generation` and the reset, which
 * are the master's, done before the fork). Everybody can read all of it; a
 * worker can write its own slot and nothing else, by its memory map, so that
 * one that was broken into can lie about itself only. No locks: single words
 * are atomics, the text of a request in flight is guarded by a sequence
 * counter.
 *
 * The room core/share is what processes have in common: this, the run queue
 * (handover.h) and its messages, the keeper, and the memory under it (pages.h).
 * It is made before the fork and never grows; who waits, counts and decides by
 * it are the engine and the arbiter.
 *
 * The master decides nothing by what it finds here without having it copied and
 * bounded first: cg_slot_look(), cg_slot_requests(), core/share/flights.h.
 */
#ifndef CG_SHARE_SCOREBOARD_H
#define CG_SHARE_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CG_BOARD_EXECUTORS = 256, CG_BOARD_HIST = 40, CG_BOARD_CLASSES = 6 };

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

/* Requests by the class of their status: [2] counts 2xx, [0] those without. */
struct cg_class_counts {
    _Atomic uint64_t requests;
    _Atomic uint64_t app_us, wait_us;          /* sums of: */
    _Atomic uint64_t app_hist[CG_BOARD_HIST];  /* log2 of microseconds */
    _Atomic uint64_t wait_hist[CG_BOARD_HIST]; /* ready -> start */
};

/* What one executor does: written by its thread only. */
struct cg_flight {
    _Alignas(64) _Atomic uint32_t seq; /* odd while the text changes */
    _Atomic uint32_t running;          /* 1 while in the application */
    _Atomic uint64_t since_us;         /* start of the call (monotonic) */
    char method[8];
    char path[112]; /* NUL-terminated, cut */
    char peer[46];
    char id[64]; /* of the request (request_id), cut; "" for none */
    /* counters belong to the executor */
    _Atomic uint64_t requests;
    _Atomic uint64_t bytes_out;
    struct cg_class_counts by_class[CG_BOARD_CLASSES];
};

/* The last line at ERROR or above that a worker wrote, for operators. Peers'
 * bytes in it were escaped by who made it. */
struct cg_last_error {
    _Atomic uint32_t seq; /* odd while it changes; 0: there is none */
    _Atomic uint64_t at_us;
    char text[200]; /* NUL-terminated, cut */
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
    _Atomic int32_t executors; /* flights from here on mean nothing */
    _Atomic int32_t executors_now; /* that there are: some may have left */
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused;       /* requests refused by the parser */
    _Atomic uint64_t shakes;        /* handshakes of TLS that were done */
    _Atomic uint64_t shakes_failed; /* and that were not */
    _Atomic int32_t waiting;        /* requests, for their turn */
    _Atomic uint32_t overloaded;    /* 1 while its queue stands */
    _Atomic uint64_t overloads;     /* how often that began */
    _Atomic uint64_t abandoned;     /* requests whose clients left first */
    _Atomic uint64_t shed;          /* requests that waited too long */
    _Atomic uint64_t given;         /* requests to the shared queue */
    _Atomic uint64_t lent;          /* of them, without their connections */
    _Atomic uint64_t adopted;       /* requests and idle connections from it */
    _Atomic uint64_t queue_full;    /* requests that it did not take */
    _Atomic uint64_t takeovers;     /* relief turned the loop */
    _Atomic uint64_t promotions;    /* relief let an idle executor go on */
    _Atomic uint64_t spills;  /* files for what slow clients left behind */
    _Atomic uint64_t spilled; /* bytes that went to them */
    struct cg_last_error error;
    struct cg_flight flight[CG_BOARD_EXECUTORS];
};

/* What the master says to all. */
struct cg_board_head {
    _Atomic uint32_t used;     /* slots from here on were never claimed */
    _Atomic uint32_t draining; /* 1: about to stop; readiness is withdrawn */
    _Atomic uint32_t closing;  /* 1: nobody will accept after its workers */
    _Atomic uint32_t shared;   /* 1: another master's workers accept too */
    _Atomic uint32_t level;    /* of all error logs; 0: as each is set */
};

/* In private memory of each process. */
struct cg_scoreboard {
    uint32_t nslots;
    size_t stride;   /* bytes from one slot to the next */
    size_t head_n;   /* of the header */
    size_t extra_at; /* in a slot, what others keep there */
    char *read;      /* header and slots: of everybody, to read */
    char *write;     /* the same, to write; of a worker only its slot is left */
    bool sealed;     /* the kernel keeps the first from being written */
    const struct cg_board_head *head;
    struct cg_board_head *master; /* the same; NULL in a worker */
};

/*
 * A board with room for nslots, and for `extra` bytes more behind each, which
 * belong to whom the slot belongs; NULL with errno without memory.
 */
struct cg_scoreboard *cg_scoreboard_new(uint32_t nslots, size_t extra);
void cg_scoreboard_free(struct cg_scoreboard *b);
/* In the worker, before any code that is not ours: from here on it can write
 * its own slot only. */
void cg_scoreboard_enter(struct cg_scoreboard *b, struct cg_slot *own);

/* A slot to write: any in the master, in a worker its own. */
struct cg_slot *cg_board_slot(const struct cg_scoreboard *b, uint32_t number);
uint32_t cg_board_number(const struct cg_scoreboard *b,
                         const struct cg_slot *slot);
/* The bytes behind it. */
void *cg_slot_extra(const struct cg_scoreboard *b, struct cg_slot *slot);

/* A slot as everybody sees it. */
static inline const struct cg_slot *
cg_board_view(const struct cg_scoreboard *b, uint32_t number)
{
    return (const struct cg_slot *)(const void *)(b->read + b->head_n +
                                                  number * b->stride);
}

/* Makes the slot a new worker's: BOOTING, nothing of an earlier one left that
 * anybody reads. Called by the master before it forks. */
void cg_slot_claim(struct cg_scoreboard *b, struct cg_slot *s, uint32_t age,
                   uint32_t generation);
/* Its worker uses one more flight; nothing of an earlier worker is left. */
struct cg_flight *cg_slot_flight(struct cg_slot *s, int executor);
/* Its loop is over: no sign of life comes after this one. */
void cg_slot_end(struct cg_slot *s, uint64_t now_us);
/* Back to FREE. */
void cg_slot_clear(struct cg_slot *s);

/* What a worker says of itself, copied once and within bounds. It may lie. */
struct cg_slot_look {
    uint32_t state; /* perhaps none of enum cg_worker_state */
    uint64_t beat_us;
    int connections; /* 0 or more */
    int waiting;     /* likewise */
    bool overloaded;
    int executors, executors_now; /* 0 to CG_BOARD_EXECUTORS */
    bool kept;                    /* a keeper has its idle connections */
};
struct cg_slot_look cg_slot_look(const struct cg_slot *s);
/*
 * Microseconds for which the worker gave no sign of life although it should
 * (0 while booting, idle or free): a request that runs, or a loop that hangs.
 */
uint64_t cg_slot_silent_us(const struct cg_slot_look *l, uint64_t now_us);
/* Sum of requests over the executors. */
uint64_t cg_slot_requests(const struct cg_slot *s);
/* Microseconds that its executors spent in the application, calls under way
 * included. */
uint64_t cg_slot_app_us(const struct cg_slot *s, uint64_t now_us);

/* By its worker, one thread at a time: the first line of text, and the last
 * (of a traceback: the exception). */
void cg_slot_tell_error(struct cg_slot *s, const char *text, size_t n,
                        uint64_t now_us);
/* NUL-terminated; false: none yet. */
bool cg_slot_last_error(const struct cg_slot *s, char text[200],
                        uint64_t *ret_at_us);

#endif
