/* SPDX-License-Identifier: MIT */
/*
 * Media types: what a file is, by the ending of its name: from a table of our
 * own (media_types.def), then from one in the form of /etc/mime.types.
 */
#ifndef CG_HTTP_MEDIA_TYPE_H
#define CG_HTTP_MEDIA_TYPE_H

#include <stdbool.h>

#include "core/base/bytes.h"

struct cg_media_type {
    const char *text; /* "text/css; charset=utf-8" */
    bool is_text;     /* it is worth compressing */
};

/* Those of a system, sorted; zeroed memory has none. */
struct cg_media_types {
    struct cg_media_extra *extra; /* owned */
    size_t n;
};

/* Lines "type ending ending"; # begins a comment. Those that are in our own
 * table, or malformed, are left out. At most once. */
void cg_media_types_read(struct cg_media_types *t, struct cg_slice text);
void cg_media_types_release(struct cg_media_types *t);

/* application/octet-stream when nobody knows it. Never NULL text. */
struct cg_media_type cg_media_type_of(const struct cg_media_types *t,
                                      struct cg_slice path);

#endif
