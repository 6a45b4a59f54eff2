/* SPDX-License-Identifier: MIT */
/*
 * ASGI bridge (ASGI 3.0, spec 2.5): runs an application on an asyncio loop, one
 * exchange after the other, each in a task of its own that is made only when
 * somebody needs it. One bridge per worker process. All functions need the GIL
 * and run on the thread of the loop.
 */
#ifndef CG_PY_ASGI_H
#define CG_PY_ASGI_H

#include "core/py/wsgi/wsgi.h"

struct cg_asgi;

/* Borrowed; must outlive the bridge. */
struct cg_asgi_options {
    struct cg_wsgi *wsgi; /* whose logs and hooks serve here, too */
    const char *module;   /* the embedded module that has the loop */
    const char *root_path;
    const char *lifespan; /* "auto", "on", "off" */
    uint64_t grace_us;    /* before the task of a client that left is ended */
    uint64_t ws_max;      /* bytes of a WebSocket's message; 0: any */
    uint64_t ws_ping_us;  /* without a word of the peer: a ping; 0: never */
    uint64_t ws_patience_us; /* after that ping: closed; 0: never */
    bool ws_compression;
    void (*done)(struct cg_exchange *ex); /* gives an exchange back */
    _Atomic uint64_t
        *refused; /* the board's count; bad frames are told there */
};

/* The loop runs in no thread yet. */
int cg_asgi_new(const struct cg_asgi_options *options, struct cg_asgi **ret,
                struct cg_error *err);
/* After the loop has ended; exchanges that are left are abandoned. */
void cg_asgi_free(struct cg_asgi *a);

/* Lifespan: turns the loop until the application has started. -1: it says that
 * it cannot; why is in err and, if it raised, in traceback. */
int cg_asgi_startup(struct cg_asgi *a, struct cg_error *err,
                    struct cg_buf *traceback);
/* Turns the loop until what still runs has ended, then tells the application
 * that it is over; each for so long at most. Then the loop is closed. */
void cg_asgi_shutdown(struct cg_asgi *a, uint64_t patience_us);

/* The bridge as a runner; its free takes options.wsgi, too. */
struct cg_runner cg_asgi_runner(struct cg_asgi *a);

/* run, drained, interrupt and show of struct cg_app_ops. */
void cg_asgi_run(struct cg_asgi *a, struct cg_exchange *ex);
void cg_asgi_drained(struct cg_asgi *a, struct cg_exchange *ex);
void cg_asgi_interrupt(struct cg_asgi *a, struct cg_exchange *ex);
void cg_asgi_show(struct cg_asgi *a, struct cg_exchange *ex,
                  struct cg_buf *out);
/* A graceful stop has begun: streams of events and WebSockets are told; all
 * others that wait for their client are at half of that time. */
void cg_asgi_stop(struct cg_asgi *a, uint64_t graceful_us);
/* Requests whose application has not returned. */
int cg_asgi_running(const struct cg_asgi *a);

#endif
