/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/watches.h"

#include <poll.h>

#include "core/engine/conn/give.h"
#include "core/engine/state.h"

static void
watch(struct cg_engine *e, int i, bool on)
{
    if (on) {
        cg_loop_add(&e->loop, e->accept.listeners[i].fd,
                    CG_LOOP_READ | CG_LOOP_EXCLUSIVE, &e->watches.listener[i]);
    } else {
        cg_loop_remove(&e->loop, e->accept.listeners[i].fd);
    }
}

void
cg_watch_listener_last(struct cg_engine *e, int listener)
{
    watch(e, listener, false);
    watch(e, listener, true);
}

static void
watch_if(struct cg_engine *e, bool on, int fd, unsigned how, struct cg_watch *w)
{
    w->fd = fd;
    if (fd >= 0 && on) {
        cg_loop_add(&e->loop, fd, CG_LOOP_READ | how, w);
    } else if (fd >= 0) {
        cg_loop_remove(&e->loop, fd);
    }
}

void
cg_watch_listeners(struct cg_engine *e, bool on)
{
    const struct cg_handover *h = e->config->handover;
    CG_HAS_BATON(e);
    if (on == e->watches.listeners_on) {
        return;
    }
    for (int i = 0; i < e->accept.n; i++) {
        watch(e, i, on);
    }
    if (h != NULL) {
        watch_if(e, on, h->bell_fd, CG_LOOP_EXCLUSIVE, &e->watches.bell);
    }
    e->watches.listeners_on = on;
}

void
cg_watch_wakeup(struct cg_engine *e, bool on)
{
    CG_HAS_BATON(e);
    if (on != e->watches.wakeup_on) {
        e->watches.wakeup_on = on;
        watch_if(e, on, e->watches.wakeup.fd, 0, &e->watches.wakeup);
    }
}

void
cg_watch_queue(struct cg_engine *e, bool on)
{
    const struct cg_handover *h = e->config->handover;
    CG_HAS_BATON(e);
    if (on == e->watches.queue_on) {
        return;
    }
    e->watches.queue_on = on;
    if (h != NULL) {
        watch_if(e, on, h->read_fd, CG_LOOP_EXCLUSIVE, &e->watches.queue);
        watch_if(e, on, h->poke_fd, CG_LOOP_EXCLUSIVE, &e->watches.poke);
    }
}

/* Whether somebody waits to be accepted, at any of the listeners. */
static bool
has_client(const struct cg_engine *e)
{
    enum { AT_ONCE = 16 };
    struct pollfd p[AT_ONCE];
    for (int i = 0; i < e->accept.n;) {
        nfds_t n = 0;
        while (n < AT_ONCE && i < e->accept.n) {
            p[n++] = (struct pollfd){.fd = e->accept.listeners[i++].fd,
                                     .events = POLLIN};
        }
        if (poll(p, n, 0) > 0) {
            return true;
        }
    }
    return false;
}

/* The kernel wakes one waiter; it is not told when that one cannot react. */
void
cg_watch_pass_on(struct cg_engine *e)
{
    const struct cg_handover *h = e->config->handover;
    if (h == NULL) {
        return;
    }
    struct pollfd queue = {.fd = h->read_fd, .events = POLLIN};
    if (poll(&queue, 1, 0) > 0) {
        cg_handover_poke(h);
    }
    /* relief that goes on to listen takes them itself */
    bool ours = e->harvest.relieved && e->watches.listeners_on;
    if (!ours && has_client(e)) {
        cg_handover_ring(h);
    }
}

/* Whether it is time to listen (again). */
static bool
is_time_to_listen(const struct cg_engine *e)
{
    return e->now_us >= e->accept.pause_us &&
           ((e->conns.counted < e->config->max_connections &&
             e->conns.n < e->config->max_open) ||
            e->now_us >= e->accept.full_us);
}

void
cg_watch_what_we_can(struct cg_engine *e)
{
    bool room = cg_may_run(e) && !cg_is_held(e);
    if (!e->watches.wakeup_on) {
        cg_watch_wakeup(e, true);
    }
    /* who stops leaves the queue to those who go on: under load it is never
     * empty, and so it would never be done */
    bool queue = room && e->now_us >= e->watches.queue_pause_us &&
                 !(e->stop.begun && cg_sibling_serves(e));
    if (queue != e->watches.queue_on) {
        cg_watch_queue(e, queue);
    }
    if (!room) {
        cg_watch_listeners(e, false);
    } else if (!e->watches.listeners_on && !e->stop.begun &&
               is_time_to_listen(e)) {
        cg_watch_listeners(e, true);
    }
}
