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
#include "core/engine/conn/give.h"
#include "core/engine/http1/http1.h"
#include "core/engine/state.h"

enum {
    LINGER_US = 2 * 1000 * 1000,
    SKIP_US = 5 * 1000 * 1000,
    /* a request that is over: until the executor in the wire is asked again */
    RETRY_US = 5 * 1000,
    /* a slow one: until its stack is there */
    SLOW_AGAIN_US = 10 * 1000,
    /* and until one that does not come back counts as stuck */
    GRACE_US = 5 * 1000 * 1000,
    /* at a slow reader, until its time is over */
    LOOKS = 4
};

#define RELAXED memory_order_relaxed

/* ---- requests of the host's own ---- */

void
cg_engine_hold(struct cg_engine *e)
{
    atomic_store(&e->accept.held, 1);
}

void
cg_engine_offer(struct cg_engine *e, int fd)
{
    atomic_store(&e->accept.offered, fd + 1);
    cg_engine_kick(e);
}

void
cg_engine_admit(struct cg_engine *e)
{
    atomic_store(&e->accept.held, 0);
    cg_engine_kick(e);
}

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
    length[DEADLINE_SKIP] = SKIP_US;
    length[DEADLINE_LINGER] = LINGER_US;
    length[DEADLINE_LIMIT] = c->request_timeout_us;
    length[DEADLINE_RETRY] = RETRY_US;
    length[DEADLINE_SLOW] = c->slow_request_us;
    length[DEADLINE_SLOW_AGAIN] = SLOW_AGAIN_US;
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
    e->watches.kick.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (e->watches.kick.fd < 0) {
        return -errno;
    }
    cg_accept_reserve(e);
    r = cg_loop_add(&e->loop, e->watches.kick.fd, CG_LOOP_READ,
                    &e->watches.kick);
    return r == 0 && e->config->hosted ? cg_hosted_init(e) : r;
}

int
cg_engine_new(const struct cg_engine_config *config, const struct cg_host *host,
              const struct cg_runner *runner,
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
    e->runner = *runner;
    cg_engine_limit_requests(e, 0);
    e->protocol = &cg_http1;
    e->kind = config->hosted ? &cg_hosted_executors : &cg_inline_executors;
    e->hosted.most = config->hosted ? config->max_in_flight : 1;
    e->hosted.pace = 1;
    e->board = board;
    e->slot_number = cg_board_number(board, slot);
    e->slot = slot;
    e->accept.listeners = listeners;
    e->accept.n = nlisteners;
    e->watches.wakeup.fd = e->watches.master.fd = e->watches.kick.fd =
        e->relief.alarm.fd = -1;
    e->hosted.timer.fd = e->hosted.call_fd = -1;
    e->hosted.awaited_last = &e->hosted.awaited_first;
    e->receipts.last = &e->receipts.first;
    e->accept.reserve_fd = -1;
    cg_pool_init(&e->pool);
    cg_http2_init(e);
    cg_cork_init(&e->cork);
    e->accept.swarm = 1;
    e->date_s = -1;
    atomic_store(&e->baton.word, cg_baton_make(BATON_FREE, 0, 1));
    atomic_store(&e->relief.alarm.ticking,
                 1); /* nobody to wake before it runs */
    init_deadlines(e);
    e->watches.listener =
        cg_calloc((size_t)nlisteners, sizeof(struct cg_watch));
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

static void
close_list(struct cg_engine *e, enum cg_deadline_list list)
{
    struct cg_deadline *d;
    while ((d = cg_deadlines_oldest(&e->deadlines, list)) != NULL) {
        cg_conn_close(e, cg_stream_of(d)->conn);
    }
}

void
cg_engine_free(struct cg_engine *e)
{
    if (e == NULL) {
        return;
    }
    struct cg_conn *c;
    struct cg_stream *s;
    atomic_store(&e->stop.over, 1);
    cg_relief_stop(e);
    cg_cork_stop(&e->cork);
    cg_overload_end(e);
    while ((s = cg_ready_pop(e)) != NULL) {
        s->broken = true; /* no end of a reply */
        cg_conn_close(e, s->conn);
    }
    cg_http2_release(e);
    cg_loans_release(e);
    cg_give_waiting(e); /* we were told to end at once, the server was not */
    for (int list = 0; list < DEADLINE_STREAM_LISTS; list++) {
        close_list(e, (enum cg_deadline_list)list);
    }
    cg_pay(e);
    cg_conn_bury(e);
    while ((c = e->conns.spare) != NULL) {
        e->conns.spare = c->next;
        free(c);
    }
    cg_hosted_release(e);
    cg_fd_close(&e->watches.kick.fd);
    cg_fd_close(&e->accept.reserve_fd);
    cg_loop_release(&e->loop);
    cg_pool_release(&e->pool);
    free(e->watches.listener);
    free(e);
}

void
cg_engine_watch_wakeup(struct cg_engine *e, int fd)
{
    e->watches.wakeup.fd = fd; /* cg_watch_wakeup puts it into the set */
}

int
cg_engine_watch_master(struct cg_engine *e, int fd)
{
    e->watches.master.fd = fd;
    return cg_loop_add(&e->loop, fd, CG_LOOP_READ, &e->watches.master);
}

void
cg_engine_proved(struct cg_engine *e)
{
    atomic_store_explicit(&e->slot->beat_us, cg_now_us(), RELAXED);
    atomic_store_explicit(&e->proof_us, 0, RELAXED);
}

uint64_t
cg_engine_requests(const struct cg_engine *e)
{
    return atomic_load_explicit(&e->requests, RELAXED);
}

void
cg_engine_limit_requests(struct cg_engine *e, uint64_t count)
{
    atomic_store_explicit(&e->request_limit, count != 0 ? count : UINT64_MAX,
                          RELAXED);
}

int
cg_engine_start_relief(struct cg_engine *e, struct cg_error *err)
{
    return cg_relief_start(e, err);
}
