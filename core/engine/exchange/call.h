/* SPDX-License-Identifier: MIT */
/*
 * Call: a request that a runner has: the exchange, with the stream and the
 * executor behind it.
 *
 * The room of exchanges: what happens between a complete request and the end of
 * its reply. Its files run in the executor without the baton, but where they
 * say otherwise, and touch only what belongs to a stream's owner in RUN.
 * What always holds: no operation of a runner leaves a byte behind that nobody
 * flushes; after an end that somebody else made (a limit, a fork, a peer that
 * is gone) every operation fails and nothing is sent. What bytes mean is left
 * to core/http, when a request runs to the dispatcher.
 */
#ifndef CG_ENGINE_CALL_H
#define CG_ENGINE_CALL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/engine/conn/conn.h"
#include "core/engine/exchange/request_id.h"
#include "core/engine/loop/deadline.h"
#include "core/engine/loop/executor.h"
#include "core/engine/outbox/cork.h"

struct cg_wire;

/* The time that a call may take, and who has its connection when it is over:
 * see limit.c. */
struct cg_limit {
    _Atomic uint32_t state;      /* 0: no limit */
    size_t page_n;               /* bytes of a 504's body */
    struct cg_deadline deadline; /* with the baton */
};

/* Whether and when it is told that a call is slow: see slow.c. */
struct cg_slow {
    bool on;          /* the rest means something */
    bool asked;       /* the host was told, and wants to be told again */
    int looks;        /* so often the loop was to tell it */
    pthread_t thread; /* that runs it */
    _Atomic uint64_t since_us;   /* it waits for its peer since; 0: does not */
    _Atomic uint64_t waited_us;  /* so long before */
    struct cg_deadline deadline; /* with the baton */
};

struct cg_call {
    struct cg_exchange ex; /* first: a cg_exchange * is a cg_call * */
    struct cg_stream *stream;
    struct cg_executor *executor;
    const struct cg_wire *wire;
    const char *date;           /* CG_HTTP_DATE_SIZE bytes, of its begin */
    struct cg_segment *dropped; /* objects whose bytes are out */
    struct cg_segment *spent;   /* those that the executor drops next */
    struct cg_corked corked;
    bool own;                /* the engine answers, no host */
    uint64_t lost;           /* bytes of the body that found the wire broken */
    uint64_t stalled_us;     /* so long the client took nothing: given up */
    struct cg_intake *input; /* the body that is still coming, or NULL */
    int input_error;         /* negative errno, for ever */
    char id[CG_REQUEST_ID_MAX]; /* what ex.id is */
    struct cg_limit limit;
    struct cg_slow slow;
};

/* With the baton. */
void cg_call_init(struct cg_call *call, struct cg_executor *x,
                  struct cg_stream *s, const struct cg_request *req,
                  const char *base);
/* The same for a body that is still coming. */
void cg_call_init_stream(struct cg_call *call, struct cg_executor *x,
                         struct cg_stream *s);
/* With the baton: the stream is the host's. */
void cg_call_begin(struct cg_call *call);
/* The host is done with it; without the baton. Returns the time. */
uint64_t cg_call_finish(struct cg_call *call);
/* With the baton: the stream is the engine's again. */
void cg_call_end(struct cg_call *call, uint64_t end_us);
/* Before the executor touches the stream without the baton; false when it
 * must not. After it said true comes cg_limit_leave. */
bool cg_wire_enter(struct cg_exchange *ex);
/* Nothing more goes to the peer. Returns code. */
int cg_wire_fail(struct cg_exchange *ex, int code);
/* Also in a child that the application forked: the answer is its parent's. */
bool cg_call_is_closed(const struct cg_call *call);

#endif
