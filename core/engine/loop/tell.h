/* SPDX-License-Identifier: MIT */
/*
 * Telling: what the host is to write into its log about peers and about the
 * worker's surroundings. The host holds back what is too much and sums it up
 * when it is asked for a report.
 */
#ifndef CG_ENGINE_TELL_H
#define CG_ENGINE_TELL_H

#include "core/engine/engine.h"

/* Trouble that an executor met without the baton. */
struct cg_note {
    _Atomic int state;
    char text[512];
};

struct cg_telling {
    uint64_t report_us; /* with the baton: a report is due then; 0: none */
    struct cg_note note;
};

/* With the baton. To the host, with the counter; a report follows. */
void cg_tell_refused(struct cg_engine *e, struct cg_refused why);
/* The same of a request that was right, and is counted elsewhere. */
void cg_tell_unserved(struct cg_engine *e, const struct cg_refused *why);
void cg_tell_trouble(struct cg_engine *e, const char *text);
/* The host sums up in a second what it held back. */
void cg_expect_report(struct cg_engine *e);
/* Any thread: whoever turns the loop tells it soon, unless another one waits to
 * be told. */
void cg_note_trouble(struct cg_engine *e, const char *text);
void cg_tell_noted(struct cg_engine *e);

#endif
