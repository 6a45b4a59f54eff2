/* SPDX-License-Identifier: MIT */
/* What the arbiter's files share. Nobody else includes this. */
#ifndef CG_ARBITER_INTERNAL_H
#define CG_ARBITER_INTERNAL_H

#include "core/arbiter/arbiter.h"
#include "core/arbiter/plan.h"
#include "core/arbiter/sockets.h"
#include "core/engine/handover.h"
#include "core/engine/scoreboard.h"
#include "core/py/hooks.h"
#include "core/worker/worker.h"

enum { SLOTS_MIN = 64, SLOTS_SPARE = 4 };

/* What the plan's roster does not know: the Python object and the slot. */
struct cg_child {
    int pid;
    struct cg_slot *slot;
    struct cg_py_worker *object; /* owned */
};

struct cg_arbiter {
    struct cg_arbiter_start *start;
    struct cg_settings *settings, *old_settings; /* old: until COMMIT */
    struct cg_sockets sockets, old_sockets;
    struct cg_handover handover, old_handover; /* a generation's run queue */
    struct cg_log *log;
    struct cg_plan plan;
    struct cg_scoreboard *board;
    struct cg_py_server *server;
    struct cg_app *app; /* preload_app */
    char *pidfile;      /* absolute; NULL: none was written */
    struct cg_child *children;
    int nchildren;
    int signal_fd;
    int alive_read, alive_write; /* workers watch the reading end */
    int news_read, news_write;
    int master_pid;
    int wanted_workers; /* server.num_workers = n; -1: not asked */
    bool done;
    bool serving; /* when_ready was called */
    int status;
    char failure[1000]; /* the last boot failure, for a daemon's shell */
};

/* log.c of the arbiter: options from settings with absolute paths. */
int cg_arbiter_open_log(struct cg_arbiter *a, struct cg_error *err);
int cg_arbiter_reconfigure_log(struct cg_arbiter *a, struct cg_error *err);

/* children.c */
void cg_arbiter_spawn(struct cg_arbiter *a);
void cg_arbiter_reap(struct cg_arbiter *a);
void cg_arbiter_read_news(struct cg_arbiter *a);
void cg_arbiter_watch(struct cg_arbiter *a);
/* Runs a hook if it is set; a raised exception is logged. */
int cg_arbiter_hook(struct cg_arbiter *a, enum cg_setting_id hook,
                    struct cg_py_worker *w);

/* reload.c */
void cg_arbiter_reload(struct cg_arbiter *a);
void cg_arbiter_commit(struct cg_arbiter *a);
void cg_arbiter_revert(struct cg_arbiter *a);
/* How `workers = auto` was counted, if it was. */
void cg_arbiter_log_workers(struct cg_arbiter *a);
void cg_arbiter_publish_listeners(struct cg_arbiter *a);

uint64_t cg_arbiter_now_ms(void);

#endif
