/* SPDX-License-Identifier: MIT */
/*
 * Memory and scope cleanup. Allocation failure ends the process with one line
 * (the arbiter restarts a worker), so no caller checks for NULL. Sizes that a
 * peer chooses are bounded by the caller before they get here.
 *
 * The room core/base is what everybody may use: memory, bytes, errors, clocks,
 * descriptors, addresses, files at hostile places. What always holds: nothing
 * here logs, decides for the server or includes another room; a function
 * returns 0 or -errno, and explains itself by a cg_error.
 */
#ifndef CG_BASE_MEMORY_H
#define CG_BASE_MEMORY_H

#include <stddef.h>

/* Each returns memory to be given to free(3), never NULL. */
void *cg_malloc(size_t n);
void *cg_calloc(size_t count, size_t n);
void *cg_realloc(void *p, size_t n);
char *cg_strdup(const char *s);
char *cg_strndup(const char *s, size_t n);
/* printf into fresh memory. */
char *cg_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The allocator keeps up to 2 MiB of what is freed, and gives none of it back
 * to the kernel only to ask for it again with the next request. */
void cg_memory_settle(void);

/* Much was freed and is not wanted again soon: the system has it back. */
void cg_memory_trim(void);

/* Prints one line and ends the process with status 255. Async-signal-safe. */
_Noreturn void cg_die(const char *what);

/* Our own mistakes only: kept in release builds. */
#define CG_ASSERT(x)                                                           \
    do {                                                                       \
        if (__builtin_expect(!(x), 0)) {                                       \
            cg_assert_failed(#x, __FILE__, __LINE__);                          \
        }                                                                      \
    } while (0)
_Noreturn void cg_assert_failed(const char *expr, const char *file, int line);

#define CG_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Scope cleanup: `cg_auto(fd_close) int fd = -1;` calls cg_cleanup_fd_close. */
#define cg_auto(how) __attribute__((cleanup(cg_cleanup_##how)))
void cg_cleanup_free(void *pp); /* cg_auto(free) char *p: free(p) */

#endif
