/* SPDX-License-Identifier: MIT */
/*
 * Hosts: worker classes. They differ in how a ready request is run and how a
 * wait is done; the engine is the same. One file per class.
 */
#ifndef CG_WORKER_HOST_H
#define CG_WORKER_HOST_H

#include "core/engine/engine.h"
#include "core/share/keeper.h"
#include "core/worker/worker.h"

struct cg_worker_class;

/* What a class gets from the worker and gives back. */
struct cg_host_run {
    const struct cg_worker_start *start;
    struct cg_app *app;
    const struct cg_worker_class *class;
    struct cg_keeper keeper;
    int wakeup_fd;      /* readable when a Python signal handler is due */
    int exit_status;    /* out: what sys.exit in a handler asked for */
    bool leave_at_once; /* out: threads are stuck, do not wait for them */
    /* asked through the signal handlers; the class looks at both */
    _Atomic int stop_wanted, abort_wanted;
    _Atomic int retiring; /* a successor was asked for */
    /* what serves, and what signals stop: NULL before, after, and for servers
     * of a package's own, which look at the two above */
    struct cg_engine *engine;
    struct cg_wsgi_host *wsgi; /* what `worker` reads and writes; or NULL */
    uint64_t graceful_us;
    struct cg_reloader *reloader; /* or NULL */
};

void cg_worker_tell(const struct cg_worker_start *start, enum cg_news_kind kind,
                    const char *text);
/*
 * The worker reached its limit of requests: logs that, once, and asks the
 * master for a successor. It serves on, closing connections after their
 * replies, until the master tells it to stop. Any thread. False when it is
 * known already.
 */
bool cg_worker_retire(struct cg_host_run *run);

/* Certificates that were renewed, if they were; main thread, GIL held. */
void cg_worker_renew_security(struct cg_host_run *run);
/* If somebody has killed its keeper, another one; main thread. */
void cg_worker_replace_keeper(struct cg_host_run *run);

/* Serves until told to stop. GIL held on entry and return. 0 or -errno. */
int cg_host_sync(struct cg_host_run *run, struct cg_error *err);
int cg_host_gthread(struct cg_host_run *run, struct cg_error *err);
/* Classes with a loop written in Python, run->class->module: WSGI in greenlets
 * or on the loop itself; ASGI in tasks. */
int cg_host_hosted(struct cg_host_run *run, struct cg_error *err);
int cg_host_asgi(struct cg_host_run *run, struct cg_error *err);

#endif
