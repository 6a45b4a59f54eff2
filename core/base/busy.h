/* SPDX-License-Identifier: MIT */
/*
 * How much CPU this process wants: what its threads used, and what they would
 * have used but for others that had the CPU (the scheduler's run delay: other
 * processes, a quota of the control group). A thread that waits for a lock, a
 * socket or the GIL wants none.
 */
#ifndef CG_BASE_BUSY_H
#define CG_BASE_BUSY_H

#include <stdbool.h>
#include <stdint.h>

struct cg_busy {
    /* Microseconds so far, of the threads that there are; so it is less than
     * before when one has ended. Where /proc does not tell, what was used, by
     * the process's clock. A thread is counted up to its last tick, some
     * milliseconds ago, and one that is kept waiting for the CPU only up to
     * where that began. */
    uint64_t us;
    /* Another thread than the caller's runs, or wants to. */
    bool now;
};

/* Any thread. */
struct cg_busy cg_busy_look(void);
/* The same of one thread, in two parts. */
struct cg_busy_thread {
    uint64_t used_us;    /* up to now, also of one that runs */
    uint64_t delayed_us; /* runnable, while others had the CPU */
};
/* Of this thread of ours; zeros: it is gone. Any thread. */
struct cg_busy_thread cg_busy_of(int tid);

#endif
