/* SPDX-License-Identifier: MIT */
/* What the files of the head reader share. Internal to core/http. */
#ifndef CG_HTTP_READER_H
#define CG_HTTP_READER_H

#include "core/http/request.h"

enum { CG_PHASE_LINE, CG_PHASE_FIELDS };

struct cg_field_line {
    size_t name_n; /* the name begins the line */
    size_t value_at, value_n;
    bool has_underscore;
};

/* Splits and checks a field line without its CRLF; trailers use it too. */
enum cg_refusal cg_field_line_read(const struct cg_head_policy *policy,
                                   const char *p, size_t n,
                                   struct cg_field_line *ret);

/* Room for one more field; its contents are the caller's to set. */
struct cg_field *cg_request_add_field(struct cg_request *r);

/* Stores the refusal; returns CG_HEAD_REFUSED. */
enum cg_head_status cg_refuse_head(struct cg_request *r, enum cg_refusal why,
                                   size_t at, size_t n);

/* line.c: p[at .. at+n) is the request line without CRLF. MORE: go on. */
enum cg_head_status cg_request_line_read(struct cg_request *r,
                                         const struct cg_head_policy *policy,
                                         const char *p, size_t at, size_t n);

/* head_fields.c: all fields are there; framing, persistence, trust. */
enum cg_head_status cg_head_finish(struct cg_request *r,
                                   const struct cg_head_policy *policy,
                                   bool trusted, const char *p);

#endif
