/* SPDX-License-Identifier: MIT */
/*
 * Pokes: an event descriptor is shared with the workers, who can take
 * O_NONBLOCK from it and fill it, and no system call writes to one without
 * waiting then. So a thread of its own does it, and the master does not wait
 * for long.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "core/arbiter/internal.h"

enum { PATIENCE_MS = 100, STACK_BYTES = 64 * 1024 };

/* clang's thread sanitizer does not know pthread_clockjoin_np: for it threads
 * that were joined there run for ever. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define SEES_TRIES_ONLY 1
#endif
#endif

static void *
write_main(void *arg)
{
    uint64_t one = 1;
    ssize_t ignored = write((int)(intptr_t)arg, &one, sizeof one);
    (void)ignored;
    return NULL;
}

static int
start(pthread_t *ret, int fd)
{
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int r = pthread_create(ret, &attr, write_main, (void *)(intptr_t)fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -r;
}

/* The last one of before, if it still waits. True: it does. */
static bool
is_jammed(struct cg_arbiter *a)
{
    if (a->jammed && pthread_tryjoin_np(a->poker, NULL) == 0) {
        a->jammed = false;
    }
    return a->jammed;
}

/* Whether its thread was over soon. */
static bool
join_soon(pthread_t poker)
{
#ifdef SEES_TRIES_ONLY
    const struct timespec ms = {.tv_nsec = 1000 * 1000};
    int left = PATIENCE_MS;
    while (pthread_tryjoin_np(poker, NULL) != 0 && left-- > 0) {
        nanosleep(&ms, NULL);
    }
    return left >= 0;
#else
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += PATIENCE_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    return pthread_clockjoin_np(poker, NULL, CLOCK_MONOTONIC, &end) == 0;
#endif
}

static void
poke(struct cg_arbiter *a, int fd)
{
    if (fd < 0 || is_jammed(a) || start(&a->poker, fd) < 0) {
        return;
    }
    if (!join_soon(a->poker)) {
        a->jammed = true;
        cg_log_line(a->log, CG_WARNING,
                    "a worker has made the descriptor that wakes the others "
                    "wait: one that was idle may sleep on until it is asked");
    }
}

void
cg_arbiter_poke(struct cg_arbiter *a)
{
    poke(a, a->handover.poke_fd);
    poke(a, a->old_handover.poke_fd);
    cg_arbiter_ring(a);
}

void
cg_arbiter_ring(struct cg_arbiter *a)
{
    poke(a, a->handover.bell_fd);
}
