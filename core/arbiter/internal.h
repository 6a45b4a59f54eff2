/* SPDX-License-Identifier: MIT */
/* What the arbiter's files share. Nobody else includes this. */
#ifndef CG_ARBITER_INTERNAL_H
#define CG_ARBITER_INTERNAL_H

#include <pthread.h>
#include <time.h>

#include "core/arbiter/arbiter.h"
#include "core/arbiter/companions.h"
#include "core/arbiter/plan/plan.h"
#include "core/arbiter/sockets.h"
#include "core/control/channel.h"
#include "core/control/events.h"
#include "core/control/interface.h"
#include "core/control/unix_queue.h"
#include "core/control/web.h"
#include "core/net/tickets.h"
#include "core/py/compat/hooks.h"
#include "core/share/handover.h"
#include "core/share/scoreboard.h"
#include "core/share/totals.h"
#include "core/worker/security.h"
#include "core/worker/worker.h"

enum { SLOTS_MIN = 64, SLOTS_SPARE = 4, SAMPLES = 7, EXIT_ERROR = 1 };

/* What a worker had worked at a time. */
struct cg_effort {
    uint64_t at_us; /* 0: never looked */
    uint64_t worked_us;
    int most; /* microseconds that it can work in one */
};

/* What the plan's roster does not know: the Python object and the slot. */
struct cg_child {
    int pid;
    int number; /* 1, 2 … among those of its generation */
    struct cg_slot *slot;
    int trace_fd; /* a file in memory that its stacks go to, or -1 */
    int news_fd;  /* what it says, one struct cg_worker_news at a time; -1 */
    struct cg_py_worker *object; /* owned */
    uint64_t rss_bytes;          /* when it was weighed last; 0: never */
    struct cg_buf story;         /* what was found out about it; owned */
    struct cg_effort effort[2];  /* at the last two samples, the older first */
    /* of a class written in Python: the file that it touches as its sign of
     * life, or -1; what was seen of it, and when that was (0: never) */
    int beat_fd;
    struct timespec beat_seen;
    uint64_t beat_us;
};

/* The counters at a time. */
struct cg_sample {
    uint64_t at_ms;
    struct cg_totals totals;
};

/* A listening socket's queue; -1: not known. */
struct cg_listener_look {
    int64_t backlog, backlog_max, overflows;
};

/* An environment variable; value NULL: not set. */
struct cg_variable {
    char *name, *value; /* owned */
};

struct cg_arbiter {
    struct cg_arbiter_start *start;
    struct cg_settings *settings, *old_settings; /* old: until COMMIT */
    struct cg_sockets sockets, old_sockets;
    struct cg_handover handover, old_handover;   /* a generation's run queue */
    struct cg_security *security, *old_security; /* its TLS, or NULL */
    struct cg_tickets tickets; /* of all generations with TLS */
    struct cg_log *log;
    struct cg_plan plan;
    struct cg_scoreboard *board;
    struct cg_py_server *server;
    struct cg_app *app; /* preload_app */
    char *pidfile;      /* absolute; NULL: none was written */
    struct cg_child *children;
    int nchildren;
    struct cg_companions companions;
    struct cg_variable *originals; /* what raw_env covers */
    size_t noriginals;
    int signal_fd;
    int alive_read, alive_write; /* workers watch the reading end */
    pthread_t poker;             /* still waits, if `jammed` */
    bool jammed;
    int master_pid;
    int core_filter; /* as it was before we held keys of TLS; -1: it is */
    bool systemd;    /* the sockets came from systemd */
    long oom_kills;  /* of our cgroup so far; -1: not known */
    uint64_t watchdog_ms, watchdog_at_ms; /* systemd's; 0: none */
    int told_overloaded;                  /* workers, as systemd knows it */
    uint64_t weighed_ms;                  /* when memory was looked at */
    int stranger;         /* a dead child that is not ours to bury, or 0 */
    uint64_t stranger_ms; /* since when it waits for its parent to do so */
    int wanted_workers;   /* server.num_workers = n; -1: not asked */
    int dead_keeper;      /* one that its worker has ended; 0: none */
    uint64_t dead_keeper_ms, keepers_ms; /* when they were looked at */
    bool nobody_reaps;       /* orphans, as that one was seen to be */
    int workers_told;        /* to statsd */
    uint64_t queue_told_ms;  /* the same */
    struct cg_desk *channel; /* NULL: there is none */
    struct cg_channel_calls channel_calls;
    struct {
        struct cg_desk *desk; /* control_socket; NULL: there is none */
        struct cg_interface_calls calls;
        struct cg_listener listener; /* its fd is the desk's */
        char *path;                  /* absolute; owned, NULL: none is open */
        uint64_t looked_ms;          /* when it was looked at last */
        bool told;                   /* that it does not open */
    } interface;
    int workers_killed;  /* that were told to end by a signal of ours */
    struct cg_desk *web; /* metrics_bind; NULL: there is none */
    struct cg_web_calls web_calls;
    struct cg_listener web_listener; /* its fd is the desk's */
    char *web_bind;                  /* what it was opened for; owned */
    uint64_t web_ms;                 /* when it was tried last */
    bool web_told;                   /* that it does not open */
    struct {
        uint64_t looked_ms;   /* when they were examined last */
        uint64_t replaced_ms; /* not anew before this time */
    } listeners;
    struct cg_events events;
    bool apart;                        /* what is logged now is no event */
    struct cg_totals past;             /* of workers that have ended */
    struct cg_sample samples[SAMPLES]; /* of the last minute, a ring */
    unsigned nsamples;                 /* ever taken */
    uint64_t sampled_ms, started_us;
    bool drained; /* readiness withdrawn by hand */
    int reloads_begun, reloads_ended;
    bool reload_good;        /* the one that ended last */
    struct timespec loaded;  /* when the configuration was read last */
    bool change_heard;       /* of a file, under `reload`: a reload follows */
    char reload_reason[300]; /* of it, when it was not */
    bool done;
    bool serving; /* when_ready was called */
    /* methods of a subclass of Arbiter's own */
    struct {
        bool spawn, kill, pass, halt;
    } own;
    bool asked; /* a SPAWN of the plan waits for its answer */
    int status;
    char failure[1000];    /* the last boot failure, for a daemon's shell */
    bool failure_logged;   /* why the start fails is in the log, in full */
    bool exiting;          /* `status` is what a hook gave to sys.exit */
    char exit_reason[200]; /* which one, or why */
};

/* logs.c: the log of the current settings; warnings about them; the numbers
 * that statsd hears of */
int cg_arbiter_open_log(struct cg_arbiter *a, struct cg_error *err);
int cg_arbiter_reconfigure_log(struct cg_arbiter *a, struct cg_error *err);
void cg_arbiter_check_log(struct cg_arbiter *a);
/* trouble.c
 * Whether a terminal has no lines of the error log. */
bool cg_arbiter_logs_to_file(const struct cg_arbiter *a);
/* What the master warns of is an event, from here on. */
void cg_arbiter_hear_trouble(struct cg_arbiter *a);
/* Into the log alone: it is told among the events otherwise, or is advice. */
void cg_arbiter_log_apart(struct cg_arbiter *a, enum cg_level level,
                          struct cg_slice text);
void cg_arbiter_report(struct cg_arbiter *a);
/* All of them, at DEBUG. */
void cg_arbiter_log_settings(struct cg_arbiter *a);

/* children.c */
struct cg_child *cg_arbiter_child(struct cg_arbiter *a, int pid);
void cg_arbiter_spawn(struct cg_arbiter *a);
/* let_go.c: in a child of the master, what is another process's */
void cg_arbiter_let_go(struct cg_arbiter *a);
/* Forks a worker that the plan knows of: its pid, or -errno. */
int cg_arbiter_fork(struct cg_arbiter *a);

/* methods.c: what a subclass of Arbiter, of a program that embeds us, does
 * instead */
void cg_arbiter_find_methods(struct cg_arbiter *a);
/* Whether it was asked to; else the caller does it. */
bool cg_arbiter_asks_to_spawn(struct cg_arbiter *a);
bool cg_arbiter_asks_to_kill(struct cg_arbiter *a, int pid, int sig);
bool cg_arbiter_asks_to_handle(struct cg_arbiter *a, int sig);
void cg_arbiter_pass(struct cg_arbiter *a);
void cg_arbiter_tell_end(struct cg_arbiter *a, const char *reason, int status);
/* What Python's side calls. */
int cg_arbiter_spawn_one(void *self);
int cg_arbiter_kill_one(void *self, int pid, int sig);
void cg_arbiter_cull(void *self);
void cg_arbiter_reap(struct cg_arbiter *a);
void cg_arbiter_read_news(struct cg_arbiter *a);
void cg_arbiter_watch(struct cg_arbiter *a);
/* Runs a hook if it is set; a raised exception is logged, sys.exit() stops the
 * server. */
int cg_arbiter_hook(struct cg_arbiter *a, enum cg_setting_id hook,
                    struct cg_py_worker *w);

/* poke.c: wakes an idle worker after a death; who accepts, in all masters */
void cg_arbiter_poke(struct cg_arbiter *a);
void cg_arbiter_ring(struct cg_arbiter *a);

/* start.c */
/* Up to the sockets; workers are started by the plan's first effects. */
int cg_arbiter_boot(struct cg_arbiter *a, struct cg_error *err);
/* What the settings say to the plan. */
struct cg_plan_options cg_arbiter_plan_options(const struct cg_arbiter *a);
/* What a hook wrote to server.cfg. */
void cg_arbiter_follow_settings(struct cg_arbiter *a);
/* The TLS that settings ask for; NULL: none. */
int cg_arbiter_secure(struct cg_arbiter *a, const struct cg_settings *s,
                      struct cg_security **ret, struct cg_error *err);

/* effects.c */
/* All that the plan has decided so far. */
void cg_arbiter_carry_out(struct cg_arbiter *a);
/* Whether a hook called sys.exit or raised HaltServer, as r says: then the
 * server ends with the status that err has. */
bool cg_arbiter_exits(struct cg_arbiter *a, enum cg_setting_id hook, int r,
                      const struct cg_error *err);
void cg_arbiter_tell_workers(struct cg_arbiter *a, int number, int old);

/* reload.c */
void cg_arbiter_reload(struct cg_arbiter *a);
void cg_arbiter_commit(struct cg_arbiter *a);
void cg_arbiter_revert(struct cg_arbiter *a);
/* How `workers = auto` was counted, if it was. */
void cg_arbiter_log_workers(struct cg_arbiter *a);
/* environ.c: raw_env of the current settings; back to how it was without */
int cg_arbiter_apply_env(struct cg_arbiter *a, struct cg_error *err);
void cg_arbiter_restore_env(struct cg_arbiter *a);
void cg_arbiter_forget_env(struct cg_arbiter *a); /* at the end */

void cg_arbiter_publish_listeners(struct cg_arbiter *a);
/* A reload has ended, well or for that reason. */
void cg_arbiter_end_reload(struct cg_arbiter *a, const char *failure);

/* listeners.c: what a worker did to the sockets that all share, once a second
 */
void cg_arbiter_mend_listeners(struct cg_arbiter *a);

/* preload.c */
int cg_arbiter_preload(struct cg_arbiter *a, struct cg_error *err);

/* upgrade.c */
/* The keys of an old master's tickets, -1: none. */
int cg_arbiter_inherited_tickets(const struct cg_arbiter *a);
int cg_arbiter_parent(void); /* GUNICORN_PID, 0: none */
/* The workers' run queue, with the old master's bell if there is one. */
int cg_arbiter_make_handover(struct cg_arbiter *a, struct cg_error *err);
int cg_arbiter_write_pidfile(struct cg_arbiter *a, struct cg_error *err);
void cg_arbiter_follow_pidfile(struct cg_arbiter *a);
/* "gunicorn: ROLE [NAME]" in ps: of a child, and of the master. */
void cg_arbiter_set_title(const struct cg_arbiter *a, const char *role);
void cg_arbiter_set_own_title(const struct cg_arbiter *a);
void cg_arbiter_publish_masters(struct cg_arbiter *a);
void cg_arbiter_reexec(struct cg_arbiter *a);
void cg_arbiter_new_master_ended(struct cg_arbiter *a, int pid);
void cg_arbiter_check_parent(struct cg_arbiter *a);
void cg_arbiter_promote(struct cg_arbiter *a);

/* dev.c: for who develops at a terminal */
/* Whether standard output is one that shows colours, under dev. */
bool cg_arbiter_wants_colour(const struct cg_settings *s);
/* Where it serves, once it does. */
void cg_arbiter_put_banner(const struct cg_arbiter *a);

/* control.c: the channel, if it is not switched off */
void cg_arbiter_open_channel(struct cg_arbiter *a);
/* order.c: into the log and the events */
void cg_arbiter_tell_order(struct cg_arbiter *a,
                           const struct cg_channel_peer *peer,
                           const char *const *words, int n);

/* interface.c: gunicorn's control commands */
const struct cg_interface_calls *cg_arbiter_interface(struct cg_arbiter *a);
/* interface_socket.c: the socket that they come by, as the settings want it */
void cg_arbiter_follow_interface(struct cg_arbiter *a);
void cg_arbiter_close_interface(struct cg_arbiter *a);

/* metrics.c: the web server of metrics_bind, as the settings want it */
int cg_arbiter_open_web(struct cg_arbiter *a, struct cg_error *err);
void cg_arbiter_follow_web(struct cg_arbiter *a);
void cg_arbiter_close_web(struct cg_arbiter *a);
/* Whether new requests are welcome, and somebody is there for them. */
bool cg_arbiter_is_ready(const struct cg_arbiter *a);

/* status.c: what operators see */
/* Requests that one worker can run at the same time. */
int cg_arbiter_executors(const struct cg_arbiter *a);
void cg_arbiter_totals(const struct cg_arbiter *a, struct cg_totals *ret);
void cg_arbiter_sample(struct cg_arbiter *a); /* each turn */
void cg_arbiter_look_at_listener(const struct cg_listener *l,
                                 struct cg_listener_look *ret);
const char *cg_arbiter_state(const struct cg_arbiter *a);
void cg_arbiter_put_status(const struct cg_arbiter *a, struct cg_buf *out);
/* Those in flight, oldest first. */
/* What it runs with (config_report.c). */
void cg_arbiter_put_config(const struct cg_arbiter *a, struct cg_buf *out);
void cg_arbiter_put_requests(const struct cg_arbiter *a, struct cg_buf *out);

/* inquest.c */
void cg_arbiter_explain(struct cg_arbiter *a, int pid);
void cg_arbiter_tell_losses(struct cg_arbiter *a, struct cg_child *c);
int cg_arbiter_trace_file(void);
bool cg_arbiter_tell_trace(struct cg_arbiter *a, struct cg_child *c,
                           const char *what);
void cg_arbiter_tell_stacks(struct cg_arbiter *a, int pid);

uint64_t cg_arbiter_now_ms(void);

#endif
