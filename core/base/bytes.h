/* SPDX-License-Identifier: MIT */
/*
 * Bytes: a borrowed slice and an owned, growing buffer. Neither knows what
 * the bytes mean. A slice is valid as long as what it points into.
 */
#ifndef CG_BASE_BYTES_H
#define CG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct cg_slice {
    const char *p;
    size_t n;
};

#define CG_SLICE(literal) ((struct cg_slice){(literal), sizeof(literal) - 1})

static inline struct cg_slice
cg_slice_of(const char *s)
{
    return (struct cg_slice){s, strlen(s)};
}

static inline bool
cg_slice_is(struct cg_slice a, const char *s)
{
    return a.n == strlen(s) && memcmp(a.p, s, a.n) == 0;
}

/* ASCII case-insensitive comparison; `lower` is in lower case. */
bool cg_slice_is_nocase(struct cg_slice a, const char *lower);

/* Whether a list of words with single separators between them has the word. */
bool cg_has_word(const char *list, char separator, const char *word);
bool cg_ends_with(const char *s, const char *end);

/* Without leading and trailing SP and HTAB (RFC 9110, 5.6.3 OWS). */
struct cg_slice cg_slice_trim(struct cg_slice a);
/* Without the newlines at its end. */
struct cg_slice cg_slice_chomp(struct cg_slice a);

/* Zeroed memory is an empty buffer. `p` is NULL while nothing was put. */
struct cg_buf {
    char *p;
    size_t n;
    size_t cap;
};

/* For cg_buf_reserve, when there is not enough room. */
void cg_buf_grow(struct cg_buf *b, size_t more);

/* Room for `more` bytes after n; returns where they go. n is unchanged. */
static inline char *
cg_buf_reserve(struct cg_buf *b, size_t more)
{
    if (__builtin_expect(b->cap - b->n < more, 0)) {
        cg_buf_grow(b, more);
    }
    return b->p + b->n;
}
/* The same, but NULL and nothing changed when memory is out: for what a peer
 * makes large. */
char *cg_buf_try_reserve(struct cg_buf *b, size_t more);
void cg_buf_put(struct cg_buf *b, const void *p, size_t n);
void cg_buf_puts(struct cg_buf *b, const char *s);
void cg_buf_putc(struct cg_buf *b, char c);
void cg_buf_putf(struct cg_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Forgets the first n bytes; frees the memory when none is left. */
void cg_buf_drop(struct cg_buf *b, size_t n);
/* Empty for reuse, memory kept. */
void cg_buf_reset(struct cg_buf *b);
/* Frees; the buffer is empty and usable afterwards. */
void cg_buf_release(struct cg_buf *b);
/* Gives back the memory that its n bytes do not need; they move. */
void cg_buf_fit(struct cg_buf *b);
/* The bytes with a NUL after them (not counted in n). */
const char *cg_buf_str(struct cg_buf *b);
/* Moves the memory out, NUL-terminated, to be freed; b is empty afterwards. */
char *cg_buf_take(struct cg_buf *b);

void cg_cleanup_buf(struct cg_buf *b); /* cg_auto(buf) */

/*
 * Appends `s` with control characters, DEL, backslash, `"` and bytes above
 * 0x7e written as \xHH (or \\ and \"), at most `limit` bytes of s, then "..."
 * when cut. For peers' bytes in log lines.
 */
void cg_buf_put_escaped(struct cg_buf *b, struct cg_slice s, size_t limit);

/*
 * Appends text that others wrote (a traceback, a companion's line, what a file
 * says) with all that could steer a terminal written as \xHH: control
 * characters but those in `kept` ("\n\t", say), DEL, and C1 controls in UTF-8.
 * All other bytes stay as they are.
 */
void cg_buf_put_harmless(struct cg_buf *b, struct cg_slice text,
                         const char *kept);

#endif
