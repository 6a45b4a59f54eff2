/* SPDX-License-Identifier: MIT */
/* What the engine's files share. Nobody else includes this. */
#ifndef CG_ENGINE_INTERNAL_H
#define CG_ENGINE_INTERNAL_H

#include <pthread.h>

#include "core/base/clock.h"
#include "core/engine/conn/conn.h"
#include "core/engine/engine.h"
#include "core/engine/exchange/wire.h"
#include "core/engine/loop/baton.h"
#include "core/engine/loop/deadline.h"
#include "core/http/memo.h"
#include "core/net/loop.h"

enum { EVENTS = 64, READ_BUFFER = 128 * 1024, RELIEF = 0 };

struct cg_executor {
    struct cg_engine *engine;
    int id;                /* RELIEF or 1 … */
    bool entered;          /* holds what host.enter gives (the GIL) */
    _Atomic uint32_t wake; /* of a parked executor, see pool.c */
    struct cg_flight *flight;
    int64_t date_s; /* second that `date` shows; ours, since the engine's */
    char date[CG_HTTP_DATE_SIZE]; /* may change during a call */
    struct cg_request req;        /* of a request that came in one piece */
    struct cg_head_memo memo;     /* of the last ones */
    struct cg_writer writer;      /* lent to the host with a request */
    struct cg_segment *spare;     /* for blocks that wait; see post.c */
    cg_loop_event events[EVENTS];
    char rbuf[READ_BUFFER]; /* belongs to this thread, not to the engine */
};

/* What an event's pointer may be, besides a connection. */
struct cg_watch {
    int fd;
};

/* Idle executors; see pool.c. */
struct cg_pool {
    pthread_mutex_t lock;
    struct cg_executor *idle[CG_BOARD_EXECUTORS]; /* last in, first out */
    _Atomic int n;
};

/* The relief thread; see relief.c. */
struct cg_relief {
    /* with the baton */
    bool armed;        /* the alarm is set */
    bool lazy;         /* and left to fire */
    uint64_t armed_us; /* since then */
    /* the thread's own */
    int fast;  /* short naps left */
    int asked; /* ticks since the host was asked for an executor */
    struct cg_executor *executor;
    pthread_t thread;
    bool running;
    int alarm_fd;
    /* 1: it looks every tick; becomes 0 only while the baton is in WAIT */
    _Alignas(64) _Atomic int ticking;
};

/* A call's blocks that wait for more; see post.c. */
struct cg_parcel {
    /* with the lock */
    struct cg_parcel *next, *prev; /* NULL: in no list */
    uint64_t since_us;             /* when the oldest block came */
    int error;                     /* the thread found the peer gone */
    bool late;                     /* the thread sent some of it */
    /* the executor's own */
    bool used;         /* blocks waited in this call */
    bool shared;       /* it may be in a list */
    bool direct;       /* blocks come slowly: each leaves at once */
    uint64_t block_us; /* when the last one of these came */
    size_t fresh;      /* bytes since the last try to send */
    size_t waits;      /* bytes that waited at the last look */
};

/* A reply that waits for its peer when its request is done; see receipt.c. */
struct cg_receipt {
    struct cg_receipt *next; /* of those that are settled */
    void *line;              /* the host's, or NULL */
    uint64_t sent;           /* body bytes handed over */
    uint64_t unsent;         /* of these, at the end */
    size_t method_n, target_n;
    char text[]; /* method, target */
};

/* What waits in memory for all clients; see hoard.c. */
struct cg_hoard {
    _Atomic size_t bytes; /* changed with the baton */
    size_t peak;          /* with the baton */
    uint64_t trim_us;     /* the system has freed memory back then; 0: no */
    bool trims;           /* an entered thread is to do it */
};

/* The thread that sends what nothing follows; see post.c. */
struct cg_post {
    pthread_mutex_t lock;
    /* with the lock */
    struct cg_parcel young, stuck; /* list heads */
    bool watches;                  /* the thread will look by itself */
    bool lazy;                     /* its alarm is left to fire */
    uint64_t set_us;               /* the alarm was set then */
    bool tried, usable;            /* to start the thread; it runs */
    bool over;
    /* of who makes and ends it */
    int alarm_fd;
    bool runs;
    pthread_t thread;
};

/* Trouble that an executor met without the baton; see refuse.c. */
struct cg_note {
    _Atomic int state;
    char text[512];
};

struct cg_engine {
    struct cg_baton baton;

    /* ---- all below: only with the baton in LOOP ---- */
    struct cg_loop loop;
    const struct cg_engine_config *config;
    const struct cg_host *host;
    struct cg_scoreboard *board;
    uint32_t slot_number; /* ours on it */
    struct cg_slot *slot;
    uint64_t now_us; /* of the last look at the clock */
    int64_t date_s;  /* second that `date` shows */
    char date[CG_HTTP_DATE_SIZE];

    cg_loop_event *events; /* the harvester's array */
    int nevents, event_at;
    struct cg_conn *ready_first, **ready_last;
    bool relieved;     /* relief had the loop since the leader's last look */
    int nready, quota; /* quota: queued ones to run before the next look */
    uint64_t harvested_us;
    bool giving;          /* the next fresh request may go to an idle sibling */
    bool local_due;       /* an adopted one ran: now one of our own */
    struct cg_conn *dead; /* freed when the harvest is used up */
    struct cg_conn *freelist;   /* slab */
    struct cg_segment *dropped; /* objects that wait for an entered thread */
    struct cg_receipt *settled, **settled_last; /* lines that do */
    struct cg_deadlines deadlines;

    const struct cg_listener *listeners;
    struct cg_watch *listener_watch; /* one per listener */
    int nlisteners;
    int swarm;                /* connections to take at the next wake-up */
    bool rested;              /* the harvest was waited for */
    bool listening;           /* the listeners and the bell are in the set */
    bool hearing;             /* so is the host's wakeup descriptor */
    bool attending;           /* so is the shared queue */
    uint64_t accept_pause_us; /* out of descriptors: not before this time */
    uint64_t adopt_pause_us;  /* the same for the shared queue */
    uint64_t full_us;         /* no slot: the next look for one to spare */
    int reserve_fd;           /* given up to turn a peer away */
    int starved;              /* accepts in a row that found no descriptor */
    uint64_t report_us;       /* the host sums up what it held back; 0: no */
    struct cg_watch wakeup, master, kick, queue, poke, bell;
    int nconns;
    uint64_t stop_at_us; /* graceful stop ends then */
    bool orphaned;
    _Atomic bool stopping; /* relief reads it while it watches, too */
    struct cg_relief relief;

    /* hosted */
    struct cg_watch timer; /* timerfd: the next deadline, in the loop's set */
    uint64_t timer_us;     /* it is set to that; 0: not set */
    int call_fd;           /* eventfd: relief wants the host to poll */
    bool called;           /* it is readable */
    bool polling;          /* the host's thread is in cg_engine_poll */
    int in_flight;         /* calls that the host has */
    struct cg_detached *drained_first, **drained_last; /* to be told */
    struct cg_detached *overdue; /* the host is to interrupt them */
    struct cg_detached *spare;   /* pool of calls */
    int nspare;

    /* ---- any thread ---- */
    struct cg_pool pool;
    struct cg_post post;
    struct cg_note note;
    struct cg_hoard hoard;
    _Atomic uint64_t spill_pause_us; /* the disk failed: not before this time */
    _Alignas(64) _Atomic uint64_t requests;
    _Atomic int stop_wanted;
    _Atomic uint64_t graceful_us;
    _Atomic int abort_wanted;
    _Atomic int over;       /* nobody turns the loop again */
    _Atomic int end;        /* enum cg_engine_end, valid when over */
    _Atomic int forked;     /* we are a child of the application */
    _Atomic int has_forked; /* a child may hold our sockets */
    _Atomic int entering;   /* executors that wait for the host's lock */
    _Atomic int executors;
};

/* The time that a call may take, and who has its connection when it is over:
 * see limit.c. */
struct cg_limit {
    _Atomic uint32_t gate;       /* 0: no limit */
    size_t page_n;               /* bytes of a 504's body */
    struct cg_deadline deadline; /* with the baton */
};

/* exchange with the connection and executor behind it */
struct cg_call {
    struct cg_exchange ex; /* first: a cg_exchange * is a cg_call * */
    struct cg_conn *conn;
    struct cg_executor *executor;
    const struct cg_wire *wire;
    const char *date;           /* CG_HTTP_DATE_SIZE bytes, of its begin */
    struct cg_segment *dropped; /* objects whose bytes are out */
    struct cg_segment *spent;   /* those that the executor drops next */
    struct cg_parcel parcel;
    uint64_t stalled_us;      /* so long the client took nothing: given up */
    struct cg_intake *stream; /* the body that is still coming, or NULL */
    int stream_error;         /* negative errno, for ever */
    char stream_fault[256];   /* set with it */
    struct cg_limit limit;
};

/* A call that outlives cg_serve: everything of it is on the heap, and its
 * request and buffers are reused. See hosted.c. */
struct cg_detached {
    struct cg_call call; /* first */
    struct cg_detached *next;
    struct cg_request req;
    struct cg_buf bytes;      /* head and body of one that came in one piece */
    struct cg_writer writer;  /* lent to the host */
    struct cg_intake *intake; /* of one that did not */
    int body_fd;              /* of an adopted one */
    size_t low;               /* the host waits for this; with the baton */
    bool waits;               /* it does; with the baton */
    bool rooms, reads, ends;  /* for room, for the peer's bytes, its leaving */
    bool tunnels;             /* it speaks another protocol with the peer */
    bool told;                /* in the list of the drained; with the baton */
    bool lent;                /* the host's: the engine may have the outbox */
    bool overdue;             /* in that list; with the baton */
    struct cg_detached *overdue_next;
};

/* conn.c */
/* The transport moves in. */
struct cg_conn *cg_conn_new(struct cg_engine *e, struct cg_transport transport);
void cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest);
void cg_conn_disarm(struct cg_engine *e, struct cg_conn *c);
void cg_conn_close(struct cg_engine *e, struct cg_conn *c);
/* It lives on in another worker: everything of it here goes, unshut. */
void cg_conn_forget(struct cg_engine *e, struct cg_conn *c);
void cg_conn_bury(struct cg_engine *e);
void cg_conn_drop_intake(struct cg_conn *c);
/* From here on, and until cg_conn_not_kept, nothing is lost if another process
 * goes on with it: see keeper.h. */
void cg_conn_kept(const struct cg_engine *e, const struct cg_conn *c);
void cg_conn_not_kept(const struct cg_engine *e, const struct cg_conn *c);
struct cg_conn *cg_conn_of(struct cg_deadline *d);
const char *cg_conn_state_word(enum cg_conn_state s);

/* accept.c */
void cg_accept_listen(struct cg_engine *e, bool on);
/* Whether one was there and taken. */
bool cg_accept_one(struct cg_executor *x, int listener);
/* At a wake-up of the listener. */
void cg_accept_some(struct cg_executor *x, int listener);
void cg_accept_rest(struct cg_executor *x);
/* Who is at the other end of a connection that begins, and what it may say. */
void cg_accept_describe(const struct cg_engine *e, struct cg_conn *c,
                        const struct sockaddr_storage *sa);
/* Keeps a descriptor back for the time when there are none. */
void cg_accept_reserve(struct cg_engine *e);
/* Whether it is time to listen (again). */
bool cg_accept_is_due(const struct cg_engine *e);
/* Puts in or takes out what only an executor may react to: the host's signals;
 * the shared queue and its poke. */
void cg_hear(struct cg_engine *e, bool on);
void cg_attend(struct cg_engine *e, bool on);
/* A wake-up that we may have swallowed goes to a sibling, one of a listener to
 * whoever listens too. */
void cg_pass_on(struct cg_engine *e);

/* room.c: closes a connection that can be spared; false: there is none. */
bool cg_room_make(struct cg_engine *e);

/* receive.c */
void cg_receive(struct cg_executor *x, struct cg_conn *c);
/* Once per request, if it waits for that. */
void cg_send_continue(struct cg_conn *c, struct cg_intake *i);
/* Whether a body comes at less than the least rate. */
bool cg_body_is_slow(const struct cg_engine_config *config,
                     const struct cg_intake *i, uint64_t now_us);
void cg_receive_ready(struct cg_executor *x, struct cg_conn *c);
void cg_ready_push(struct cg_engine *e, struct cg_conn *c);
struct cg_conn *cg_ready_pop(struct cg_engine *e);

/* serve.c */
/* req is x->req unless it lies in `intake`, which is taken. */
void cg_serve(struct cg_executor *x, struct cg_conn *c,
              const struct cg_request *req, const char *base,
              struct cg_body body, struct cg_intake *intake);
/* The same with the body still coming: c->intake. */
void cg_serve_stream(struct cg_executor *x, struct cg_conn *c);
void cg_after_response(struct cg_engine *e, struct cg_conn *c);
/* Waits for its next request. */
void cg_rest(struct cg_engine *e, struct cg_conn *c);
void cg_call_init(struct cg_call *call, struct cg_executor *x,
                  struct cg_conn *c, const struct cg_request *req,
                  const char *base);
/* The same for a body that is still coming. */
void cg_call_init_stream(struct cg_call *call, struct cg_executor *x,
                         struct cg_conn *c);
/* With the baton: the connection is the host's. */
void cg_call_begin(struct cg_call *call);
/* The host is done with it; without the baton. Returns the time. */
uint64_t cg_call_settle(struct cg_call *call);
/* With the baton: the connection is the engine's again. */
void cg_call_end(struct cg_call *call, uint64_t end_us);
/* Before the executor touches the connection without the baton; false when it
 * must not. After it said true comes cg_limit_leave. */
bool cg_wire_enter(struct cg_exchange *ex);
/* Nothing more goes to the peer. Returns code. */
int cg_wire_fail(struct cg_exchange *ex, int code);
int cg_wire_send(struct cg_exchange *ex, const struct iovec *parts, int count,
                 void *keep);
int cg_wire_post(struct cg_exchange *ex, const struct iovec *parts, int count,
                 void *keep);
int cg_wire_send_file(struct cg_exchange *ex, const struct iovec *parts,
                      int count, int fd, off_t offset, size_t n);
size_t cg_wire_pending(const struct cg_exchange *ex);
int cg_wire_take_over(struct cg_exchange *ex, struct cg_slice *ret_unread);
/* The connection speaks another protocol from now on: no limit of time, and it
 * ends with the request. *ret_unread: bytes of it that came already. */
void cg_wire_upgrade(struct cg_exchange *ex, struct cg_slice *ret_unread);
void cg_finish(struct cg_engine *e, struct cg_conn *c);
/* The peer has something to take from here on: its deadline is the next look
 * at how it goes on. */
void cg_await_reader(struct cg_engine *e, struct cg_conn *c);
/* For how long it has taken nothing, if that is too long; else 0. */
uint64_t cg_reader_stalls(struct cg_engine *e, struct cg_conn *c);
/* In FLUSH, at the deadline. */
void cg_flush_look(struct cg_engine *e, struct cg_conn *c);
void cg_flush(struct cg_engine *e, struct cg_conn *c);

/* receipt.c */
/* The executor's, at the end of a call whose reply is not out, or has a line.
 */
void cg_receipt_keep(struct cg_call *call);
/* With the baton: its reply is out, or the connection is about to be closed. */
void cg_receipt_end(struct cg_engine *e, struct cg_conn *c);
/* With the baton; then, entered, without it. */
struct cg_receipt *cg_receipts_take(struct cg_engine *e);
void cg_receipts_settle(const struct cg_host *host, struct cg_receipt *r);
/* With the baton: what is cut, for the log, before the connection is closed. */
void cg_receipt_stalled(struct cg_engine *e, struct cg_conn *c,
                        uint64_t stalled_us);
void cg_call_stalled(struct cg_engine *e, const struct cg_call *call);
uint64_t cg_wire_unsent(const struct cg_exchange *ex);

/* drain.c */
int cg_wire_drain(struct cg_exchange *ex, size_t low);
bool cg_engine_may_spill(const struct cg_engine *e);
bool cg_may_spill(const struct cg_call *call);
/* Moves what it has in memory to its spill, as far as the disk takes it. */
void cg_spill_outbox(struct cg_engine *e, struct cg_outbox *o,
                     struct cg_segment **dropped);

/* hoard.c; with the baton: an outbox came to rest, or went; the largest one
 * goes to its spill when all of them are too much. */
void cg_hoard_count(struct cg_engine *e, struct cg_outbox *o);
void cg_hoard_bound(struct cg_engine *e);
/* The executor's, entered, when its call is done: the same for its own. */
void cg_hoard_spill_own(struct cg_call *call);

/* hosted.c */
int cg_hosted_init(struct cg_engine *e);
void cg_hosted_release(struct cg_engine *e);
/* Gives a complete request to the host, with the baton. */
void cg_serve_detached(struct cg_executor *x, struct cg_conn *c,
                       const char *base, struct cg_body body,
                       struct cg_intake *intake);
void cg_serve_stream_detached(struct cg_executor *x, struct cg_conn *c);
/* A connection in LENT is ready for what it waits for, or its deadline is
 * over. */
void cg_lent_ready(struct cg_engine *e, struct cg_conn *c);
void cg_lent_expired(struct cg_engine *e, struct cg_conn *c);
/* Nothing more goes to its peer. */
void cg_lent_broken(struct cg_engine *e, struct cg_conn *c);
/* Relief took the loop: the host shall poll as soon as it can. */
void cg_call_host(struct cg_engine *e);

/* A call of the host's took too long. */
void cg_hosted_overdue(struct cg_engine *e, struct cg_call *call);

/* limit.c. The executor's, without the baton: false when the connection is no
 * longer its own. After an enter that said true comes leave. */
bool cg_limit_enter_slow(struct cg_call *call);
void cg_limit_leave_slow(struct cg_call *call);
/* The application may use the socket itself: no limit any more. */
void cg_limit_taken(struct cg_exchange *ex);
bool cg_limit_is_late(const struct cg_call *call);
/* All of the reply was given to the wire. */
void cg_limit_sent(struct cg_exchange *ex);
enum cg_late cg_limit_late(const struct cg_exchange *ex);
enum cg_late cg_limit_conclude(struct cg_exchange *ex);
/* It came back. */
void cg_limit_over(struct cg_call *call);
/* With the baton: one of the lists of calls; begin; end, after which the
 * connection's fields say what the limit did to it. */
void cg_limit_expire(struct cg_engine *e, struct cg_deadline *d);
void cg_limit_begin(struct cg_call *call);
void cg_limit_end(struct cg_call *call);

static inline bool
cg_limit_is_on(const struct cg_limit *l)
{
    return __builtin_expect(
        atomic_load_explicit(&l->gate, memory_order_relaxed) != 0, 0);
}

static inline bool
cg_limit_enter(struct cg_call *call)
{
    return !cg_limit_is_on(&call->limit) || cg_limit_enter_slow(call);
}

static inline void
cg_limit_leave(struct cg_call *call)
{
    if (cg_limit_is_on(&call->limit)) {
        cg_limit_leave_slow(call);
    }
}

/* refuse.c */
void cg_refuse(struct cg_engine *e, struct cg_conn *c,
               const struct cg_request *req, const char *base);
void cg_refuse_status(struct cg_engine *e, struct cg_conn *c, int status,
                      const char *message);
/* Something of ours is in the way: the peer gets a 500 or 503, the log the
 * text. */
void cg_refuse_fault(struct cg_engine *e, struct cg_conn *c,
                     const struct cg_error *err);
/* The host sums up in a second what it held back. */
void cg_expect_report(struct cg_engine *e);
/* To the host, with the counter; the sum of what it held back follows. */
void cg_tell_refused(struct cg_engine *e, struct cg_refused why);
void cg_tell_trouble(struct cg_engine *e, const char *text);
/* Any thread: whoever turns the loop tells it soon, unless another one waits to
 * be told. */
void cg_note_trouble(struct cg_engine *e, const char *text);
void cg_tell_noted(struct cg_engine *e);
void cg_linger_start(struct cg_engine *e, struct cg_conn *c);
void cg_linger(struct cg_executor *x, struct cg_conn *c);

/* stream.c */
int cg_stream_receive(struct cg_exchange *ex, struct cg_buf *to);
/* -EAGAIN in place of waiting. */
int cg_stream_receive_now(struct cg_exchange *ex, struct cg_buf *to);
/* The body makes no progress: every later receive says so. */
void cg_stream_time_out(struct cg_call *call);
void cg_stream_end_input(struct cg_exchange *ex);
bool cg_stream_can_skip(const struct cg_exchange *ex);
/* The request is answered; its connection has its c->keep. */
void cg_stream_end(struct cg_engine *e, struct cg_conn *c,
                   const struct cg_call *call);
/* The rest of the body is read away, within bounds. */
void cg_stream_drain_start(struct cg_engine *e, struct cg_conn *c);
void cg_stream_drain(struct cg_executor *x, struct cg_conn *c);

/* give.c */
bool cg_may_give(const struct cg_engine *e);
bool cg_sibling_idle(const struct cg_engine *e);
/* Somebody else takes what is in the queue. */
bool cg_sibling_serves(const struct cg_engine *e);
bool cg_queue_waits(const struct cg_engine *e);
/* True: the connection with this request belongs to the queue now. */
bool cg_give(struct cg_engine *e, struct cg_conn *c, struct cg_slice head,
             const struct cg_body *body);
/* Puts a connection that waits for a request into the queue; the descriptor
 * stays the caller's. Allocates nothing. 0 or a negative errno. */
int cg_give_idle(const struct cg_handover *h, int fd, uint8_t listener,
                 bool answered);
/* Our own connections that wait for a request, all that the queue takes. Not
 * when the server is about to end. */
void cg_give_waiting(struct cg_engine *e);
/* Takes one out of the queue and runs it; false when there is none. */
bool cg_adopt(struct cg_executor *x);

/* pool.c */
void cg_pool_init(struct cg_pool *p);
void cg_pool_release(struct cg_pool *p);
/* Sleeps without the host's lock; true: woken with the baton, false: the engine
 * is over. */
bool cg_pool_park(struct cg_executor *x);
/* Gives the baton, if it is still `seen`, to an idle executor. */
bool cg_pool_promote(struct cg_engine *e, uint32_t seen);
void cg_pool_dismiss(struct cg_engine *e);

/* post.c */
void cg_post_init(struct cg_post *p);
void cg_post_stop(struct cg_post *p);
/* The executor's, in a call, without the baton. True: the n bytes of the parts
 * wait for more, and leave within a tick; false: they are to be sent. */
bool cg_post_keep(struct cg_call *call, const struct iovec *parts, int count,
                  size_t n);
/* What the socket did not take is sent while the application goes on. */
void cg_post_entrust(struct cg_call *call);
/* The outbox is the executor's alone; a negative errno: the peer is gone. */
int cg_post_take(struct cg_call *call);
/* The last of a call that used it. */
void cg_post_end(struct cg_call *call);

/* relief.c */
int cg_relief_start(struct cg_engine *e, struct cg_error *err);
void cg_relief_stop(struct cg_engine *e);
void cg_relief_set_alarm(struct cg_relief *r, uint64_t now_us);
void cg_relief_calm(struct cg_relief *r);

/* Before a call of the application, with the baton. Relief notices one that is
 * longer than a tick; the hot path pays two loads. */
static inline void
cg_relief_expect(struct cg_relief *r, uint64_t now_us)
{
    if (__builtin_expect(atomic_load(&r->ticking) == 0, 0)) {
        cg_relief_set_alarm(r, now_us);
    }
}

/* turn.c */
void cg_engine_tick(struct cg_engine *e);
/* The parts of a turn that a hosted engine puts together itself. */
int cg_run_timers(struct cg_engine *e);
void cg_show(const struct cg_executor *x, enum cg_worker_state s);
void cg_harvest(struct cg_executor *x, int n);
void cg_run_queued(struct cg_executor *x);
void cg_pay_now(struct cg_executor *x);
void cg_take_part(struct cg_engine *e);
void cg_drain_fd(int fd);

static inline bool
cg_has_lines(const struct cg_engine *e)
{
    return e->host->has_lines != NULL && e->host->has_lines(e->host->self);
}

/* Whether something waits for an entered thread. */
static inline bool
cg_owes(const struct cg_engine *e)
{
    return __builtin_expect(
        e->dropped != NULL || e->settled != NULL || e->hoard.trims, 0);
}

static inline bool
cg_may_run(const struct cg_engine *e)
{
    return !e->config->hosted || e->in_flight < e->config->max_in_flight;
}
/* What is due before every step; false when the engine's time is over. */
bool cg_loop_goes_on(struct cg_executor *x);
/* Has the host write its lines; false: the baton was lost meanwhile. */
bool cg_write_lines(struct cg_executor *x);
/* Handles the next harvested event; false when there is none. */
bool cg_loop_next_event(struct cg_executor *x);
/* Harvests what is there or waits for it; false: the baton was lost. */
bool cg_loop_look(struct cg_executor *x);
void cg_engine_end_now(struct cg_engine *e);

/* engine.c */
void cg_pay(struct cg_engine *e);
void cg_drop_list(const struct cg_host *host, struct cg_segment *s);
void cg_engine_kick(struct cg_engine *e);
void cg_engine_enter(struct cg_executor *x);
void cg_engine_leave(struct cg_executor *x);

#endif
