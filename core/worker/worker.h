/* SPDX-License-Identifier: MIT */
/*
 * A worker's life: from the fork to its exit status. One process, one engine,
 * one host (worker class). The master made everything in cg_worker_start; the
 * worker uses its own copy of it.
 *
 * What always holds: nobody but the main thread runs signal handlers and ends
 * the process; what the master has to know goes by the scoreboard or as news,
 * never by memory; rights are given up before the application is loaded.
 *
 * Left to others: connections and requests (core/engine), Python (core/py), who
 * starts and replaces workers (core/arbiter).
 */
#ifndef CG_WORKER_WORKER_H
#define CG_WORKER_WORKER_H

#include <signal.h>

#include "config/settings.h"
#include "core/net/listener.h"
#include "core/py/compat/hooks.h"
#include "core/py/runtime/app.h"
#include "core/share/handover.h"
#include "core/share/keeper.h"
#include "core/share/scoreboard.h"
#include "core/worker/security.h"
#include "logging/log.h"

/* X-macro: what a worker tells the master. */
#define CG_WORKER_NEWS(X)                                                      \
    X(FAILED, "failed")   /* it does not serve; text says why */               \
    X(READY, "ready")     /* it serves */                                      \
    X(RETIRE, "retire")   /* it wants to be replaced, and serves until then */ \
    X(STUCK, "stuck")     /* likewise, since a request of it does not end */   \
    X(CHANGED, "changed") /* a file of the application; text is its path */    \
    X(OVER, "over")       /* it serves no more, and ends */
enum cg_news_kind {
#define X(id, word) CG_NEWS_##id,
    CG_WORKER_NEWS(X)
#undef X
};

/* Smaller than PIPE_BUF, so one write is one message. */
struct cg_worker_news {
    enum cg_news_kind kind;
    char text[1000];
};

/* What makes a worker write its stacks to its trace_fd. Not one that programs
 * are likely to use. */
#define CG_TRACE_SIGNAL (SIGRTMAX - 3)
/* And what interrupts a request in its main thread. */
#define CG_LATE_SIGNAL (SIGRTMAX - 4)

/* And what tells it that its keeper is gone. */
#define CG_KEEPER_SIGNAL (SIGRTMAX - 5)
/* And what makes a thread write its stack, of a slow request. */
#define CG_SLOW_SIGNAL (SIGRTMAX - 6)
/* And what has greenlets and tasks that wait written behind its stacks, in
 * classes that have any; others ignore it. */
#define CG_WAITING_SIGNAL (SIGRTMAX - 7)

struct cg_worker_start {
    struct cg_settings *settings; /* the worker's own: hooks may change them */
    struct cg_log *log;
    struct cg_listener *listeners;
    int nlisteners;
    struct cg_scoreboard *board;
    struct cg_slot *slot;   /* claimed by the master */
    struct cg_spool *spool; /* empty; its log's lines that wait, or NULL */
    const struct cg_handover *handover; /* of its generation */
    struct cg_security *security;       /* likewise; NULL: no TLS */
    uint32_t age;
    pid_t master_pid;
    int alive_fd; /* read end of a pipe that only the master holds
                     open for writing: EOF = master is gone */
    int news_fd; /* pipe to the master, ours alone: struct cg_worker_news, or -1
                  */
    int trace_fd; /* a file for its stacks when it hangs or crashes, or -1 */
    struct cg_py_server *server;
    struct cg_py_worker *worker; /* the object made before the fork */
    const char *name;            /* in the titles of its processes */
    enum cg_keeper_parent keeper_parent;
    struct timespec loaded; /* when the configuration was, by the wall clock */
};

/* In the child, signals still blocked, handlers at their default: a USR1 that
 * comes before the worker's own handlers waits for them, INT and QUIT end it.
 */
void cg_worker_early_signals(void);
/*
 * Runs the worker; called in the child, GIL held, signals unblocked, handlers
 * at their default but for the early ones. Logs, calls the hooks from post_fork
 * to worker_exit, ends the interpreter. Returns the exit status for _exit(2).
 */
int cg_worker_main(const struct cg_worker_start *start);

/* Checks before any fork whether that class can be run here; err says what is
 * missing and how to get it. */
int cg_worker_class_check(const struct cg_settings *s, struct cg_error *err);
/* That the class can run the application: an ASGI one under a class that runs
 * WSGI, and the reverse, is an error that names the right class. GIL held. */
int cg_worker_class_check_app(const struct cg_settings *s, struct cg_app *app,
                              struct cg_error *err);
/* Whether the class is one that is written in Python. */
bool cg_worker_class_is_python(const struct cg_settings *s);
/* The settings name a class of another package that one of ours serves in place
 * of; the user is to be told. */
bool cg_worker_class_is_replaced(const struct cg_settings *s);
/* The master's patches when it loads the application itself; *ret_patched:
 * there were any. GIL held. */
int cg_worker_class_patch(const struct cg_settings *s, bool *ret_patched,
                          struct cg_error *err);
/* And once it is loaded there. */
int cg_worker_class_settle(const struct cg_settings *s, struct cg_error *err);

#endif
