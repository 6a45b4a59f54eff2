/* SPDX-License-Identifier: MIT */
/*
 * A world for tests of the engine: workers that live in threads of one process
 * in place of processes of their own, with a host whose application is a few
 * paths:
 *
 *   /        answers "ok <worker>" at once
 *   /block   enters the application and stays there until world_unblock
 *   /big     answers 4 MiB that an object holds
 *   /close   answers and asks for the end of the connection
 *   /half    answers a half, then blocks, then answers the rest
 *   /hints   sends a 103, then blocks, then answers
 *   /whole   answers and says so, then blocks
 *   /about   takes about as long as the limit, then answers
 *   /take    takes the socket over if the request is an upgrade, then blocks
 *   /own     what the test's own function answers
 *
 * A mutex per worker stands for the GIL. Nothing sleeps: tests wait for events
 * with a limit of time.
 */
#ifndef TESTS_UNIT_ENGINE_WORLD_H
#define TESTS_UNIT_ENGINE_WORLD_H

#include <check.h>
#include <pthread.h>

#include "core/engine/exchange/limit.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/state.h"
#include "core/http/proxy/trust.h"
#include "tests/unit/engine/fake_host.h"

enum { WORKERS = 3, THREADS = 4, BIG = 4 << 20 };

struct world;

struct worker;

/* Bytes as they are: what tests of the engine send. */
static inline const struct cg_wire *
wire_of(const struct cg_exchange *ex)
{
    return ((const struct cg_call *)(const void *)ex)->wire;
}

/* The client's socket. */
static inline int
socket_of(const struct cg_exchange *ex)
{
    return ((const struct cg_call *)(const void *)ex)->stream->transport->fd;
}

/* An application's way out of the GIL, and back; of a struct worker. */
void app_leave(void *self);
void app_enter(void *self);

/* In place of an application; has the GIL. */
typedef void own_app(struct worker *k, struct cg_exchange *ex);

struct worker {
    struct world *world;
    int number;
    struct cg_engine *engine;
    struct fake_host fake;
    struct cg_engine_config config;
    pthread_t threads[THREADS];
    struct cg_executor *executors[THREADS];
    int nthreads;
    _Atomic int ran;     /* requests that were answered */
    _Atomic int blocked; /* executors inside /block */
    _Atomic int surplus; /* executors that were not needed any more */
};

struct world {
    struct cg_listener listener; /* the first one */
    struct cg_listener *all;     /* that there are */
    int nlisteners;              /* 0 is 1 */
    struct cg_scoreboard *board;
    struct cg_handover handover;
    struct worker worker[WORKERS];
    int nworkers;
    uint64_t limit_us;
    uint64_t write_us; /* 0: much */
    uint64_t queue_us; /* max_queue_time; 0: any */
    struct cg_spill_policy spill;
    uint64_t memory; /* of all replies that wait; 0: any */
    const struct cg_keeper *keeper;
    const struct cg_transport_maker *transports;
    bool streaming; /* requests run before their body is there */
    int least;      /* executors that stay; 0: all */
    int most;       /* that the host could have; 0: those of the start */
    uint64_t idle_us;
    bool newest_first; /* while requests pile up */
    bool parallel;     /* calls run at the same time; and there is no relief */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open; /* /block may go on */
    own_app *own;
};

/* Starts `workers` with `threads` executors each; hand-over between them. */
void world_start(struct world *w, int workers, int threads);
/* The same; the host says that it could have `most` executors. */
void world_start_with(struct world *w, int workers, int threads, int most);
/* The same; a request may take limit_us. */
void world_start_limited(struct world *w, int workers, int threads,
                         uint64_t limit_us);
/* What is set in *w before (limit_us, write_us, spill, keeper …) holds. */
void world_start_set(struct world *w, int workers, int threads);
/* One more, with one executor; world_start_set may have begun with none. */
void world_add_worker(struct world *w);
/* Stops all of it gracefully, joins every thread and frees. */
void world_stop(struct world *w);
void world_unblock(struct world *w);

/* A client's connection; blocking, with a limit of time. */
int client_connect(struct world *w);
/* The same, through another listener. */
int client_connect_to(const struct cg_listener *l);
/* The server's end of the next connection of L, which no worker has; waits for
 * it, since a client's connect() may return before the kernel offers it. */
int listener_accept(const struct cg_listener *l);
void client_send(int fd, const char *text);
/* One whole response (head and Content-Length body); returns its body, valid
 * until the next call of the same thread. Fails the test at an early end. */
const char *client_read(int fd);
/* Everything up to the end of the connection, NUL-terminated, as client_read.
 * *ret_reset: it was a reset. */
const char *client_rest(int fd, bool *ret_reset);
/* GET path, answer's body. */
const char *client_get(int fd, const char *path);
/* Whether bytes or an end come within ms. */
bool client_hears(int fd, int ms);
/* The worker of an answer "ok N", or -1. */
int worker_of(const char *body);

/* Waits until *value is at least n. */
void wait_for(_Atomic int *value, int n);
/* The same for a counter of a slot. */
void wait_for_count(_Atomic uint64_t *value, uint64_t n);

#endif
