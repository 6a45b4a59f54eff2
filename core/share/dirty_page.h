/* SPDX-License-Identifier: MIT */
/*
 * Dirty page: what a dirty worker shows the master, in memory that both have:
 * its applications, its calls so far, the one that each seat runs. The worker
 * writes it in Python (core/py/glue/dirty_page.py has the same numbers); what
 * is read is its word, bounded and copied once: a broken one makes wrong
 * numbers, nothing worse. A page of NULL is one that shows nothing.
 */
#ifndef CG_SHARE_DIRTY_PAGE_H
#define CG_SHARE_DIRTY_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CG_DIRTY_HEAD = 1024, /* u32 booted; at 8 the names, each with a NUL */
    CG_DIRTY_NAMES = 8,
    CG_DIRTY_SEAT = 256, /* u64 since_us, 0: none; calls; failed; the call */
    CG_DIRTY_WHAT = 24
};

struct cg_dirty_call {
    uint64_t since_us;                        /* of cg_now_us() */
    char what[CG_DIRTY_SEAT - CG_DIRTY_WHAT]; /* "module:Class.action" */
};

struct cg_dirty_look {
    bool booted; /* its applications are loaded */
    uint64_t calls, failed;
    int busy, seats;
};

/* Bytes for that many threads. */
size_t cg_dirty_page_size(int threads);
int cg_dirty_seats(const void *page, size_t n);
struct cg_dirty_look cg_dirty_look(const void *page, size_t n);
/* Whether that seat runs one. */
bool cg_dirty_read_call(const void *page, size_t n, int seat,
                        struct cg_dirty_call *ret);
/* The i-th application, into out; false: there are no more. */
bool cg_dirty_app(const void *page, size_t n, int i, char *out, size_t size);

#endif
