/* SPDX-License-Identifier: MIT */
/*
 * The room of HTTP/2: a connection has a session (session.h), and each request
 * of it is a stream that looks to everybody else like a connection of HTTP/1
 * without a descriptor: its transport is a pipe (pipe.h) whose other end is the
 * session. So heads have one set of rules, and limits, bodies, hosts, deadlines
 * and what waits for the peer are the engine's own, for both.
 *
 * What always holds: a session is touched with the baton only; executors put
 * bytes into pipes and take them out, under one lock that is held for as long
 * as that takes. What a turn answers leaves together: the pump, at the end of
 * each pass, moves what is in the pipes through the sessions to the sockets.
 *
 * Here: what the loop sees of it.
 */
#ifndef CG_ENGINE_HTTP2_H
#define CG_ENGINE_HTTP2_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cg_conn;
struct cg_engine;
struct cg_h2_pipe;
struct cg_h2_session;

struct cg_http2 {
    /* any thread */
    pthread_mutex_t lock;
    struct cg_h2_pipe *dirty; /* with the lock: somebody did something */
    _Atomic bool owes;        /* there are some */
    /* with the baton */
    struct cg_h2_pipe *first, **last; /* whose connection is to be asked */
    struct cg_h2_session *sessions;   /* all of them */
    struct cg_h2_session *waiting;    /* those with something to send */
    uint64_t pumped_us;
    char *gather; /* what leaves with the next send */
};

void cg_http2_init(struct cg_engine *e);
/* Closes all of them. */
void cg_http2_release(struct cg_engine *e);

/* Whether pump has something to do. */
#define cg_http2_is_owed(e)                                                    \
    (__builtin_expect((e)->http2.waiting != NULL, 0) ||                        \
     __builtin_expect(                                                         \
         atomic_load_explicit(&(e)->http2.owes, memory_order_relaxed), 0))

/* With the baton, all of these. True: streams have something to do. */
bool cg_http2_pump(struct cg_engine *e);
/* The same where a pass takes long. */
void cg_http2_pump_late(struct cg_engine *e);
/* The next stream that has something to do; NULL: it is gone. There is one. */
struct cg_conn *cg_http2_next(struct cg_engine *e);
/* Peers hear that this worker stops. */
void cg_http2_stop(struct cg_engine *e);

#endif
