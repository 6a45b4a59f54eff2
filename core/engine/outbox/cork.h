/* SPDX-License-Identifier: MIT */
/*
 * Cork: blocks of a reply wait here for those that follow, so that many leave
 * with one system call, as TCP_CORK has it within the kernel. A thread without
 * Python sends what is older than a tick, and what a full socket left behind.
 */
#ifndef CG_ENGINE_CORK_H
#define CG_ENGINE_CORK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct cg_call;

/* A call's blocks that wait for more. */
struct cg_corked {
    /* with the lock */
    struct cg_corked *next, *prev; /* NULL: in no list */
    uint64_t since_us;             /* when the oldest block came */
    int error;                     /* the thread found the peer gone */
    bool late;                     /* the thread sent some of it */
    /* the executor's own */
    bool used;         /* blocks waited in this call */
    bool shared;       /* it may be in a list */
    bool direct;       /* blocks come slowly: each leaves at once */
    uint64_t block_us; /* when the last one of these came */
    size_t fresh;      /* bytes since the last try to send */
    size_t waits;      /* bytes that waited at the last look */
};

/* The thread that sends what nothing follows. */
struct cg_cork {
    pthread_mutex_t lock;
    /* with the lock */
    struct cg_corked young, stuck; /* list heads */
    bool watches;                  /* the thread will look by itself */
    bool lazy;                     /* its alarm is left to fire */
    uint64_t set_us;               /* the alarm was set then */
    bool tried, usable;            /* to start the thread; it runs */
    bool over;
    /* of who makes and ends it */
    int alarm_fd;
    bool runs;
    pthread_t thread;
};

void cg_cork_init(struct cg_cork *p);
void cg_cork_stop(struct cg_cork *p);
/* The executor's, in a call, without the baton. True: the n bytes of the parts
 * wait for more, and leave within a tick; false: they are to be sent. */
bool cg_cork_put(struct cg_call *call, const struct iovec *parts, int count,
                 size_t n);
/* What the socket did not take is sent while the application goes on. */
void cg_cork_leave(struct cg_call *call);
/* The outbox is the executor's alone; a negative errno: the peer is gone. */
int cg_cork_take(struct cg_call *call);
/* What is stuck may have room now, of a transport that poll(2) does not know.
 */
void cg_cork_nudge(struct cg_cork *p);
/* The last of a call that used it. */
void cg_cork_end(struct cg_call *call);

#endif
