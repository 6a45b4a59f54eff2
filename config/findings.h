/* SPDX-License-Identifier: MIT */
/*
 * What loading a configuration finds: warnings and problems, one sentence (or
 * a few lines, without a newline at the end) each, in the order of finding.
 * Zeroed memory is empty. Nothing here is printed: whoever asked decides.
 */
#ifndef CG_CONFIG_FINDINGS_H
#define CG_CONFIG_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

struct cg_finding {
    bool is_problem;
    char *text; /* owned */
};

struct cg_findings {
    struct cg_finding *items; /* owned */
    size_t n, problems;
};

/* The same text is kept once. */
void cg_findings_warn(struct cg_findings *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cg_findings_problem(struct cg_findings *f, const char *text);
/* Warnings count as problems from now on. */
void cg_findings_make_strict(struct cg_findings *f);
/* The first problem's text, borrowed; NULL when there is none. */
const char *cg_findings_first_problem(const struct cg_findings *f);
void cg_findings_release(struct cg_findings *f);

void cg_cleanup_findings(struct cg_findings *f); /* cg_auto(findings) */

#endif
