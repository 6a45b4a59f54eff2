/* SPDX-License-Identifier: MIT */
#include "core/http/files/precondition.h"

#include <string.h>

/* ---- dates ---- */

static bool
read_digits(const char *p, int n, int *ret)
{
    *ret = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        *ret = *ret * 10 + (p[i] - '0');
    }
    return true;
}

static bool
read_month(const char *p, int *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (memcmp(p, names + 3 * i, 3) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* "08:49:37" */
static bool
read_clock(const char *p, struct tm *t)
{
    return read_digits(p, 2, &t->tm_hour) && p[2] == ':' &&
           read_digits(p + 3, 2, &t->tm_min) && p[5] == ':' &&
           read_digits(p + 6, 2, &t->tm_sec) && t->tm_hour < 24 &&
           t->tm_min < 60 && t->tm_sec <= 60;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
read_fixdate(struct cg_slice s, struct tm *t)
{
    int year;
    if (s.n != 29 || memcmp(s.p + 3, ", ", 2) != 0 || s.p[7] != ' ' ||
        s.p[11] != ' ' || s.p[16] != ' ' || memcmp(s.p + 25, " GMT", 4) != 0 ||
        !read_digits(s.p + 5, 2, &t->tm_mday) ||
        !read_month(s.p + 8, &t->tm_mon) || !read_digits(s.p + 12, 4, &year)) {
        return false;
    }
    t->tm_year = year - 1900;
    return read_clock(s.p + 17, t);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT"; the century is the one that is nearest. */
static bool
read_rfc850(struct cg_slice s, struct tm *t)
{
    int year;
    const char *comma = memchr(s.p, ',', s.n);
    if (comma == NULL || s.p + s.n - comma != 24) {
        return false;
    }
    const char *p = comma + 2;
    if (comma[1] != ' ' || p[2] != '-' || p[6] != '-' || p[9] != ' ' ||
        memcmp(p + 18, " GMT", 4) != 0 || !read_digits(p, 2, &t->tm_mday) ||
        !read_month(p + 3, &t->tm_mon) || !read_digits(p + 7, 2, &year)) {
        return false;
    }
    t->tm_year = year < 70 ? year + 100 : year;
    return read_clock(p + 10, t);
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
read_asctime(struct cg_slice s, struct tm *t)
{
    int year;
    if (s.n != 24 || s.p[3] != ' ' || s.p[7] != ' ' || s.p[10] != ' ' ||
        s.p[19] != ' ' || !read_month(s.p + 4, &t->tm_mon) ||
        !read_digits(s.p + 20, 4, &year)) {
        return false;
    }
    bool one = s.p[8] == ' ';
    if (!read_digits(s.p + 8 + one, 2 - one, &t->tm_mday)) {
        return false;
    }
    t->tm_year = year - 1900;
    return read_clock(s.p + 11, t);
}

bool
cg_http_date_read(struct cg_slice s, time_t *ret)
{
    struct tm t = {0};
    s = cg_slice_trim(s);
    if (s.n == 0 ||
        (!read_fixdate(s, &t) && !read_rfc850(s, &t) && !read_asctime(s, &t))) {
        return false;
    }
    if (t.tm_mday < 1 || t.tm_mday > 31) {
        return false;
    }
    *ret = timegm(&t);
    return true;
}

/* ---- entity tags ---- */

/* The next tag of a list, with its quotes; false at its end, or where it is
 * malformed. */
static bool
next_tag(struct cg_slice *rest, bool *weak, struct cg_slice *ret)
{
    while (rest->n > 0 &&
           (*rest->p == ' ' || *rest->p == '\t' || *rest->p == ',')) {
        *rest = (struct cg_slice){rest->p + 1, rest->n - 1};
    }
    *weak = rest->n > 2 && memcmp(rest->p, "W/", 2) == 0;
    const char *p = rest->p + (*weak ? 2 : 0);
    size_t n = rest->n - (*weak ? 2 : 0);
    if (n < 2 || *p != '"') {
        return false;
    }
    const char *end = memchr(p + 1, '"', n - 1);
    if (end == NULL) {
        return false;
    }
    *ret = (struct cg_slice){p, (size_t)(end - p) + 1};
    *rest = (struct cg_slice){end + 1, n - ret->n};
    return true;
}

static bool
same(struct cg_slice a, struct cg_slice b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* "*", or a list with that tag. strong: weak ones are no match (RFC 9110,
 * 8.8.3.2). */
static bool
has_tag(struct cg_slice list, struct cg_slice etag, bool strong)
{
    bool weak;
    struct cg_slice tag;
    list = cg_slice_trim(list);
    if (cg_slice_is(list, "*")) {
        return true;
    }
    while (next_tag(&list, &weak, &tag)) {
        if (same(tag, etag) && !(strong && weak)) {
            return true;
        }
    }
    return false;
}

/* ---- what follows ---- */

static bool
is_newer(struct cg_slice since, time_t modified, bool otherwise)
{
    time_t t;
    return cg_http_date_read(since, &t) ? modified > t : otherwise;
}

enum cg_precondition
cg_precondition(const struct cg_preconditions *c, const struct cg_validators *v)
{
    if (c->match.p != NULL) {
        if (!has_tag(c->match, v->etag, true)) {
            return CG_CONDITION_FAILED;
        }
    } else if (c->unmodified_since.p != NULL &&
               is_newer(c->unmodified_since, v->modified, false)) {
        return CG_CONDITION_FAILED;
    }
    if (c->none_match.p != NULL) {
        return has_tag(c->none_match, v->etag, false) ? CG_CONDITION_SAME
                                                      : CG_CONDITION_HOLDS;
    }
    return c->modified_since.p != NULL &&
                   !is_newer(c->modified_since, v->modified, true)
               ? CG_CONDITION_SAME
               : CG_CONDITION_HOLDS;
}

bool
cg_range_holds(const struct cg_preconditions *c, const struct cg_validators *v)
{
    time_t t;
    if (c->if_range.p == NULL) {
        return true;
    }
    struct cg_slice tag = cg_slice_trim(c->if_range);
    return same(tag, v->etag) ||
           (cg_http_date_read(tag, &t) && t == v->modified);
}
