/* SPDX-License-Identifier: MIT */
#include "core/base/memory.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void
cg_die(const char *what)
{
    static const char head[] = "cgunicorn: fatal: ";
    ssize_t ignored = write(2, head, sizeof head - 1);
    ignored = write(2, what, strlen(what));
    ignored = write(2, "\n", 1);
    (void)ignored;
    _exit(255);
}

_Noreturn void
cg_assert_failed(const char *expr, const char *file, int line)
{
    char text[256];
    snprintf(text, sizeof text, "assertion failed: %s (%s:%d)", expr, file,
             line);
    ssize_t ignored = write(2, text, strlen(text));
    ignored = write(2, "\n", 1);
    (void)ignored;
    abort();
}

void *
cg_malloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (p == NULL) {
        cg_die("out of memory");
    }
    return p;
}

void *
cg_calloc(size_t count, size_t n)
{
    void *p = calloc(count ? count : 1, n ? n : 1);
    if (p == NULL) {
        cg_die("out of memory");
    }
    return p;
}

void *
cg_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (q == NULL) {
        cg_die("out of memory");
    }
    return q;
}

/* glibc learns from the first large block that is freed: blocks up to its size
 * come from the heap from then on, which is trimmed at twice that. Set by
 * mallopt it would never learn of larger ones; who did, or set the variables
 * that glibc reads, has decided already. */
void
cg_memory_settle(void)
{
    enum { LARGE = 1024 * 1024 };
    void *volatile p = malloc(LARGE);
    free(p);
}

void
cg_memory_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

char *
cg_strdup(const char *s)
{
    return cg_strndup(s, strlen(s));
}

char *
cg_strndup(const char *s, size_t n)
{
    char *p = cg_malloc(n + 1);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *
cg_strf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CG_ASSERT(n >= 0);
    char *p = cg_malloc((size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

void
cg_cleanup_free(void *pp)
{
    int saved = errno;
    free(*(void **)pp);
    errno = saved;
}
