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
