/* SPDX-License-Identifier: MIT */
/* What the engine's files share. Nobody else includes this. */
#ifndef CG_ENGINE_INTERNAL_H
#define CG_ENGINE_INTERNAL_H

#include "core/base/clock.h"
#include "core/engine/baton.h"
#include "core/engine/conn.h"
#include "core/engine/deadline.h"
#include "core/engine/engine.h"
#include "core/net/loop.h"

enum { EVENTS = 64, READ_BUFFER = 64 * 1024, RELIEF = 0 };

struct cg_executor {
    struct cg_engine *engine;
    int id;       /* RELIEF or 1 … */
    bool entered; /* holds what host.enter gives (the GIL) */
    struct cg_flight *flight;
    struct cg_request req; /* of a request that came in one piece */
    struct cg_buf out;     /* lent to the host for heads and small bodies */
    cg_loop_event events[EVENTS];
    char rbuf[READ_BUFFER]; /* belongs to this thread, not to the engine */
};

/* What an event's pointer may be, besides a connection. */
struct cg_watch {
    int fd;
};

struct cg_engine {
    struct cg_baton baton;

    /* ---- all below: only with the baton in LOOP ---- */
    struct cg_loop loop;
    const struct cg_engine_config *config;
    const struct cg_host *host;
    struct cg_scoreboard *board;
    struct cg_slot *slot;
    uint64_t now_us; /* of the last look at the clock */
    int64_t date_s;  /* second that `date` shows */
    char date[CG_HTTP_DATE_SIZE];

    cg_loop_event *events; /* the harvester's array */
    int nevents, event_at;
    struct cg_conn *ready_first, **ready_last;
    int nready, quota; /* quota: queued ones to run before the next look */
    uint64_t harvested_us;
    struct cg_conn *dead;       /* freed when the harvest is used up */
    struct cg_conn *freelist;   /* slab */
    struct cg_segment *dropped; /* objects that wait for an entered thread */
    struct cg_deadlines deadlines;

    const struct cg_listener *listeners;
    struct cg_watch *listener_watch; /* one per listener */
    int nlisteners;
    bool listening;           /* the listeners are in the loop's set */
    uint64_t accept_pause_us; /* out of descriptors: not before this time */
    struct cg_watch wakeup, master;
    int nconns;
    uint64_t requests;
    uint64_t stop_at_us; /* graceful stop ends then */
    bool stopping;

    /* ---- any thread ---- */
    _Alignas(64) _Atomic int stop_wanted;
    _Atomic uint64_t graceful_us;
    _Atomic int abort_wanted;
    _Atomic int forked;
    bool orphaned;
};

extern const struct cg_wire cg_engine_wire;

/* exchange with the connection and executor behind it */
struct cg_call {
    struct cg_exchange ex; /* first: a cg_exchange * is a cg_call * */
    struct cg_conn *conn;
    struct cg_executor *executor;
    struct cg_segment *dropped; /* flushed by drain(), entered again later */
};

/* conn.c */
struct cg_conn *cg_conn_new(struct cg_engine *e, int fd);
void cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest);
void cg_conn_disarm(struct cg_engine *e, struct cg_conn *c);
void cg_conn_close(struct cg_engine *e, struct cg_conn *c);
void cg_conn_bury(struct cg_engine *e);
void cg_conn_drop_intake(struct cg_conn *c);
struct cg_conn *cg_conn_of(struct cg_deadline *d);
const char *cg_conn_state_word(enum cg_conn_state s);

/* accept.c */
void cg_accept_listen(struct cg_engine *e, bool on);
void cg_accept_one(struct cg_executor *x, int listener);
void cg_accept_rest(struct cg_executor *x);

/* receive.c */
void cg_receive(struct cg_executor *x, struct cg_conn *c);
void cg_receive_ready(struct cg_executor *x, struct cg_conn *c);
void cg_ready_push(struct cg_engine *e, struct cg_conn *c);
struct cg_conn *cg_ready_pop(struct cg_engine *e);

/* serve.c */
void cg_serve(struct cg_executor *x, struct cg_conn *c,
              const struct cg_request *req, const char *base,
              struct cg_body body);
void cg_finish(struct cg_engine *e, struct cg_conn *c);
void cg_flush(struct cg_engine *e, struct cg_conn *c);

/* refuse.c */
void cg_refuse(struct cg_engine *e, struct cg_conn *c,
               const struct cg_request *req, const char *base);
void cg_refuse_status(struct cg_engine *e, struct cg_conn *c, int status,
                      const char *message);
void cg_linger_start(struct cg_engine *e, struct cg_conn *c);
void cg_linger(struct cg_executor *x, struct cg_conn *c);

/* engine.c */
void cg_engine_tick(struct cg_engine *e);
void cg_engine_enter(struct cg_executor *x);
void cg_engine_leave(struct cg_executor *x);

#endif
