/* SPDX-License-Identifier: MIT */
#include "core/arbiter/companions.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/arbiter/companions/internal.h"
#include "core/arbiter/internal.h"
#include "core/arbiter/notify.h"
#include "core/arbiter/signals.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/runtime/interp.h"

enum {
    LOOK_MS = 100,    /* while the last ones end */
    HURRY_MS = 1000,  /* that a stop at once leaves them */
    DIRTY_MOST = 1024 /* workers that operators can ask for */
};

static uint64_t
now_ms(void)
{
    return cg_now_us() / 1000;
}

static struct cg_companion *
find(const struct cg_arbiter *a, const char *name)
{
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        if (!c->life.dismissed && strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static void
add(struct cg_arbiter *a, const struct cg_companion_wish *w)
{
    struct cg_companions *all = &a->companions;
    all->items =
        cg_realloc(all->items, (size_t)(all->n + 1) * sizeof *all->items);
    all->items[all->n++] = (struct cg_companion){.name = cg_strdup(w->name),
                                                 .what = cg_strdup(w->what),
                                                 .kind = w->kind,
                                                 .out_fd = -1,
                                                 .trace_fd = -1};
}

/* A dirty worker has what is its own, and a moment to close its applications.
 */
static uint64_t
graceful_ms(const struct cg_arbiter *a, const struct cg_companion *c)
{
    uint64_t ms = 1000;
    return c->kind == CG_COMPANION_USERS
               ? a->plan.o.graceful_ms
               : ms + ms * (uint64_t)cg_settings_int(a->settings,
                                                     CG_dirty_graceful_timeout);
}

static void
stop(struct cg_arbiter *a, struct cg_companion *c, bool dismiss, uint64_t ms)
{
    if (cg_companion_stop(&c->life, dismiss, ms, now_ms())) {
        kill(c->pid, SIGTERM);
    }
}

static void
add_missing(struct cg_arbiter *a)
{
    struct cg_companion_wish w;
    for (int i = 0; cg_companion_wish(a, i, &w); i++) {
        if (find(a, w.name) == NULL) {
            add(a, &w);
        }
    }
}

/* The dirty arbiter has no code of the application's, and calls that wait. */
void
cg_companions_follow(struct cg_arbiter *a)
{
    struct cg_companion_wish w;
    a->companions.more_dirty = 0;
    cg_dirty_make_folder(a);
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        bool stays = cg_companion_wish_of(a, c->name, &w);
        if (stays && !c->life.dismissed) {
            free(c->what);
            c->what = cg_strdup(w.what);
        }
        if (!stays || c->kind != CG_COMPANION_DIRTY_ARBITER) {
            stop(a, c, !stays, graceful_ms(a, c));
        }
    }
    add_missing(a);
}

/* Those that run are not touched. */
static void
adapt(struct cg_arbiter *a)
{
    struct cg_companion_wish w;
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        if (!cg_companion_wish_of(a, c->name, &w)) {
            stop(a, c, true, graceful_ms(a, c));
        }
    }
    add_missing(a);
}

int
cg_companions_change_dirty(struct cg_arbiter *a, int by)
{
    int now = cg_companions_dirty_workers(a);
    int least = now > 0 ? 1 - now : 0; /* one stays */
    int most = now < DIRTY_MOST ? DIRTY_MOST - now : 0;
    by = by < least ? least : by > most ? most : by;
    a->companions.more_dirty += now > 0 ? by : 0;
    adapt(a);
    return cg_companions_dirty_workers(a);
}

/* One per server: while an old master is there it has them. Dirty workers are
 * each master's own, and there before the workers. */
static bool
may_start(const struct cg_arbiter *a, const struct cg_companion *c)
{
    if (c->kind != CG_COMPANION_USERS) {
        return a->plan.phase < PLAN_STOPPING && a->companions.folder != NULL;
    }
    return a->plan.serving && a->plan.parent_pid == 0 &&
           a->plan.phase < PLAN_STOPPING;
}

static void
release(struct cg_companion *c)
{
    cg_fd_close(&c->out_fd);
    cg_fd_close(&c->trace_fd);
    cg_buf_release(&c->line);
    cg_dirty_close_page(c);
    free(c->name);
    free(c->what);
}

/* ---- the loop ---- */

static void
carry_out(struct cg_arbiter *a, struct cg_companion *c)
{
    switch (cg_companion_due(&c->life, may_start(a, c), now_ms())) {
    case COMPANION_NOTHING: break;
    case COMPANION_START: cg_companion_start(a, c); break;
    case COMPANION_KILL:
        cg_log_line(a->log, CG_WARNING,
                    "Companion %s (pid:%d) did not stop in time: KILL", c->name,
                    c->pid);
        kill(-c->pid, SIGKILL);
        break;
    }
}

void
cg_companions_turn(struct cg_arbiter *a)
{
    struct cg_companions *all = &a->companions;
    for (int i = 0; i < all->n; i++) {
        struct cg_companion *c = &all->items[i];
        cg_companion_listen(a, c);
        cg_companion_reap(a, c);
        carry_out(a, c);
    }
    for (int i = all->n - 1; i >= 0; i--) {
        if (all->items[i].life.state == COMPANION_GONE) {
            release(&all->items[i]);
            memmove(&all->items[i], &all->items[i + 1],
                    (size_t)(--all->n - i) * sizeof *all->items);
        }
    }
}

int
cg_companions_watch(const struct cg_arbiter *a, struct pollfd *p, int *ms)
{
    int n = 0;
    for (int i = 0; i < a->companions.n; i++) {
        const struct cg_companion *c = &a->companions.items[i];
        int due = cg_companion_patience(&c->life, may_start(a, c), now_ms());
        *ms = due >= 0 && due < *ms ? due : *ms;
        if (c->out_fd >= 0) {
            p[n++] = (struct pollfd){.fd = c->out_fd, .events = POLLIN};
        }
    }
    return n;
}

/* INT, QUIT or a second TERM: who waits for the last ones has no more time. */
static void
heed_signals(struct cg_arbiter *a)
{
    int sig;
    while ((sig = cg_signals_next()) != 0) {
        for (int i = 0; sig != SIGCHLD && i < a->companions.n; i++) {
            stop(a, &a->companions.items[i], true, HURRY_MS);
        }
    }
}

static void
wait_a_moment(struct cg_arbiter *a)
{
    struct pollfd *p = cg_calloc((size_t)a->companions.n + 1, sizeof *p);
    int ms = LOOK_MS;
    p[0] = (struct pollfd){.fd = a->signal_fd, .events = POLLIN};
    int n = 1 + cg_companions_watch(a, p + 1, &ms);
    cg_gil_drop();
    poll(p, (nfds_t)n, ms);
    cg_gil_take();
    free(p);
}

void
cg_companions_end(struct cg_arbiter *a)
{
    for (int i = 0; i < a->companions.n; i++) {
        struct cg_companion *c = &a->companions.items[i];
        stop(a, c, true, graceful_ms(a, c));
    }
    for (cg_companions_turn(a); a->companions.n > 0; cg_companions_turn(a)) {
        wait_a_moment(a);
        heed_signals(a);
        if (a->watchdog_ms != 0) {
            cg_notify("WATCHDOG=1");
        }
    }
}

void
cg_companions_free(struct cg_arbiter *a)
{
    for (int i = 0; i < a->companions.n; i++) {
        release(&a->companions.items[i]);
    }
    free(a->companions.items);
    cg_dirty_remove_folder(a);
    a->companions = (struct cg_companions){0};
}
