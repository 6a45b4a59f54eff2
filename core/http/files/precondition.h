/* SPDX-License-Identifier: MIT */
/*
 * Preconditions: whether a client has what it asks for already, or asks for
 * something that is not there any more (RFC 9110, 13). Pure: fields in, a
 * decision out.
 */
#ifndef CG_HTTP_PRECONDITION_H
#define CG_HTTP_PRECONDITION_H

#include <stdbool.h>
#include <time.h>

#include "core/base/bytes.h"

/* What there is. */
struct cg_validators {
    struct cg_slice etag; /* with its quotes; strong */
    time_t modified;
};

/* What the client said; p = NULL: nothing. Of a field that came twice the first
 * one counts. */
struct cg_preconditions {
    struct cg_slice match, none_match, unmodified_since, modified_since;
    struct cg_slice if_range;
};

enum cg_precondition {
    CG_CONDITION_HOLDS,  /* send it */
    CG_CONDITION_SAME,   /* 304 */
    CG_CONDITION_FAILED, /* 412 */
};

/* For GET and HEAD, in the order of RFC 9110, 13.2.2. */
enum cg_precondition cg_precondition(const struct cg_preconditions *c,
                                     const struct cg_validators *v);
/* Whether Range counts: there is no If-Range, or it names what there is. */
bool cg_range_holds(const struct cg_preconditions *c,
                    const struct cg_validators *v);

/* The three forms of RFC 9110, 5.6.7. False: none of them. */
bool cg_http_date_read(struct cg_slice s, time_t *ret);

#endif
