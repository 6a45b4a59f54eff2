/* SPDX-License-Identifier: MIT */
/*
 * Room: who goes when there is no slot or no descriptor for another connection.
 * The oldest idle one; then whoever has been sending a head, shaking hands, or
 * sending nothing at all, for the longest time. Never one with a request under
 * way.
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

static struct cg_conn *
slowest(struct cg_engine *e)
{
    struct cg_conn *silent = oldest(e, DEADLINE_FIRST, STREAM_FRESH);
    struct cg_conn *head = oldest(e, DEADLINE_HEAD, STREAM_HEAD);
    struct cg_conn *shakes = oldest(e, DEADLINE_HEAD, STREAM_FRESH);
    uint64_t silent_us = silent != NULL ? age_us(e, silent) : 0;
    uint64_t head_us = head != NULL ? age_us(e, head) : 0;
    uint64_t shakes_us = shakes != NULL ? age_us(e, shakes) : 0;
    if (shakes_us > head_us) {
        head = shakes;
        head_us = shakes_us;
    }
    if (silent_us < YOUNG_US && head_us < YOUNG_US) {
        return NULL;
    }
    return silent_us > head_us ? silent : head;
}

bool
cg_room_make(struct cg_engine *e)
{
    struct cg_conn *c = oldest(e, DEADLINE_KEEP, STREAM_IDLE);
    CG_HAS_BATON(e);
    if (c == NULL) {
        c = slowest(e);
        if (c == NULL) {
            return false;
        }
        cg_tell_refused(e, (struct cg_refused){
                               .peer = &c->peer,
                               .message = CG_SLICE(
                                   "no complete head yet, closed to make room "
                                   "for others")});
    }
    cg_conn_close(e, c);
    return true;
}
