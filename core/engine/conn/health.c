/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/health.h"

#include "core/engine/http1/refuse.h"
#include "core/engine/state.h"
#include "core/http/reply.h"

/* Whether any worker of the server takes requests and shows life. */
static bool
is_served(const struct cg_engine *e, uint64_t timeout_us)
{
    uint32_t used = atomic_load(&e->board->head->used);
    uint64_t now = cg_now_us();
    for (uint32_t i = 0; i < used; i++) {
        const struct cg_slot *slot = cg_board_view(e->board, i);
        struct cg_slot_look l = cg_slot_look(slot);
        bool serves = l.state == CG_WORKER_IDLE || l.state == CG_WORKER_BUSY;
        if (serves &&
            (timeout_us == 0 || cg_slot_silent_us(&l, now) <= timeout_us)) {
            return true;
        }
    }
    return false;
}

static bool
is_well(const struct cg_engine *e, bool ready)
{
    const struct cg_board_head *head = e->board->head;
    bool leaves = atomic_load(&head->draining) != 0 || e->stop.begun;
    return is_served(e, e->config->health.timeout_us) && !(ready && leaves);
}

bool
cg_health_answer(struct cg_engine *e, struct cg_stream *s,
                 const struct cg_arrival *a)
{
    const struct cg_health_policy *p = &e->config->health;
    const struct cg_request *req = a->req;
    struct cg_slice path = cg_span_of(a->base, req->path);
    bool ready = p->ready.n > 0 && path.n == p->ready.n &&
                 memcmp(path.p, p->ready.p, path.n) == 0;
    bool live = p->live.n > 0 && path.n == p->live.n &&
                memcmp(path.p, p->live.p, path.n) == 0;
    if ((!ready && !live) || (!req->method_is_get && !req->method_is_head)) {
        return false;
    }
    cg_auto(buf) struct cg_buf reply = {0};
    bool well = is_well(e, ready);
    cg_small_reply(
        &reply, well ? 200 : 503, "text/plain; charset=utf-8",
        well ? CG_SLICE("ok\n") : CG_SLICE("not ready\n"),
        &(struct cg_reply_context){.server = e->config->server,
                                   .date = e->date,
                                   .minor = req->minor,
                                   .head_request = req->method_is_head});
    cg_answer_and_end(e, s->conn, &reply);
    return true;
}
