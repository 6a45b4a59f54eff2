/* SPDX-License-Identifier: MIT */
/*
 * Access log format: gunicorn's %-atoms, compiled once, formatted per request
 * without Python. Control characters in peers' bytes are escaped (gunicorn
 * escapes only '"'; docs/differences.md).
 */
#ifndef CG_LOGGING_ACCESS_H
#define CG_LOGGING_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/bytes.h"

struct cg_access_format;

/* Reader of one field by name (lower case for headers); n = 0 and p = NULL when
 * there is none. kind is 'i' request header, 'o' response header, 'e' environ.
 */
typedef struct cg_slice cg_access_lookup(void *self, char kind,
                                         struct cg_slice name);

struct cg_access_record {
    struct cg_slice remote_addr;   /* %(h)s; "" for unix peers */
    struct cg_slice authorization; /* field value, for %(u)s; n = 0: none */
    struct cg_slice method, uri, protocol; /* %(r)s: uri as received */
    struct cg_slice line; /* %(r)s of a request that has no such parts */
    struct cg_slice path; /* %(U)s, decoded */
    struct cg_slice query;
    struct cg_slice referer, user_agent;     /* p = NULL: "-" */
    struct cg_slice request_id, traceparent; /* likewise */
    int status;
    uint64_t body_bytes;  /* %(B)s, %(b)s */
    uint64_t duration_us; /* %(T)s %(M)s %(D)s %(L)s */
    uint64_t queue_us;    /* before the application, %({queue}x)s */
    int pid;
    cg_access_lookup *lookup; /* NULL: every {name}x is "-" */
    void *self;
};

/* Compiles; every text is accepted. "json" and "logfmt" are words for all that
 * is known, in that form. Flags, width, precision and type are those
 * of Python's %: numbers are %(B)d, T, M and D, all else is text. `unknown`, if
 * not NULL, is called for each atom that is none of gunicorn's (it will print
 * "-"), with "%x" for a percent sign that begins none (it stays as it is), and
 * with "%(h)d" for a type that the atom has not (it is %(h)s). */
struct cg_access_format *cg_access_compile(const char *format,
                                           void (*unknown)(void *self,
                                                           const char *atom),
                                           void *self);
void cg_access_free(struct cg_access_format *f);
/* Leaves lines out: paths ("/x", "/x/" and what else begins so by a '*') and
 * statuses ("304", "2xx"). `items` end with NULL; those that are neither count
 * for nothing. */
void cg_access_leave_out(struct cg_access_format *f, const char *const *items);
/* Whether that one is left out; f may be NULL. */
bool cg_access_leaves_out(const struct cg_access_format *f, int status,
                          struct cg_slice target);
/* Whether lines are JSON or logfmt, which no logger can make of atoms. */
bool cg_access_is_structured(const struct cg_access_format *f);
/* Appends the line, without a newline, to out. */
void cg_access_format(const struct cg_access_format *f,
                      const struct cg_access_record *r, struct cg_buf *out);
/* A record that outlives what it was made of, with what f asks of it by name (f
 * may be NULL). `record` may be changed, and formatted by f alone. */
struct cg_access_kept;
struct cg_access_kept *cg_access_keep(const struct cg_access_format *f,
                                      const struct cg_access_record *r);
struct cg_access_record *cg_access_kept_record(struct cg_access_kept *k);
void cg_access_kept_free(struct cg_access_kept *k);
/* Whether the format has {name}e atoms (they need the environ). */
int cg_access_needs_environ(const struct cg_access_format *f);
int cg_access_needs_response_fields(const struct cg_access_format *f);

#endif
