/* SPDX-License-Identifier: MIT */
/*
 * Every decision of the master without a fork, a clock or a signal: events in,
 * the list of effects out as one line of text.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arbiter/plan/plan.h"
#include "core/base/bytes.h"
#include "core/base/memory.h"

enum { BOOT = 3 << 8, APP = 4 << 8, CODE_1 = 1 << 8, CLEAN = 0 };

static struct cg_plan plan;
static uint64_t now;
static int next_pid;

static const struct cg_plan_options usual = {
    .target = 2, .graceful_ms = 30000, .timeout_ms = 30000, .share = 10};

static void
begin_with(struct cg_plan_options o, int parent)
{
    cg_plan_init(&plan, &o, parent, 7);
    now = 1000000;
    next_pid = 1;
}

static void
clean_up(void)
{
    cg_plan_release(&plan);
}

/* ---- effects as text ---- */

static const char *
effect_word(enum cg_effect_kind kind)
{
    static const char *const word[] = {
#define X(id, text) [EFFECT_##id] = text,
        CG_EFFECTS(X)
#undef X
    };
    return word[kind];
}

static void
put_effect(struct cg_buf *out, const struct cg_effect *e)
{
    cg_buf_puts(out, out->n > 0 ? "; " : "");
    switch (e->kind) {
    case EFFECT_LOG: cg_buf_putf(out, "%d %s", e->level, e->text); break;
    case EFFECT_KILL:
        cg_buf_putf(out, "%s %d", sigabbrev_np(e->sig), e->pid);
        break;
    case EFFECT_EXPLAIN:
    case EFFECT_TRACE:
    case EFFECT_TELL_TRACE:
        cg_buf_putf(out, "%s %d", effect_word(e->kind), e->pid);
        break;
    case EFFECT_WORKERS_CHANGED:
        cg_buf_putf(out, "workers %d->%d", e->old, e->number);
        break;
    case EFFECT_EXIT:
        cg_buf_putf(out, "exit %d%s%s", e->status, e->text[0] ? " " : "",
                    e->text);
        break;
    default: cg_buf_puts(out, effect_word(e->kind)); break;
    }
}

/* What the plan wants now. SPAWN is answered with pids 1, 2, 3 … */
static const char *
effects(void)
{
    static char text[4096];
    cg_auto(buf) struct cg_buf out = {0};
    struct cg_effect e;
    while (cg_plan_next(&plan, &e)) {
        put_effect(&out, &e);
        if (e.kind == EFFECT_SPAWN) {
            cg_plan_spawned(&plan, next_pid++, now);
        }
    }
    snprintf(text, sizeof text, "%s", cg_buf_str(&out));
    return text;
}

#define HINT                                                                   \
    "30 If the application holds what only one process can have (a lock, a "   \
    "port, a GPU): with replace = \"before\" old workers end before new ones " \
    "are started"

#define expect(want) ck_assert_str_eq(effects(), want)

/* ---- common beginnings ---- */

static void
serve_with(struct cg_plan_options o)
{
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    effects();
    for (int pid = 1; pid <= o.target; pid++) {
        cg_plan_ready(&plan, pid, now);
    }
    effects();
}

/* Workers 1 and 2 serve. */
static void
serve(void)
{
    serve_with(usual);
}

static void
signals(const char *names)
{
    for (; *names != '\0'; names += strspn(names, " ")) {
        size_t n = strcspn(names, " ");
        for (int sig = 1; sig < NSIG; sig++) {
            const char *name = sigabbrev_np(sig);
            if (name != NULL && strlen(name) == n &&
                strncmp(name, names, n) == 0) {
                cg_plan_signal(&plan, sig, now);
            }
        }
        names += n;
    }
}

static void
ended(int pid, int status)
{
    ck_assert(cg_plan_exited(&plan, pid, status, OOM_UNKNOWN, now));
}

static void
tick(uint64_t ms)
{
    now += ms;
    cg_plan_tick(&plan, now);
}

/* ---- start ---- */

START_TEST(many_workers_are_forked_a_few_at_a_time)
{
    struct cg_plan_options o = usual;
    struct cg_effect e;
    int forked = 0;
    o.target = 100;
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    effects();
    ck_assert_int_ge(next_pid - 1, 1);
    ck_assert_int_lt(next_pid - 1, 50);
    ck_assert_int_le(cg_plan_patience(&plan, now), 1);
    for (int turns = 0; turns < 100 && next_pid - 1 < 100; turns++) {
        cg_plan_tick(&plan, now);
        effects();
    }
    ck_assert_int_eq(next_pid - 1, 100);
    ck_assert_int_gt(cg_plan_patience(&plan, now), 1);
    while (cg_plan_next(&plan, &e)) {
        forked += e.kind == EFFECT_SPAWN;
    }
    ck_assert_int_eq(forked, 0);
}
END_TEST

START_TEST(a_stop_amidst_many_forks_ends_them)
{
    struct cg_plan_options o = usual;
    o.target = 100;
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    effects();
    int forked = next_pid - 1;
    signals("TERM");
    effects();
    tick(1);
    effects();
    ck_assert_int_eq(next_pid - 1, forked);
    for (int pid = 1; pid <= forked; pid++) {
        ended(pid, CLEAN);
    }
    expect("exit 0");
}
END_TEST

START_TEST(the_start_spawns_the_workers_and_tells_when_all_serve)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "starting");
    expect("spawn; spawn");
    cg_plan_ready(&plan, 1, now);
    expect("");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "running");
    cg_plan_ready(&plan, 2, now);
    expect("serving");
    cg_plan_ready(&plan, 2, now); /* told twice: once is enough */
    cg_plan_ready(&plan, 99, now);
    expect("");
}
END_TEST

/* ---- a program's own arbiter ---- */

START_TEST(a_worker_that_somebody_else_forks_is_on_the_roster)
{
    serve();
    cg_plan_spawn_more(&plan);
    cg_plan_spawned(&plan, next_pid++, now);
    cg_plan_ready(&plan, 3, now);
    expect("TERM 1"); /* one too many: the oldest */
}
END_TEST

START_TEST(who_manages_workers_says_when_those_too_many_end)
{
    serve();
    plan.hands_off = true;
    cg_plan_spawn_more(&plan);
    cg_plan_spawned(&plan, next_pid++, now);
    cg_plan_ready(&plan, 3, now);
    tick(1000);
    expect("");
    cg_plan_cull(&plan, now);
    expect("TERM 1");
}
END_TEST

START_TEST(a_missing_worker_is_started_whoever_manages_them)
{
    serve();
    plan.hands_off = true;
    ended(1, CLEAN);
    tick(1000);
    expect("spawn");
}
END_TEST

START_TEST(nobody_culls_at_the_end)
{
    serve();
    plan.hands_off = true;
    cg_plan_signal(&plan, SIGTERM, now);
    effects();
    cg_plan_cull(&plan, now);
    expect("");
}
END_TEST

START_TEST(no_workers_at_all_is_serving_too)
{
    struct cg_plan_options o = usual;
    o.target = 0;
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    expect("serving");
}
END_TEST

START_TEST(the_first_boot_failure_halts_with_its_status)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    effects();
    ended(1, BOOT);
    expect("40 Worker (pid:1) exited with code 3.; stop listening; TERM 2");
    ended(2, BOOT); /* the second one changes nothing */
    expect("40 Worker (pid:2) exited with code 3.; "
           "exit 3 Worker failed to boot.");
}
END_TEST

START_TEST(an_application_that_is_not_found_halts_with_4)
{
    struct cg_plan_options o = usual;
    o.target = 1;
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    effects();
    ended(1, APP);
    expect("40 Worker (pid:1) exited with code 4.; stop listening; "
           "exit 4 App failed to load.");
}
END_TEST

START_TEST(two_reasons_to_halt_leave_the_first)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    effects();
    ended(1, APP);
    ended(2, BOOT);
    ck_assert(strstr(effects(), "exit 4 App failed to load.") != NULL);
}
END_TEST

START_TEST(a_stop_while_a_worker_is_forked_reaches_it)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    signals("TERM");
    expect("spawn; spawn; 20 Handling signal: term; stop listening; exit 0; "
           "TERM 1; TERM 2");
}
END_TEST

/* ---- every phase and every signal ---- */

/* Into a phase with two workers that serve (in STARTING: that boot). */
static void
be_in(enum cg_plan_phase phase)
{
    struct cg_plan_options o = usual;
    o.delay_ms = phase == PLAN_DRAINING ? 5000 : 0;
    o.daemon = true;
    if (phase == PLAN_STARTING) {
        begin_with(o, 0);
        cg_plan_start(&plan, now);
    } else {
        serve_with(o);
    }
    if (phase == PLAN_RELOADING) {
        cg_plan_reloaded(&plan, &o, now);
    } else if (phase == PLAN_DRAINING) {
        signals("TERM");
    } else if (phase == PLAN_STOPPING) {
        signals("TERM");
    } else if (phase >= PLAN_QUITTING) {
        signals("QUIT");
    }
    if (phase == PLAN_DONE) {
        ended(1, CLEAN);
        ended(2, CLEAN);
    }
    effects();
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), cg_plan_phase_word(phase));
}

/* The effects but for the line that a signal came. */
static const char *
answer_to(const char *sig)
{
    signals(sig);
    const char *text = effects();
    const char *rest = strchr(text, ';');
    return rest != NULL ? rest + 2 : "";
}

START_TEST(each_phase_has_its_answer_to_each_signal)
{
    enum { SIGNALS = 9 };
    static const char *const sig[SIGNALS] = {
        "TERM", "INT", "QUIT", "HUP", "USR2", "TTIN", "TTOU", "WINCH", "USR1"};
#define HUNG "20 Hang up: Master"
#define GRACE "20 graceful stop of workers"
#define LOGS "reopen logs"
#define AT_ONCE "stop listening; QUIT 1; QUIT 2"
#define USUAL                                                                  \
    "stop listening; TERM 1; TERM 2", AT_ONCE, AT_ONCE, HUNG "; reload",       \
        "reexec", "workers 2->3; spawn", "workers 2->1; TERM 1",               \
        GRACE "; workers 2->0; TERM 1; TERM 2", LOGS "; USR1 1; USR1 2"
#define ENDING HUNG, "", "", "", GRACE
    static const char *const want[][SIGNALS] = {
        [PLAN_STARTING] = {USUAL},
        [PLAN_RUNNING] = {USUAL},
        [PLAN_RELOADING] =
            {"stop listening; TERM 1; TERM 2; TERM 3; TERM 4",
             "stop listening; QUIT 1; QUIT 2; QUIT 3; QUIT 4",
             "stop listening; QUIT 1; QUIT 2; QUIT 3; QUIT 4",
             HUNG "; 20 A reload is under way, another one follows it",
             "20 the new master follows the reload under way",
             "workers 2->3; spawn", "workers 2->1",
             GRACE "; workers 2->0; commit; TERM 1; TERM 2; TERM 3; TERM 4",
             LOGS "; USR1 1; USR1 2; USR1 3; USR1 4"},
        [PLAN_DRAINING] = {"stop listening; TERM 1; TERM 2", AT_ONCE, AT_ONCE,
                           HUNG, "", "workers 2->3; spawn",
                           "workers 2->1; TERM 1",
                           GRACE "; workers 2->0; TERM 1; TERM 2",
                           LOGS "; USR1 1; USR1 2"},
        [PLAN_STOPPING] = {"", "20 Quick shutdown requested; QUIT 1; QUIT 2",
                           "20 Quick shutdown requested; QUIT 1; QUIT 2",
                           ENDING, LOGS "; USR1 1; USR1 2"},
        [PLAN_QUITTING] = {"", "", "", ENDING, LOGS "; USR1 1; USR1 2"},
        [PLAN_DONE] = {"", "", "", ENDING, LOGS},
    };
    for (size_t phase = 0; phase < CG_COUNT(want); phase++) {
        for (int i = 0; i < SIGNALS; i++) {
            be_in((enum cg_plan_phase)phase);
            const char *got = answer_to(sig[i]);
            ck_assert_msg(strcmp(got, want[phase][i]) == 0,
                          "%s in %s: '%s', not '%s'", sig[i],
                          cg_plan_phase_word((enum cg_plan_phase)phase), got,
                          want[phase][i]);
            clean_up();
        }
    }
    be_in(PLAN_RUNNING); /* the fixture releases one */
#undef HUNG
#undef GRACE
#undef LOGS
#undef AT_ONCE
#undef USUAL
#undef ENDING
}
END_TEST

/* ---- stopping ---- */

START_TEST(term_stops_gracefully)
{
    serve();
    signals("TERM");
    expect("20 Handling signal: term; stop listening; TERM 1; TERM 2");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "stopping");
    ended(1, CLEAN);
    expect("");
    ended(2, CLEAN);
    expect("exit 0");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "done");
    tick(5000);
    expect("");
}
END_TEST

START_TEST(int_and_quit_stop_at_once)
{
    serve();
    signals("INT");
    expect("20 Handling signal: int; stop listening; QUIT 1; QUIT 2");
    clean_up();
    serve();
    signals("QUIT");
    expect("20 Handling signal: quit; stop listening; QUIT 1; QUIT 2");
}
END_TEST

START_TEST(a_second_term_changes_nothing)
{
    serve();
    signals("TERM");
    effects();
    signals("TERM");
    expect("20 Handling signal: term");
}
END_TEST

START_TEST(int_after_term_hurries)
{
    serve();
    signals("TERM");
    effects();
    signals("INT");
    expect("20 Handling signal: int; 20 Quick shutdown requested; QUIT 1; "
           "QUIT 2");
    signals("QUIT");
    expect("20 Handling signal: quit");
    tick(1999);
    expect("QUIT 1; QUIT 2");
    tick(1);
    expect("KILL 1; KILL 2");
    tick(1000);
    expect("");
    ended(1, SIGKILL);
    expect("40 Worker (pid:1) was sent SIGKILL! It did not stop in time.");
}
END_TEST

START_TEST(workers_that_do_not_stop_are_killed)
{
    serve();
    signals("TERM");
    effects();
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1000);
    now += 29500;
    ck_assert_int_eq(cg_plan_patience(&plan, now), 500);
    tick(500);
    expect("KILL 1; KILL 2");
    ck_assert_int_eq(cg_plan_patience(&plan, now + 9000), 1000);
}
END_TEST

START_TEST(signals_that_make_no_sense_while_stopping_do_nothing)
{
    serve();
    signals("TERM");
    effects();
    signals("HUP TTIN TTOU USR2");
    expect("20 Handling signal: hup; 20 Hang up: Master; "
           "20 Handling signal: ttin; 20 Handling signal: ttou; "
           "20 Handling signal: usr2");
}
END_TEST

START_TEST(shutdown_delay_serves_on_before_it_stops)
{
    struct cg_plan_options o = usual;
    o.delay_ms = 5000;
    serve_with(o);
    signals("TERM");
    expect("20 Handling signal: term; "
           "20 Serving on for 5 s (shutdown_delay); drain");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "draining");
    ended(1, CODE_1);
    expect("40 Worker (pid:1) exited with code 1.; spawn");
    signals("HUP USR2");
    expect("20 Handling signal: hup; 20 Hang up: Master; "
           "20 Handling signal: usr2");
    now += 4900;
    ck_assert_int_eq(cg_plan_patience(&plan, now), 100);
    tick(100);
    expect("stop listening; TERM 2; TERM 3");
}
END_TEST

START_TEST(a_second_signal_ends_the_shutdown_delay)
{
    struct cg_plan_options o = usual;
    o.delay_ms = 5000;
    serve_with(o);
    signals("TERM");
    effects();
    signals("TERM");
    expect("20 Handling signal: term; stop listening; TERM 1; TERM 2");
    clean_up();
    serve_with(o);
    signals("TERM");
    effects();
    signals("QUIT");
    expect("20 Handling signal: quit; stop listening; QUIT 1; QUIT 2");
}
END_TEST

/* ---- a quick stop that a worker missed ---- */

START_TEST(a_quick_stop_is_repeated_to_workers_that_are_not_over)
{
    serve();
    signals("QUIT");
    effects();
    cg_plan_over(&plan, 1);
    tick(999);
    expect("");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1);
    tick(1);
    expect("QUIT 2");
    tick(999);
    expect("");
    tick(1);
    expect("QUIT 2");
    cg_plan_over(&plan, 2);
    tick(1000);
    expect("");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1000);
}
END_TEST

START_TEST(a_quick_stop_is_not_repeated_for_ever)
{
    serve();
    signals("INT");
    effects();
    for (int i = 0; i < 3; i++) {
        tick(1000);
        expect("QUIT 1; QUIT 2");
    }
    tick(1000);
    expect("");
}
END_TEST

START_TEST(a_quick_stop_that_hurries_another_is_repeated_too)
{
    serve();
    signals("TERM");
    effects();
    tick(1500);
    expect("");
    signals("QUIT");
    effects();
    cg_plan_over(&plan, 3); /* of somebody who is gone */
    ended(2, CLEAN);
    tick(1000);
    expect("QUIT 1");
    tick(1000);
    expect("KILL 1");
    tick(1000);
    expect("");
}
END_TEST

START_TEST(a_worker_forked_during_a_quick_stop_gets_it_with_the_next_one)
{
    serve();
    signals("TTIN QUIT");
    expect("20 Handling signal: ttin; workers 2->3; spawn; "
           "20 Handling signal: quit; stop listening; QUIT 1; QUIT 2; TERM 3");
    tick(1000);
    expect("QUIT 1; QUIT 2; QUIT 3");
}
END_TEST

START_TEST(a_worker_that_was_aborted_is_not_told_to_quit_again)
{
    serve();
    cg_plan_silent(&plan, 1, 30001, now);
    now += 200;
    cg_plan_silent(&plan, 1, 30201, now);
    signals("QUIT");
    effects();
    tick(999);
    expect("");
    tick(1);
    expect("KILL 1; QUIT 2");
}
END_TEST

/* ---- other signals ---- */

START_TEST(ttin_adds_and_ttou_takes_the_oldest)
{
    serve();
    signals("TTIN");
    expect("20 Handling signal: ttin; workers 2->3; spawn");
    cg_plan_ready(&plan, 3, now);
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 3->2; TERM 1");
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 2->1; TERM 2");
    signals("TTOU");
    expect("20 Handling signal: ttou");
    ended(1, CLEAN);
    ended(2, CLEAN);
    expect("");
}
END_TEST

START_TEST(ttou_takes_a_booting_worker_rather_than_the_only_ready_one)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    effects();
    cg_plan_ready(&plan, 2, now);
    effects();
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 2->1; TERM 1");
}
END_TEST

START_TEST(ttin_stops_where_there_is_no_room)
{
    struct cg_plan_options o = usual;
    o.most = 2;
    serve_with(o);
    signals("TTIN");
    expect("20 Handling signal: ttin; "
           "30 no more than 2 workers fit: 3 are not started");
}
END_TEST

START_TEST(usr1_reopens_logs_everywhere)
{
    serve();
    signals("USR1");
    expect("20 Handling signal: usr1; reopen logs; USR1 1; USR1 2");
}
END_TEST

START_TEST(winch_is_for_daemons)
{
    serve();
    signals("WINCH");
    expect("20 Handling signal: winch; 20 SIGWINCH ignored. Not daemonized");
    clean_up();
    struct cg_plan_options o = usual;
    o.daemon = true;
    serve_with(o);
    signals("WINCH");
    expect("20 Handling signal: winch; 20 graceful stop of workers; "
           "workers 2->0; TERM 1; TERM 2");
    signals("WINCH");
    expect("20 Handling signal: winch; 20 graceful stop of workers");
    signals("TTIN");
    expect("20 Handling signal: ttin; workers 0->1; spawn");
}
END_TEST

START_TEST(unknown_signals_are_told_and_ignored)
{
    serve();
    cg_plan_signal(&plan, SIGPIPE, now);
    expect("20 Ignoring unknown signal: 13");
}
END_TEST

/* ---- reload ---- */

static void
reload(int target)
{
    struct cg_plan_options o = usual;
    o.target = target;
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &o, now);
}

START_TEST(hup_starts_new_workers_before_old_ones_stop)
{
    serve();
    signals("HUP");
    expect("20 Handling signal: hup; 20 Hang up: Master; reload");
    cg_plan_reloaded(&plan, &usual, now);
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "reloading");
    expect("spawn; spawn");
    cg_plan_ready(&plan, 3, now);
    expect("");
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 1; TERM 2");
    ended(1, CLEAN);
    ended(2, CLEAN);
    expect("");
}
END_TEST

START_TEST(a_reload_that_fails_changes_nothing)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, NULL, now);
    expect("");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "running");
}
END_TEST

START_TEST(hup_forgets_what_ttin_added)
{
    serve();
    signals("TTIN");
    effects();
    cg_plan_ready(&plan, 3, now);
    reload(2);
    expect("spawn; spawn");
    cg_plan_ready(&plan, 4, now);
    cg_plan_ready(&plan, 5, now);
    expect("commit; TERM 1; TERM 2; TERM 3");
}
END_TEST

START_TEST(a_reload_to_no_workers_needs_no_gate)
{
    serve();
    reload(0);
    expect("commit; TERM 1; TERM 2");
}
END_TEST

/* Else the gate would wait for workers that are never started. */
START_TEST(a_reload_to_more_workers_than_fit_starts_those_that_do)
{
    struct cg_plan_options o = usual;
    serve();
    o.target = 5;
    o.most = 3;
    cg_plan_reloaded(&plan, &o, now);
    expect("30 no more than 3 of 5 workers fit until the next start or USR2; "
           "spawn; spawn; spawn");
    for (int pid = 3; pid <= 5; pid++) {
        cg_plan_ready(&plan, pid, now);
    }
    expect("commit; TERM 1; TERM 2");
}
END_TEST

START_TEST(new_workers_that_do_not_boot_bring_the_old_settings_back)
{
    serve();
    reload(3);
    expect("spawn; spawn; spawn");
    cg_plan_ready(&plan, 3, now);
    ended(4, BOOT);
    expect("40 Worker (pid:4) exited with code 3.; "
           "40 Reload failed: the new workers do not boot; the previous ones "
           "keep serving; " HINT "; TERM 3; TERM 5; workers 3->2; revert");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "running");
    ended(3, CLEAN);
    ended(5, SIGTERM);
    expect("20 Worker (pid:5) was sent SIGTERM!");
    ended(1, CODE_1);
    expect("40 Worker (pid:1) exited with code 1.; spawn");
}
END_TEST

/* What the death that is told next was of. */
static enum cg_death_cause
told_cause(void)
{
    enum cg_death_cause cause = CG_DEATH_NONE;
    struct cg_effect e;
    while (cg_plan_next(&plan, &e)) {
        if (e.kind == EFFECT_LOG && e.kind_of_event == CG_HAPPENED_DEATH) {
            cause = e.cause;
        } else if (e.kind == EFFECT_SPAWN) {
            cg_plan_spawned(&plan, next_pid++, now);
        }
    }
    return cause;
}

START_TEST(each_new_worker_of_a_failed_reload_dies_of_its_boot)
{
    serve();
    reload(3);
    effects();
    ended(3, BOOT);
    ck_assert_int_eq(told_cause(), CG_DEATH_BOOT);
    ended(4, BOOT); /* it had been told to stop by then */
    ck_assert_int_eq(told_cause(), CG_DEATH_BOOT);
    ended(5, SIGTERM); /* so had this one, and it stopped */
    ck_assert_int_eq(told_cause(), CG_DEATH_NONE);
    ended(1, BOOT); /* it had served */
    ck_assert_int_eq(told_cause(), CG_DEATH_EXIT);
}
END_TEST

START_TEST(an_old_worker_that_dies_in_a_reload_is_not_replaced)
{
    serve();
    reload(2);
    effects();
    ended(1, BOOT);
    expect("40 Worker (pid:1) exited with code 3.");
    cg_plan_ready(&plan, 3, now);
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 2");
}
END_TEST

START_TEST(hups_during_a_reload_become_one_more_reload)
{
    serve();
    reload(2);
    effects();
    signals("HUP HUP");
    expect("20 Handling signal: hup; 20 Hang up: Master; "
           "20 A reload is under way, another one follows it; "
           "20 Handling signal: hup; 20 Hang up: Master; "
           "20 A reload is under way, another one follows it");
    cg_plan_ready(&plan, 3, now);
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 1; TERM 2; reload");
}
END_TEST

START_TEST(a_reload_waits_while_too_many_workers_are_ending)
{
    serve();
    for (int first = 3; first <= 5; first += 2) { /* 1 to 4 are ending */
        reload(2);
        effects();
        cg_plan_ready(&plan, first, now);
        cg_plan_ready(&plan, first + 1, now);
        effects();
    }
    signals("HUP");
    expect("20 Handling signal: hup; 20 Hang up: Master");
    ended(1, CLEAN);
    expect("");
    ended(3, CLEAN);
    expect("reload");
}
END_TEST

/* Worker 2's successors at the gate are 3 and 4. */
START_TEST(deaths_at_the_gate_are_chance_until_the_third)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &usual, now);
    effects();
    for (int pid = 3; pid <= 5; pid++) {
        ck_assert_int_eq(plan.phase, PLAN_RELOADING);
        ended(pid, pid == 4 ? SIGKILL : 255 << 8);
        effects();
        tick(10000);
        effects();
    }
    ck_assert_int_eq(plan.phase, PLAN_RUNNING);
    ck_assert_int_eq(plan.generation, 1);
}
END_TEST

START_TEST(a_gate_that_takes_long_is_told_once_and_ends_with_another_hup)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &usual, now);
    effects();
    tick(usual.timeout_ms);
    ck_assert_ptr_nonnull(strstr(effects(), "still boot"));
    tick(usual.timeout_ms);
    ck_assert_ptr_null(strstr(effects(), "still boot"));
    signals("HUP");
    const char *all = effects();
    ck_assert_ptr_nonnull(strstr(all, "TERM 3; TERM 4"));
    ck_assert_ptr_nonnull(strstr(all, "revert; reload"));
}
END_TEST

START_TEST(ttou_during_a_reload_lowers_the_gate)
{
    serve();
    reload(2);
    effects();
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 2->1");
    cg_plan_ready(&plan, 3, now);
    expect("commit; TERM 1; TERM 2; TERM 4");
}
END_TEST

/* Nobody who boots is left to notice it. */
START_TEST(a_gate_that_ttou_lowers_to_who_is_ready_opens)
{
    serve();
    reload(3);
    effects();
    cg_plan_ready(&plan, 4, now);
    cg_plan_ready(&plan, 5, now);
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 3->2; commit; TERM 1; TERM 2; "
           "TERM 3");
    ck_assert_int_eq(plan.phase, PLAN_RUNNING);
}
END_TEST

START_TEST(a_stop_during_a_reload_stops_both_generations)
{
    serve();
    reload(2);
    effects();
    signals("TERM");
    expect("20 Handling signal: term; stop listening; TERM 1; TERM 2; "
           "TERM 3; TERM 4");
}
END_TEST

/* ---- upgrade ---- */

START_TEST(usr2_starts_one_new_master)
{
    serve();
    signals("USR2");
    expect("20 Handling signal: usr2; reexec");
    ck_assert(!cg_plan_shares_sockets(&plan));
    cg_plan_reexeced(&plan, 50);
    ck_assert(cg_plan_shares_sockets(&plan));
    signals("USR2");
    expect("20 Handling signal: usr2; 30 USR2 signal ignored. Child exists.");
}
END_TEST

START_TEST(usr2_that_cannot_fork_may_be_tried_again)
{
    serve();
    signals("USR2");
    effects();
    cg_plan_reexeced(&plan, -11);
    signals("USR2");
    expect("20 Handling signal: usr2; reexec");
}
END_TEST

START_TEST(usr2_waits_for_a_reload)
{
    serve();
    reload(2);
    effects();
    signals("USR2 HUP");
    ck_assert(strstr(effects(), "reexec") == NULL);
    cg_plan_ready(&plan, 3, now);
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 1; TERM 2; reexec");
}
END_TEST

START_TEST(the_new_master_is_promoted_when_its_parent_is_gone)
{
    begin_with(usual, 40);
    cg_plan_start(&plan, now);
    effects();
    ck_assert_str_eq(cg_plan_name(&plan), "Master.2");
    ck_assert(cg_plan_shares_sockets(&plan));
    signals("USR2");
    expect("20 Handling signal: usr2; 30 USR2 signal ignored. Parent exists.");
    cg_plan_orphaned(&plan);
    expect("20 Master has been promoted.; promote");
    cg_plan_orphaned(&plan);
    expect("");
    ck_assert_str_eq(cg_plan_name(&plan), "Master");
    ck_assert(!cg_plan_shares_sockets(&plan));
    signals("USR2");
    expect("20 Handling signal: usr2; reexec");
}
END_TEST

START_TEST(a_new_master_that_fails_leaves_the_old_one)
{
    serve();
    cg_plan_reexeced(&plan, 50);
    ended(50, CODE_1);
    expect("40 The new master (pid:50) exited with code 1: this one keeps "
           "serving");
    cg_plan_reexeced(&plan, 51);
    ended(51, SIGKILL);
    expect("40 The new master (pid:51) was sent SIGKILL: this one keeps "
           "serving");
    cg_plan_reexeced(&plan, 52);
    ended(52, CLEAN);
    expect("20 The new master (pid:52) has ended");
    ck_assert(!cg_plan_exited(&plan, 52, CLEAN, OOM_UNKNOWN, now));
}
END_TEST

START_TEST(backing_out_of_an_upgrade_brings_the_workers_back)
{
    struct cg_plan_options o = usual;
    o.daemon = true;
    serve_with(o);
    cg_plan_reexeced(&plan, 50);
    signals("WINCH");
    effects();
    ended(1, CLEAN);
    ended(2, CLEAN);
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &o, now);
    expect("spawn; spawn");
    ended(50, CLEAN);
    expect("20 The new master (pid:50) has ended");
}
END_TEST

START_TEST(a_new_master_that_dies_after_winch_brings_the_workers_back)
{
    struct cg_plan_options o = usual;
    o.daemon = true;
    serve_with(o);
    cg_plan_reexeced(&plan, 50);
    signals("WINCH");
    effects();
    ended(50, SIGSEGV);
    expect("40 The new master (pid:50) was sent SIGSEGV: this one keeps "
           "serving; 20 the 2 workers from before WINCH come back; "
           "workers 0->2; spawn; spawn");
}
END_TEST

/* ---- recycling ---- */

START_TEST(a_worker_that_wants_out_leaves_when_its_successor_serves)
{
    serve();
    cg_plan_retire(&plan, 1, "", now);
    expect("spawn");
    ck_assert_str_eq(cg_roster_word(plan.workers[0].state), "leaving");
    cg_plan_retire(&plan, 1, "", now);
    cg_plan_retire(&plan, 99, "", now);
    expect("");
    cg_plan_ready(&plan, 3, now);
    expect("TERM 1");
    cg_plan_retire(&plan, 1, "", now);
    ended(1, CLEAN);
    expect("");
}
END_TEST

START_TEST(only_a_share_of_the_workers_is_replaced_at_once)
{
    struct cg_plan_options o = usual;
    o.target = 4;
    o.share = 50;
    serve_with(o);
    for (int pid = 4; pid >= 1; pid--) {
        cg_plan_retire(&plan, pid, "", now);
    }
    expect("spawn; spawn");
    cg_plan_ready(&plan, 5, now);
    expect("TERM 3");
    cg_plan_ready(&plan, 6, now);
    expect("TERM 4");
    ck_assert_int_eq(plan.nworkers, 6);
    ended(3, CLEAN); /* only now there is room for the next */
    expect("spawn");
    cg_plan_ready(&plan, 7, now);
    expect("TERM 1");
    ended(4, CLEAN);
    ended(1, CLEAN);
    expect("spawn");
    cg_plan_ready(&plan, 8, now);
    expect("TERM 2");
}
END_TEST

START_TEST(a_successor_that_does_not_boot_keeps_the_old_one_serving)
{
    serve();
    cg_plan_retire(&plan, 1, "", now);
    effects();
    ended(3, BOOT);
    expect("40 Worker (pid:3) exited with code 3.; spawn");
    ended(4, BOOT);
    expect("40 Worker (pid:4) exited with code 3.; "
           "30 2 successors in a row ended before they served: the old workers "
           "serve on, the next successor is started in 1 s; " HINT);
    tick(999);
    expect("");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1);
    tick(1);
    expect("spawn");
    cg_plan_ready(&plan, 5, now);
    expect("TERM 1");
}
END_TEST

/* 379 lines in 15 s. */
START_TEST(successors_that_do_not_boot_have_longer_and_longer_pauses)
{
    static const int pauses[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
    int pid = 3;
    serve();
    cg_plan_retire(&plan, 1, "", now);
    expect("spawn");
    ended(pid++, BOOT);
    effects();
    for (size_t i = 0; i < CG_COUNT(pauses); i++) {
        char want[400];
        now += 20 * 1000; /* it boots slowly */
        ended(pid, BOOT);
        snprintf(want, sizeof want,
                 "40 Worker (pid:%d) exited with code 3.; 30 %d successors in "
                 "a row ended before they served: the old workers serve on, "
                 "the next successor is started in %d s%s",
                 pid, (int)i + 2, pauses[i], i == 0 ? "; " HINT : "");
        expect(want);
        tick((uint64_t)pauses[i] * 1000 - 1);
        expect("");
        tick(1);
        expect("spawn");
        pid++;
    }
    cg_plan_ready(&plan, pid, now);
    expect("TERM 1");
    cg_plan_retire(&plan, 2, "", now);
    ended(1, CLEAN);
    expect("spawn");
    ended(pid + 1, BOOT); /* the count begins anew */
    ck_assert_ptr_nonnull(strstr(effects(), "spawn"));
}
END_TEST

START_TEST(a_worker_that_is_missing_does_not_wait_for_successors)
{
    serve();
    cg_plan_retire(&plan, 1, "", now);
    effects();
    ended(3, BOOT);
    effects();
    ended(4, BOOT);
    effects();
    ended(2, CODE_1);
    expect("40 Worker (pid:2) exited with code 1.; spawn");
    ended(1, CODE_1); /* the one that was to leave */
    effects();
    tick(100); /* the second that ended so soon */
    expect("spawn");
}
END_TEST

/* ---- one after the other ---- */

static void
serve_alone(void)
{
    struct cg_plan_options o = usual;
    o.target = 1;
    o.before = true;
    serve_with(o);
}

START_TEST(before_a_successor_is_started_the_old_worker_ends)
{
    serve_alone();
    cg_plan_retire(&plan, 1, "", now);
    expect("TERM 1");
    tick(1000);
    expect("");
    ck_assert_int_gt(cg_plan_patience(&plan, now), 500); /* it does not spin */
    ended(1, CLEAN);
    expect("spawn");
    cg_plan_ready(&plan, 2, now);
    expect("");
}
END_TEST

START_TEST(before_a_reload_starts_new_workers_the_old_ones_end)
{
    struct cg_plan_options o = usual;
    o.before = true;
    serve_with(o);
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &o, now);
    expect("TERM 1; TERM 2");
    ended(2, CLEAN);
    expect("spawn");
    cg_plan_ready(&plan, 3, now);
    expect("");
    ended(1, CLEAN);
    expect("spawn");
    cg_plan_ready(&plan, 4, now);
    expect("commit");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "running");
}
END_TEST

START_TEST(an_old_worker_that_stays_is_killed_before_its_successor_starts)
{
    serve_alone();
    cg_plan_retire(&plan, 1, "", now);
    effects();
    tick(usual.graceful_ms + 1000);
    expect("KILL 1");
    ended(1, SIGKILL);
    ck_assert_ptr_nonnull(strstr(effects(), "spawn"));
}
END_TEST

START_TEST(a_failed_reload_without_the_old_workers_starts_others)
{
    struct cg_plan_options o = usual;
    o.target = 1;
    o.before = true;
    serve_with(o);
    signals("HUP");
    effects();
    cg_plan_reloaded(&plan, &o, now);
    expect("TERM 1");
    ended(1, CLEAN);
    expect("spawn");
    ended(2, BOOT);
    expect("40 Worker (pid:2) exited with code 3.; 40 Reload failed: the new "
           "workers do not boot; others are started with the previous settings"
           "; revert; spawn");
    cg_plan_ready(&plan, 3, now);
    expect("");
    ck_assert_str_eq(cg_plan_phase_word(plan.phase), "running");
}
END_TEST

START_TEST(only_a_share_ends_before_their_successors)
{
    struct cg_plan_options o = usual;
    o.target = 4;
    o.share = 50;
    o.before = true;
    serve_with(o);
    for (int pid = 4; pid >= 1; pid--) {
        cg_plan_retire(&plan, pid, "", now);
    }
    expect("TERM 4; TERM 3");
    ended(4, CLEAN);
    expect("TERM 1; spawn");
    ended(3, CLEAN);
    expect("TERM 2; spawn");
}
END_TEST

START_TEST(ttou_lets_a_leaving_worker_go_first)
{
    serve();
    cg_plan_retire(&plan, 2, "", now);
    expect("spawn");
    signals("TTOU");
    expect("20 Handling signal: ttou; workers 2->1; TERM 2; TERM 3");
}
END_TEST

START_TEST(nobody_is_replaced_during_a_reload)
{
    serve();
    reload(2);
    effects();
    cg_plan_ready(&plan, 3, now);
    cg_plan_retire(&plan, 3, "", now);
    expect("");
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 1; TERM 2; spawn");
}
END_TEST

START_TEST(a_lifetime_ends_with_a_successor)
{
    struct cg_plan_options o = usual;
    o.lifetime_ms = 60000;
    serve_with(o);
    tick(59999);
    expect("");
    tick(1);
    expect("20 Worker (pid:1) will be replaced: it reached "
           "max_worker_lifetime; spawn; "
           "20 Worker (pid:2) will be replaced: it reached "
           "max_worker_lifetime");
    tick(1000);
    expect("");
    cg_plan_ready(&plan, 3, now);
    expect("TERM 1");
    ended(1, CLEAN);
    expect("spawn");
}
END_TEST

START_TEST(jitter_spreads_lifetimes)
{
    struct cg_plan_options o = usual;
    o.target = 20;
    o.lifetime_ms = 60000;
    o.lifetime_jitter_ms = 30000;
    serve_with(o);
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < plan.nworkers; i++) {
        uint64_t at = plan.workers[i].retire_at_ms - now;
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    ck_assert_uint_ge(least, 60000);
    ck_assert_uint_le(most, 90000);
    ck_assert_uint_gt(most - least, 5000);
}
END_TEST

START_TEST(a_worker_that_stays_above_its_memory_is_replaced)
{
    enum { MIB = 1 << 20 };
    struct cg_plan_options o = usual;
    o.rss_limit = 100 * MIB;
    serve_with(o);
    cg_plan_weighed(&plan, 99, 1000 * MIB, now);
    for (int i = 0; i < 2; i++) {
        cg_plan_weighed(&plan, 1, 120 * MIB, now);
        cg_plan_weighed(&plan, 1, 120 * MIB, now);
        cg_plan_weighed(&plan, 1, 100 * MIB, now); /* it gave some back */
    }
    expect("");
    for (int i = 0; i < 5; i++) {
        cg_plan_weighed(&plan, 1, 120 * MIB, now);
    }
    expect("20 Worker (pid:1) will be replaced: it uses 120 MiB of memory, "
           "more than max_worker_rss; spawn");
}
END_TEST

START_TEST(without_limit_no_memory_is_too_much)
{
    serve();
    for (int i = 0; i < 9; i++) {
        cg_plan_weighed(&plan, 1, UINT64_MAX, now);
    }
    expect("");
}
END_TEST

/* ---- deaths ---- */

START_TEST(a_dead_worker_is_replaced_at_once)
{
    serve();
    tick(10000);
    ended(1, SIGSEGV);
    expect("30 Worker (pid:1) was sent SIGSEGV!; spawn");
}
END_TEST

START_TEST(who_sent_the_kill_is_told)
{
    serve();
    now += 10000;
    cg_plan_exited(&plan, 1, SIGKILL, OOM_UNKNOWN, now);
    expect("40 Worker (pid:1) was sent SIGKILL! Perhaps out of memory?; "
           "spawn");
    cg_plan_exited(&plan, 2, SIGKILL, OOM_YES, now);
    expect("40 Worker (pid:2) was sent SIGKILL! Out of memory: the kernel's "
           "OOM killer chose it (memory.events of its cgroup).; spawn");
    now += 10000;
    cg_plan_exited(&plan, 3, SIGKILL, OOM_NO, now);
    expect("40 Worker (pid:3) was sent SIGKILL! Neither this server nor the "
           "OOM killer of its cgroup did that: another process sent it.; "
           "spawn");
}
END_TEST

START_TEST(a_signal_without_a_name_is_told_too)
{
    serve();
    now += 10000;
    ended(1, 64);
    expect("30 Worker (pid:1) was sent SIGsignal!; spawn");
}
END_TEST

START_TEST(quick_deaths_slow_the_next_starts_down)
{
    static const int wait_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct cg_plan_options o = usual;
    o.target = 1;
    serve_with(o);
    ended(1, CODE_1);
    expect("40 Worker (pid:1) exited with code 1.; spawn");
    for (size_t i = 0; i < CG_COUNT(wait_ms); i++) {
        ended(next_pid - 1, CODE_1);
        ck_assert(strstr(effects(), "spawn") == NULL);
        ck_assert_int_eq(cg_plan_patience(&plan, now),
                         wait_ms[i] < 1000 ? wait_ms[i] : 1000);
        tick((uint64_t)wait_ms[i] - 1);
        expect("");
        tick(1);
        expect("spawn");
    }
}
END_TEST

START_TEST(a_worker_that_ends_by_itself_before_it_serves_counts_too)
{
    struct cg_plan_options o = usual;
    o.target = 1;
    begin_with(o, 0);
    cg_plan_start(&plan, now);
    effects();
    ended(1, CLEAN);
    expect("40 Worker (pid:1) ended before it served, without an error: it was "
           "sent TERM, or the application ended it.; spawn");
    ended(2, CLEAN);
    ck_assert(strstr(effects(), "spawn") == NULL);
}
END_TEST

START_TEST(a_long_life_ends_the_slowing_down)
{
    serve();
    ended(1, CODE_1);
    ended(2, CODE_1);
    effects();
    tick(100);
    effects();
    ck_assert_int_eq(plan.quick_deaths, 2);
    tick(5000);
    ended(3, CODE_1);
    expect("40 Worker (pid:3) exited with code 1.; spawn");
    ck_assert_int_eq(plan.quick_deaths, 0);
}
END_TEST

START_TEST(half_a_minute_of_calm_ends_the_slowing_down)
{
    serve();
    ended(1, CODE_1);
    effects();
    tick(29999);
    ck_assert_int_eq(plan.quick_deaths, 1);
    tick(1);
    ck_assert_int_eq(plan.quick_deaths, 0);
}
END_TEST

START_TEST(a_fork_that_fails_is_tried_again_later)
{
    begin_with(usual, 0);
    cg_plan_start(&plan, now);
    struct cg_effect e;
    while (cg_plan_next(&plan, &e)) {
        cg_plan_spawned(&plan, -11, now);
    }
    tick(199);
    expect("");
    tick(1);
    expect("spawn; spawn");
}
END_TEST

START_TEST(a_boot_failure_while_others_serve_does_not_halt)
{
    serve();
    signals("TTIN");
    effects();
    ended(3, BOOT);
    expect("40 Worker (pid:3) exited with code 3.; spawn");
}
END_TEST

/* ---- timeouts ---- */

START_TEST(a_silent_worker_is_explained_traced_aborted_and_killed)
{
    serve();
    cg_plan_silent(&plan, 1, 30000, now);
    cg_plan_silent(&plan, 99, 90000, now);
    expect("");
    cg_plan_silent(&plan, 1, 30001, now);
    expect("50 WORKER TIMEOUT (pid:1); explain 1; trace 1");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 200);
    now += 199;
    cg_plan_silent(&plan, 1, 30200, now);
    expect("");
    now += 1;
    cg_plan_silent(&plan, 1, 30201, now);
    expect("tell trace 1; ABRT 1");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1000);
    cg_plan_silent(&plan, 1, 30300, now);
    tick(999);
    expect("");
    tick(1);
    expect("KILL 1");
    ended(1, SIGKILL);
    expect("40 Worker (pid:1) was sent SIGKILL! It was silent for longer "
           "than timeout.; spawn");
}
END_TEST

START_TEST(who_is_buried_in_the_same_turn_is_not_signalled)
{
    serve();
    cg_plan_silent(&plan, 1, 30001, now);
    ended(1, SIGKILL);
    expect("50 WORKER TIMEOUT (pid:1); explain 1; "
           "40 Worker (pid:1) was sent SIGKILL! Perhaps out of memory?; spawn");
    cg_plan_ready(&plan, 3, now);
    effects();
    signals("TERM");
    ended(2, 0);
    expect("20 Handling signal: term; stop listening; TERM 3");
    tick(usual.graceful_ms);
    ended(3, 0);
    expect("exit 0");
}
END_TEST

START_TEST(it_knows_whom_it_told_to_stop)
{
    serve();
    ck_assert(!cg_plan_is_stopping(&plan, 1));
    ck_assert(!cg_plan_is_stopping(&plan, 99));
    cg_plan_signal(&plan, SIGTERM, now);
    ck_assert(cg_plan_is_stopping(&plan, 1));
    ck_assert(!cg_plan_is_stopping(&plan, 99));
    clean_up();
}
END_TEST

START_TEST(a_worker_that_comes_back_in_time_is_spared)
{
    serve();
    cg_plan_silent(&plan, 1, 30001, now);
    effects();
    now += 200;
    cg_plan_silent(&plan, 1, 5, now);
    tick(5000);
    expect("");
    cg_plan_silent(&plan, 1, 30001, now);
    expect("50 WORKER TIMEOUT (pid:1); explain 1; trace 1");
}
END_TEST

START_TEST(timeout_0_is_never)
{
    struct cg_plan_options o = usual;
    o.timeout_ms = 0;
    serve_with(o);
    cg_plan_silent(&plan, 1, UINT64_MAX, now);
    expect("");
}
END_TEST

START_TEST(a_request_that_does_not_end_has_its_worker_replaced)
{
    serve();
    cg_plan_stuck(&plan, 99, now);
    expect("");
    cg_plan_stuck(&plan, 1, now);
    expect("40 A request of worker (pid:1) does not end; explain 1; trace 1; "
           "20 Worker (pid:1) will be replaced: a request runs on after "
           "request_timeout; spawn");
    cg_plan_stuck(&plan, 1, now);
    expect("");
    ck_assert_int_eq(cg_plan_patience(&plan, now), 200);
    tick(200);
    expect("tell trace 1");
    cg_plan_ready(&plan, 3, now);
    expect("TERM 1");
    tick(31000);
    expect("KILL 1");
}
END_TEST

/* ---- sys.exit in a hook ---- */

START_TEST(a_hook_ends_the_server_with_its_status)
{
    serve();
    cg_plan_exit(&plan, 7, "a hook.", now);
    expect("stop listening; TERM 1; TERM 2");
    cg_plan_exit(&plan, 8, "another one.", now);
    ended(1, 0);
    ended(2, 0);
    expect("exit 7 a hook.");
}
END_TEST

START_TEST(a_hook_of_a_reload_ends_it)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_exit(&plan, 0, "on_reload.", now);
    cg_plan_reloaded(&plan, &usual, now);
    expect("stop listening; TERM 1; TERM 2");
    ck_assert_int_eq(plan.phase, PLAN_STOPPING);
}
END_TEST

/* It asks within the reload, before the plan hears that it succeeded. */
START_TEST(a_hook_of_a_reload_that_begins_the_end_is_not_forgotten)
{
    struct cg_plan_options o = usual;
    o.delay_ms = 5000;
    serve_with(o);
    signals("HUP");
    expect("20 Handling signal: hup; 20 Hang up: Master; reload");
    cg_plan_handle(&plan, SIGTERM, now);
    cg_plan_reloaded(&plan, &o, now);
    expect("20 Serving on for 5 s (shutdown_delay); drain");
    tick(5000);
    expect("stop listening; TERM 1; TERM 2");
}
END_TEST

START_TEST(a_hook_of_a_reload_that_asks_for_another_gets_it_afterwards)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_handle(&plan, SIGHUP, now);
    expect("20 Hang up: Master");
    cg_plan_reloaded(&plan, &usual, now);
    expect("spawn; spawn");
    cg_plan_ready(&plan, 3, now);
    cg_plan_ready(&plan, 4, now);
    expect("commit; TERM 1; TERM 2; reload");
}
END_TEST

START_TEST(a_reload_asked_for_during_one_that_fails_follows_it)
{
    serve();
    signals("HUP");
    effects();
    cg_plan_handle(&plan, SIGHUP, now);
    effects();
    cg_plan_reloaded(&plan, NULL, now);
    expect("reload");
}
END_TEST

/* ---- the rest ---- */

START_TEST(the_master_looks_around_at_least_once_a_second)
{
    serve();
    ck_assert_int_eq(cg_plan_patience(&plan, now), 1000);
    cg_plan_silent(&plan, 1, 30001, now);
    effects();
    ck_assert_int_eq(cg_plan_patience(&plan, now + 500), 1);
}
END_TEST

START_TEST(words_exist_for_all_states)
{
    ck_assert_str_eq(cg_plan_phase_word(PLAN_QUITTING), "quitting");
    ck_assert_str_eq(cg_plan_phase_word((enum cg_plan_phase)99), "?");
    ck_assert_str_eq(cg_roster_word(ROSTER_STOPPING), "stopping");
    ck_assert_str_eq(cg_roster_word((enum cg_plan_worker_state)99), "?");
}
END_TEST

START_TEST(any_start_of_chance_will_do)
{
    cg_plan_init(&plan, &usual, 0, 0);
    ck_assert_uint_ne(plan.chance, 0);
}
END_TEST

/* Whatever comes in whatever order: no worker is forgotten, none too many is
 * started, and a stop ends it. */
static void
do_something(uint64_t n)
{
    static const int sig[] = {SIGHUP,  SIGTTIN,  SIGTTOU, SIGUSR1,
                              SIGUSR2, SIGWINCH, SIGHUP,  SIGTTIN};
    static const int status[] = {CLEAN, CODE_1, BOOT, SIGKILL};
    const struct cg_plan_worker *w =
        plan.nworkers > 0 ? &plan.workers[n / 8 % (uint64_t)plan.nworkers]
                          : NULL;
    switch (n % 8) {
    case 0: cg_plan_signal(&plan, sig[n / 8 % 8], now); break;
    case 1:
    case 2:
        if (w != NULL) {
            cg_plan_ready(&plan, w->pid, now);
        }
        break;
    case 3:
        if (w != NULL) {
            ended(w->pid, status[n / 64 % 4]);
        }
        break;
    case 4:
        if (w != NULL) {
            cg_plan_retire(&plan, w->pid, "", now);
        }
        break;
    case 5: cg_plan_set_target(&plan, (int)(n / 8 % 6), now); break;
    default: tick(n / 8 % 3000); break;
    }
}

static void
carry_out(uint64_t n)
{
    struct cg_effect e;
    while (cg_plan_next(&plan, &e)) {
        if (e.kind == EFFECT_SPAWN) {
            cg_plan_spawned(&plan, n % 5 == 0 ? -11 : next_pid++, now);
        } else if (e.kind == EFFECT_RELOAD) {
            struct cg_plan_options o = usual;
            o.before = n % 2 == 0;
            cg_plan_reloaded(&plan, n % 3 == 0 ? NULL : &o, now);
        } else if (e.kind == EFFECT_REEXEC) {
            cg_plan_reexeced(&plan, -1);
        }
    }
}

START_TEST(no_order_of_events_confuses_it)
{
    uint64_t x = (uint64_t)_i * 7919 + 1;
    serve();
    for (int i = 0; i < 2000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        do_something(x >> 33);
        carry_out(x >> 40);
        ck_assert_int_eq(plan.spawning, 0);
        ck_assert_int_ge(plan.phase, PLAN_RUNNING);
        ck_assert_int_le(plan.phase, PLAN_RELOADING);
    }
    cg_plan_signal(&plan, SIGTERM, now);
    carry_out(1);
    while (plan.nworkers > 0) {
        ck_assert_int_eq(plan.workers[0].state, ROSTER_STOPPING);
        ended(plan.workers[0].pid, CLEAN);
    }
    ck_assert(strstr(effects(), "exit 0") != NULL);
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("plan");
    TCase *t = tcase_create("plan");
    tcase_add_checked_fixture(t, NULL, clean_up);
    static const TTest *const *const tests[] = {
        &many_workers_are_forked_a_few_at_a_time,
        &a_stop_amidst_many_forks_ends_them,
        &the_start_spawns_the_workers_and_tells_when_all_serve,
        &a_worker_that_somebody_else_forks_is_on_the_roster,
        &who_manages_workers_says_when_those_too_many_end,
        &a_missing_worker_is_started_whoever_manages_them,
        &nobody_culls_at_the_end,
        &no_workers_at_all_is_serving_too,
        &the_first_boot_failure_halts_with_its_status,
        &an_application_that_is_not_found_halts_with_4,
        &two_reasons_to_halt_leave_the_first,
        &a_stop_while_a_worker_is_forked_reaches_it,
        &each_phase_has_its_answer_to_each_signal,
        &term_stops_gracefully,
        &int_and_quit_stop_at_once,
        &a_second_term_changes_nothing,
        &int_after_term_hurries,
        &a_quick_stop_is_repeated_to_workers_that_are_not_over,
        &a_quick_stop_is_not_repeated_for_ever,
        &a_quick_stop_that_hurries_another_is_repeated_too,
        &a_worker_forked_during_a_quick_stop_gets_it_with_the_next_one,
        &a_worker_that_was_aborted_is_not_told_to_quit_again,
        &workers_that_do_not_stop_are_killed,
        &signals_that_make_no_sense_while_stopping_do_nothing,
        &shutdown_delay_serves_on_before_it_stops,
        &a_second_signal_ends_the_shutdown_delay,
        &ttin_adds_and_ttou_takes_the_oldest,
        &ttou_takes_a_booting_worker_rather_than_the_only_ready_one,
        &ttin_stops_where_there_is_no_room,
        &usr1_reopens_logs_everywhere,
        &winch_is_for_daemons,
        &unknown_signals_are_told_and_ignored,
        &hup_starts_new_workers_before_old_ones_stop,
        &a_reload_that_fails_changes_nothing,
        &hup_forgets_what_ttin_added,
        &a_reload_to_no_workers_needs_no_gate,
        &a_reload_to_more_workers_than_fit_starts_those_that_do,
        &new_workers_that_do_not_boot_bring_the_old_settings_back,
        &each_new_worker_of_a_failed_reload_dies_of_its_boot,
        &an_old_worker_that_dies_in_a_reload_is_not_replaced,
        &hups_during_a_reload_become_one_more_reload,
        &a_reload_waits_while_too_many_workers_are_ending,
        &deaths_at_the_gate_are_chance_until_the_third,
        &a_gate_that_takes_long_is_told_once_and_ends_with_another_hup,
        &ttou_during_a_reload_lowers_the_gate,
        &a_gate_that_ttou_lowers_to_who_is_ready_opens,
        &a_stop_during_a_reload_stops_both_generations,
        &usr2_starts_one_new_master,
        &usr2_that_cannot_fork_may_be_tried_again,
        &usr2_waits_for_a_reload,
        &the_new_master_is_promoted_when_its_parent_is_gone,
        &a_new_master_that_fails_leaves_the_old_one,
        &backing_out_of_an_upgrade_brings_the_workers_back,
        &a_new_master_that_dies_after_winch_brings_the_workers_back,
        &a_worker_that_wants_out_leaves_when_its_successor_serves,
        &only_a_share_of_the_workers_is_replaced_at_once,
        &a_successor_that_does_not_boot_keeps_the_old_one_serving,
        &successors_that_do_not_boot_have_longer_and_longer_pauses,
        &a_worker_that_is_missing_does_not_wait_for_successors,
        &before_a_successor_is_started_the_old_worker_ends,
        &before_a_reload_starts_new_workers_the_old_ones_end,
        &an_old_worker_that_stays_is_killed_before_its_successor_starts,
        &a_failed_reload_without_the_old_workers_starts_others,
        &only_a_share_ends_before_their_successors,
        &ttou_lets_a_leaving_worker_go_first,
        &nobody_is_replaced_during_a_reload,
        &a_lifetime_ends_with_a_successor,
        &jitter_spreads_lifetimes,
        &a_worker_that_stays_above_its_memory_is_replaced,
        &without_limit_no_memory_is_too_much,
        &a_dead_worker_is_replaced_at_once,
        &who_sent_the_kill_is_told,
        &a_signal_without_a_name_is_told_too,
        &quick_deaths_slow_the_next_starts_down,
        &a_worker_that_ends_by_itself_before_it_serves_counts_too,
        &a_long_life_ends_the_slowing_down,
        &half_a_minute_of_calm_ends_the_slowing_down,
        &a_fork_that_fails_is_tried_again_later,
        &a_boot_failure_while_others_serve_does_not_halt,
        &a_silent_worker_is_explained_traced_aborted_and_killed,
        &who_is_buried_in_the_same_turn_is_not_signalled,
        &it_knows_whom_it_told_to_stop,
        &a_worker_that_comes_back_in_time_is_spared,
        &timeout_0_is_never,
        &a_request_that_does_not_end_has_its_worker_replaced,
        &a_hook_ends_the_server_with_its_status,
        &a_hook_of_a_reload_ends_it,
        &a_hook_of_a_reload_that_begins_the_end_is_not_forgotten,
        &a_hook_of_a_reload_that_asks_for_another_gets_it_afterwards,
        &a_reload_asked_for_during_one_that_fails_follows_it,
        &the_master_looks_around_at_least_once_a_second,
        &words_exist_for_all_states,
        &any_start_of_chance_will_do,
    };
    for (size_t i = 0; i < CG_COUNT(tests); i++) {
        tcase_add_test(t, *tests[i]);
    }
    tcase_add_loop_test(t, no_order_of_events_confuses_it, 0, 20);
    suite_add_tcase(s, t);
    return s;
}

int
main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
