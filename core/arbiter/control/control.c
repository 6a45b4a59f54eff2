/* SPDX-License-Identifier: MIT */
/*
 * Control: what an operator's commands do to the master. Each answers at once;
 * one whose effect takes time answers with what the client can wait for. An
 * order is told in the log and among the events, with who gave it; questions
 * are not.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/arbiter/internal.h"
#include "core/arbiter/signals.h"
#include "core/base/fd.h"
#include "core/base/memory.h"

enum { TRACE_MOST = 64 * 1024, WORKERS_MOST = 1 << 20 };

struct order {
    struct cg_arbiter *a;
    const char *const *words; /* behind the command's own */
    int n;
    struct cg_buf *reply;
};

struct command {
    const char *word;
    int least, most; /* words behind it */
    bool is_order;
    void (*run)(const struct order *o);
};

/* ---- answers ---- */

static void
say_done(const struct order *o)
{
    cg_buf_puts(o->reply, "{\"ok\":true}");
}

static void
say_number(const struct order *o, const char *key, int64_t n)
{
    struct cg_json j = {.out = o->reply};
    cg_json_open(&j, '{');
    cg_json_put_bool(&j, "ok", true);
    cg_json_put_int(&j, key, n);
    cg_json_close(&j, '}');
}

static bool
is_ending(const struct cg_arbiter *a)
{
    return a->plan.phase >= PLAN_DRAINING;
}

/* Says that it is too late for an order. */
static bool
refuse_at_end(const struct order *o)
{
    bool ending = is_ending(o->a);
    if (ending) {
        cg_channel_put_error(o->reply, "the server is %s",
                             cg_plan_phase_word(o->a->plan.phase));
    }
    return ending;
}

/* ---- questions ---- */

static void
status(const struct order *o)
{
    cg_arbiter_put_status(o->a, o->reply);
}

static void
requests(const struct order *o)
{
    cg_arbiter_put_requests(o->a, o->reply);
}

static void
config(const struct order *o)
{
    cg_arbiter_put_config(o->a, o->reply);
}

static void
hello(const struct order *o)
{
    struct cg_json j = {.out = o->reply};
    cg_json_open(&j, '{');
    cg_json_put_text(&j, "version", CG_VERSION);
    cg_json_put_int(&j, "pid", o->a->master_pid);
    cg_json_put_text(&j, "name", cg_settings_proc_name(o->a->settings));
    cg_json_put_text(&j, "state", cg_arbiter_state(o->a));
    cg_json_put_int(&j, "old_master_pid", o->a->plan.parent_pid);
    cg_json_put_int(&j, "workers", o->a->nchildren);
    cg_auto(buf) struct cg_buf text = {0};
    cg_sockets_text(&o->a->sockets, &text);
    cg_json_put_text(&j, "address", cg_buf_str(&text));
    cg_json_close(&j, '}');
}

static void
events(const struct order *o)
{
    struct cg_json j = {.out = o->reply};
    cg_json_open(&j, '{');
    cg_json_key(&j, "events");
    cg_events_put(&o->a->events, CG_EVENTS_MOST, &j);
    cg_json_close(&j, '}');
}

static void
why(const struct order *o)
{
    struct cg_json j = {.out = o->reply};
    cg_json_open(&j, '{');
    cg_json_key(&j, "deaths");
    cg_events_put_reports(&o->a->events, o->n > 0 ? atoi(o->words[0]) : 0, &j);
    cg_json_close(&j, '}');
}

/* ---- stacks: asked for, and fetched a moment later ---- */

static bool
is_all(const struct order *o)
{
    return o->n == 0 || strcmp(o->words[0], "all") == 0;
}

/* Whether it is a worker that the words name; says so if there is none. */
static bool
check_worker(const struct order *o)
{
    if (is_all(o)) {
        return true;
    }
    int pid = atoi(o->words[0]);
    if (cg_arbiter_child(o->a, pid) == NULL && !cg_companion_is(o->a, pid)) {
        cg_channel_put_error(o->reply, "'%s' is no worker of this server",
                             o->words[0]);
        return false;
    }
    return true;
}

static bool
is_meant(const struct order *o, const struct cg_child *c)
{
    return is_all(o) || c->pid == atoi(o->words[0]);
}

/* One that still boots has no handler yet: the signal would end it. */
static bool
can_trace(const struct cg_arbiter *a, const struct cg_child *c)
{
    const struct cg_plan_worker *w = cg_plan_worker(&a->plan, c->pid);
    return c->trace_fd >= 0 && w != NULL && w->state != ROSTER_BOOTING &&
           cg_slot_look(c->slot).state != CG_WORKER_ENDING;
}

struct traced {
    int pid; /* -1: not meant, or it gives none */
    int trace_fd;
    const char *name; /* of a companion */
};

static struct traced
companion_of(const struct order *o, int i)
{
    struct traced t = {-1, -1, NULL};
    t.pid = cg_companion_traced(o->a, i, &t.trace_fd, &t.name);
    if (!is_all(o) && t.pid != atoi(o->words[0])) {
        t.pid = -1;
    }
    return t;
}

/* What came too late for who asked before. */
static void
empty(int trace_fd)
{
    if (ftruncate(trace_fd, 0) == 0) {
        lseek(trace_fd, 0, SEEK_SET); /* it is the worker's, too */
    }
}

/* Stacks of threads at once, in C; what waits for a loop when that has time. */
static bool
ask_for_stacks(const struct cg_child *c)
{
    empty(c->trace_fd);
    bool asked = kill(c->pid, CG_TRACE_SIGNAL) == 0;
    if (asked && c->beat_fd < 0) {
        kill(c->pid, CG_WAITING_SIGNAL);
    }
    return asked;
}

static void
trace(const struct order *o)
{
    int n = 0;
    if (!check_worker(o)) {
        return;
    }
    for (int i = 0; i < o->a->nchildren; i++) {
        const struct cg_child *c = &o->a->children[i];
        if (is_meant(o, c) && can_trace(o->a, c)) {
            n += ask_for_stacks(c);
        }
    }
    for (int i = 0; i < o->a->companions.n; i++) {
        struct traced t = companion_of(o, i);
        n += t.pid > 0 && kill(t.pid, CG_TRACE_SIGNAL) == 0;
    }
    say_number(o, "asked", n);
}

static void
put_trace_of(const struct traced *c, struct cg_json *j)
{
    cg_auto(free) char *text = cg_malloc(TRACE_MOST);
    ssize_t n = c->trace_fd >= 0 ? pread(c->trace_fd, text, TRACE_MOST, 0) : -1;
    cg_json_open(j, '{');
    cg_json_put_int(j, "pid", c->pid);
    cg_json_put_text(j, "companion", c->name);
    cg_json_key(j, "stacks");
    if (n > 0) {
        cg_json_slice(j, (struct cg_slice){text, (size_t)n});
        empty(c->trace_fd);
    } else {
        cg_json_null(j);
    }
    cg_json_close(j, '}');
}

static void
stacks(const struct order *o)
{
    struct cg_json j = {.out = o->reply};
    if (!check_worker(o)) {
        return;
    }
    cg_json_open(&j, '{');
    cg_json_key(&j, "workers");
    cg_json_open(&j, '[');
    for (int i = 0; i < o->a->nchildren; i++) {
        if (is_meant(o, &o->a->children[i])) {
            const struct cg_child *c = &o->a->children[i];
            put_trace_of(&(struct traced){c->pid, c->trace_fd, NULL}, &j);
        }
    }
    for (int i = 0; i < o->a->companions.n; i++) {
        struct traced t = companion_of(o, i);
        if (t.pid > 0) {
            put_trace_of(&t, &j);
        }
    }
    cg_json_close(&j, ']');
    cg_json_close(&j, '}');
}

/* ---- orders ---- */

/* A signal to itself: what it does, hooks and lines, is what it always does.
 * The number of the reload that will have this one's effect. */
static void
reload(const struct order *o)
{
    if (!refuse_at_end(o)) {
        cg_signals_raise(SIGHUP);
        say_number(o, "reload", o->a->reloads_begun + 1);
    }
}

static void
reopen(const struct order *o)
{
    cg_signals_raise(SIGUSR1);
    say_done(o);
}

static void
upgrade(const struct order *o)
{
    const struct cg_plan *p = &o->a->plan;
    if (refuse_at_end(o)) {
        return;
    }
    if (o->a->master_pid == 1) {
        cg_channel_put_error(o->reply,
                             "the master is PID 1, whose end is the end of its "
                             "container: start the container anew");
    } else if (p->reexec_pid != 0) {
        cg_channel_put_error(o->reply, "there is a new master already (pid:%d)",
                             p->reexec_pid);
    } else if (p->parent_pid != 0) {
        cg_channel_put_error(o->reply, "the old master is still there (pid:%d)",
                             p->parent_pid);
    } else {
        cg_signals_raise(SIGUSR2);
        say_done(o);
    }
}

static void
stop(const struct order *o)
{
    bool now = o->n > 0 && strcmp(o->words[0], "now") == 0;
    if (o->n > 0 && !now) {
        cg_channel_put_error(o->reply, "stop takes `now` or nothing");
        return;
    }
    cg_signals_raise(now ? SIGQUIT : SIGTERM);
    say_done(o);
}

/* "4", "+1", "-2": the number of workers that is meant; -1: none. */
static int64_t
wanted(const char *word, int now)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(word, &end, 10);
    bool relative = *word == '+' || *word == '-';
    if (end == word || *end != '\0' || errno != 0 || n > WORKERS_MOST ||
        n < -WORKERS_MOST) {
        return -1;
    }
    return relative ? now + n : n;
}

static void
scale(const struct order *o)
{
    struct cg_arbiter *a = o->a;
    int now = a->wanted_workers >= 0 ? a->wanted_workers : a->plan.o.target;
    int64_t n = wanted(o->words[0], now);
    if (refuse_at_end(o)) {
        return;
    }
    if (n < 1) {
        cg_channel_put_error(o->reply,
                             "'%s': at least one worker has to be left; write "
                             "a number, +1 or -1 (`drain` takes the server out "
                             "of service)",
                             o->words[0]);
    } else if (a->plan.o.most != 0 && n > a->plan.o.most) {
        cg_channel_put_error(o->reply,
                             "no more than %d workers fit until the next start",
                             a->plan.o.most);
    } else {
        a->wanted_workers = (int)n;
        say_number(o, "workers", n);
    }
}

static void
set_drained(const struct order *o, bool drained)
{
    struct cg_arbiter *a = o->a;
    if (refuse_at_end(o)) {
        return;
    }
    if (a->drained != drained) {
        a->drained = drained;
        atomic_store(&a->board->master->draining, drained);
        cg_events_add(&a->events,
                      drained ? CG_HAPPENED_DRAIN : CG_HAPPENED_RESUME, 0, "%s",
                      drained ? "Readiness is withdrawn: connections are "
                                "closed after their reply"
                              : "The server is ready again");
    }
    say_done(o);
}

static void
drain(const struct order *o)
{
    set_drained(o, true);
}

static void
resume(const struct order *o)
{
    set_drained(o, false);
}

static void
recycle(const struct order *o)
{
    int n = 0;
    if (refuse_at_end(o) || !check_worker(o)) {
        return;
    }
    for (int i = 0; i < o->a->nchildren; i++) {
        const struct cg_child *c = &o->a->children[i];
        if (is_meant(o, c)) {
            cg_plan_retire(&o->a->plan, c->pid, "an operator asked for it",
                           cg_arbiter_now_ms());
            n++;
        }
    }
    say_number(o, "workers", n);
}

static void
loglevel(const struct order *o)
{
    enum cg_level level;
    if (!cg_level_of(o->words[0], &level)) {
        cg_channel_put_error(o->reply,
                             "'%s' is no level: write debug, info, warning, "
                             "error or critical",
                             o->words[0]);
        return;
    }
    atomic_store(&o->a->board->master->level, (uint32_t)level);
    say_done(o);
}

/* ---- which ---- */

static const struct command commands[] = {
    {"hello", 0, 0, false, hello},       {"status", 0, 0, false, status},
    {"requests", 0, 0, false, requests}, {"events", 0, 0, false, events},
    {"why", 0, 1, false, why},           {"trace", 0, 1, false, trace},
    {"config", 0, 0, false, config},     {"stacks", 0, 1, false, stacks},
    {"reload", 0, 0, true, reload},      {"reopen", 0, 0, true, reopen},
    {"scale", 1, 1, true, scale},        {"drain", 0, 0, true, drain},
    {"resume", 0, 0, true, resume},      {"recycle", 0, 1, true, recycle},
    {"loglevel", 1, 1, true, loglevel},  {"upgrade", 0, 0, true, upgrade},
    {"stop", 0, 1, true, stop},
};

static void
run(void *self, const struct cg_channel_peer *peer, const char *const *words,
    int n, struct cg_buf *reply)
{
    struct cg_arbiter *a = self;
    const struct order o = {a, words + 1, n - 1, reply};
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        const struct command *c = &commands[i];
        if (strcmp(words[0], c->word) != 0) {
            continue;
        }
        if (o.n < c->least || o.n > c->most) {
            cg_channel_put_error(reply, "%s: wrong number of words", c->word);
            return;
        }
        if (c->is_order) {
            cg_arbiter_tell_order(a, peer, words, n);
        }
        c->run(&o);
        return;
    }
    cg_channel_put_error(reply, "this server (%s) has no such command",
                         CG_VERSION);
}

/* ---- the channel ---- */

void
cg_arbiter_open_channel(struct cg_arbiter *a)
{
    struct cg_error err = {0};
    if (!cg_settings_bool(a->settings, CG_control)) {
        return;
    }
    a->channel_calls = (struct cg_channel_calls){.run = run, .self = a};
    a->channel = cg_channel_open(a->master_pid, &a->channel_calls, &err);
    if (a->channel == NULL) {
        cg_log_line(a->log, CG_WARNING,
                    "%s: `cgunicorn status` and the like "
                    "do not reach this server",
                    err.text);
    }
}
