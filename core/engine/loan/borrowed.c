/* SPDX-License-Identifier: MIT */
#include "core/engine/loan/borrowed.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/engine/http1/http1.h"
#include "core/engine/state.h"
#include "core/share/facts.h"

struct borrowed {
    struct cg_transport_state state; /* first */
    struct cg_transport word;
    bool keep;             /* the word that is due */
    bool said;             /* it is said once */
    struct cg_facts facts; /* they point into the bytes */
    char bytes[];
};

static struct borrowed *
borrowed_of(const struct cg_transport *t)
{
    return (struct borrowed *)(void *)t->state;
}

/* ---- its transport ---- */

/* A lender that is gone cuts its client anyway. */
static void
say_end(struct cg_transport *t)
{
    struct borrowed *b = borrowed_of(t);
    char word = (char)(b->keep ? CG_LOAN_KEEP : CG_LOAN_CLOSE);
    struct iovec part = {&word, sizeof word};
    if (!b->said) {
        b->said = true;
        cg_transport_send(&b->word, &part, 1, false);
    }
}

static void
release(struct cg_transport *t)
{
    struct borrowed *b = borrowed_of(t);
    cg_transport_close(&b->word);
    free(b);
}

static const struct cg_transport_kind kind = {
    .receive = cg_transport_receive_plain,
    .send = cg_transport_send_plain,
    .say_end = say_end,
    .release = release,
};

/* ---- its protocol: HTTP/1, for one request ---- */

static enum cg_step
on_event(struct cg_executor *x, struct cg_conn *c, struct cg_arrival *a)
{
    return cg_http1.on_event(x, c, a);
}

static enum cg_step
on_queued(struct cg_executor *x, struct cg_stream *s, struct cg_arrival *a)
{
    return cg_http1.on_queued(x, s, a);
}

static void
on_deadline(struct cg_engine *e, struct cg_stream *s)
{
    cg_http1.on_deadline(e, s);
}

/* The client's connection may stay, this one does not. */
static void
on_answered(struct cg_engine *e, struct cg_stream *s)
{
    borrowed_of(&s->conn->transport)->keep = s->keep;
    s->keep = s->polite = false;
    cg_http1.on_answered(e, s);
}

static void
close_stream(struct cg_engine *e, struct cg_conn *c)
{
    cg_stream_close(e, &c->stream);
}

static const struct cg_protocol protocol = {
    .name = "borrowed",
    .on_event = on_event,
    .on_queued = on_queued,
    .on_deadline = on_deadline,
    .on_answered = on_answered,
    .close = close_stream,
};

/* ---- begin, and on to another one ---- */

void
cg_borrow(struct cg_conn *c, int word_fd, const struct cg_message *m)
{
    struct borrowed *b = cg_calloc(1, sizeof *b + m->facts.n);
    b->state.kind = &kind;
    b->word = cg_transport_plain(word_fd);
    if (m->facts.n > 0) {
        memcpy(b->bytes, m->facts.p, m->facts.n);
        struct cg_slice bytes = {b->bytes, m->facts.n};
        b->state.secure =
            cg_facts_decode(bytes, &b->facts) ? &b->facts.secure : NULL;
    }
    c->transport = cg_transport_with(c->transport.fd, &b->state);
    c->transport.patient = true;
    c->protocol = &protocol;
    c->is_h2 = m->is_h2;
}

bool
cg_is_borrowed(const struct cg_conn *c)
{
    return !cg_transport_is_plain(&c->transport) &&
           c->transport.state->kind == &kind;
}

bool
cg_borrowed_pass_on(struct cg_engine *e, struct cg_conn *c,
                    const struct cg_message *m, int file)
{
    int fds[CG_MESSAGE_FDS] = {c->transport.fd,
                               borrowed_of(&c->transport)->word.fd, file};
    CG_HAS_BATON(e);
    if (cg_handover_send(e->config->handover, m, fds, cg_message_fds(m)) < 0) {
        return false;
    }
    cg_conn_forget(e, c);
    return true;
}
