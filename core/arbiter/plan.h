/* SPDX-License-Identifier: MIT */
/*
 * Plan: what the master decides, without doing any of it. Events go in
 * (signals, children's ends, boots, ticks), effects come out in order. No
 * system call, no clock, no Python: every sequence of signals is a unit test.
 */
#ifndef CG_ARBITER_PLAN_H
#define CG_ARBITER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logging/log.h"

/* X-macro: the phases of the server. */
#define CG_PLAN_PHASES(X)                                                      \
    X(STARTING, "starting") /* no worker has booted yet */                     \
    X(RUNNING, "running")                                                      \
    X(RELOADING, "reloading") /* a new generation boots beside the old one */  \
    X(STOPPING, "stopping")   /* gracefully */                                 \
    X(QUITTING, "quitting")   /* at once */                                    \
    X(DONE, "done")
enum cg_plan_phase {
#define X(id, word) PLAN_##id,
    CG_PLAN_PHASES(X)
#undef X
};

/* X-macro: what the arbiter is to do. */
#define CG_EFFECTS(X)                                                          \
    X(LOG, "log")       /* level, text */                                      \
    X(SPAWN, "spawn")   /* one worker; answer with spawned */                  \
    X(KILL, "kill")     /* pid, sig */                                         \
    X(RELOAD, "reload") /* answer with reloaded */                             \
    X(COMMIT, "commit") /* the new generation serves */                        \
    X(REVERT, "revert") /* it does not: back to the old settings */            \
    X(REOPEN_LOGS, "reopen logs")                                              \
    X(STOP_LISTENING, "stop listening")                                        \
    X(SERVING, "serving")         /* once: the first generation is up */       \
    X(WORKERS_CHANGED, "workers") /* number, old */                            \
    X(EXIT, "exit")               /* status, text (reason) */
enum cg_effect_kind {
#define X(id, word) EFFECT_##id,
    CG_EFFECTS(X)
#undef X
};

struct cg_effect {
    enum cg_effect_kind kind;
    enum cg_level level;
    int pid, sig;
    int number, old;
    int status;
    char text[200];
};

enum cg_plan_worker_state { ROSTER_BOOTING, ROSTER_READY, ROSTER_STOPPING };

struct cg_plan_worker {
    int pid;
    uint32_t age, generation;
    enum cg_plan_worker_state state;
    uint64_t born_ms;
    uint64_t aborted_ms; /* ABRT was sent then; 0: not */
    uint64_t kill_at_ms; /* a stopping worker's patience; 0: none */
    bool killed;         /* by us, with KILL */
};

struct cg_plan {
    enum cg_plan_phase phase;
    int target;
    bool daemon;
    uint64_t graceful_ms, timeout_ms; /* timeout 0: never */
    uint32_t generation, age;
    struct cg_plan_worker *workers; /* owned */
    int nworkers;
    int spawning;      /* SPAWN effects without an answer yet */
    int gate;          /* workers of the new generation that must boot */
    int gate_failures; /* boots of it that failed */
    int old_target;
    bool reload_again;   /* HUP came while a reload was under way */
    uint64_t stop_at_ms; /* then KILL */
    int exit_status;
    const char *reason;
    int quick_deaths;        /* in a row */
    uint64_t spawn_after_ms; /* back-off */
    bool serving;
    /* effects in order; the arbiter takes them */
    struct cg_effect *effects;
    size_t neffects, effect_at, effects_cap;
};

void cg_plan_init(struct cg_plan *p, int target, uint64_t graceful_ms,
                  uint64_t timeout_ms, bool daemon);
void cg_plan_release(struct cg_plan *p);
const char *cg_plan_phase_word(enum cg_plan_phase phase);

/* ---- events; now_ms is monotonic ---- */
void cg_plan_start(struct cg_plan *p, uint64_t now_ms);
void cg_plan_signal(struct cg_plan *p, int sig, uint64_t now_ms);
/* The answer to SPAWN: the child, or pid < 0 (-errno) when fork failed. */
void cg_plan_spawned(struct cg_plan *p, int pid, uint64_t now_ms);
void cg_plan_ready(struct cg_plan *p, int pid, uint64_t now_ms);
/* status as of waitpid. False: no worker of ours. */
bool cg_plan_exited(struct cg_plan *p, int pid, int status, uint64_t now_ms);
/* The answer to RELOAD. */
void cg_plan_reloaded(struct cg_plan *p, bool ok, int target,
                      uint64_t graceful_ms, uint64_t timeout_ms,
                      uint64_t now_ms);
void cg_plan_set_target(struct cg_plan *p, int target, uint64_t now_ms);
/* A worker gave no sign of life for that long. */
void cg_plan_silent(struct cg_plan *p, int pid, uint64_t silent_ms,
                    uint64_t now_ms);
void cg_plan_tick(struct cg_plan *p, uint64_t now_ms);

/* The next effect, or false. */
bool cg_plan_next(struct cg_plan *p, struct cg_effect *ret);
/* Milliseconds until a tick matters; at most 1000. */
int cg_plan_patience(const struct cg_plan *p, uint64_t now_ms);

#endif
