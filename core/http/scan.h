/* SPDX-License-Identifier: MIT */
/* Scanning bytes of heads: character classes and field names. Internal. */
#ifndef CG_HTTP_SCAN_H
#define CG_HTTP_SCAN_H

#include <stdint.h>

#include "core/http/request.h"

/* tchar of RFC 9110 5.6.2: 0 no, 1 yes, 3 '_' (a token that needs a policy),
 * 5 lower-case letter, 9 '#'. */
enum { TOKEN = 1, UNDERSCORE = 2, LOWER = 4, HASH = 8 };
extern const uint8_t cg_token_class[256];

static inline bool
cg_is_token_char(char c)
{
    return (cg_token_class[(unsigned char)c] & TOKEN) != 0;
}

/* token of RFC 9110 5.6.2. */
bool cg_is_token(struct cg_slice s);

static inline bool
cg_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 1*DIGIT up to INT64_MAX (Content-Length); false for anything else. */
bool cg_length_read(struct cg_slice s, uint64_t *ret_length);

/* Offset of the first byte that a field value must not have (a control other
 * than HTAB, or DEL), n when there is none. */
size_t cg_scan_value(const char *p, size_t n);

/* The identity of a field name of token characters. */
enum cg_field_id cg_field_identify(const char *name, size_t n);

/* ASCII case-insensitive: `lower` is lower case and has n bytes. */
bool cg_name_is(const char *name, const char *lower, size_t n);

enum cg_opinion { CG_DISAGREES, CG_AGREES_ON_FRAMING, CG_AGREES };
/* http-parser reads p[0..head) too, and compares it with r. `fields`: field
 * lines seen; plain: the lines are as received (no folding was undone). */
enum cg_opinion cg_crosscheck(const struct cg_request *r, const char *p,
                              unsigned fields, bool plain);

#endif
