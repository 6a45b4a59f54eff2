/* SPDX-License-Identifier: MIT */
/*
 * Warm-up: requests that a new worker sends to itself before it counts as
 * serving (setting `warmup`). Each one takes the way of a client's request, by
 * a pair of sockets instead of a listener; a thread asks them one after the
 * other. Until all are answered below 500 the engine is closed to clients; with
 * the first one that is not the worker has failed, as if its application could
 * not be loaded.
 */
#ifndef CG_WORKER_WARMUP_H
#define CG_WORKER_WARMUP_H

#include "core/engine/engine.h"

struct cg_host_run;
struct cg_warmup;

/*
 * Closes the engine to clients, which must not run yet, and starts to ask.
 * `done` is called once, by the thread, without the GIL: NULL, or what was
 * wrong; not at all when the worker ends before. *ret is NULL when the settings
 * ask for nothing: `done` was called.
 */
int cg_warmup_start(const struct cg_host_run *run, struct cg_engine *engine,
                    void (*done)(void *self, const char *wrong), void *self,
                    struct cg_warmup **ret, struct cg_error *err);
/* For classes that serve by themselves: a WARNING if it is asked for. */
void cg_warmup_say_none(const struct cg_host_run *run);
/* The engine is over: nothing is asked any more. NULL is fine. GIL held; it is
 * given up while the thread ends. */
void cg_warmup_end(struct cg_warmup *w);

#endif
