/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: one list per length of time, so that a new deadline goes to the
 * end and the first one is always next. Moving a deadline within its list is
 * mostly one store: the list is corrected every half second, or when its head
 * comes up, so a deadline is at most that late.
 */
#ifndef CG_ENGINE_DEADLINE_H
#define CG_ENGINE_DEADLINE_H

#include <stdint.h>

/* The deadline lists; each has one length of time. */
enum cg_deadline_list {
    DEADLINE_FIRST,
    DEADLINE_HEAD,
    DEADLINE_BODY,
    DEADLINE_WRITE,
    DEADLINE_KEEP,
    DEADLINE_SKIP,
    DEADLINE_LINGER,
    /* of calls, not of streams: see limit.c */
    DEADLINE_LIMIT,
    DEADLINE_RETRY,
    DEADLINE_GRACE,
    /* likewise: see slow.c */
    DEADLINE_SLOW,
    DEADLINE_SLOW_AGAIN,
    DEADLINE_LISTS,
    DEADLINE_STREAM_LISTS = DEADLINE_LIMIT
};

struct cg_deadline {
    struct cg_deadline *next, *prev; /* NULL: in no list */
    uint64_t at;                     /* when it is over */
    uint64_t queued; /* what the list believes; corrected lazily */
    uint8_t list;
};

struct cg_deadlines {
    struct cg_deadline head[DEADLINE_LISTS]; /* rings */
    uint64_t length_us[DEADLINE_LISTS];      /* 0: never */
};

void cg_deadlines_init(struct cg_deadlines *d);
/* From now on; changes of list and first settings cost O(1). */
void cg_deadline_set(struct cg_deadlines *d, struct cg_deadline *n,
                     enum cg_deadline_list list, uint64_t now_us);
void cg_deadline_clear(struct cg_deadline *n);
/* Changes the length of a list and shortens what is in it. */
void cg_deadlines_shorten(struct cg_deadlines *d, enum cg_deadline_list list,
                          uint64_t length_us, uint64_t now_us);
/* The next one that is over (taken out of its list), or NULL; then *next_us is
 * the time until the next look, UINT64_MAX when nothing is queued. */
struct cg_deadline *cg_deadlines_expired(struct cg_deadlines *d,
                                         uint64_t now_us, uint64_t *next_us);
/* The oldest of a list, or NULL; the next one after it, or NULL. */
struct cg_deadline *cg_deadlines_oldest(struct cg_deadlines *d,
                                        enum cg_deadline_list list);
struct cg_deadline *cg_deadlines_next(struct cg_deadlines *d,
                                      struct cg_deadline *n);

#endif
