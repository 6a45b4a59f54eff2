/* SPDX-License-Identifier: MIT */
#include "core/arbiter/plan.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/base/memory.h"
#include "core/py/app.h"

enum {
    QUICK_MS = 5000,  /* a death within this is a quick one */
    BACKOFF_MS = 100, /* doubled by each quick death in a row */
    BACKOFF_MAX_MS = 5000,
    HURRY_MS = 2000, /* patience after a second request to stop */
    ABORT_MS = 1000, /* from ABRT to KILL */
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
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
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
cg_plan_init(struct cg_plan *p, int target, uint64_t graceful_ms,
             uint64_t timeout_ms, bool daemon)
{
    *p = (struct cg_plan){.target = target,
                          .graceful_ms = graceful_ms,
                          .timeout_ms = timeout_ms,
                          .daemon = daemon,
                          .generation = 1};
}

void
cg_plan_release(struct cg_plan *p)
{
    free(p->workers);
    free(p->effects);
    *p = (struct cg_plan){0};
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

static bool
is_ending(const struct cg_plan *p)
{
    return p->phase >= PLAN_STOPPING;
}

/* Workers of the current generation that are not told to stop. */
static int
count_live(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].generation == p->generation &&
             p->workers[i].state != ROSTER_STOPPING;
    }
    return n;
}

static int
count_ready(const struct cg_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->nworkers; i++) {
        n += p->workers[i].generation == p->generation &&
             p->workers[i].state == ROSTER_READY;
    }
    return n;
}

static void
stop_worker(struct cg_plan *p, struct cg_plan_worker *w, int sig,
            uint64_t now_ms)
{
    w->state = ROSTER_STOPPING;
    w->kill_at_ms = now_ms + p->graceful_ms + TICK_MS;
    send_signal(p, w->pid, sig);
}

static struct cg_plan_worker *
oldest_live(struct cg_plan *p)
{
    struct cg_plan_worker *oldest = NULL;
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (w->generation == p->generation && w->state != ROSTER_STOPPING &&
            (oldest == NULL || w->age < oldest->age)) {
            oldest = w;
        }
    }
    return oldest;
}

/* Brings the number of workers to the target. */
static void
manage(struct cg_plan *p, uint64_t now_ms)
{
    if (is_ending(p)) {
        return;
    }
    int live = count_live(p) + p->spawning;
    if (live < p->target && now_ms >= p->spawn_after_ms) {
        for (int i = live; i < p->target; i++) {
            emit(p, EFFECT_SPAWN);
            p->spawning++;
        }
    }
    live = count_live(p);
    for (; live > p->target && p->phase != PLAN_RELOADING; live--) {
        stop_worker(p, oldest_live(p), SIGTERM, now_ms);
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
begin_stop(struct cg_plan *p, enum cg_plan_phase phase, uint64_t now_ms)
{
    p->phase = phase;
    p->stop_at_ms = now_ms + p->graceful_ms;
    emit(p, EFFECT_STOP_LISTENING);
    signal_all(p, phase == PLAN_STOPPING ? SIGTERM : SIGQUIT, now_ms);
    finish_if_empty(p);
}

static void
halt(struct cg_plan *p, int status, const char *reason, uint64_t now_ms)
{
    if (p->exit_status == 0) { /* the first reason is the one that counts */
        p->exit_status = status;
        p->reason = reason;
    }
    if (!is_ending(p)) {
        begin_stop(p, PLAN_STOPPING, now_ms);
    }
}

/* ---- reloading ---- */

static void
leave_gate(struct cg_plan *p)
{
    p->phase = PLAN_RUNNING;
    p->gate = p->gate_failures = 0;
}

/* What was deployed after the last reload began counts too. */
static void
reload_again(struct cg_plan *p)
{
    if (p->reload_again) {
        p->reload_again = false;
        emit(p, EFFECT_RELOAD);
    }
}

static void
commit(struct cg_plan *p, uint64_t now_ms)
{
    leave_gate(p);
    emit(p, EFFECT_COMMIT);
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (w->generation != p->generation && w->state != ROSTER_STOPPING) {
            stop_worker(p, w, SIGTERM, now_ms);
        }
    }
    reload_again(p);
}

static void
revert(struct cg_plan *p, uint64_t now_ms)
{
    say(p, CG_ERROR,
        "Reload failed: the new workers do not boot; the previous ones keep "
        "serving");
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        if (w->generation == p->generation && w->state != ROSTER_STOPPING) {
            stop_worker(p, w, SIGTERM, now_ms);
        }
    }
    p->generation--;
    p->target = p->old_target;
    p->quick_deaths = 0;
    p->spawn_after_ms = 0;
    leave_gate(p);
    emit(p, EFFECT_REVERT);
    manage(p, now_ms);
    reload_again(p);
}

void
cg_plan_reloaded(struct cg_plan *p, bool ok, int target, uint64_t graceful_ms,
                 uint64_t timeout_ms, uint64_t now_ms)
{
    if (!ok || is_ending(p)) {
        return;
    }
    p->old_target = p->target;
    p->graceful_ms = graceful_ms;
    p->timeout_ms = timeout_ms;
    p->generation++;
    p->target = p->gate = target;
    p->gate_failures = 0;
    p->quick_deaths = 0;
    p->spawn_after_ms = 0;
    if (target != p->old_target) {
        struct cg_effect *e = emit(p, EFFECT_WORKERS_CHANGED);
        e->number = target;
        e->old = p->old_target;
    }
    p->phase = PLAN_RELOADING;
    if (target == 0) {
        commit(p, now_ms);
    }
    manage(p, now_ms);
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
    if (is_ending(p) || target == p->target) {
        return;
    }
    struct cg_effect *e = emit(p, EFFECT_WORKERS_CHANGED);
    e->number = target;
    e->old = p->target;
    p->target = target;
    if (p->phase == PLAN_RELOADING && p->gate > target) {
        p->gate = target;
    }
    manage(p, now_ms);
}

static void
on_stop_signal(struct cg_plan *p, int sig, uint64_t now_ms)
{
    if (!is_ending(p)) {
        begin_stop(p, sig == SIGTERM ? PLAN_STOPPING : PLAN_QUITTING, now_ms);
    } else if (sig != SIGTERM && p->phase == PLAN_STOPPING) {
        say(p, CG_INFO, "Quick shutdown requested");
        p->phase = PLAN_QUITTING;
        p->stop_at_ms = now_ms + HURRY_MS;
        signal_all(p, SIGQUIT, now_ms);
    }
}

static void
on_reload_signal(struct cg_plan *p)
{
    if (is_ending(p)) {
        return;
    }
    say(p, CG_INFO, "Hang up: Master");
    if (p->phase == PLAN_RELOADING) {
        say(p, CG_INFO, "A reload is under way, another one follows it");
        p->reload_again = true;
        return;
    }
    emit(p, EFFECT_RELOAD);
}

static void
on_winch(struct cg_plan *p, uint64_t now_ms)
{
    if (!p->daemon) {
        say(p, CG_DEBUG, "SIGWINCH ignored. Not daemonized");
        return;
    }
    say(p, CG_INFO, "graceful stop of workers");
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
    switch (sig) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT: on_stop_signal(p, sig, now_ms); break;
    case SIGHUP: on_reload_signal(p); break;
    case SIGTTIN: cg_plan_set_target(p, p->target + 1, now_ms); break;
    case SIGTTOU:
        if (p->target > 1) {
            cg_plan_set_target(p, p->target - 1, now_ms);
        }
        break;
    case SIGUSR1:
        emit(p, EFFECT_REOPEN_LOGS);
        signal_all(p, SIGUSR1, now_ms);
        break;
    case SIGUSR2:
        say(p, CG_WARNING,
            "USR2 ignored: the upgrade of a running server is not available "
            "yet");
        break;
    case SIGWINCH: on_winch(p, now_ms); break;
    default: break;
    }
}

/* ---- children ---- */

void
cg_plan_start(struct cg_plan *p, uint64_t now_ms)
{
    if (p->target == 0) {
        p->phase = PLAN_RUNNING;
        p->serving = true;
        emit(p, EFFECT_SERVING);
    }
    manage(p, now_ms);
}

static uint64_t
backoff_ms(int deaths)
{
    uint64_t ms = BACKOFF_MS;
    for (int i = 1; i < deaths && ms < BACKOFF_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

void
cg_plan_spawned(struct cg_plan *p, int pid, uint64_t now_ms)
{
    p->spawning--;
    if (pid < 0) {
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
    if (p->phase == PLAN_STARTING) {
        p->phase = PLAN_RUNNING;
    }
    if (!p->serving && count_ready(p) >= p->target) {
        p->serving = true;
        emit(p, EFFECT_SERVING);
    }
    if (p->phase == PLAN_RELOADING && count_ready(p) >= p->gate) {
        commit(p, now_ms);
    }
}

static const char *
name_of(int sig)
{
    const char *name = sigabbrev_np(sig);
    return name != NULL ? name : "signal";
}

static void
say_end(struct cg_plan *p, const struct cg_plan_worker *w, int status)
{
    if (WIFEXITED(status)) {
        if (WEXITSTATUS(status) != 0) {
            say(p, CG_ERROR, "Worker (pid:%d) exited with code %d.", w->pid,
                WEXITSTATUS(status));
        }
        return;
    }
    int sig = WTERMSIG(status);
    enum cg_level level = sig == SIGKILL   ? CG_ERROR
                          : sig == SIGTERM ? CG_INFO
                                           : CG_WARNING;
    const char *guess = sig != SIGKILL ? ""
                        : w->killed    ? " It did not stop in time."
                                       : " Perhaps out of memory?";
    say(p, level, "Worker (pid:%d) was sent SIG%s!%s", w->pid, name_of(sig),
        guess);
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
    } else if (p->phase == PLAN_RELOADING && w->generation == p->generation) {
        p->gate_failures++;
    }
}

static void
count_death(struct cg_plan *p, const struct cg_plan_worker *w, int status,
            uint64_t now_ms)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (clean || now_ms - w->born_ms >= QUICK_MS) {
        p->quick_deaths = 0;
        return;
    }
    /* the first one may be chance: it is replaced at once */
    if (++p->quick_deaths > 1) {
        p->spawn_after_ms = now_ms + backoff_ms(p->quick_deaths - 1);
    }
}

static void
forget(struct cg_plan *p, struct cg_plan_worker *w)
{
    *w = p->workers[--p->nworkers];
}

bool
cg_plan_exited(struct cg_plan *p, int pid, int status, uint64_t now_ms)
{
    struct cg_plan_worker *found = find(p, pid);
    if (found == NULL) {
        return false;
    }
    struct cg_plan_worker w = *found;
    say_end(p, &w, status);
    forget(p, found);
    if (w.state == ROSTER_BOOTING && WIFEXITED(status) &&
        (WEXITSTATUS(status) == CG_EXIT_BOOT ||
         WEXITSTATUS(status) == CG_EXIT_APP)) {
        on_boot_failure(p, &w, WEXITSTATUS(status), now_ms);
    }
    if (w.state != ROSTER_STOPPING) {
        count_death(p, &w, status, now_ms);
    }
    if (p->phase == PLAN_RELOADING && p->gate_failures > 0) {
        revert(p, now_ms);
    }
    manage(p, now_ms);
    finish_if_empty(p);
    return true;
}

/* ---- time ---- */

static void
kill_worker(struct cg_plan *p, struct cg_plan_worker *w)
{
    w->killed = true;
    w->kill_at_ms = 0;
    send_signal(p, w->pid, SIGKILL);
}

void
cg_plan_silent(struct cg_plan *p, int pid, uint64_t silent_ms, uint64_t now_ms)
{
    struct cg_plan_worker *w = find(p, pid);
    if (w == NULL || p->timeout_ms == 0 || silent_ms <= p->timeout_ms) {
        return;
    }
    if (w->aborted_ms == 0) {
        say(p, CG_CRITICAL, "WORKER TIMEOUT (pid:%d)", pid);
        w->aborted_ms = now_ms;
        send_signal(p, pid, SIGABRT);
    } else if (!w->killed && now_ms - w->aborted_ms >= ABORT_MS) {
        kill_worker(p, w);
    }
}

void
cg_plan_tick(struct cg_plan *p, uint64_t now_ms)
{
    for (int i = 0; i < p->nworkers; i++) {
        struct cg_plan_worker *w = &p->workers[i];
        bool late = w->kill_at_ms != 0 && now_ms >= w->kill_at_ms;
        bool over = is_ending(p) && now_ms >= p->stop_at_ms;
        if (!w->killed && w->state == ROSTER_STOPPING && (late || over)) {
            kill_worker(p, w);
        }
    }
    manage(p, now_ms);
    finish_if_empty(p);
}

int
cg_plan_patience(const struct cg_plan *p, uint64_t now_ms)
{
    uint64_t next = now_ms + TICK_MS;
    if (is_ending(p) && p->stop_at_ms < next) {
        next = p->stop_at_ms;
    }
    if (!is_ending(p) && p->spawn_after_ms > now_ms &&
        p->spawn_after_ms < next && count_live(p) < p->target) {
        next = p->spawn_after_ms;
    }
    return next > now_ms ? (int)(next - now_ms) : 1;
}
