/* SPDX-License-Identifier: MIT */
/*
 * Pipe: the transport of a stream of HTTP/2. One end is a connection without a
 * descriptor, whose owner receives and sends through it (transport.h); the
 * other one is the session, with the baton. It holds no more than the stream's
 * window of a request's body, and CG_H2_PIPE_MAX bytes of a reply, a share of
 * that while the worker holds more of replies than response_memory: what is in
 * pipes counts there.
 */
#ifndef CG_ENGINE_HTTP2_PIPE_H
#define CG_ENGINE_HTTP2_PIPE_H

#include "core/base/bytes.h"
#include "core/engine/conn/conn.h"
#include "core/http/h2/h2.h"

enum { CG_H2_PIPE_MAX = 64 * 1024, CG_H2_PIPE_LEAST = 4 * 1024 };

struct cg_h2_pipe {
    struct cg_transport_state state; /* first */
    struct cg_engine *engine;

    /* with the baton */
    struct cg_h2_session *session;  /* NULL: it is gone */
    struct cg_h2_stream *stream;    /* NULL: likewise */
    struct cg_conn *conn;           /* NULL: closed */
    struct cg_h2_pipe *next, *prev; /* of the session */
    struct cg_h2_pipe *event_next;
    bool asked;        /* it is in the list of events */
    bool moved;        /* some of the reply left */
    uint64_t moved_us; /* when */
    size_t counted;    /* bytes of it that the worker's hoard has */

    /* with the lock */
    struct cg_h2_pipe *dirty_next;
    bool dirty;
    pthread_cond_t changed; /* for who waits in it */
    struct cg_buf in;       /* of the request */
    size_t in_data;         /* bytes of the body in it */
    size_t credit;          /* bytes of it that were taken */
    struct cg_buf out;      /* of the reply, for the session */
    size_t unsent;          /* of those that the session has */
    bool full;              /* a send found no room */
    bool in_end;            /* nothing follows what is in `in` */
    bool gone;              /* the peer is: nothing goes through */
    bool done;              /* it has all of the reply, and wants no more */
    bool out_end;           /* the reply is complete */
    bool out_cut;           /* it never will be */
};

/* With the baton, all of these. */
struct cg_h2_pipe *cg_h2_pipe_new(struct cg_engine *e);
/* When neither end is there any more, and no list has it. */
void cg_h2_pipe_drop(struct cg_h2_pipe *p);
/* From the session. data: how many bytes of the body that is. */
void cg_h2_pipe_put(struct cg_h2_pipe *p, const char *bytes, size_t n,
                    size_t data, bool end);
/* The peer has all of it. */
void cg_h2_pipe_finish(struct cg_h2_pipe *p);
/* Nothing goes through any more. */
void cg_h2_pipe_break(struct cg_h2_pipe *p);
/* Its connection is asked at the next step, if it waits for what is there. */
void cg_h2_pipe_ask(struct cg_h2_pipe *p);
bool cg_h2_pipe_is_gone(struct cg_h2_pipe *p);
/* With the lock, too: what it holds of a reply counts in response_memory. */
void cg_h2_pipe_count(struct cg_h2_pipe *p);
/* Whether there is more of the reply than had room in it. */
bool cg_h2_pipe_was_full(struct cg_h2_pipe *p);

static inline struct cg_h2_pipe *
cg_h2_pipe_of(struct cg_conn *c)
{
    return (struct cg_h2_pipe *)(void *)c->transport.state;
}

#endif
