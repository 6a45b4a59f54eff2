/* SPDX-License-Identifier: MIT */
/* Reading a head, line by line: state, limits, fields. See also line.c (the
 * request line) and head_fields.c (what the fields say together). */
#include "core/http/request.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/http/memo.h"
#include "core/http/reader.h"
#include "core/http/scan.h"

enum { FIELDS_START = 64, BLANK_LINES = 2, METHOD_MAX = 20 };

static const struct cg_scheme_rule default_schemes[] = {
    {"x-forwarded-protocol", "ssl"},
    {"x-forwarded-proto", "https"},
    {"x-forwarded-ssl", "on"},
    {NULL, NULL}};
static const char *const default_forwarder[] = {"script_name", "path_info",
                                                NULL};

const struct cg_head_policy cg_head_policy_default = {
    .limit_line = 4094,
    .limit_fields = 100,
    .limit_field_size = 8190,
    .limit_head = 65536,
    .header_map = CG_HEADER_DROP,
    .forwarder_headers = default_forwarder,
    .schemes = default_schemes,
};

/* ---- life ---- */

void
cg_request_reset(struct cg_request *r)
{
    struct cg_field *fields = r->fields;
    uint16_t cap = r->fields_cap;
    *r = (struct cg_request){.fields = fields, .fields_cap = cap};
}

void
cg_request_release(struct cg_request *r)
{
    free(r->fields);
    *r = (struct cg_request){0};
}

void
cg_request_fit(struct cg_request *r)
{
    if (r->nfields > 0) {
        r->fields = cg_realloc(r->fields, r->nfields * sizeof r->fields[0]);
        r->fields_cap = r->nfields;
    }
}

void
cg_request_move(struct cg_request *dst, struct cg_request *src)
{
    free(dst->fields);
    *dst = *src;
    *src = (struct cg_request){0};
}

void
cg_request_drop_coding(struct cg_request *r)
{
    uint16_t to = 0;
    if (!r->chunked) {
        return;
    }
    for (uint16_t i = 0; i < r->nfields; i++) {
        if (r->fields[i].id != CG_FIELD_TRANSFER_ENCODING) {
            r->fields[to++] = r->fields[i];
        }
    }
    r->nfields = to;
    r->proven = 0;
}

const struct cg_field *
cg_request_field(const struct cg_request *r, enum cg_field_id id)
{
    for (int i = 0; i < r->nfields; i++) {
        if (r->fields[i].id == id) {
            return &r->fields[i];
        }
    }
    return NULL;
}

enum cg_head_status
cg_refuse_head(struct cg_request *r, enum cg_refusal why, size_t at, size_t n)
{
    r->refusal = why;
    r->refused_at = (struct cg_span){(uint32_t)at, (uint32_t)n};
    return CG_HEAD_REFUSED;
}

/* What is shown of a field's line in p[at .. end): its name, up to the colon;
 * all of a line without one. */
static enum cg_head_status
refuse_named(struct cg_request *r, enum cg_refusal why, const char *p,
             size_t at, size_t end)
{
    const char *colon = memchr(p + at, ':', end - at);
    bool named = colon != NULL && colon > p + at;
    return cg_refuse_head(r, why, at,
                          named ? (size_t)(colon - p) - at : end - at);
}

/* ---- one field line ---- */

static bool
is_forwarder(const struct cg_head_policy *policy, const char *name, size_t n)
{
    if (policy->forwarder_any) {
        return true;
    }
    const char *const *list = policy->forwarder_headers;
    for (; list != NULL && *list != NULL; list++) {
        if (strlen(*list) == n && cg_name_is(name, *list, n)) {
            return true;
        }
    }
    return false;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

enum cg_refusal
cg_field_line_read(const struct cg_head_policy *policy, const char *p, size_t n,
                   struct cg_field_line *ret)
{
    unsigned class = 0;
    size_t i = 0;
    while (i < n && cg_is_token_char(p[i])) {
        class |= cg_token_class[(unsigned char)p[i]];
        i++;
    }
    size_t name_n = i;
    if (policy->strip_header_spaces) {
        while (i < n && is_blank(p[i])) {
            i++;
        }
    }
    if (i == n || p[i] != ':') {
        return i == n || memchr(p, ':', n) == NULL ? CG_REFUSE_HEADER
                                                   : CG_REFUSE_HEADER_NAME;
    }
    if (name_n == 0) {
        return CG_REFUSE_HEADER;
    }
    size_t from = i + 1, to = n;
    while (from < to && is_blank(p[from])) {
        from++;
    }
    while (to > from && is_blank(p[to - 1])) {
        to--;
    }
    if (cg_scan_value(p + from, to - from) != to - from) {
        return CG_REFUSE_HEADER_VALUE;
    }
    *ret = (struct cg_field_line){.name_n = name_n,
                                  .value_at = from,
                                  .value_n = to - from,
                                  .has_underscore = (class & UNDERSCORE) != 0};
    return CG_REFUSE_NONE;
}

struct cg_field *
cg_request_add_field(struct cg_request *r)
{
    if (r->nfields == r->fields_cap) {
        unsigned cap = r->fields_cap != 0 ? r->fields_cap * 2u : FIELDS_START;
        r->fields_cap = (uint16_t)(cap < 65535 ? cap : 65535);
        r->fields =
            cg_realloc(r->fields, r->fields_cap * sizeof(struct cg_field));
    }
    return &r->fields[r->nfields++];
}

/* Whether a name with an underscore stays; *refuse when it must not come. */
static bool
keeps_underscore(const struct cg_head_policy *policy, bool trusted,
                 const char *name, size_t n, bool *refuse)
{
    *refuse = false;
    if (trusted && is_forwarder(policy, name, n)) {
        return true;
    }
    switch (policy->header_map) {
    case CG_HEADER_DROP: return false;
    case CG_HEADER_REFUSE: *refuse = true; return false;
    case CG_HEADER_DANGEROUS: return true;
    }
    return false;
}

/*
 * An obsolete folded line is joined to the value before it with one blank; the
 * bytes are ours, so this is done in place. What it leaves behind is blanked,
 * so that the head reads the same a second time (in another worker).
 */
static enum cg_head_status
unfold(struct cg_request *r, const char *base, size_t at, size_t n)
{
    char *p = (char *)(size_t)base;
    size_t line_at = at, line_end = at + n;
    while (n > 0 && is_blank(p[at])) {
        at++;
        n--;
    }
    while (n > 0 && is_blank(p[at + n - 1])) {
        n--;
    }
    if (cg_scan_value(p + at, n) != n) {
        return refuse_named(r, CG_REFUSE_HEADER_VALUE, p, r->field_at,
                            line_end);
    }
    r->folded = true;
    if (r->dropped_last || n == 0) {
        return CG_HEAD_MORE;
    }
    struct cg_field *f = &r->fields[r->nfields - 1];
    if (f->value_n > 0) {
        p[f->value + f->value_n++] = ' ';
    }
    memmove(p + f->value + f->value_n, p + at, n);
    f->value_n += (uint32_t)n;
    /* up to the line end before this one that was done, fold by fold */
    size_t left = f->value + f->value_n;
    left = left > line_at - 2 ? left : line_at - 2;
    memset(p + left, ' ', line_end - left);
    return CG_HEAD_MORE;
}

static enum cg_head_status
on_folded(struct cg_request *r, const struct cg_head_policy *policy,
          const char *p, size_t at, size_t n)
{
    if (r->lines == 0) {
        return refuse_named(r, CG_REFUSE_HEADER_NAME, p, at, at + n);
    }
    if (!policy->permit_folding) {
        return refuse_named(r, CG_REFUSE_FOLDING, p, r->field_at, at);
    }
    return unfold(r, p, at, n);
}

static enum cg_head_status
on_field(struct cg_request *r, const struct cg_head_policy *policy,
         bool trusted, const char *p, size_t at, size_t n)
{
    struct cg_field_line line;
    if (is_blank(p[at])) {
        return on_folded(r, policy, p, at, n);
    }
    enum cg_refusal why = cg_field_line_read(policy, p + at, n, &line);
    if (why != CG_REFUSE_NONE) {
        return refuse_named(r, why, p, at, at + n);
    }
    r->lines++;
    r->field_at = (uint32_t)at;
    r->dropped_last = false;
    r->has_underscore = r->has_underscore || line.has_underscore;
    bool refuse = false;
    if (line.has_underscore &&
        !keeps_underscore(policy, trusted, p + at, line.name_n, &refuse)) {
        r->dropped_last = true;
        return refuse
                   ? cg_refuse_head(r, CG_REFUSE_HEADER_NAME, at, line.name_n)
                   : CG_HEAD_MORE;
    }
    if (r->nfields >= policy->limit_fields || line.name_n > UINT16_MAX) {
        return cg_refuse_head(r, CG_REFUSE_FIELDS_LIMIT, at, 0);
    }
    *cg_request_add_field(r) = (struct cg_field){
        .name = (uint32_t)at,
        .name_n = (uint16_t)line.name_n,
        .value = (uint32_t)(at + line.value_at),
        .value_n = (uint32_t)line.value_n,
        .id = (uint16_t)cg_field_identify(p + at, line.name_n),
    };
    return CG_HEAD_MORE;
}

/* ---- lines ---- */

static enum cg_head_status
on_line(struct cg_request *r, const struct cg_head_policy *policy, bool trusted,
        const char *p, size_t at, size_t n)
{
    if (r->phase == CG_PHASE_LINE) {
        if (n == 0) {
            return ++r->blank_lines > BLANK_LINES
                       ? cg_refuse_head(r, CG_REFUSE_LINE, at, n)
                       : CG_HEAD_MORE;
        }
        r->phase = CG_PHASE_FIELDS;
        return cg_request_line_read(r, policy, p, at, n);
    }
    if (n == 0) {
        r->head_n = (uint32_t)at + 2;
        return cg_head_finish(r, policy, trusted, p);
    }
    return on_field(r, policy, trusted, p, at, n);
}

/* n bytes of a field's line, with its CR if that came. */
static enum cg_head_status
check_field_part(struct cg_request *r, const struct cg_head_policy *policy,
                 const char *p, size_t at, size_t n)
{
    bool folded = r->lines > 0 && is_blank(p[at]);
    size_t from = folded ? r->field_at : at;
    return policy->limit_field_size != 0 &&
                   at + n + 1 - from > policy->limit_field_size
               ? cg_refuse_head(r, CG_REFUSE_FIELD_SIZE, from, 0)
               : CG_HEAD_MORE;
}

/* n bytes of the request line. Only as many are looked at as a method may
 * have, since this is asked again with every read. */
static enum cg_head_status
check_line_part(struct cg_request *r, const struct cg_head_policy *policy,
                const char *p, size_t at, size_t n)
{
    size_t most = n <= METHOD_MAX ? n : METHOD_MAX + 1;
    for (size_t i = 0; i < most && p[at + i] != ' '; i++) {
        bool at_end = i + 1 == n && p[at + i] == '\r';
        if ((!at_end && !cg_is_token_char(p[at + i])) ||
            (i == METHOD_MAX && !policy->permit_unconventional_method)) {
            return cg_refuse_head(r, CG_REFUSE_METHOD, at, i + 1);
        }
    }
    return policy->limit_line != 0 && n > policy->limit_line + 1u
               ? cg_refuse_head(r, CG_REFUSE_LINE_LIMIT, at, 0)
               : CG_HEAD_MORE;
}

/* What can be refused before a line's end is there. A line that came whole is
 * asked too: the verdict must not depend on how the bytes were cut. */
static enum cg_head_status
check_part(struct cg_request *r, const struct cg_head_policy *policy,
           const char *p, size_t n)
{
    size_t at = r->pos;
    enum cg_head_status st = n == at ? CG_HEAD_MORE
                             : r->phase == CG_PHASE_LINE
                                 ? check_line_part(r, policy, p, at, n - at)
                                 : check_field_part(r, policy, p, at, n - at);
    if (st == CG_HEAD_MORE && n > policy->limit_head) {
        return cg_refuse_head(r, CG_REFUSE_HEAD_SIZE, at, 0);
    }
    return st;
}

static enum cg_head_status
on_end_of_line(struct cg_request *r, const struct cg_head_policy *policy,
               bool trusted, const char *p, size_t lf)
{
    size_t at = r->pos;
    if (check_part(r, policy, p, lf) == CG_HEAD_REFUSED) {
        return CG_HEAD_REFUSED;
    }
    if (lf + 1 > policy->limit_head) {
        return cg_refuse_head(r, CG_REFUSE_HEAD_SIZE, at, 0);
    }
    if (lf == at || p[lf - 1] != '\r') {
        return cg_refuse_head(r, CG_REFUSE_BARE_LF, at, lf - at);
    }
    enum cg_head_status st = on_line(r, policy, trusted, p, at, lf - 1 - at);
    r->pos = r->scanned = (uint32_t)lf + 1;
    return st;
}

/* A line that is there: MORE also when there is none, with *ended false. */
static enum cg_head_status
read_line(struct cg_request *r, const struct cg_head_policy *policy,
          bool trusted, const char *p, size_t n, bool *ended)
{
    const char *lf = memchr(p + r->scanned, '\n', n - r->scanned);
    *ended = lf != NULL;
    return lf != NULL ? on_end_of_line(r, policy, trusted, p, (size_t)(lf - p))
                      : CG_HEAD_MORE;
}

static enum cg_head_status
read_lines(struct cg_request *r, const struct cg_head_memo *memo,
           const struct cg_head_policy *policy, bool trusted, const char *p,
           size_t n)
{
    bool ended = true;
    while (ended) {
        if (memo != NULL && r->phase == CG_PHASE_FIELDS &&
            cg_memo_take(memo, r, policy, p, n)) {
            continue;
        }
        unsigned before = r->nfields;
        enum cg_head_status st = read_line(r, policy, trusted, p, n, &ended);
        if (st != CG_HEAD_MORE) {
            return st;
        }
        if (memo != NULL && r->nfields > before) {
            cg_memo_follow(memo, r);
        }
    }
    r->scanned = (uint32_t)n;
    return check_part(r, policy, p, n);
}

enum cg_head_status
cg_head_read_with(struct cg_request *r, struct cg_head_memo *memo,
                  const struct cg_head_policy *policy, bool trusted,
                  const char *p, size_t n)
{
    enum cg_head_status st = read_lines(r, memo, policy, trusted, p, n);
    if (st == CG_HEAD_DONE && memo != NULL) {
        cg_memo_learn(memo, r, p);
    }
    return st;
}

enum cg_head_status
cg_head_read(struct cg_request *r, const struct cg_head_policy *policy,
             bool trusted, const char *p, size_t n)
{
    return read_lines(r, NULL, policy, trusted, p, n);
}
