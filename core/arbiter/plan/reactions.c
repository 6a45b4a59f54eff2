/* SPDX-License-Identifier: MIT */
/*
 * Reactions: what each phase answers to each signal, as a table.
 *
 * Other events have none: what they bring does not differ by phase but by
 * numbers (how many are READY, LEAVING, missing; what time it is), and a cell
 * would only call the function that counts. They are in life.c and watch.c.
 */
#include <signal.h>

#include "core/arbiter/plan/effects.h"
#include "core/arbiter/plan/gate.h"
#include "core/arbiter/plan/masters.h"
#include "core/arbiter/plan/roster.h"
#include "core/arbiter/plan/stop.h"
#include "core/base/memory.h"

enum { HURRY_MS = 2000 }; /* patience after a second request to stop */

/* X-macro: the signals that mean something to the master. */
#define SIGNALS_OF_MASTER(X)                                                   \
    X(TERM, "term")                                                            \
    X(INT, "int")                                                              \
    X(QUIT, "quit")                                                            \
    X(HUP, "hup")                                                              \
    X(USR2, "usr2")                                                            \
    X(TTIN, "ttin")                                                            \
    X(TTOU, "ttou")                                                            \
    X(WINCH, "winch")                                                          \
    X(USR1, "usr1")

enum signal_id {
#define X(id, word) ON_##id,
    SIGNALS_OF_MASTER(X)
#undef X
        SIGNALS
};

static const struct {
    int number;
    const char *word; /* as gunicorn logs it */
} signals[SIGNALS] = {
#define X(id, word) [ON_##id] = {SIG##id, word},
    SIGNALS_OF_MASTER(X)
#undef X
};

typedef void reaction(struct cg_plan *p, uint64_t now_ms);

/* ---- the end ---- */

static void
stop(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_begin_stop(p, true, now_ms);
}

static void
drain_or_stop(struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.delay_ms != 0) {
        cg_plan_begin_drain(p, now_ms);
    } else {
        stop(p, now_ms);
    }
}

static void
quit(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_begin_stop(p, false, now_ms);
}

static void
hurry(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_say(p, CG_INFO, "Quick shutdown requested");
    cg_plan_begin_quit(p, HURRY_MS, now_ms);
}

/* ---- anew ---- */

static void
hang_up(struct cg_plan *p, uint64_t now_ms)
{
    (void)now_ms;
    cg_plan_say(p, CG_INFO, "Hang up: %s", cg_plan_name(p));
}

static void
reload(struct cg_plan *p, uint64_t now_ms)
{
    hang_up(p, now_ms);
    p->hup_waits = true;
    cg_plan_follow_up(p);
}

/* A generation that takes long is given up for the next one. */
static void
reload_next(struct cg_plan *p, uint64_t now_ms)
{
    hang_up(p, now_ms);
    p->hup_waits = true;
    if (cg_gate_is_late(p, now_ms)) {
        cg_gate_revert(p, now_ms);
    } else {
        cg_plan_say(p, CG_INFO,
                    "A reload is under way, another one follows it");
    }
}

static void
reexec(struct cg_plan *p, uint64_t now_ms)
{
    (void)now_ms;
    if (!cg_masters_has_other(p)) {
        cg_plan_emit(p, EFFECT_REEXEC);
    }
}

static void
reexec_next(struct cg_plan *p, uint64_t now_ms)
{
    (void)now_ms;
    if (!cg_masters_has_other(p)) {
        cg_plan_say(p, CG_INFO, "the new master follows the reload under way");
        p->usr2_waits = true;
    }
}

static void
no_reexec(struct cg_plan *p, uint64_t now_ms)
{
    (void)now_ms;
    cg_masters_has_other(p);
}

/* ---- how many ---- */

static void
one_more(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_set_target(p, p->o.target + 1, now_ms);
}

static void
one_less(struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.target > 1) {
        cg_plan_set_target(p, p->o.target - 1, now_ms);
    }
}

static void
nobody(struct cg_plan *p, uint64_t now_ms)
{
    if (!p->o.daemon) {
        cg_plan_say(p, CG_INFO, "SIGWINCH ignored. Not daemonized");
        return;
    }
    cg_plan_say(p, CG_INFO, "graceful stop of workers");
    if (p->o.target != 0) {
        p->before_winch = p->o.target;
    }
    cg_plan_set_target(p, 0, now_ms);
}

/* ---- the logs ---- */

static void
reopen(struct cg_plan *p, uint64_t now_ms)
{
    cg_plan_emit(p, EFFECT_REOPEN_LOGS);
    cg_roster_signal(p, SIGUSR1, now_ms);
}

/* ---- the table ---- */

#define ROW(phase, term, int_quit, hup, usr2, ttin, ttou, winch, usr1)         \
    [PLAN_##                                                                   \
        phase] = {[ON_TERM] = term, [ON_INT] = int_quit, [ON_QUIT] = int_quit, \
                  [ON_HUP] = hup,   [ON_USR2] = usr2,    [ON_TTIN] = ttin,     \
                  [ON_TTOU] = ttou, [ON_WINCH] = winch,  [ON_USR1] = usr1}

/* NULL: it changes nothing any more */
/* clang-format off */
static reaction *const table[PLAN_DONE + 1][SIGNALS] = {
/*      phase      TERM           INT, QUIT  HUP          USR2         TTIN      TTOU      WINCH   USR1 */
    ROW(STARTING,  drain_or_stop, quit,      reload,      reexec,      one_more, one_less, nobody, reopen),
    ROW(RUNNING,   drain_or_stop, quit,      reload,      reexec,      one_more, one_less, nobody, reopen),
    ROW(RELOADING, drain_or_stop, quit,      reload_next, reexec_next, one_more, one_less, nobody, reopen),
    ROW(DRAINING,  stop,          quit,      hang_up,     no_reexec,   one_more, one_less, nobody, reopen),
    ROW(STOPPING,  NULL,          hurry,     hang_up,     no_reexec,   NULL,     NULL,     nobody, reopen),
    ROW(QUITTING,  NULL,          NULL,      hang_up,     no_reexec,   NULL,     NULL,     nobody, reopen),
    ROW(DONE,      NULL,          NULL,      hang_up,     no_reexec,   NULL,     NULL,     nobody, reopen),
};
/* clang-format on */

static enum signal_id
identify(int sig)
{
    int id = 0;
    while (id < SIGNALS && signals[id].number != sig) {
        id++;
    }
    return (enum signal_id)id;
}

void
cg_plan_handle(struct cg_plan *p, int sig, uint64_t now_ms)
{
    enum signal_id id = identify(sig);
    reaction *react = id < SIGNALS ? table[p->phase][id] : NULL;
    if (react != NULL) {
        react(p, now_ms);
    }
}

void
cg_plan_signal(struct cg_plan *p, int sig, uint64_t now_ms)
{
    enum signal_id id = identify(sig);
    if (id == SIGNALS) {
        cg_plan_say(p, CG_INFO, "Ignoring unknown signal: %d", sig);
        return;
    }
    cg_plan_say(p, CG_INFO, "Handling signal: %s", signals[id].word);
    cg_plan_handle(p, sig, now_ms);
}
