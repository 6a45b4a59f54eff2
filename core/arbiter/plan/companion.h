/* SPDX-License-Identifier: MIT */
/*
 * The life of a companion, a process that the master keeps beside its workers:
 * when it is started, told to end, killed, started again. Pure, like the plan:
 * times go in, what to do comes out. There is never more than one process of a
 * companion; the next one is started when the last one has ended.
 */
#ifndef CG_PLAN_COMPANION_H
#define CG_PLAN_COMPANION_H

#include <stdbool.h>
#include <stdint.h>

/* X-macro: the states of a companion. */
#define CG_COMPANION_STATES(X)                                                 \
    X(WAITING, "waiting") /* to be started, perhaps after a pause */           \
    X(RUNNING, "running")                                                      \
    X(STOPPING, "stopping") /* was told to */                                  \
    X(GONE, "gone")         /* has ended, and none comes after it */
enum cg_companion_state {
#define X(id, word) COMPANION_##id,
    CG_COMPANION_STATES(X)
#undef X
};
const char *cg_companion_word(enum cg_companion_state s);

enum cg_companion_action {
    COMPANION_NOTHING,
    COMPANION_START, /* answer with started or ended */
    COMPANION_KILL
};

struct cg_companion_life {
    enum cg_companion_state state;
    bool dismissed;       /* it is not to be started again */
    uint64_t born_ms;     /* of the process */
    uint64_t start_at_ms; /* WAITING: not before */
    uint64_t kill_at_ms;  /* STOPPING: KILL then; 0: it was sent */
    int quick;            /* ends in a row, soon after the start */
    int starts;
};

/* What is due at that time; may_start: whether this server is to have any. */
enum cg_companion_action cg_companion_due(struct cg_companion_life *l,
                                          bool may_start, uint64_t now_ms);
void cg_companion_started(struct cg_companion_life *l, uint64_t now_ms);
/* Its process has ended, or could not be made. The pause before the next one
 * in milliseconds, if there was no order to end; else 0. */
uint64_t cg_companion_ended(struct cg_companion_life *l, uint64_t now_ms);
/* It is to end, and with `dismiss` for good; KILL after patience_ms. Whether
 * TERM is to be sent now. */
bool cg_companion_stop(struct cg_companion_life *l, bool dismiss,
                       uint64_t patience_ms, uint64_t now_ms);
/* Milliseconds until something is due; -1: never. */
int cg_companion_patience(const struct cg_companion_life *l, bool may_start,
                          uint64_t now_ms);

#endif
