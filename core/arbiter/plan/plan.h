/* SPDX-License-Identifier: MIT */
/*
 * Plan: what the master decides, without doing any of it. Events go in
 * (signals, children's ends, boots, ticks), effects come out in order. No
 * system call, no clock, no Python: every sequence of signals is a unit test.
 * The arbiter is its only user; it carries the effects out, and the answers to
 * some of them (a pid, a reloaded configuration) come back as events.
 *
 * A phase leads on to those on its right, and a reload back:
 *
 *                ┌─────────────┐
 *     STARTING ─ RUNNING ─ RELOADING ─ DRAINING ─ STOPPING ─ QUITTING ─ DONE
 *
 * reactions.c has the table of phases and signals; life.c what follows from a
 * worker's birth and end, watch.c what time brings; target.c, gate.c, stop.c
 * and masters.c what these set off, backoff.c how long that has to wait;
 * roster.c and effects.c are what all of them read and write.
 */
#ifndef CG_ARBITER_PLAN_H
#define CG_ARBITER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/events.h"
#include "logging/log.h"

/* X-macro: the phases of the server. */
#define CG_PLAN_PHASES(X)                                                      \
    X(STARTING, "starting") /* no worker has booted yet */                     \
    X(RUNNING, "running")                                                      \
    X(RELOADING, "reloading") /* a new generation boots beside the old one */  \
    X(DRAINING, "draining")   /* serves on until shutdown_delay is over */     \
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
    X(LOG, "log")         /* level, text */                                    \
    X(SPAWN, "spawn")     /* one worker; answer with spawned */                \
    X(KILL, "kill")       /* pid, sig */                                       \
    X(RELOAD, "reload")   /* answer with reloaded */                           \
    X(COMMIT, "commit")   /* the new generation serves */                      \
    X(REVERT, "revert")   /* it does not: back to the old settings */          \
    X(REEXEC, "reexec")   /* a new master beside us; answer with reexeced */   \
    X(PROMOTE, "promote") /* the old master is gone */                         \
    X(REOPEN_LOGS, "reopen logs")                                              \
    X(EXPLAIN, "explain")       /* what pid was doing */                       \
    X(TRACE, "trace")           /* pid: ask for its Python stacks */           \
    X(TELL_TRACE, "tell trace") /* pid: log them */                            \
    X(DRAIN, "drain")           /* readiness is withdrawn */                   \
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
    /* LOG: what it is about; TROUBLE and pid 0 if nothing of that is known */
    enum cg_event_word kind_of_event;
    enum cg_death_cause cause;
    char text[200];
};

/* Everything the settings say to the plan. */
struct cg_plan_options {
    int target;
    int most; /* workers that there is room for; 0: any number */
    bool daemon;
    uint64_t graceful_ms;
    uint64_t delay_ms;    /* shutdown_delay */
    uint64_t timeout_ms;  /* 0: never, here and in the next ones */
    uint64_t lifetime_ms; /* of a worker */
    uint64_t lifetime_jitter_ms;
    uint64_t rss_limit; /* bytes */
    int share;          /* percent of the workers that are replaced at once */
    bool before;        /* a worker ends before its successor is started */
};

/* X-macro: the states of a worker on the roster. */
#define CG_ROSTER_STATES(X)                                                    \
    X(BOOTING, "booting")                                                      \
    X(READY, "ready")                                                          \
    X(LEAVING, "leaving")   /* serves until its successor does */              \
    X(STOPPING, "stopping") /* was told to stop */
enum cg_plan_worker_state {
#define X(id, word) ROSTER_##id,
    CG_ROSTER_STATES(X)
#undef X
};

/* X-macro: why we end a worker with KILL, as the line on its end says it. */
#define CG_KILL_REASONS(X)                                                     \
    X(NONE, "")                                                                \
    X(STOP, " It did not stop in time.")                                       \
    X(TIMEOUT, " It was silent for longer than timeout.")
enum cg_kill_reason {
#define X(id, text) KILL_##id,
    CG_KILL_REASONS(X)
#undef X
};

/* What is known about a SIGKILL that was not ours. */
enum cg_oom { OOM_UNKNOWN, OOM_YES, OOM_NO };

struct cg_plan_worker {
    int pid;
    uint32_t age, generation;
    enum cg_plan_worker_state state;
    uint64_t born_ms;
    bool served;           /* it was READY once */
    uint64_t retire_at_ms; /* its lifetime ends then; 0: never */
    bool wants_out;        /* to be replaced as soon as it may */
    bool spent;            /* a request hangs in it: KILL if it stays */
    bool over;             /* it serves no more, and ends by itself */
    int heavy;             /* samples above the limit in a row */
    uint64_t traced_ms;    /* its stacks were asked for then; 0: not */
    uint64_t tell_at_ms;   /* its stacks are to be logged then; 0: never */
    uint64_t aborted_ms;   /* ABRT was sent then; 0: not */
    uint64_t kill_at_ms;   /* a stopping worker's patience; 0: none */
    enum cg_kill_reason killed;
};

struct cg_plan {
    enum cg_plan_phase phase;
    struct cg_plan_options o, old; /* old: until the gate is left */
    uint32_t generation, age;
    uint64_t chance;                /* state of the random numbers */
    struct cg_plan_worker *workers; /* owned */
    int nworkers;
    int spawning;      /* SPAWN effects without an answer yet */
    int gate;          /* workers of the new generation that must boot */
    int gate_failures; /* boots of it that failed */
    uint64_t gate_begun_ms;
    uint64_t gate_late_ms; /* it takes long from then on */
    bool gate_told;        /* that it does */
    int gate_deaths; /* its workers that ended otherwise before they served */
    bool hup_waits, usr2_waits; /* until the reload under way has ended */
    bool reload_asked;          /* RELOAD has no answer yet */
    int reexec_pid;             /* the new master, 0: none */
    int parent_pid;             /* the old master, 0: none */
    int before_winch;      /* workers to come back if the new master dies */
    uint64_t stop_at_ms;   /* then KILL; while draining: then stop */
    uint64_t repeat_at_ms; /* while quitting: QUIT again; 0: never */
    int repeats;           /* how often that was */
    int exit_status;
    const char *reason;
    int quick_deaths;        /* in a row */
    uint64_t last_death_ms;  /* of them */
    uint64_t spawn_after_ms; /* back-off */
    /* in a row, that ended before they served, while the old ones serve on */
    int failed_successors;
    bool is_fault_of_code;       /* as the last worker says that failed */
    uint64_t successor_after_ms; /* back-off of these */
    bool serving;
    bool hands_off; /* somebody else says when those too many end */
    /* effects in order; the arbiter takes them */
    struct cg_effect *effects;
    size_t neffects, effect_at, effects_cap;
};

enum { CG_PLAN_TICK_MS = 1000 }; /* the plan looks around that often */

/* parent_pid: the master that we are to succeed, 0 if none. chance: any
 * number, the start of the random ones. */
void cg_plan_init(struct cg_plan *p, const struct cg_plan_options *o,
                  int parent_pid, uint64_t chance);
void cg_plan_release(struct cg_plan *p);
/* The one place that changes the phase; of the plan's files alone. */
void cg_plan_enter(struct cg_plan *p, enum cg_plan_phase phase);
static inline bool
cg_plan_is_ending(const struct cg_plan *p)
{
    return p->phase >= PLAN_STOPPING;
}
const char *cg_plan_phase_word(enum cg_plan_phase phase);
const char *cg_roster_word(enum cg_plan_worker_state state);
/* "Master", or "Master.2" while the one that it succeeds is there. */
const char *cg_plan_name(const struct cg_plan *p);
/* Whether another master uses the same listening sockets. */
bool cg_plan_shares_sockets(const struct cg_plan *p);

/* ---- events; now_ms is monotonic ---- */
void cg_plan_start(struct cg_plan *p, uint64_t now_ms);
void cg_plan_signal(struct cg_plan *p, int sig, uint64_t now_ms);
/* What it does, without the line that it came: a hook asked for it. */
void cg_plan_handle(struct cg_plan *p, int sig, uint64_t now_ms);
/* Somebody else forks one more worker, which nobody asked for; its answer
 * comes as that of SPAWN. */
void cg_plan_spawn_more(struct cg_plan *p);
/* Ends the workers that are more than the target, where that is not done
 * otherwise (hands_off). */
void cg_plan_cull(struct cg_plan *p, uint64_t now_ms);
/* The answer to SPAWN: the child, or pid < 0 (-errno) when fork failed. */
void cg_plan_spawned(struct cg_plan *p, int pid, uint64_t now_ms);
void cg_plan_ready(struct cg_plan *p, int pid, uint64_t now_ms);
/* It asks to be replaced; why is for the log, may be "". */
void cg_plan_retire(struct cg_plan *p, int pid, const char *why,
                    uint64_t now_ms);
/* It serves no more and does what comes last: its hook, Python's end. */
void cg_plan_over(struct cg_plan *p, int pid);
/* What a worker that does not boot says of it, before its end is seen: whether
 * it is of a kind that another worker can be the cause of. */
void cg_plan_explain_failure(struct cg_plan *p, const char *text);
/* status as of waitpid. False: no child of ours. */
bool cg_plan_exited(struct cg_plan *p, int pid, int status, enum cg_oom oom,
                    uint64_t now_ms);
/* Whether it ended by the TERM that it was sent to stop: it had no handler yet.
 * That is no death to be explained. */
bool cg_plan_was_stopped(const struct cg_plan_worker *w, int status);
/* What is known of a worker, or NULL; valid until the next event. */
const struct cg_plan_worker *cg_plan_worker(const struct cg_plan *p, int pid);
/* The target, or as many as there is room for. */
int cg_plan_fitting(const struct cg_plan_options *o);
/* The answer to RELOAD; o is NULL when nothing changed (it failed). A new
 * target is not an effect: the hook nworkers_changed comes before on_reload. */
void cg_plan_reloaded(struct cg_plan *p, const struct cg_plan_options *o,
                      uint64_t now_ms);
/* A hook wants the end, with that status; reason must stay. */
void cg_plan_exit(struct cg_plan *p, int status, const char *reason,
                  uint64_t now_ms);
/* The answer to REEXEC; pid < 0 when fork failed. */
void cg_plan_reexeced(struct cg_plan *p, int pid);
/* The parent is no longer the master that we are to succeed. */
void cg_plan_orphaned(struct cg_plan *p);
void cg_plan_set_target(struct cg_plan *p, int target, uint64_t now_ms);
/* Whether it was told to stop, so that graceful_timeout bounds it. */
bool cg_plan_is_stopping(const struct cg_plan *p, int pid);
/* A worker gave no sign of life for that long. */
void cg_plan_silent(struct cg_plan *p, int pid, uint64_t silent_ms,
                    uint64_t now_ms);
/* A request of it took longer than it may, and does not end. */
void cg_plan_stuck(struct cg_plan *p, int pid, uint64_t now_ms);
/* A worker's resident bytes. */
void cg_plan_weighed(struct cg_plan *p, int pid, uint64_t rss, uint64_t now_ms);
void cg_plan_tick(struct cg_plan *p, uint64_t now_ms);

/* The next effect, or false. */
bool cg_plan_next(struct cg_plan *p, struct cg_effect *ret);
/* Milliseconds until a tick matters; at most 1000. */
int cg_plan_patience(const struct cg_plan *p, uint64_t now_ms);

#endif
