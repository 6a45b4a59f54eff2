/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/conn.h"

#include <stddef.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/internal.h"

const char *
cg_conn_state_word(enum cg_conn_state s)
{
    static const char *const word[] = {
#define X(id, text) [CONN_##id] = text,
        CG_CONN_STATES(X)
#undef X
    };
    return (size_t)s < CG_COUNT(word) ? word[s] : "?";
}

struct cg_conn *
cg_conn_of(struct cg_deadline *d)
{
    return (struct cg_conn *)(void *)((char *)d -
                                      offsetof(struct cg_conn, deadline));
}

static void
count(struct cg_engine *e, int change)
{
    e->nconns += change;
    atomic_store_explicit(&e->slot->connections, e->nconns,
                          memory_order_relaxed);
}

struct cg_conn *
cg_conn_new(struct cg_engine *e, struct cg_transport transport)
{
    struct cg_conn *c = e->freelist;
    if (c != NULL) {
        e->freelist = c->qnext;
        memset(c, 0, sizeof *c);
    } else {
        c = cg_calloc(1, sizeof *c);
    }
    c->transport = transport;
    c->state = CONN_FRESH;
    count(e, 1);
    return c;
}

void
cg_conn_kept(const struct cg_engine *e, const struct cg_conn *c)
{
    unsigned answered = c->requests > 0 ? CG_KEEPER_ANSWERED : 0;
    if (!c->transport.movable) {
        return;
    }
    cg_keeper_mark(e->config->keeper, c->transport.fd,
                   CG_KEEPER_IDLE | answered |
                       c->listener * CG_KEEPER_LISTENER);
}

void
cg_conn_not_kept(const struct cg_engine *e, const struct cg_conn *c)
{
    cg_keeper_mark(e->config->keeper, c->transport.fd, 0);
}

void
cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest)
{
    if (!c->armed) {
        cg_loop_add(&e->loop, c->transport.fd, interest, c);
    } else if (c->interest != interest) {
        cg_loop_change(&e->loop, c->transport.fd, interest, c);
    }
    c->armed = 1;
    c->interest = (uint16_t)interest;
}

void
cg_conn_disarm(struct cg_engine *e, struct cg_conn *c)
{
    if (c->armed) {
        cg_loop_remove(&e->loop, c->transport.fd);
        c->armed = 0;
    }
}

void
cg_conn_drop_intake(struct cg_conn *c)
{
    cg_intake_free(c->intake);
    c->intake = NULL;
}

void
cg_conn_close(struct cg_engine *e, struct cg_conn *c)
{
    /* the application or a child of it may still hold the socket: end it for
     * the peer, whoever has the descriptor */
    if (c->taken ||
        atomic_load_explicit(&e->has_forked, memory_order_relaxed)) {
        cg_transport_cut(&c->transport);
    } else if (!e->relieved) {
        /* ours alone: it leaves the event set with its last descriptor. Not
         * during a long call, which may be a vfork whose child has them all */
        c->armed = 0;
    }
    cg_conn_forget(e, c);
}

void
cg_conn_forget(struct cg_engine *e, struct cg_conn *c)
{
    cg_conn_disarm(e, c);
    cg_deadline_clear(&c->deadline);
    cg_conn_not_kept(e, c);
    if (__builtin_expect(c->receipt != NULL, 0)) {
        cg_receipt_end(e, c);
    }
    cg_transport_close(&c->transport);
    c->state = CONN_DEAD;
    cg_conn_drop_intake(c);
    cg_buf_release(&c->rest);
    cg_outbox_clear(&c->outbox, &e->dropped);
    if (__builtin_expect(c->outbox.counted != 0, 0)) {
        cg_hoard_count(e, &c->outbox);
    }
    c->qnext = e->dead;
    e->dead = c;
    count(e, -1);
}

void
cg_conn_bury(struct cg_engine *e)
{
    while (e->dead != NULL) {
        struct cg_conn *c = e->dead;
        e->dead = c->qnext;
        c->qnext = e->freelist;
        e->freelist = c;
    }
}
