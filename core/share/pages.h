/* SPDX-License-Identifier: MIT */
/*
 * Pages: shared memory with two mappings, one to write and one that can only be
 * read. A process that has let go of the first cannot get it back, whatever it
 * does: neither mprotect() nor a grown mapping reaches what it may not write.
 */
#ifndef CG_SHARE_PAGES_H
#define CG_SHARE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* n rounded up to whole pages of this machine. */
size_t cg_pages_size(size_t n);
/*
 * Maps n bytes of zeros, whole pages, twice: at `write` and at `read`, over
 * what is mapped there. 0 or -errno; *ret_sealed false: the kernel has no means
 * to keep the second one from being made writable.
 */
int cg_pages_map(void *write, void *read, size_t n, bool *ret_sealed);
/* Address space for n bytes that nothing uses yet; NULL with errno. */
void *cg_pages_reserve(size_t n);
void cg_pages_drop(void *p, size_t n); /* NULL and 0 are none */

#endif
