/* SPDX-License-Identifier: MIT */
/*
 * An error that explains itself: a negative errno and one sentence. Lower
 * layers fill it, the layer that decides logs it once. Functions that take a
 * `struct cg_error *` return 0 or the negative errno that they stored.
 */
#ifndef CG_BASE_ERROR_H
#define CG_BASE_ERROR_H

#include "core/base/bytes.h"

struct cg_error {
    int code;        /* -errno, 0 while nothing is wrong */
    char text[2048]; /* one sentence or a few lines, no newline at the end */
};

/*
 * Stores -errnum and the text. With errnum > 0 that has a meaning to strerror
 * nothing is added: write it into fmt where it helps. err may be NULL.
 * Returns -errnum (-EINVAL for 0).
 */
int cg_error_set(struct cg_error *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "fmt: " in front of what is there. Returns err->code. */
int cg_error_prefix(struct cg_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Appends a traceback of Python's and what is said of it, without a newline at
 * the end. Where the text begins as the traceback ends (the exception's own
 * line, whose type may have its module there) only the rest of it is added.
 * Without a traceback it is the text alone.
 */
void cg_error_put_traceback(struct cg_buf *out, struct cg_slice traceback,
                            const char *text);

#endif
