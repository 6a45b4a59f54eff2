/* SPDX-License-Identifier: MIT */
/*
 * The decisions. Order of a phase's life: STARTING until the first worker
 * serves, RUNNING, RELOADING while a new generation is at its gate, DRAINING,
 * then STOPPING or QUITTING, DONE. What comes out is a queue of effects; the
 * answers to some of them (a pid, a reloaded configuration) come back as
 * events.
 */
#include "core/arbiter/plan.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/base/memory.h"
#include "core/py/runtime/app.h"

enum {
    QUICK_MS = 5000,  /* a death within this is a quick one */
    CALM_MS = 30000,  /* without one: all is well again */
    BACKOFF_MS = 100, /* doubled by each quick death in a row */
    BACKOFF_MAX_MS = 5000,
    SUCCESSOR_MS = 1000, /* the same where nobody is missing */
    SUCCESSOR_MAX_MS = 300 * 1000,
    HURRY_MS = 2000,      /* patience after a second request to stop */
    TRACE_MS = 200,       /* from the wish for stacks to ABRT */
    ABORT_MS = 1000,      /* from ABRT to KILL */
    HEAVY = 3,            /* samples above the limit until it counts */
    FORKS_A_TURN = 16,    /* signals and children come between */
    GATE_LATE_MS = 30000, /* where timeout is none */
    GATE_DEATHS = 3,      /* so many are no chance any more */
    REPEATS = 3,          /* of a QUIT that did not do it */
    TICK_MS = 1000
};

const char *
cg_plan_phase_word(enum cg_plan_phase phase)
{
    static const char *const word[] = {
#define X(id, text) [PLAN_##id] = text,
        CG_PLAN_PHASES(X)
#undef X
    };
    return (size_t)phase < CG_COUNT(word) ? word[phase] : "?";
}

const char *
cg_roster_word(enum cg_plan_worker_state state)
{
    static const char *const word[] = {
#define X(id, text) [ROSTER_##id] = text,
        CG_ROSTER_STATES(X)
#undef X
    };
    return (size_t)state < CG_COUNT(word) ? word[state] : "?";
}

/* ---- effects ---- */

static struct cg_effect *
emit(struct cg_plan *p, enum cg_effect_kind kind)
{
    if (p->neffects == p->effects_cap) {
        p->effects_cap = p->effects_cap != 0 ? p->effects_cap * 2 : 16;
        p->effects =
            cg_realloc(p->effects, p->effects_cap * sizeof *p->effects);
    }
    struct cg_effect *e = &p->effects[p->neffects++];
    *e = (struct cg_effect){.kind = kind};
    return e;
}

__attribute__((format(printf, 3, 4))) static void
say(struct cg_plan *p, enum cg_level level, const char *fmt, ...)
{
    struct cg_effect *e = emit(p, EFFECT_LOG);
    va_list ap;
    e->level = level;
    e->kind_of_event = CG_HAPPENED_TROUBLE;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
}

/* What the line just said is about. */
static void
classify(struct cg_plan *p, enum cg_event_word kind, int pid)
{
    struct cg_effect *e = &p->effects[p->neffects - 1];
    e->kind_of_event = kind;
    e->pid = pid;
}

static void
about(struct cg_plan *p, enum cg_effect_kind kind, int pid)
{
    emit(p, kind)->pid = pid;
}

static void
send_signal(struct cg_plan *p, int pid, int sig)
{
    struct cg_effect *e = emit(p, EFFECT_KILL);
    e->pid = pid;
    e->sig = sig;
}

bool
cg_plan_next(struct cg_plan *p, struct cg_effect *ret)
{
    if (p->effect_at == p->neffects) {
        p->effect_at = p->neffects = 0;
        return false;
    }
    *ret = p->effects[p->effect_at++];
    return true;
}

/* ---- life ---- */

void
cg_plan_init(struct cg_plan *p, const struct cg_plan_options *o, int parent_pid,
             uint64_t chance)
{
    *p = (struct cg_plan){.o = *o,
                          .old = *o,
                          .generation = 1,
                          .parent_pid = parent_pid,
                          .chance = chance != 0 ? chance : 1};
}

void
cg_plan_release(struct cg_plan *p)
{
    free(p->workers);
    free(p->effects);
    *p = (struct cg_plan){0};
}

const char *
cg_plan_name(const struct cg_plan *p)
{
    return p->parent_pid != 0 ? "Master.2" : "Master";
}

bool
cg_plan_shares_sockets(const struct cg_plan *p)
{
    return p->parent_pid != 0 || p->reexec_pid != 0;
}

static bool
is_ending(const struct cg_plan *p)
{
    return p->phase >= PLAN_STOPPING;
}

/* xorshift; only to spread things in time */
static uint64_t
random_below(struct cg_plan *p, uint64_t n)
{
    p->chance ^= p->chance << 13;
    p->chance ^= p->chance >> 7;
    p->chance ^= p->chance << 17;
    return n != 0 ? p->chance % n : 0;
}

/* ---- the roster ---- */

static struct cg_plan_worker *
find(struct cg_plan *p, int pid)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (p->workers[i].pid == pid) {
            return &p->workers[i];
        }
    }
    return NULL;
}

const struct cg_plan_worker *
cg_plan_worker(const struct cg_plan *p, int pid)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (p->workers[i].pid == pid) {
            return &p->workers[i];
        }
    }
    return NULL;
}

static bool
is_current(const struct cg_plan *p, const struct cg_plan_worker *w)
{
    return w->generation == p->generation;
}

static int
count(const struct cg_plan *p, enum cg_plan_worker_state state)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += is_current(p, &p->workers[i]) && p->workers[i].state == state;
    }
    return n;
}

/* Workers that count against the target. */
static int
count_live(const struct cg_plan *p)
{
    return count(p, ROSTER_BOOTING) + count(p, ROSTER_READY);
}

static void
stop_worker(struct cg_plan *p, struct cg_plan_worker *w, int sig,
            uint64_t now_ms)
{
    w->state = ROSTER_STOPPING;
    w->kill_at_ms = now_ms + p->o.graceful_ms + TICK_MS;
    send_signal(p, w->pid, sig);
}

/* The oldest of the current generation in that state that wants out, or any. */
static struct cg_plan_worker *
oldest(struct cg_plan *p, enum cg_plan_worker_state state, bool wants_out)
{
    struct cg_plan_worker *found = NULL;
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (is_current(p, w) && w->state == state &&
            (w->wants_out || !wants_out) &&
            (found == NULL || w->age < found->age)) {
            found = w;
        }
    }
    return found;
}

/* One too many: a booting one as long as the others serve alone. */
static struct cg_plan_worker *
superfluous(struct cg_plan *p)
{
    bool enough = count(p, ROSTER_READY) > p->o.target;
    return oldest(p, enough ? ROSTER_READY : ROSTER_BOOTING, false);
}

/* ---- make before break ---- */

static int
share(const struct cg_plan *p)
{
    int n = p->o.target * p->o.share / 100;
    return n > 1 ? n : 1;
}

/* Workers that there are for a while besides those that count: until they
 * have ended they need memory too. */
static int
count_extra(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].wants_out && p->workers[i].state >= ROSTER_LEAVING;
    }
    return n;
}

/* Those that want out and may go now serve on, but count no more. Or they go at
 * once, if nobody may start beside them. */
static void
begin_replacing(struct cg_plan *p, uint64_t now_ms)
{
    struct cg_plan_worker *w;
    if (p->phase != PLAN_RUNNING) {
        return;
    }
    while (count_extra(p) < share(p) &&
           (w = oldest(p, ROSTER_READY, true)) != NULL) {
        if (p->o.before) {
            stop_worker(p, w, SIGTERM, now_ms);
        } else {
            w->state = ROSTER_LEAVING;
        }
    }
}

/* As many leave as successors serve. */
static void
release_leaving(struct cg_plan *p, uint64_t now_ms)
{
    int leaving = count(p, ROSTER_LEAVING);
    int surplus = count(p, ROSTER_READY) + leaving - p->o.target;
    for (; surplus > 0 && leaving > 0; surplus--, leaving--) {
        stop_worker(p, oldest(p, ROSTER_LEAVING, false), SIGTERM, now_ms);
    }
}

/* Workers that have a place. One that leaves has none, unless its successors do
 * not boot; where a successor may not start beside it, it has until it ended.
 */
static int
count_placed(const struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.before) {
        return p->nworkers + p->spawning;
    }
    int leaving = now_ms < p->successor_after_ms ? count(p, ROSTER_LEAVING) : 0;
    return count_live(p) + leaving + p->spawning;
}

static void
grow(struct cg_plan *p, uint64_t now_ms)
{
    int n = count_placed(p, now_ms);
    for (; n < p->o.target && p->spawning < FORKS_A_TURN &&
           now_ms >= p->spawn_after_ms;
         n++) {
        emit(p, EFFECT_SPAWN);
        p->spawning++;
    }
}

/* Brings the number of workers to the target. */
static void
manage(struct cg_plan *p, uint64_t now_ms)
{
    if (is_ending(p)) {
        return;
    }
    release_leaving(p, now_ms);
    begin_replacing(p, now_ms);
    grow(p, now_ms);
    int live = count_live(p);
    for (; live > p->o.target && p->phase != PLAN_RELOADING; live--) {
        stop_worker(p, superfluous(p), SIGTERM, now_ms);
    }
}

void
cg_plan_retire(struct cg_plan *p, int pid, const char *why, uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || w->wants_out || w->state == ROSTER_STOPPING) {
        return;
    }
    w->wants_out = true;
    if (why[0] != '\0') {
        say(p, CG_INFO, "Worker (pid:%d) will be replaced: %s", pid, why);
        classify(p, CG_HAPPENED_RECYCLE, pid);
    }
    manage(p, now_ms);
}

void
cg_plan_weighed(struct cg_plan *p, int pid, uint64_t rss, uint64_t now_ms)
{
    enum { MIB = 1 << 20 };
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || p->o.rss_limit == 0) {
        return;
    }
    w->heavy = rss > p->o.rss_limit ? w->heavy + 1 : 0;
    if (w->heavy == HEAVY) {
        char why[100];
        snprintf(why, sizeof why,
                 "it uses %llu MiB of memory, more than max_worker_rss",
                 (unsigned long long)(rss / MIB));
        cg_plan_retire(p, pid, why, now_ms);
    }
}

/* ---- stopping ---- */

static void
signal_all(struct cg_plan *p, int sig, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        if (sig == SIGTERM || sig == SIGQUIT) {
            stop_worker(p, &p->workers[i], sig, now_ms);
        } else {
            send_signal(p, p->workers[i].pid, sig);
        }
    }
}

static void
finish_if_empty(struct cg_plan *p)
{
    if (is_ending(p) && p->phase != PLAN_DONE && p->nworkers == 0) {
        p->phase = PLAN_DONE;
        struct cg_effect *e = emit(p, EFFECT_EXIT);
        e->status = p->exit_status;
        snprintf(e->text, sizeof e->text, "%s",
                 p->reason != NULL ? p->reason : "");
    }
}

static void
begin_quit(struct cg_plan *p, uint64_t patience_ms, uint64_t now_ms)
{
    p->phase = PLAN_QUITTING;
    p->stop_at_ms = now_ms + patience_ms;
    p->repeat_at_ms = now_ms + TICK_MS;
    signal_all(p, SIGQUIT, now_ms);
}

static void
begin_stop(struct cg_plan *p, bool gracefully, uint64_t now_ms)
{
    emit(p, EFFECT_STOP_LISTENING);
    if (gracefully) {
        p->phase = PLAN_STOPPING;
        p->stop_at_ms = now_ms + p->o.graceful_ms;
        signal_all(p, SIGTERM, now_ms);
    } else {
        begin_quit(p, p->o.graceful_ms, now_ms);
    }
    finish_if_empty(p);
}

void
cg_plan_over(struct cg_plan *p, int pid)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w != NULL) {
        w->over = true;
    }
}

/* A signal that comes after Python has looked for one and before it waits for
 * the kernel does not end that wait: the next one does. What it raises may also
 * be swallowed, as by a file that is closed because nobody uses it any more.
 * Not for ever: who took our handler away may mean something else by QUIT. */
static void
repeat_quit(struct cg_plan *p, uint64_t now_ms)
{
    if (p->repeat_at_ms == 0 || now_ms < p->repeat_at_ms) {
        return;
    }
    for (int i = 0; i < p->nworkers; i++) {
        const struct cg_plan_worker *w = &p->workers[i];
        if (!w->over && w->aborted_ms == 0 && w->killed == KILL_NONE) {
            send_signal(p, w->pid, SIGQUIT);
        }
    }
    p->repeat_at_ms = ++p->repeats < REPEATS ? now_ms + TICK_MS : 0;
}

static void
begin_drain(struct cg_plan *p, uint64_t now_ms)
{
    p->phase = PLAN_DRAINING;
    p->stop_at_ms = now_ms + p->o.delay_ms;
    say(p, CG_INFO, "Serving on for %llu s (shutdown_delay)",
        (unsigned long long)(p->o.delay_ms / 1000));
    emit(p, EFFECT_DRAIN);
}

static void
halt(struct cg_plan *p, int status, const char *reason, uint64_t now_ms)
{
    if (p->exit_status == 0) { /* the first reason is the one that counts */
        p->exit_status = status;
        p->reason = reason;
    }
    if (!is_ending(p)) {
        begin_stop(p, true, now_ms);
    }
}

void
cg_plan_exit(struct cg_plan *p, int status, const char *reason, uint64_t now_ms)
{
    halt(p, status, reason, now_ms);
}

/* ---- reloading ---- */

/* Not while more workers are ending than serve: a storm of HUPs would fill the
 * machine with processes. */
static bool
may_reload(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].state == ROSTER_STOPPING;
    }
    return n <= p->o.target || p->o.target == 0;
}

/* What had to wait. */
static void
follow_up(struct cg_plan *p)
{
    if (p->phase > PLAN_RUNNING) {
        return;
    }
    if (p->usr2_waits) {
        emit(p, EFFECT_REEXEC);
        p->usr2_waits = p->hup_waits = false;
    } else if (p->hup_waits && may_reload(p)) {
        emit(p, EFFECT_RELOAD);
        p->hup_waits = false;
    }
}

static void
leave_gate(struct cg_plan *p)
{
    p->phase = PLAN_RUNNING;
    p->gate = p->gate_failures = p->gate_deaths = 0;
    follow_up(p);
}

static void
stop_previous(struct cg_plan *p, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (!is_current(p, w) && w->state != ROSTER_STOPPING) {
            stop_worker(p, w, SIGTERM, now_ms);
        }
    }
}

static void
commit(struct cg_plan *p, uint64_t now_ms)
{
    emit(p, EFFECT_COMMIT);
    stop_previous(p, now_ms);
    leave_gate(p);
}

/* Whenever one more is ready, or fewer are asked for. */
static void
try_gate(struct cg_plan *p, uint64_t now_ms)
{
    if (p->phase == PLAN_RELOADING && count(p, ROSTER_READY) >= p->gate) {
        commit(p, now_ms);
    }
}

static void
forgive(struct cg_plan *p)
{
    p->quick_deaths = 0;
    p->spawn_after_ms = 0;
}

static void
forgive_successors(struct cg_plan *p)
{
    p->failed_successors = 0;
    p->successor_after_ms = 0;
}

static void
tell_target(struct cg_plan *p, int target, int old)
{
    struct cg_effect *e = emit(p, EFFECT_WORKERS_CHANGED);
    e->number = target;
    e->old = old;
}

/* What a predecessor may have to do with it. */
static void
say_hint(struct cg_plan *p)
{
    say(p, CG_WARNING,
        "If the application holds what only one process can have (a lock, a "
        "port, a GPU): with replace = \"before\" old workers end before new "
        "ones are started");
}

static void
say_failed_reload(struct cg_plan *p)
{
    if (p->o.before) {
        say(p, CG_ERROR,
            "Reload failed: the new workers do not boot; others are started "
            "with the previous settings");
        classify(p, CG_HAPPENED_ROLLED_BACK, 0);
        return;
    }
    say(p, CG_ERROR,
        "Reload failed: the new workers do not boot; the previous ones keep "
        "serving");
    classify(p, CG_HAPPENED_ROLLED_BACK, 0);
    if (p->gate_failures > 0) {
        say_hint(p);
    }
}

static void
revert(struct cg_plan *p, uint64_t now_ms)
{
    say_failed_reload(p);
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (is_current(p, w) && w->state != ROSTER_STOPPING) {
            stop_worker(p, w, SIGTERM, now_ms);
        }
    }
    if (p->o.target != p->old.target) {
        tell_target(p, p->old.target, p->o.target);
    }
    p->generation--;
    p->o = p->old;
    forgive(p);
    emit(p, EFFECT_REVERT);
    leave_gate(p);
    manage(p, now_ms);
}

int
cg_plan_fitting(const struct cg_plan_options *o)
{
    return o->most != 0 && o->target > o->most ? o->most : o->target;
}

void
cg_plan_reloaded(struct cg_plan *p, const struct cg_plan_options *o,
                 uint64_t now_ms)
{
    if (o == NULL || is_ending(p)) { /* a hook of the reload wants the end */
        return;
    }
    p->old = p->o;
    p->o = *o;
    p->o.target = cg_plan_fitting(o);
    if (p->o.target != o->target) {
        say(p, CG_WARNING,
            "no more than %d of %d workers fit until the next start or USR2",
            p->o.target, o->target);
    }
    p->generation++;
    forgive_successors(p);
    p->gate = p->o.target;
    p->gate_failures = 0;
    p->gate_late_ms =
        now_ms + (p->o.timeout_ms != 0 ? p->o.timeout_ms : GATE_LATE_MS);
    p->gate_told = false;
    p->before_winch = 0;
    forgive(p);
    p->phase = PLAN_RELOADING;
    if (o->target == 0) {
        commit(p, now_ms);
    } else if (o->before) {
        stop_previous(p, now_ms);
    }
    manage(p, now_ms);
}

/* ---- a second master ---- */

void
cg_plan_reexeced(struct cg_plan *p, int pid)
{
    p->reexec_pid = pid > 0 ? pid : 0;
}

void
cg_plan_orphaned(struct cg_plan *p)
{
    if (p->parent_pid != 0) {
        p->parent_pid = 0;
        say(p, CG_INFO, "Master has been promoted.");
        emit(p, EFFECT_PROMOTE);
    }
}

/* ---- signals ---- */

static const char *
signal_word(int sig)
{
    switch (sig) {
    case SIGHUP: return "hup";
    case SIGQUIT: return "quit";
    case SIGINT: return "int";
    case SIGTERM: return "term";
    case SIGTTIN: return "ttin";
    case SIGTTOU: return "ttou";
    case SIGUSR1: return "usr1";
    case SIGUSR2: return "usr2";
    case SIGWINCH: return "winch";
    default: return NULL;
    }
}

void
cg_plan_set_target(struct cg_plan *p, int target, uint64_t now_ms)
{
    if (is_ending(p) || target == p->o.target) {
        return;
    }
    if (p->o.most != 0 && target > p->o.most) {
        say(p, CG_WARNING, "no more than %d workers fit: %d are not started",
            p->o.most, target);
        return;
    }
    tell_target(p, target, p->o.target);
    p->o.target = target;
    if (p->phase == PLAN_RELOADING && p->gate > target) {
        p->gate = target;
        try_gate(p, now_ms);
    }
    manage(p, now_ms);
}

static void
on_stop_signal(struct cg_plan *p, int sig, uint64_t now_ms)
{
    if (sig == SIGTERM && p->o.delay_ms != 0 && p->phase < PLAN_DRAINING) {
        begin_drain(p, now_ms);
    } else if (!is_ending(p)) {
        begin_stop(p, sig == SIGTERM, now_ms);
    } else if (sig != SIGTERM && p->phase == PLAN_STOPPING) {
        say(p, CG_INFO, "Quick shutdown requested");
        begin_quit(p, HURRY_MS, now_ms);
    }
}

static bool
is_gate_late(const struct cg_plan *p, uint64_t now_ms)
{
    return p->phase == PLAN_RELOADING && now_ms >= p->gate_late_ms;
}

/* Booting is not under timeout: a slow one is no failed one. */
static void
tell_late_gate(struct cg_plan *p, uint64_t now_ms)
{
    if (is_gate_late(p, now_ms) && !p->gate_told) {
        p->gate_told = true;
        say(p, CG_WARNING,
            "The new workers of the reload still boot; the previous ones keep "
            "serving. Another HUP gives them up and starts anew");
    }
}

static void
on_hup(struct cg_plan *p, uint64_t now_ms)
{
    say(p, CG_INFO, "Hang up: %s", cg_plan_name(p));
    if (is_gate_late(p, now_ms)) {
        p->hup_waits = true;
        revert(p, now_ms);
    } else if (p->phase == PLAN_RELOADING) {
        say(p, CG_INFO, "A reload is under way, another one follows it");
        p->hup_waits = true;
    } else if (p->phase < PLAN_DRAINING) {
        p->hup_waits = true;
        follow_up(p);
    }
}

static void
on_usr2(struct cg_plan *p)
{
    if (p->reexec_pid != 0) {
        say(p, CG_WARNING, "USR2 signal ignored. Child exists.");
    } else if (p->parent_pid != 0) {
        say(p, CG_WARNING, "USR2 signal ignored. Parent exists.");
    } else if (p->phase == PLAN_RELOADING) {
        say(p, CG_INFO, "the new master follows the reload under way");
        p->usr2_waits = true;
    } else if (p->phase < PLAN_DRAINING) {
        emit(p, EFFECT_REEXEC);
    }
}

static void
on_winch(struct cg_plan *p, uint64_t now_ms)
{
    if (!p->o.daemon) {
        say(p, CG_DEBUG, "SIGWINCH ignored. Not daemonized");
        return;
    }
    say(p, CG_INFO, "graceful stop of workers");
    if (p->o.target != 0) {
        p->before_winch = p->o.target;
    }
    cg_plan_set_target(p, 0, now_ms);
}

void
cg_plan_signal(struct cg_plan *p, int sig, uint64_t now_ms)
{
    const char *word = signal_word(sig);
    if (word == NULL) {
        say(p, CG_INFO, "Ignoring unknown signal: %d", sig);
        return;
    }
    say(p, CG_INFO, "Handling signal: %s", word);
    cg_plan_handle(p, sig, now_ms);
}

void
cg_plan_handle(struct cg_plan *p, int sig, uint64_t now_ms)
{
    switch (sig) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT: on_stop_signal(p, sig, now_ms); break;
    case SIGHUP: on_hup(p, now_ms); break;
    case SIGTTIN: cg_plan_set_target(p, p->o.target + 1, now_ms); break;
    case SIGTTOU:
        if (p->o.target > 1) {
            cg_plan_set_target(p, p->o.target - 1, now_ms);
        }
        break;
    case SIGUSR1:
        emit(p, EFFECT_REOPEN_LOGS);
        signal_all(p, SIGUSR1, now_ms);
        break;
    case SIGUSR2: on_usr2(p); break;
    case SIGWINCH: on_winch(p, now_ms); break;
    }
}

/* ---- children begin ---- */

void
cg_plan_start(struct cg_plan *p, uint64_t now_ms)
{
    if (p->o.target == 0) {
        p->phase = PLAN_RUNNING;
        p->serving = true;
        emit(p, EFFECT_SERVING);
    }
    manage(p, now_ms);
}

static uint64_t
doubled(uint64_t ms, int times, uint64_t most)
{
    for (int i = 0; i < times && ms < most; i++) {
        ms *= 2;
    }
    return ms < most ? ms : most;
}

static uint64_t
backoff_ms(int deaths)
{
    return doubled(BACKOFF_MS, deaths - 1, BACKOFF_MAX_MS);
}

void
cg_plan_spawned(struct cg_plan *p, int pid, uint64_t now_ms)
{
    p->spawning--;
    if (pid < 0) {
        p->last_death_ms = now_ms;
        p->spawn_after_ms = now_ms + backoff_ms(++p->quick_deaths);
        return;
    }
    p->workers =
        cg_realloc(p->workers, (size_t)(p->nworkers + 1) * sizeof *p->workers);
    struct cg_plan_worker *w = &p->workers[p->nworkers++];
    *w = (struct cg_plan_worker){.pid = pid,
                                 .age = ++p->age,
                                 .generation = p->generation,
                                 .born_ms = now_ms};
    if (p->o.lifetime_ms != 0) {
        w->retire_at_ms = now_ms + p->o.lifetime_ms +
                          random_below(p, p->o.lifetime_jitter_ms + 1);
    }
    if (is_ending(p)) { /* a stop was asked for while it was forked */
        stop_worker(p, w, SIGTERM, now_ms);
    }
}

void
cg_plan_ready(struct cg_plan *p, int pid, uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || w->state != ROSTER_BOOTING) {
        return;
    }
    w->state = ROSTER_READY;
    forgive_successors(p);
    if (p->phase == PLAN_STARTING) {
        p->phase = PLAN_RUNNING;
    }
    if (!p->serving && count(p, ROSTER_READY) >= p->o.target) {
        p->serving = true;
        emit(p, EFFECT_SERVING);
    }
    try_gate(p, now_ms);
    manage(p, now_ms);
}

/* ---- children end ---- */

static const char *
name_of(int sig)
{
    const char *name = sigabbrev_np(sig);
    return name != NULL ? name : "signal";
}

static const char *
who_killed(const struct cg_plan_worker *w, enum cg_oom oom)
{
    static const char *const ours[] = {
#define X(id, text) [KILL_##id] = text,
        CG_KILL_REASONS(X)
#undef X
    };
    static const char *const others[] = {
        [OOM_UNKNOWN] = " Perhaps out of memory?",
        [OOM_YES] = " Out of memory: the kernel's OOM killer chose it "
                    "(memory.events of its cgroup).",
        [OOM_NO] = " Neither this server nor the OOM killer of its cgroup did "
                   "that: another process sent it.",
    };
    return w->killed != KILL_NONE ? ours[w->killed] : others[oom];
}

static void
classify_death(struct cg_plan *p, int pid, enum cg_death_cause cause)
{
    classify(p, CG_HAPPENED_DEATH, pid);
    p->effects[p->neffects - 1].cause = cause;
}

static bool
is_boot_failure(const struct cg_plan_worker *w, int code)
{
    return w->state == ROSTER_BOOTING &&
           (code == CG_EXIT_BOOT || code == CG_EXIT_APP);
}

static void
say_exit(struct cg_plan *p, const struct cg_plan_worker *w, int code)
{
    if (code != 0) {
        say(p, CG_ERROR, "Worker (pid:%d) exited with code %d.", w->pid, code);
    } else if (w->state == ROSTER_BOOTING) {
        say(p, CG_ERROR,
            "Worker (pid:%d) ended before it served, without an error: it "
            "was sent TERM, or the application ended it.",
            w->pid);
    } else {
        return;
    }
    classify_death(p, w->pid,
                   is_boot_failure(w, code) ? CG_DEATH_BOOT : CG_DEATH_EXIT);
}

static enum cg_death_cause
cause_of(const struct cg_plan_worker *w, int sig, enum cg_oom oom)
{
    if (w->killed == KILL_TIMEOUT || (sig == SIGABRT && w->aborted_ms != 0)) {
        return CG_DEATH_TIMEOUT;
    }
    if (sig != SIGKILL) {
        return CG_DEATH_SIGNAL;
    }
    return w->killed == KILL_STOP ? CG_DEATH_STOP
           : oom == OOM_YES       ? CG_DEATH_OOM
                                  : CG_DEATH_KILLED;
}

static void
say_end(struct cg_plan *p, const struct cg_plan_worker *w, int status,
        enum cg_oom oom)
{
    if (WIFEXITED(status)) {
        say_exit(p, w, WEXITSTATUS(status));
        return;
    }
    int sig = WTERMSIG(status);
    enum cg_level level = sig == SIGKILL   ? CG_ERROR
                          : sig == SIGTERM ? CG_INFO
                                           : CG_WARNING;
    say(p, level, "Worker (pid:%d) was sent SIG%s!%s", w->pid, name_of(sig),
        sig == SIGKILL ? who_killed(w, oom) : "");
    classify_death(p, w->pid, cause_of(w, sig, oom));
}

/* A worker that could not load the application. */
static void
on_boot_failure(struct cg_plan *p, const struct cg_plan_worker *w, int code,
                uint64_t now_ms)
{
    if (p->phase == PLAN_STARTING || is_ending(p)) {
        halt(p, code,
             code == CG_EXIT_APP ? "App failed to load."
                                 : "Worker failed to boot.",
             now_ms);
    } else if (p->phase == PLAN_RELOADING && is_current(p, w)) {
        p->gate_failures++;
    }
}

/* A new worker that ended before it served, for whatever reason: a reload that
 * waited for its successors for ever would keep the next one waiting, too. */
static void
count_gate_death(struct cg_plan *p, const struct cg_plan_worker *w)
{
    if (p->phase == PLAN_RELOADING && is_current(p, w)) {
        p->gate_failures += ++p->gate_deaths >= GATE_DEATHS;
    }
}

/* A worker that nobody told to stop. */
static void
count_death(struct cg_plan *p, const struct cg_plan_worker *w, uint64_t now_ms)
{
    if (now_ms - w->born_ms >= QUICK_MS) {
        forgive(p);
        return;
    }
    p->last_death_ms = now_ms;
    /* the first one may be chance: it is replaced at once */
    if (++p->quick_deaths > 1) {
        uint64_t ms = backoff_ms(p->quick_deaths - 1);
        p->spawn_after_ms = now_ms + ms;
        say(p, CG_WARNING,
            "%d workers in a row ended within %d s: the next one is started "
            "in %llu.%llu s",
            p->quick_deaths, QUICK_MS / 1000, (unsigned long long)(ms / 1000),
            (unsigned long long)(ms % 1000 / 100));
    }
}

/* Nobody is missing, since the old one serves on. So there is time, and the log
 * is not filled: what keeps the next one from booting may be the old one. */
static void
count_failed_successor(struct cg_plan *p, uint64_t now_ms)
{
    int n = ++p->failed_successors;
    if (n == 1) { /* may be chance */
        return;
    }
    uint64_t ms = doubled(SUCCESSOR_MS, n - 2, SUCCESSOR_MAX_MS);
    p->successor_after_ms = now_ms + ms;
    say(p, CG_WARNING,
        "%d successors in a row ended before they served: the old workers "
        "serve on, the next successor is started in %llu s",
        n, (unsigned long long)(ms / 1000));
    if (n == 2) {
        say_hint(p);
    }
}

static bool
is_successor(const struct cg_plan *p, const struct cg_plan_worker *w)
{
    return p->phase == PLAN_RUNNING && w->state == ROSTER_BOOTING &&
           count(p, ROSTER_LEAVING) > 0;
}

static void
on_worker_end(struct cg_plan *p, struct cg_plan_worker *found, int status,
              enum cg_oom oom, uint64_t now_ms)
{
    struct cg_plan_worker w = *found;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    say_end(p, &w, status, oom);
    *found = p->workers[--p->nworkers];
    if (is_boot_failure(&w, code)) {
        on_boot_failure(p, &w, code, now_ms);
    } else if (w.state == ROSTER_BOOTING) {
        count_gate_death(p, &w);
    }
    if (is_successor(p, &w)) {
        count_failed_successor(p, now_ms);
    } else if (w.state != ROSTER_STOPPING && !is_ending(p)) {
        count_death(p, &w, now_ms);
    }
    if (p->phase == PLAN_RELOADING && p->gate_failures > 0) {
        revert(p, now_ms);
    }
}

/* What ended the new master, for a line. */
static void
on_new_master_end(struct cg_plan *p, int status, uint64_t now_ms)
{
    int pid = p->reexec_pid;
    p->reexec_pid = 0;
    if (WIFSIGNALED(status)) {
        say(p, CG_ERROR,
            "The new master (pid:%d) was sent SIG%s: this one keeps serving",
            pid, name_of(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        say(p, CG_ERROR,
            "The new master (pid:%d) exited with code %d: this one keeps "
            "serving",
            pid, WEXITSTATUS(status));
    } else {
        say(p, CG_INFO, "The new master (pid:%d) has ended", pid);
    }
    if (p->before_winch != 0 && p->o.target == 0 && !is_ending(p)) {
        say(p, CG_INFO, "the %d workers from before WINCH come back",
            p->before_winch);
        cg_plan_set_target(p, p->before_winch, now_ms);
    }
}

bool
cg_plan_exited(struct cg_plan *p, int pid, int status, enum cg_oom oom,
               uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w != NULL) {
        on_worker_end(p, w, status, oom, now_ms);
    } else if (pid != 0 && pid == p->reexec_pid) {
        on_new_master_end(p, status, now_ms);
    } else {
        return false;
    }
    manage(p, now_ms);
    follow_up(p);
    finish_if_empty(p);
    return true;
}

/* ---- time ---- */

static void
kill_worker(struct cg_plan *p, struct cg_plan_worker *w,
            enum cg_kill_reason why)
{
    w->killed = why;
    send_signal(p, w->pid, SIGKILL);
}

bool
cg_plan_is_stopping(const struct cg_plan *p, int pid)
{
    const struct cg_plan_worker *w = cg_plan_worker(p, pid);
    return w != NULL && w->state == ROSTER_STOPPING;
}

void
cg_plan_silent(struct cg_plan *p, int pid, uint64_t silent_ms, uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || w->aborted_ms != 0) {
        return;
    }
    if (p->o.timeout_ms == 0 || silent_ms <= p->o.timeout_ms) {
        w->traced_ms = 0; /* it came back just in time */
    } else if (w->traced_ms == 0) {
        say(p, CG_CRITICAL, "WORKER TIMEOUT (pid:%d)", pid);
        classify(p, CG_HAPPENED_TIMEOUT, pid);
        about(p, EFFECT_EXPLAIN, pid);
        about(p, EFFECT_TRACE, pid);
        w->traced_ms = now_ms;
    } else if (now_ms - w->traced_ms >= TRACE_MS) {
        about(p, EFFECT_TELL_TRACE, pid);
        w->aborted_ms = now_ms;
        send_signal(p, pid, SIGABRT);
    }
}

void
cg_plan_stuck(struct cg_plan *p, int pid, uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || w->spent) {
        return;
    }
    w->spent = true;
    say(p, CG_ERROR, "A request of worker (pid:%d) does not end", pid);
    classify(p, CG_HAPPENED_TIMEOUT, pid);
    about(p, EFFECT_EXPLAIN, pid);
    about(p, EFFECT_TRACE, pid);
    w->tell_at_ms = now_ms + TRACE_MS;
    cg_plan_retire(p, pid, "a request runs on after request_timeout", now_ms);
}

static void
watch_worker(struct cg_plan *p, struct cg_plan_worker *w, uint64_t now_ms)
{
    bool late = w->kill_at_ms != 0 && now_ms >= w->kill_at_ms;
    bool over = is_ending(p) && now_ms >= p->stop_at_ms;
    if (w->tell_at_ms != 0 && now_ms >= w->tell_at_ms) {
        w->tell_at_ms = 0;
        about(p, EFFECT_TELL_TRACE, w->pid);
    }
    if (w->killed != KILL_NONE) {
        return;
    }
    if (w->aborted_ms != 0 && now_ms - w->aborted_ms >= ABORT_MS) {
        kill_worker(p, w, KILL_TIMEOUT);
    } else if (w->state == ROSTER_STOPPING && (late || over)) {
        kill_worker(p, w, KILL_STOP);
    } else if (w->retire_at_ms != 0 && now_ms >= w->retire_at_ms) {
        w->retire_at_ms = 0;
        cg_plan_retire(p, w->pid, "it reached max_worker_lifetime", now_ms);
    }
}

void
cg_plan_tick(struct cg_plan *p, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        watch_worker(p, &p->workers[i], now_ms);
    }
    if (p->phase == PLAN_DRAINING && now_ms >= p->stop_at_ms) {
        begin_stop(p, true, now_ms);
    }
    repeat_quit(p, now_ms);
    tell_late_gate(p, now_ms);
    if (p->quick_deaths > 0 && now_ms - p->last_death_ms >= CALM_MS) {
        forgive(p);
    }
    manage(p, now_ms);
    finish_if_empty(p);
}

/* The earlier of two; at_ms may be 0: none. */
static uint64_t
sooner(uint64_t next, uint64_t at_ms)
{
    return at_ms != 0 && at_ms < next ? at_ms : next;
}

/* When something is to be done about that worker. */
static uint64_t
due(const struct cg_plan *p, const struct cg_plan_worker *w, uint64_t next)
{
    next = sooner(next, w->tell_at_ms);
    if (w->killed != KILL_NONE) {
        return next;
    }
    if (w->aborted_ms != 0) {
        next = sooner(next, w->aborted_ms + ABORT_MS);
    } else if (w->traced_ms != 0) {
        next = sooner(next, w->traced_ms + TRACE_MS);
    }
    next = sooner(next, w->kill_at_ms);
    return is_ending(p) ? sooner(next, p->stop_at_ms) : next;
}

int
cg_plan_patience(const struct cg_plan *p, uint64_t now_ms)
{
    uint64_t next = now_ms + TICK_MS;
    for (int i = 0; i < p->nworkers; i++) {
        next = due(p, &p->workers[i], next);
    }
    if (p->phase == PLAN_DRAINING) {
        next = sooner(next, p->stop_at_ms);
    }
    next = sooner(next, p->repeat_at_ms);
    if (now_ms < p->successor_after_ms) {
        next = sooner(next, p->successor_after_ms);
    }
    if (!is_ending(p) && count_placed(p, now_ms) < p->o.target) {
        next = p->spawn_after_ms > now_ms ? sooner(next, p->spawn_after_ms)
                                          : now_ms;
    }
    return next > now_ms ? (int)(next - now_ms) : 1;
}
