/* SPDX-License-Identifier: MIT */
/* Making and ending an engine, and what other threads may ask of it. */
#include "core/engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/engine/internal.h"

enum {
    LINGER_US = 2 * 1000 * 1000,
    DRAIN_US = 5 * 1000 * 1000,
    /* a request that is over: until the executor in the wire is asked again */
    RETRY_US = 5 * 1000,
    /* and until one that does not come back counts as stuck */
    GRACE_US = 5 * 1000 * 1000,
    /* at a slow reader, until its time is over */
    LOOKS = 4
};

#define RELAXED memory_order_relaxed

/* ---- making and freeing ---- */

static void
init_deadlines(struct cg_engine *e)
{
    const struct cg_engine_config *c = e->config;
    cg_deadlines_init(&e->deadlines);
    uint64_t *length = e->deadlines.length_us;
    length[DEADLINE_FIRST] = c->first_timeout_us;
    length[DEADLINE_HEAD] = c->header_timeout_us;
    length[DEADLINE_BODY] = c->body_timeout_us;
    length[DEADLINE_WRITE] = c->write_timeout_us / LOOKS;
    length[DEADLINE_KEEP] = c->keepalive_us;
    length[DEADLINE_DRAIN] = DRAIN_US;
    length[DEADLINE_LINGER] = LINGER_US;
    length[DEADLINE_LIMIT] = c->request_timeout_us;
    length[DEADLINE_RETRY] = RETRY_US;
    length[DEADLINE_GRACE] =
        c->request_timeout_us < GRACE_US ? c->request_timeout_us : GRACE_US;
}

static int
init_descriptors(struct cg_engine *e)
{
    int r = cg_loop_init(&e->loop);
    if (r < 0) {
        return r;
    }
    e->kick.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->kick.fd < 0) {
        return -errno;
    }
    cg_accept_reserve(e);
    r = cg_loop_add(&e->loop, e->kick.fd, CG_LOOP_READ, &e->kick);
    return r == 0 && e->config->hosted ? cg_hosted_init(e) : r;
}

int
cg_engine_new(const struct cg_engine_config *config, const struct cg_host *host,
              const struct cg_listener *listeners, int nlisteners,
              struct cg_scoreboard *board, struct cg_slot *slot,
              struct cg_engine **ret_engine, struct cg_error *err)
{
    struct cg_engine *e = aligned_alloc(64, (sizeof *e + 63) / 64 * 64);
    if (e == NULL) {
        cg_die("out of memory");
    }
    memset(e, 0, sizeof *e);
    e->config = config;
    e->host = host;
    e->board = board;
    e->slot_number = cg_board_number(board, slot);
    e->slot = slot;
    e->listeners = listeners;
    e->nlisteners = nlisteners;
    e->wakeup.fd = e->master.fd = e->kick.fd = e->relief.alarm_fd = -1;
    e->timer.fd = e->call_fd = -1;
    e->drained_last = &e->drained_first;
    e->settled_last = &e->settled;
    e->reserve_fd = -1;
    cg_pool_init(&e->pool);
    cg_post_init(&e->post);
    e->ready_last = &e->ready_first;
    e->swarm = 1;
    e->date_s = -1;
    atomic_store(&e->baton.word, cg_baton_make(BATON_FREE, 0, 1));
    atomic_store(&e->relief.ticking, 1); /* nobody to wake before it runs */
    init_deadlines(e);
    e->listener_watch = cg_calloc((size_t)nlisteners, sizeof(struct cg_watch));
    int r = init_descriptors(e);
    if (r < 0) {
        cg_engine_free(e);
        return cg_error_set(err, -r, "cannot make an event loop: %s",
                            strerror(-r));
    }
    cg_engine_tick(e);
    *ret_engine = e;
    return 0;
}

void
cg_pay(struct cg_engine *e)
{
    struct cg_segment *s = e->dropped;
    e->dropped = NULL;
    cg_receipts_settle(e->host, cg_receipts_take(e));
    cg_drop_list(e->host, s);
}

void
cg_drop_list(const struct cg_host *host, struct cg_segment *s)
{
    while (s != NULL) {
        struct cg_segment *next = s->next;
        host->drop(host->self, s->keep);
        free(s);
        s = next;
    }
}

static void
close_list(struct cg_engine *e, enum cg_deadline_list list)
{
    struct cg_deadline *d;
    while ((d = cg_deadlines_oldest(&e->deadlines, list)) != NULL) {
        cg_conn_close(e, cg_conn_of(d));
    }
}

void
cg_engine_free(struct cg_engine *e)
{
    if (e == NULL) {
        return;
    }
    struct cg_conn *c;
    atomic_store(&e->over, 1);
    cg_relief_stop(e);
    cg_post_stop(&e->post);
    while ((c = cg_ready_pop(e)) != NULL) {
        cg_conn_close(e, c);
    }
    cg_give_waiting(e); /* we were told to end at once, the server was not */
    for (int list = 0; list < DEADLINE_CONN_LISTS; list++) {
        close_list(e, (enum cg_deadline_list)list);
    }
    cg_pay(e);
    cg_conn_bury(e);
    while ((c = e->freelist) != NULL) {
        e->freelist = c->qnext;
        free(c);
    }
    cg_hosted_release(e);
    cg_fd_close(&e->kick.fd);
    cg_fd_close(&e->reserve_fd);
    cg_loop_release(&e->loop);
    cg_pool_release(&e->pool);
    free(e->listener_watch);
    free(e);
}

struct cg_executor *
cg_executor_new(struct cg_engine *e, int id)
{
    CG_ASSERT(id >= 0 && id < CG_BOARD_EXECUTORS);
    struct cg_executor *x = cg_malloc(sizeof *x);
    memset(x, 0, offsetof(struct cg_executor, events));
    x->engine = e;
    x->id = id;
    x->date_s = -1;
    if (id != RELIEF) {
        atomic_fetch_add(&e->executors, 1);
    }
    x->flight = cg_slot_flight(e->slot, id);
    return x;
}

void
cg_executor_free(struct cg_executor *x)
{
    if (x != NULL) {
        cg_request_release(&x->req);
        cg_writer_release(&x->writer);
        free(x->spare);
        free(x);
    }
}

void
cg_engine_watch_wakeup(struct cg_engine *e, int fd)
{
    e->wakeup.fd = fd; /* cg_attend puts it into the set */
}

int
cg_engine_watch_master(struct cg_engine *e, int fd)
{
    e->master.fd = fd;
    return cg_loop_add(&e->loop, fd, CG_LOOP_READ, &e->master);
}

/* ---- asking it to stop ---- */

void
cg_engine_kick(struct cg_engine *e)
{
    uint64_t one = 1;
    ssize_t ignored = write(e->kick.fd, &one, sizeof one);
    (void)ignored;
}

void
cg_engine_stop(struct cg_engine *e, uint64_t graceful_us)
{
    atomic_store(&e->graceful_us, graceful_us);
    atomic_store(&e->stop_wanted, 1);
    cg_engine_kick(e);
}

void
cg_engine_abort(struct cg_engine *e)
{
    atomic_store(&e->abort_wanted, 1);
    cg_engine_kick(e);
}

bool
cg_engine_is_stopping(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->stop_wanted, RELAXED) != 0;
}

uint64_t
cg_engine_requests(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->requests, RELAXED);
}

bool
cg_engine_is_over(const struct cg_engine *e)
{
    return atomic_load(&e->over) != 0;
}

enum cg_engine_end
cg_engine_end(const struct cg_engine *e)
{
    return (enum cg_engine_end)atomic_load(&e->end);
}

void
cg_engine_forked(struct cg_engine *e, bool in_child)
{
    atomic_store(in_child ? &e->forked : &e->has_forked, 1);
}

int
cg_engine_start_relief(struct cg_engine *e, struct cg_error *err)
{
    return cg_relief_start(e, err);
}

/* ---- the host's lock ---- */

void
cg_engine_enter(struct cg_executor *x)
{
    struct cg_engine *e = x->engine;
    atomic_fetch_add_explicit(&e->entering, 1, RELAXED);
    e->host->enter(e->host->self);
    atomic_fetch_sub_explicit(&e->entering, 1, RELAXED);
    x->entered = true;
}

void
cg_engine_leave(struct cg_executor *x)
{
    if (x->entered) {
        x->entered = false;
        x->engine->host->leave(x->engine->host->self);
    }
}
