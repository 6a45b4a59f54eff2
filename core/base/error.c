/* SPDX-License-Identifier: MIT */
#include "core/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
cg_error_set(struct cg_error *err, int errnum, const char *fmt, ...)
{
    int code = errnum ? -errnum : -EINVAL;
    if (err == NULL) {
        return code;
    }
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

int
cg_error_prefix(struct cg_error *err, const char *fmt, ...)
{
    char head[512], tail[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    memcpy(tail, err->text, sizeof tail);
    size_t n = strlen(head), left = sizeof err->text - n - sizeof ": ";
    size_t keep = strnlen(tail, left);
    memcpy(err->text, head, n);
    memcpy(err->text + n, ": ", 2);
    memcpy(err->text + n + 2, tail, keep);
    err->text[n + 2 + keep] = '\0';
    return err->code;
}

/* ---- with a traceback ---- */

/* "shop.errors.Closed: today" -> "Closed: today" */
static struct cg_slice
without_module(struct cg_slice line)
{
    size_t end = 0, name = 0;
    while (end < line.n && line.p[end] != ':' && line.p[end] != ' ') {
        name = line.p[end] == '.' ? end + 1 : name;
        end++;
    }
    return (struct cg_slice){line.p + name, line.n - name};
}

/* How much of the text says what the traceback says from `at` on; 0: something
 * else. One of the two may be cut. */
static size_t
said_from(struct cg_slice traceback, size_t at, const char *text)
{
    struct cg_slice end =
        without_module((struct cg_slice){traceback.p + at, traceback.n - at});
    size_t n = strnlen(text, end.n);
    return memcmp(end.p, text, n) == 0 ? n : 0;
}

/* How much of the text the traceback's last lines say: an exception's message
 * may have several. */
static size_t
said_by(struct cg_slice traceback, const char *text)
{
    enum { LINES = 100 };
    int lines = 0;
    for (size_t at = traceback.n; at > 0 && lines < LINES; at--) {
        if (at > 1 && traceback.p[at - 2] != '\n') {
            continue;
        }
        size_t n = said_from(traceback, at - 1, text);
        if (n > 0) {
            return n;
        }
        lines++;
    }
    return 0;
}

void
cg_error_put_traceback(struct cg_buf *out, struct cg_slice traceback,
                       const char *text)
{
    traceback = cg_slice_chomp(traceback);
    size_t said = said_by(traceback, text);
    cg_buf_put(out, traceback.p, traceback.n);
    if (traceback.n > 0 && said == 0) {
        cg_buf_putc(out, '\n');
    }
    cg_buf_puts(out, text + said);
}
