/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/conn/rest.h"
#include "core/engine/protocol.h"
#include "core/engine/state.h"

static void
count(struct cg_engine *e, int change)
{
    e->conns.n += change;
    atomic_store_explicit(&e->slot->connections, e->conns.n,
                          memory_order_relaxed);
}

static struct cg_conn *
new_conn(struct cg_engine *e, struct cg_transport transport)
{
    struct cg_conn *c = e->conns.spare;
    CG_HAS_BATON(e);
    if (c != NULL) {
        e->conns.spare = c->next;
        memset(c, 0, sizeof *c);
    } else {
        c = cg_calloc(1, sizeof *c);
    }
    c->transport = transport;
    c->protocol = e->protocol;
    c->stream.conn = c;
    c->stream.transport = &c->transport;
    c->stream.state = STREAM_FRESH;
    return c;
}

struct cg_conn *
cg_conn_new(struct cg_engine *e, struct cg_transport transport)
{
    struct cg_conn *c = new_conn(e, transport);
    count(e, 1);
    return c;
}

struct cg_conn *
cg_conn_new_inner(struct cg_engine *e, struct cg_transport transport,
                  const struct cg_conn *outer,
                  const struct cg_protocol *protocol)
{
    struct cg_conn *c = new_conn(e, transport);
    c->protocol = protocol;
    c->inner = c->counted = c->is_h2 = true;
    c->listener = outer->listener;
    c->peer = outer->peer;
    return c;
}

void
cg_conn_count(struct cg_engine *e, struct cg_conn *c)
{
    e->conns.counted += !c->counted;
    c->counted = true; /* an inner one always is, here for nothing */
}

void
cg_conn_discount(struct cg_engine *e, struct cg_conn *c)
{
    if (!c->inner) {
        e->conns.counted -= c->counted;
        c->counted = false;
    }
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
                       (unsigned)c->listener * CG_KEEPER_LISTENER);
}

void
cg_conn_not_kept(const struct cg_engine *e, const struct cg_conn *c)
{
    if (!c->inner) {
        cg_keeper_mark(e->config->keeper, c->transport.fd, 0);
    }
}

void
cg_conn_arm(struct cg_engine *e, struct cg_conn *c, unsigned interest)
{
    CG_HAS_BATON(e);
    if (__builtin_expect(c->inner, 0)) {
        c->armed = 1;
        c->interest = (uint16_t)interest;
        c->protocol->on_armed(e, c);
        return;
    }
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
    CG_HAS_BATON(e);
    if (c->armed && !c->inner) {
        cg_loop_remove(&e->loop, c->transport.fd);
    }
    c->armed = 0;
}

void
cg_conn_close(struct cg_engine *e, struct cg_conn *c)
{
    CG_HAS_BATON(e);
    if (!c->stream.broken && cg_outbox_is_empty(&c->stream.outbox)) {
        cg_transport_say_end(&c->transport);
    }
    /* the application or a child of it may still hold the socket: end it for
     * the peer, whoever has the descriptor */
    if (c->stream.taken ||
        atomic_load_explicit(&e->has_forked, memory_order_relaxed)) {
        cg_transport_cut(&c->transport);
    } else if (!e->harvest.relieved) {
        /* ours alone: it leaves the event set with its last descriptor. Not
         * during a long call, which may be a vfork whose child has them all */
        c->armed = 0;
    }
    cg_conn_forget(e, c);
}

void
cg_conn_forget(struct cg_engine *e, struct cg_conn *c)
{
    CG_HAS_BATON(e);
    cg_conn_disarm(e, c);
    cg_conn_not_kept(e, c);
    c->protocol->close(e, c);
    cg_transport_close(&c->transport);
    cg_rest_release(e, c);
    c->next = e->conns.dead;
    e->conns.dead = c;
    cg_conn_discount(e, c);
    if (!c->inner) {
        count(e, -1);
    }
}

void
cg_conn_bury(struct cg_engine *e)
{
    CG_HAS_BATON(e);
    while (e->conns.dead != NULL) {
        struct cg_conn *c = e->conns.dead;
        e->conns.dead = c->next;
        c->next = e->conns.spare;
        e->conns.spare = c;
    }
}

void
cg_conn_idle(struct cg_engine *e, struct cg_conn *c)
{
    CG_HAS_BATON(e);
    c->stream.state = STREAM_IDLE;
    cg_deadline_set(&e->deadlines, &c->stream.deadline, DEADLINE_KEEP,
                    e->now_us);
    cg_conn_kept(e, c);
    if (!c->armed || c->interest != CG_LOOP_READ) {
        cg_conn_arm(e, c, CG_LOOP_READ);
    }
}

/* ---- who is at the other end ---- */

/* inet_ntop is made of printf. */
static void
put_ipv4(char *to, struct in_addr addr)
{
    uint8_t byte[4];
    memcpy(byte, &addr, sizeof byte);
    for (int i = 0; i < 4; i++) {
        unsigned b = byte[i];
        if (b >= 100) {
            *to++ = (char)('0' + b / 100);
        }
        if (b >= 10) {
            *to++ = (char)('0' + b / 10 % 10);
        }
        *to++ = (char)('0' + b % 10);
        *to++ = i < 3 ? '.' : '\0';
    }
}

static void
describe_peer(struct cg_conn *c, const struct sockaddr_storage *sa)
{
    c->peer.family = (uint8_t)sa->ss_family;
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        put_ipv4(c->peer.addr, in->sin_addr);
        c->peer.port = ntohs(in->sin_port);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, c->peer.addr, sizeof c->peer.addr);
        c->peer.port = ntohs(in6->sin6_port);
    }
}

void
cg_conn_describe(const struct cg_engine *e, struct cg_conn *c,
                 const struct sockaddr_storage *sa)
{
    const struct sockaddr *addr = (const void *)sa;
    describe_peer(c, sa);
    c->peer.trusted = e->config->trust != NULL
                          ? cg_trust_has(e->config->trust, addr)
                          : sa->ss_family == AF_UNIX;
    c->preamble = e->config->proxy_mode != CG_PROXY_OFF;
    c->may_announce = c->preamble && cg_trust_has(e->config->proxy_trust, addr);
    if (e->config->uwsgi_trust != NULL) {
        /* a client's X-Forwarded-Proto is no word of the proxy's here */
        c->peer.trusted = false;
        c->preamble = true;
        c->may_announce = cg_trust_has(e->config->uwsgi_trust, addr);
    }
}
