/* SPDX-License-Identifier: MIT */
/*
 * Room: who goes when there is no slot or no descriptor for another connection.
 * For a descriptor: whoever has been sending a head, or nothing at all, for the
 * longest time; then the oldest idle one. For a request, whose peers alone are
 * counted: the oldest idle one. Never one with a request under way.
 */
#include "core/engine/conn/room.h"

#include "core/engine/state.h"

enum {
    /* a head may take this long before it counts as slow */
    YOUNG_US = 1000 * 1000,
    /* connections with a request stay in their old list: how many are passed
     * over in search of one without */
    LOOK_AT = 256
};

static struct cg_conn *
oldest(struct cg_engine *e, enum cg_deadline_list list,
       enum cg_stream_state state)
{
    struct cg_deadline *d = cg_deadlines_oldest(&e->deadlines, list);
    for (int n = 0; d != NULL && n < LOOK_AT; n++) {
        struct cg_stream *s = cg_stream_of(d);
        if (s->state == (uint8_t)state) {
            return s->conn;
        }
        d = cg_deadlines_next(&e->deadlines, d);
    }
    return NULL;
}

/* For how long it has been waited for; without a deadline nobody counts. */
static uint64_t
age_us(const struct cg_engine *e, const struct cg_conn *c)
{
    const struct cg_deadline *d = &c->stream.deadline;
    uint64_t length = e->deadlines.length_us[d->list];
    return length != 0 ? e->now_us + length - d->at : UINT64_MAX;
}

/* Of those without a whole head, who is waited for longest. */
static struct cg_conn *
slowest(struct cg_engine *e)
{
    struct cg_conn *silent = oldest(e, DEADLINE_FIRST, STREAM_FRESH);
    struct cg_conn *head = oldest(e, DEADLINE_HEAD, STREAM_HEAD);
    struct cg_conn *shakes = oldest(e, DEADLINE_HEAD, STREAM_FRESH);
    if (head == NULL ||
        (shakes != NULL && age_us(e, shakes) > age_us(e, head))) {
        head = shakes; /* hands instead of a head */
    }
    if (silent == NULL || head == NULL) {
        return silent != NULL ? silent : head;
    }
    return age_us(e, silent) > age_us(e, head) ? silent : head;
}

/* One that has not sent a whole head yet, if it has had time for that, or most
 * of all are like it. */
static struct cg_conn *
slow_one(struct cg_engine *e)
{
    struct cg_conn *c = slowest(e);
    int heads = e->conns.n - e->conns.counted;
    return c != NULL && (age_us(e, c) >= YOUNG_US || heads > e->conns.counted)
               ? c
               : NULL;
}

static void
close_slow(struct cg_engine *e, struct cg_conn *c)
{
    cg_tell_refused(
        e, (struct cg_refused){
               .peer = &c->peer,
               .message = CG_SLICE("no complete head yet, closed to make room "
                                   "for others")});
    cg_conn_close(e, c);
}

static bool
close_idle(struct cg_engine *e)
{
    struct cg_conn *c = oldest(e, DEADLINE_KEEP, STREAM_IDLE);
    if (c != NULL) {
        cg_conn_close(e, c);
    }
    return c != NULL;
}

bool
cg_room_make(struct cg_engine *e)
{
    CG_HAS_BATON(e);
    struct cg_conn *c = slow_one(e);
    if (c == NULL) {
        return close_idle(e);
    }
    close_slow(e, c);
    return true;
}

bool
cg_room_is_left(struct cg_engine *e)
{
    CG_HAS_BATON(e);
    return e->conns.counted < e->config->max_connections ||
           oldest(e, DEADLINE_KEEP, STREAM_IDLE) != NULL;
}

void
cg_room_bound(struct cg_engine *e)
{
    CG_HAS_BATON(e);
    if (e->conns.counted > e->config->max_connections) {
        close_idle(e);
    }
}
