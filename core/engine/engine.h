/* SPDX-License-Identifier: MIT */
/*
 * Engine: the connections of one worker process. Accepts, reads, buffers and
 * checks requests, hands each complete one to a host, flushes what it answers,
 * keeps deadlines. Knows nothing of Python: a host is a struct of functions.
 *
 * Whoever holds the baton (baton.h) turns the loop. A connection in the
 * application belongs to the executor that runs it; the engine does not touch
 * it until it is handed back. See docs/engine.md for who owns what when.
 */
#ifndef CG_ENGINE_ENGINE_H
#define CG_ENGINE_ENGINE_H

#include <pthread.h>

#include "core/engine/exchange/intake.h"
#include "core/engine/outbox/spill.h"
#include "core/exchange/app.h"
#include "core/http/proxy/proxy.h"
#include "core/http/proxy/trust.h"
#include "core/net/listener.h"
#include "core/net/transport.h"
#include "core/share/handover.h"
#include "core/share/keeper.h"
#include "core/share/scoreboard.h"

struct cg_engine;
struct cg_executor; /* one thread's way into the engine */

/* Why a connection is closed without the application having a say. */
struct cg_refused {
    bool ours; /* the fault is not the peer's: the body cannot be stored … */
    const struct cg_peer *peer;
    int status;              /* answered, 0 when it is too late for that */
    struct cg_slice message; /* gunicorn's text, escaped */
    struct cg_slice method, target; /* raw, n = 0 when unknown */
    struct cg_slice line; /* raw and cut, when the target is unknown */
    struct cg_slice referer, user_agent; /* p = NULL: none, or unknown */
    uint8_t minor;
    bool is_h2;        /* it came over HTTP/2, whatever minor is */
    size_t body_bytes; /* of the error page */
};

/* A reply that is cut since its peer takes nothing. */
struct cg_stalled {
    const struct cg_peer *peer;
    struct cg_slice method, target; /* raw and cut */
    uint64_t sent, of;              /* bytes of the body; made so far */
    uint64_t since_us;              /* so long */
};

/* Where the time of a slow request went (slow_request), at its end. */
struct cg_slow_tale {
    const struct cg_peer *peer;
    struct cg_slice method, target; /* raw and cut */
    struct cg_slice id;             /* see struct cg_exchange */
    int status;
    uint64_t queue_us, app_us;
    uint64_t send_us; /* until its peer had taken the reply */
    uint64_t unsent;  /* bytes that it never took */
};

/* What became of the requests that had to wait, from the begin of an overload
 * to its end. */
struct cg_overload_tale {
    uint64_t begun_us, ended_us;
    uint64_t run, abandoned, refused;
    uint64_t longest_us; /* wait of one that was run */
};

/*
 * Whom the engine belongs to: what it tells its worker, and asks of it. The
 * functions are called by any thread, with the baton, where they do not say
 * otherwise: they must not block and must not need the GIL. What runs
 * applications is another table (core/exchange/app.h).
 */
struct cg_host {
    /* The wakeup descriptor was readable; by an executor, entered, without the
     * baton. */
    void (*signals)(void *self);
    /* The limit of requests is reached (cg_engine_limit_requests): with this
     * request, and again with every later one. NULL: there is no limit. */
    void (*retire)(void *self);
    void (*refused)(void *self, const struct cg_refused *why);
    /* A handshake failed; may be NULL. */
    void (*unshaken)(void *self, const struct cg_peer *peer, const char *why);
    void (*stalled)(void *self, const struct cg_stalled *what);
    /* More came than could be run, for a second at least; and no longer. NULL:
     * nobody wants to know. */
    void (*overloaded)(void *self, const struct cg_overload_tale *tale,
                       bool begins, int waiting);
    /* Something is wrong with the worker's surroundings. */
    void (*trouble)(void *self, const char *text);
    /* A second after one of the two: what was held back is summed up. */
    void (*report)(void *self);
    /* Lines about requests that were answered may wait to be written together
     * (NULL: they never do): write_lines is called after each pass over the
     * events that came, and earlier when that takes long. By any thread,
     * perhaps entered, without the baton: it may block for a moment. */
    bool (*has_lines)(void *self);
    void (*write_lines)(void *self);
    /* Another executor would be of use; false: there will be none. NULL: the
     * class has one executor. From the relief thread: must not block. */
    bool (*want_executor)(void *self);
    /* Whoever can take the host's lock is to call cg_engine_proved: calls last,
     * and perhaps one of them keeps it. Any thread; must not block. NULL: a
     * long call is a sign of death. */
    void (*prove)(void *self);
    /* Nobody turns the loop any more; from any thread, once. May be NULL. */
    void (*over)(void *self);
    /* request_timeout is over for a request that is still in run: its client
     * has been told (cg_exchange_late; page_n bytes of a page); ex may be read,
     * it is there until this returns. */
    void (*overdue)(void *self, const struct cg_exchange *ex, size_t page_n);
    /* The same request has not ended some seconds later. */
    void (*stuck)(void *self, const struct cg_exchange *ex);
    /* A request has been in run for slow_request: called again and again until
     * it says true, which is when the stack of `thread`, which runs it or keeps
     * it waiting, has been told. waited_us: for its peer. */
    bool (*slow)(void *self, const struct cg_exchange *ex, pthread_t thread,
                 uint64_t waited_us);
    /* The same where requests share a thread and that is free: on it, entered,
     * without the baton. ex may be gone when it returns. */
    void (*slow_waits)(void *self, struct cg_exchange *ex, uint64_t waited_us);
    /* A request of which `slow` said false ends. */
    void (*slow_over)(void *self, const struct cg_exchange *ex);
    /* One ended that took that long with its reply; its exchange may be gone.
     */
    void (*slow_ended)(void *self, const struct cg_slow_tale *tale);
    /* The engine answered a request by itself, with a file; maybe with the
     * baton. The reply is complete, but for what the peer has not taken. NULL:
     * nobody wants to know. */
    void (*answered)(void *self, const struct cg_exchange *ex);
    void *self;
};

/* What names a request (exchange.h, `id`). */
struct cg_request_id_policy {
    struct cg_slice field; /* where it stands; n = 0: requests have no name */
    bool reply;            /* it is sent back there, too */
};

/* Requests that the engine answers by itself (core/engine/conn/health.h): the
 * paths as they are sent, without the query; empty: none. */
struct cg_health_policy {
    struct cg_slice live, ready;
    uint64_t timeout_us; /* of a worker without a sign of life; 0: any */
};

/* HTTP/2 on plain connections, of trusted peers. */
enum cg_cleartext {
    CG_CLEARTEXT_OFF,
    CG_CLEARTEXT_PRIOR,   /* it must begin with the preface */
    CG_CLEARTEXT_UPGRADE, /* a request may ask for it */
    CG_CLEARTEXT_BOTH     /* it may begin with it, or a request may ask */
};
struct cg_files; /* core/engine/files/files.h */

struct cg_engine_config {
    struct cg_health_policy health;
    struct cg_request_id_policy request_id;
    struct cg_files *files; /* served without the host; NULL: none */
    struct cg_intake_policy intake;
    struct cg_spill_policy spill;
    uint64_t response_memory; /* of all outboxes; UINT64_MAX: any */
    bool streaming;           /* requests run before their body is there */
    const struct cg_trust *trust;
    const char *server;              /* value of Server in error pages */
    uint64_t first_timeout_us;       /* first byte of a new connection */
    uint64_t header_timeout_us;      /* whole head, from its first byte */
    uint64_t body_timeout_us;        /* without progress */
    uint64_t body_min_rate;          /* bytes per second on average; 0: any */
    uint64_t body_grace_us;          /* not counted in that average */
    uint64_t write_timeout_us;       /* without progress */
    uint64_t request_timeout_us;     /* in the application; 0: any */
    uint64_t slow_request_us;        /* told from then on; 0: never */
    uint64_t keepalive_us;           /* 0: every response closes */
    uint32_t max_keepalive_requests; /* of one connection; UINT32_MAX: any */
    enum cg_proxy_mode proxy_mode;
    const struct cg_trust *proxy_trust; /* who may send a preamble */
    const struct cg_trust *uwsgi_trust; /* requests are uwsgi packets, and who
                                           may send one; NULL: HTTP */
    bool newest_first;                  /* while the queue stands */
    uint64_t max_queue_us; /* who waited longer gets a 503; 0: any */
    /* who sends no more and waited so long has left; 0: not for that */
    uint64_t abandoned_us;
    const struct cg_slice *exempt; /* paths of requests that are run first */
    int exempt_n;
    int max_connections; /* that have sent a whole head */
    int max_open;        /* all of them, so that others find descriptors, too */
    int max_executors;   /* of the host; 0 is 1 */
    /* Of a host whose number of executors follows need: those that there always
     * are, and how long others stay idle before they leave; 0: all stay. */
    int min_executors;
    uint64_t executor_idle_us;
    /* A long call is no sign of death: who turns the loop shows life, not who
     * runs requests (gthread). */
    bool calls_may_last;
    bool parallel;     /* calls of several executors do run at the same time */
    bool hosted;       /* see cg_engine_poll */
    uint64_t beat_us;  /* hosted: a loop with requests shows life so often */
    int max_in_flight; /* hosted: requests that the host may have at once */
    const struct cg_handover *handover; /* NULL: requests stay here */
    const struct cg_keeper *keeper;     /* NULL: no connection is kept */
    /* NULL: the transports of all connections are plain */
    const struct cg_transport_maker *transports;
    /* Requests of plain listeners are sent to this port of https; 0: not. */
    uint16_t redirect_port;
    const struct cg_h2_policy *http2; /* NULL: HTTP/1 only */
    enum cg_cleartext cleartext;      /* HTTP/2 without TLS */
    bool shakes_ask; /* their handshakes may ask the host something */
};

/* Borrows everything; it must outlive the engine. */
int cg_engine_new(const struct cg_engine_config *config,
                  const struct cg_host *host, const struct cg_runner *runner,
                  const struct cg_listener *listeners, int nlisteners,
                  struct cg_scoreboard *board, struct cg_slot *slot,
                  struct cg_engine **ret_engine, struct cg_error *err);
/* Closes every connection. Entered (held objects are dropped). */
void cg_engine_free(struct cg_engine *e);

/* Wakes the loop and calls host.signals when fd is readable. Before it runs. */
void cg_engine_watch_wakeup(struct cg_engine *e, int fd);
/* Leaves at once when fd reports end of file (the master is gone). */
int cg_engine_watch_master(struct cg_engine *e, int fd);

/*
 * Before clients are let in the host may send requests of its own: from hold,
 * before the engine runs, to admit nobody is accepted or adopted, and nothing
 * is given away. An offered descriptor, one of a pair of sockets that do not
 * block, becomes the engine's connection, from a peer as near as one on a unix
 * socket; one at a time. admit and offer: any thread.
 */
void cg_engine_hold(struct cg_engine *e);
void cg_engine_offer(struct cg_engine *e, int fd);
void cg_engine_admit(struct cg_engine *e);

/* Starts the relief thread, which turns the loop during long calls. After the
 * last fork of the worker's own. */
int cg_engine_start_relief(struct cg_engine *e, struct cg_error *err);

/* id 1 .. CG_BOARD_EXECUTORS-1 (0 is the relief thread). */
struct cg_executor *cg_executor_new(struct cg_engine *e, int id);
void cg_executor_free(struct cg_executor *x);

/* What made the loop end. */
enum cg_engine_end {
    CG_END_STOPPED, /* graceful stop, all connections are done */
    CG_END_FORCED,  /* cg_engine_abort, or the graceful time was over */
    CG_END_ORPHANED /* the master is gone */
};
/* Turns the loop in the calling thread, the only executor. Entered on call and
 * on return. */
enum cg_engine_end cg_engine_run(struct cg_engine *e, struct cg_executor *x);
/* As one executor of several: one turns the loop, the others wait until they
 * are needed. Entered on call and on return. False: the engine goes on without
 * this one, which is not needed any more and is to be freed. */
bool cg_engine_join(struct cg_engine *e, struct cg_executor *x);

/*
 * Hosted engines (config.hosted): a loop of the host's, on one thread, watches
 * two descriptors and calls cg_engine_poll when one of them is readable: the
 * engine's own, which shows events and due deadlines, and the call descriptor,
 * by which relief asks for the loop back after it turned it.
 *
 * poll never blocks. It hands complete requests to the runner with exchanges
 * that live on the heap: run may return before its request is finished, and
 * cg_engine_done ends it later, inside poll or outside. Requests beyond
 * max_in_flight wait in the engine, or go to siblings.
 *
 * All of it on the thread of the host's loop, entered. `x` has the id 1.
 */
int cg_engine_fd(const struct cg_engine *e);
int cg_engine_call_fd(const struct cg_engine *e);
/* False: the engine is over, or this process is a child that the application
 * made. Stop watching then. */
bool cg_engine_poll(struct cg_engine *e, struct cg_executor *x);
/* The request is answered; ex is gone afterwards. Also when the engine is
 * over. */
void cg_engine_done(struct cg_exchange *ex);
/* Requests handed to the host and not done. */
int cg_engine_in_flight(const struct cg_engine *e);

/* Whether it has ended, and how. Any thread. */
bool cg_engine_is_over(const struct cg_engine *e);
enum cg_engine_end cg_engine_end(const struct cg_engine *e);

/*
 * Graceful stop: no new connections after those that wait in the listen queue;
 * requests under way are answered; idle connections get a grace. Takes effect
 * at the next turn. Any thread; a signal handler may call it too.
 */
void cg_engine_stop(struct cg_engine *e, uint64_t graceful_us);
/* The loop ends at the next turn, whatever is under way. Any thread. */
void cg_engine_abort(struct cg_engine *e);
bool cg_engine_is_stopping(const struct cg_engine *e);
/* The host's lock can be had. Any thread. */
void cg_engine_proved(struct cg_engine *e);
/* Requests run so far (worker.nr). */
uint64_t cg_engine_requests(const struct cg_engine *e);
/* From this count of them on, connections close after their replies and the
 * host is told to retire; 0: never. Any thread. */
void cg_engine_limit_requests(struct cg_engine *e, uint64_t count);
/* After fork() in the application: the child must never touch the engine; the
 * parent's sockets live on in it. */
void cg_engine_forked(struct cg_engine *e, bool in_child);

#endif
