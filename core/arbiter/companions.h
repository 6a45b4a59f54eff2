/* SPDX-License-Identifier: MIT */
/*
 * Companions: processes that the master keeps beside its workers, one of each
 * per server: commands, and callables of the application (docs/companions.md).
 * They are started when the server serves, and not while an old master is
 * there; a reload replaces them when its workers serve; they end after the
 * workers. plan/companion.h says when, this does it. Main thread, GIL held.
 */
#ifndef CG_ARBITER_COMPANIONS_H
#define CG_ARBITER_COMPANIONS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/arbiter/plan/companion.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/control/json.h"

struct cg_arbiter;

enum cg_companion_kind {
    CG_COMPANION_USERS, /* of the setting companions */
    CG_COMPANION_DIRTY_ARBITER,
    CG_COMPANION_DIRTY_WORKER
};

struct cg_companion {
    enum cg_companion_kind kind;
    char *name, *what;  /* owned */
    int pid;            /* 0: none */
    int out_fd;         /* what it writes; -1: none */
    int trace_fd;       /* a callable's stacks; -1: none */
    struct cg_buf line; /* the beginning of one */
    void *page;         /* what a dirty worker shows, see dirty_page.h; NULL */
    size_t page_n;
    struct cg_companion_life life;
};

struct cg_companions {
    struct cg_companion *items; /* owned */
    int n;
    int more_dirty; /* dirty workers that an operator has added, or taken */
    char *folder;   /* with the dirty arbiter's socket; owned, NULL: none */
};

/* That every command has a program which can be executed; err names the
 * companion that has none. */
int cg_companions_check(const struct cg_settings *s, struct cg_error *err);
/* What the settings name is to run; the rest, and what runs already with the
 * code of before, ends. At the start, and when a reload is over. */
void cg_companions_follow(struct cg_arbiter *a);
/* Dirty workers that there are to be; that many more or, below 0, less until
 * the next reload, but one at least: how many there are to be then. */
int cg_companions_dirty_workers(const struct cg_arbiter *a);
int cg_companions_change_dirty(struct cg_arbiter *a, int by);
/* A turn of the master's loop: buries, starts, kills, logs what they say. */
void cg_companions_turn(struct cg_arbiter *a);
/* Their pipes: as many as `items.n` entries of p. How many it filled; *ms
 * becomes less if something is due sooner. */
int cg_companions_watch(const struct cg_arbiter *a, struct pollfd *p, int *ms);
/* The last of the master's work: all are told to end, and are waited for. */
void cg_companions_end(struct cg_arbiter *a);
void cg_companions_free(struct cg_arbiter *a);

/* For operators: the list under that key; the pid of one whose stacks can be
 * asked for, or -1; the file that they go to. */
void cg_companions_put(const struct cg_arbiter *a, struct cg_json *j);
/* A dirty worker's applications: an array; how many. */
int cg_companion_put_apps(const struct cg_companion *c, struct cg_json *j);
int cg_companion_traced(const struct cg_arbiter *a, int i, int *ret_fd,
                        const char **ret_name);
bool cg_companion_is(const struct cg_arbiter *a, int pid);

#endif
