/* SPDX-License-Identifier: MIT */
#include "config/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/memory.h"

static bool
is_known(const struct cg_findings *f, bool is_problem, const char *text)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->items[i].is_problem == is_problem &&
            strcmp(f->items[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

/* What is shown comes out of files and variables: it gives a terminal no
 * commands. Takes the text; written as repr() does. */
static char *
without_controls(char *text)
{
    struct cg_buf b = {0};
    cg_buf_put_harmless(&b, cg_slice_of(text), "\t\n");
    free(text);
    return cg_buf_take(&b);
}

/* Takes the text. */
static void
add(struct cg_findings *f, bool is_problem, char *text)
{
    text = without_controls(text);
    if (is_known(f, is_problem, text)) {
        free(text);
        return;
    }
    f->items = cg_realloc(f->items, (f->n + 1) * sizeof *f->items);
    f->items[f->n++] = (struct cg_finding){is_problem, text};
    f->problems += is_problem;
}

void
cg_findings_warn(struct cg_findings *f, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = cg_malloc((size_t)(n > 0 ? n : 0) + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)(n > 0 ? n : 0) + 1, fmt, args);
    va_end(args);
    add(f, false, text);
}

void
cg_findings_problem(struct cg_findings *f, const char *text)
{
    add(f, true, cg_strdup(text));
}

void
cg_findings_make_strict(struct cg_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        f->items[i].is_problem = true;
    }
    f->problems = f->n;
}

const char *
cg_findings_first_problem(const struct cg_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->items[i].is_problem) {
            return f->items[i].text;
        }
    }
    return NULL;
}

void
cg_findings_release(struct cg_findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].text);
    }
    free(f->items);
    *f = (struct cg_findings){0};
}

void
cg_cleanup_findings(struct cg_findings *f)
{
    cg_findings_release(f);
}
