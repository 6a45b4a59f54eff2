/* SPDX-License-Identifier: MIT */
#include "core/engine/loop/deadline.h"

#include <stddef.h>

/* A busy connection moves to the end of its list this often at most, so a list
 * is out of order, and a deadline late, by no more than this. */
enum { SLACK_US = 500 * 1000 };

void
cg_deadlines_init(struct cg_deadlines *d)
{
    for (int i = 0; i < DEADLINE_LISTS; i++) {
        d->head[i].next = d->head[i].prev = &d->head[i];
    }
}

void
cg_deadline_clear(struct cg_deadline *n)
{
    if (n->next != NULL) {
        n->next->prev = n->prev;
        n->prev->next = n->next;
        n->next = n->prev = NULL;
    }
}

static void
append(struct cg_deadlines *d, struct cg_deadline *n)
{
    struct cg_deadline *head = &d->head[n->list];
    n->queued = n->at;
    n->next = head;
    n->prev = head->prev;
    head->prev->next = n;
    head->prev = n;
}

/* One whose list believed it to be earlier. It belongs near the front: behind
 * what is due before it, no more than the slack away. */
static void
correct(struct cg_deadlines *d, struct cg_deadline *n)
{
    struct cg_deadline *head = &d->head[n->list], *after = head->next;
    n->queued = n->at;
    while (after != head && after->queued < n->queued) {
        after = after->next;
    }
    n->next = after;
    n->prev = after->prev;
    after->prev->next = n;
    after->prev = n;
}

void
cg_deadline_set(struct cg_deadlines *d, struct cg_deadline *n,
                enum cg_deadline_list list, uint64_t now_us)
{
    uint64_t length = d->length_us[list];
    n->at = length != 0 ? now_us + length : UINT64_MAX;
    if (n->next != NULL && n->list == list && n->at - n->queued < SLACK_US) {
        return;
    }
    cg_deadline_clear(n);
    n->list = (uint8_t)list;
    append(d, n);
}

void
cg_deadlines_shorten(struct cg_deadlines *d, enum cg_deadline_list list,
                     uint64_t length_us, uint64_t now_us)
{
    d->length_us[list] = length_us;
    struct cg_deadline *head = &d->head[list];
    for (struct cg_deadline *n = head->next; n != head; n = n->next) {
        if (n->at > now_us + length_us) {
            n->at = now_us + length_us;
        }
        n->queued = n->at;
    }
}

static struct cg_deadline *
expired_in(struct cg_deadlines *d, int list, uint64_t now_us, uint64_t *next_us)
{
    struct cg_deadline *head = &d->head[list], *n;
    while ((n = head->next) != head) {
        if (n->queued > now_us) {
            if (n->queued != UINT64_MAX && n->queued - now_us < *next_us) {
                *next_us = n->queued - now_us;
            }
            return NULL;
        }
        cg_deadline_clear(n);
        if (n->at <= now_us) {
            return n;
        }
        correct(d, n);
    }
    return NULL;
}

struct cg_deadline *
cg_deadlines_expired(struct cg_deadlines *d, uint64_t now_us, uint64_t *next_us)
{
    *next_us = UINT64_MAX;
    for (int i = 0; i < DEADLINE_LISTS; i++) {
        struct cg_deadline *n = expired_in(d, i, now_us, next_us);
        if (n != NULL) {
            return n;
        }
    }
    return NULL;
}

struct cg_deadline *
cg_deadlines_next(struct cg_deadlines *d, struct cg_deadline *n)
{
    return n->next == &d->head[n->list] ? NULL : n->next;
}

struct cg_deadline *
cg_deadlines_oldest(struct cg_deadlines *d, enum cg_deadline_list list)
{
    struct cg_deadline *n = d->head[list].next;
    return n == &d->head[list] ? NULL : n;
}
