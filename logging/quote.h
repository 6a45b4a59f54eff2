/* SPDX-License-Identifier: MIT */
/* Quotes: bytes of others as values of JSON and of logfmt, on one line. */
#ifndef CG_LOGGING_QUOTE_H
#define CG_LOGGING_QUOTE_H

#include <stdint.h>

#include "core/base/bytes.h"

/* "text" of JSON (RFC 8259, 7). What is no UTF-8 becomes U+FFFD. */
void cg_quote_json(struct cg_buf *out, struct cg_slice s);
/* A bare word where that is one, else as JSON. */
void cg_quote_logfmt(struct cg_buf *out, struct cg_slice s);
void cg_quote_number(struct cg_buf *out, uint64_t n);
/* Microseconds as seconds: 0.001234 */
void cg_quote_seconds(struct cg_buf *out, uint64_t us);
/* Now, in UTC with microseconds (RFC 3339): 2026-01-31T12:00:00.000000Z */
void cg_quote_now(struct cg_buf *out);

#endif
