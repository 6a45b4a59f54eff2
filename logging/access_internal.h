/* SPDX-License-Identifier: MIT */
/* Parts of access lines, for the files of logging that make one. */
#ifndef CG_LOGGING_ACCESS_INTERNAL_H
#define CG_LOGGING_ACCESS_INTERNAL_H

#include "logging/access.h"

enum { CG_ACCESS_USER_MAX = 256 };

/* The user of HTTP Basic credentials (a field's value); 0: there is none. The
 * password stays out. */
size_t cg_access_user(struct cg_slice authorization,
                      char user[CG_ACCESS_USER_MAX]);

/* All that is known, as one object of JSON or as logfmt; names are those of
 * OpenTelemetry's semantic conventions where it has one. */
void cg_access_put_fields(bool json, const struct cg_access_record *r,
                          struct cg_buf *out);
/* Trace and span of a traceparent (W3C Trace Context, 3.2); false: it is none.
 */
bool cg_access_trace(struct cg_slice traceparent, struct cg_slice *ret_trace,
                     struct cg_slice *ret_span);

/* What access_log_skip leaves out; `items` end with NULL. */
struct cg_access_skip;
struct cg_access_skip *cg_access_skip_new(const char *const *items);
void cg_access_skip_free(struct cg_access_skip *s);
bool cg_access_skip_has(const struct cg_access_skip *s, int status,
                        struct cg_slice target);

#endif
