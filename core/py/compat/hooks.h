/* SPDX-License-Identifier: MIT */
/*
 * Server hooks and the Python objects that they get: `server` (gunicorn's
 * Arbiter as hooks see it), `worker`, `req`, `resp`, `server.log`,
 * `server.cfg`. All functions need the GIL. A hook that raises gives its
 * traceback in err and a negative value; who called decides what that means
 * (gunicorn-compat 4). One server and one worker per process; what they make
 * the master or the worker do goes through the tables of calls below, and when
 * a hook is due is their business.
 */
#ifndef CG_PY_HOOKS_H
#define CG_PY_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "core/exchange/exchange.h"
#include "core/py/runtime/app.h"
#include "logging/log.h"

struct cg_py_server; /* the `server` object */
struct cg_py_worker; /* a `worker` object; made before the fork, used after */

/* What `server` can make the arbiter do; filled by core/arbiter. All of it may
 * be called from any Python thread of the master. */
struct cg_server_calls {
    void (*set_num_workers)(void *self, int n);
    int (*num_workers)(void *self);
    int (*signal_self)(void *self, int signo); /* reload(), stop(), halt() … */
    void (*set_timeout)(void *self, uint64_t ms); /* server.timeout */
    void (*handle_signal)(void *self, int signo); /* server.handle_hup() … */
    int (*spawn_worker)(void *self); /* a pid, or -errno; never in a child */
    int (*kill_worker)(void *self, int pid, int signo); /* 0 or -errno */
    void (*cull)(void *self); /* ends workers that are too many */
    void *self;
};

struct cg_py_server *cg_py_server_new(const struct cg_settings *settings,
                                      struct cg_log *log,
                                      const struct cg_server_calls *calls,
                                      struct cg_error *err);
void cg_py_server_free(struct cg_py_server *server);
/* After a reload: server.cfg, .address, .timeout, .proc_name follow. */
int cg_py_server_set_settings(struct cg_py_server *server,
                              const struct cg_settings *settings,
                              struct cg_error *err);
/* USR1: the native logs, and every file handler of Python's loggers. */
void cg_py_server_reopen_logs(struct cg_py_server *server);
void cg_py_server_set_pid(struct cg_py_server *server, int pid);
/* server.master_pid (of the old master), .reexec_pid (of the new one),
 * .master_name, .systemd. */
void cg_py_server_set_masters(struct cg_py_server *server, int master_pid,
                              int reexec_pid, const char *name, bool systemd);
/* server.START_CTX["cwd"], [0] and, unless it is NULL, ["args"]: what USR2
 * executes again. */
void cg_py_server_set_start(struct cg_py_server *server, const char *cwd,
                            const char *exe, char *const *args);
/*
 * In a forked child: calls the hook pre_exec and becomes the new master that
 * START_CTX names, with the listeners' descriptors, the bell, by which the
 * workers of both wake each other, and the keys of TLS tickets (or -1). Returns
 * only when that fails, with the traceback in err.
 */
int cg_py_server_reexec(struct cg_py_server *server, int master_pid,
                        const int *fds, int count, int bell_fd, int tickets_fd,
                        struct cg_error *err);
/* server.LISTENERS: objects with str(), fileno(), getsockname(). */
void cg_py_server_set_listeners(struct cg_py_server *server,
                                const char *const *texts, const int *fds,
                                int count);

/* A title of ours was set: the application's setproctitle is told, if it has
 * one. */
void cg_py_title_follow(void);

/* worker.age, .ppid, .timeout, .cfg, .log; pid is "[booting]". */
struct cg_py_worker *cg_py_worker_new(struct cg_py_server *server, int age,
                                      int max_requests, struct cg_error *err);
void cg_py_worker_free(struct cg_py_worker *w);
void cg_py_worker_set_pid(struct cg_py_worker *w, int pid);
/* worker.number, from 1, and worker.leader, which number 1 is. */
void cg_py_worker_set_number(struct cg_py_worker *w, int number);
/* After post_worker_init. */
void cg_py_worker_set_booted(struct cg_py_worker *w);
/* From here on signals to stop raise nothing. */
void cg_py_worker_set_ending(struct cg_py_worker *w);
/* worker.alive, as the user's code may have changed it. */
bool cg_py_worker_alive(struct cg_py_worker *w);
/* The engine serves no more: lines go to a Python logger at once again. */
void cg_py_worker_over(struct cg_py_worker *w);
/* server.WORKERS[pid] = worker / del. */
void cg_py_server_add_worker(struct cg_py_server *server, int pid,
                             struct cg_py_worker *w);
void cg_py_server_del_worker(struct cg_py_server *server, int pid);

/* Whether a subclass of Arbiter, of a program that embeds the server, or a hook
 * has put a method of its own there. */
bool cg_py_server_overrides(struct cg_py_server *server, const char *method);
/* Calls server.spawn_worker(), kill_worker(pid, sig), every_pass() or
 * halt(reason, status) of such a one. As the hooks. */
int cg_py_server_spawn(struct cg_py_server *server, struct cg_error *err);
int cg_py_server_kill(struct cg_py_server *server, int pid, int sig,
                      struct cg_error *err);
/* handle_SIG(), if there is one of their own: *ret_handled, also when it
 * raised.
 */
int cg_py_server_handle(struct cg_py_server *server, int sig, bool *ret_handled,
                        struct cg_error *err);
int cg_py_server_pass(struct cg_py_server *server, struct cg_error *err);
int cg_py_server_halt(struct cg_py_server *server, const char *reason,
                      int status, struct cg_error *err);

/* Whether the user set that hook (the defaults do nothing we must call). */
bool cg_hook_is_set(const struct cg_settings *s, enum cg_setting_id hook);
/*
 * The hooks give 0, a negative value and a traceback in err, or CG_HOOK_EXIT:
 * sys.exit() was called, err->code is the status. Its text, if that is what it
 * was given, is on stderr by then. CG_HOOK_HALT: gunicorn.errors.HaltServer was
 * raised; err has its exit_status as code and its reason, "" for None, as text.
 */
enum { CG_HOOK_EXIT = -100000, CG_HOOK_HALT = -100001 };
/* on_starting, on_reload, when_ready, on_exit, pre_exec: hook(server). */
int cg_hook_server(struct cg_py_server *server, enum cg_setting_id hook,
                   struct cg_error *err);
/* pre_fork, post_fork, child_exit, worker_exit: hook(server, worker). */
int cg_hook_server_worker(struct cg_py_server *server, enum cg_setting_id hook,
                          struct cg_py_worker *w, struct cg_error *err);
/* post_worker_init, worker_int, worker_abort: hook(worker). */
int cg_hook_worker(struct cg_py_server *server, enum cg_setting_id hook,
                   struct cg_py_worker *w, struct cg_error *err);
/* nworkers_changed(server, new, old); old < 0 is None. */
int cg_hook_nworkers(struct cg_py_server *server, int new_n, int old_n,
                     struct cg_error *err);

/*
 * What a worker's Python side can make the worker do; filled by core/worker.
 * Called with the GIL: by the signal handlers and by what is written to
 * attributes of `worker`, from any Python thread.
 *
 * A signal's way goes through five rooms, since Python's handlers are the
 * user's to see and to change. TERM: CPython's C handler notes it and writes a
 * byte to wakeup_fd; the engine, which watches that, calls `signals` of its
 * host (core/engine/engine.h); core/worker lets Python run what is due; the
 * handler in glue/hooks.py calls stop(), which is below; and that tells the
 * engine to end. INT, QUIT and ABRT call the user's hook on the way.
 */
struct cg_worker_calls {
    void (*stop)(void *self); /* gracefully: TERM, worker.alive = False */
    void (*quit)(void *self); /* at once: INT, QUIT, ABRT */
    uint64_t (*requests)(void *self);                      /* for worker.nr */
    void (*limit_requests)(void *self, uint64_t count);    /* 0: none */
    void (*set_app)(void *self, struct _object *callable); /* worker.wsgi */
    void *self;
};
/* The handlers for TERM INT QUIT USR1 ABRT WINCH (signal.signal, callables),
 * and from here on the calls. Main thread. */
int cg_py_worker_init_signals(struct cg_py_worker *w,
                              const struct cg_worker_calls *calls,
                              int wakeup_fd, struct cg_error *err);
/* It serves no more: what is written to it counts for nothing, worker.nr stays
 * as it is. */
void cg_py_worker_freeze(struct cg_py_worker *w);

#endif
