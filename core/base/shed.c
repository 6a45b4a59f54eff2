/* SPDX-License-Identifier: MIT */
#include "core/base/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

enum {
    /* what is smaller may be a library's variables, and is not worth it */
    LEAST = 256 * 1024,
    LINE_MOST = 128 /* up to the inode and a little of the name */
};

/* A line of /proc/self/maps: "from-to rw-p offset dev inode name". */
struct mapping {
    uintptr_t from, to;
    bool spare; /* memory of ours alone that no file is behind */
};

static uintptr_t
take_hex(const char **p)
{
    static const char digits[] = "0123456789abcdef";
    uintptr_t n = 0;
    const char *d;
    while (**p != '\0' && (d = strchr(digits, **p)) != NULL) {
        n = n * 16 + (uintptr_t)(d - digits);
        ++*p;
    }
    return n;
}

static const char *
skip_word(const char *p)
{
    p += strcspn(p, " ");
    return p + strspn(p, " ");
}

static struct mapping
mapping_of(const char *line)
{
    struct mapping m = {.from = take_hex(&line)};
    line += *line == '-';
    m.to = take_hex(&line);
    const char *how = line + strspn(line, " ");
    const char *inode = skip_word(skip_word(skip_word(how)));
    m.spare = strncmp(how, "rw-p", 4) == 0 && inode[0] == '0' &&
              (inode[1] == ' ' || inode[1] == '\0');
    return m;
}

static bool
contains(const struct mapping *m, const void *p)
{
    return m->from <= (uintptr_t)p && (uintptr_t)p < m->to;
}

/* The stack, and the thread's variables of the C library, stay. */
static void
shed(const struct mapping *m, const void *stack)
{
    if (m->spare && m->to - m->from >= LEAST && !contains(m, stack) &&
        !contains(m, &errno)) {
        madvise((void *)m->from, m->to - m->from, MADV_DONTNEED);
    }
}

static void
shed_all(int fd)
{
    char text[4096], line[LINE_MOST + 1];
    size_t at = 0;
    ssize_t n;
    while ((n = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] == '\n') {
                line[at] = '\0';
                struct mapping m = mapping_of(line);
                shed(&m, line);
                at = 0;
            } else if (at < LINE_MOST) {
                line[at++] = text[i];
            }
        }
    }
}

void
cg_memory_shed(void)
{
    int fd = HAS_SANITIZER ? -1 : open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        shed_all(fd);
        close(fd);
    }
}
