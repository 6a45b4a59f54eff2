/* SPDX-License-Identifier: MIT */
#include "core/http/files/coding.h"

enum { WHOLE = 1000 };

const char *const cg_coding_names[CG_CODING_COUNT] = {
#define X(id, name, ending) [CG_CODING_##id] = name,
    CG_CODINGS(X)
#undef X
};

const char *const cg_coding_endings[CG_CODING_COUNT] = {
#define X(id, name, ending) [CG_CODING_##id] = ending,
    CG_CODINGS(X)
#undef X
};

/* Up to c, which is left out of the rest. */
static struct cg_slice
split(struct cg_slice *rest, char c)
{
    const char *at = rest->n > 0 ? memchr(rest->p, c, rest->n) : NULL;
    struct cg_slice first = {rest->p,
                             at != NULL ? (size_t)(at - rest->p) : rest->n};
    size_t gone = first.n + (at != NULL);
    *rest = (struct cg_slice){rest->p + gone, rest->n - gone};
    return first;
}

/* "0.5", "1.000": a weight has three places at most. False: it is none. */
static bool
read_weight(struct cg_slice s, uint16_t *ret)
{
    static const uint16_t place[] = {WHOLE, 0, 100, 10, 1};
    unsigned q = 0;
    if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[1] != '.')) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1) {
            continue;
        }
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        q += (unsigned)(s.p[i] - '0') * place[i];
    }
    if (q > WHOLE) {
        return false;
    }
    *ret = (uint16_t)q;
    return true;
}

static bool
read_parameters(struct cg_slice rest, uint16_t *q)
{
    *q = WHOLE;
    while (rest.n > 0) {
        struct cg_slice one = cg_slice_trim(split(&rest, ';'));
        if (one.n >= 2 && (one.p[0] | 0x20) == 'q' && one.p[1] == '=') {
            return read_weight((struct cg_slice){one.p + 2, one.n - 2}, q);
        }
    }
    return true;
}

static int
coding_of(struct cg_slice name)
{
    for (int i = 0; i < CG_CODING_COUNT; i++) {
        if (cg_slice_is_nocase(name, cg_coding_names[i])) {
            return i;
        }
    }
    /* its old name (RFC 9110, 8.4.1.3) */
    return cg_slice_is_nocase(name, "x-gzip") ? CG_CODING_GZIP : -1;
}

static void
read_one(struct cg_accepted *a, struct cg_slice item)
{
    uint16_t q;
    struct cg_slice name = cg_slice_trim(split(&item, ';'));
    int coding = coding_of(name);
    if (!read_parameters(item, &q)) {
        return;
    }
    if (coding >= 0) {
        a->q[coding] = q;
        a->has[coding] = true;
    } else if (cg_slice_is_nocase(name, "identity")) {
        a->identity = q;
        a->has_identity = true;
    } else if (cg_slice_is(name, "*")) {
        a->any = q;
        a->has_any = true;
    }
}

void
cg_accepted_read(struct cg_accepted *a, struct cg_slice value)
{
    while (value.n > 0) {
        read_one(a, split(&value, ','));
    }
}

static uint16_t
weight_of(const struct cg_accepted *a, int coding)
{
    return a->has[coding] ? a->q[coding] : a->has_any ? a->any : 0;
}

/* That is never refused but by its name or an asterisk; who does not mention it
 * likes it no more than what is mentioned. */
static uint16_t
weight_of_identity(const struct cg_accepted *a)
{
    return a->has_identity ? a->identity : 0;
}

int
cg_accepted_order(const struct cg_accepted *a,
                  enum cg_coding ret[CG_CODING_COUNT])
{
    int n = 0;
    for (int i = 0; i < CG_CODING_COUNT; i++) {
        uint16_t q = weight_of(a, i);
        if (q == 0 || q < weight_of_identity(a)) {
            continue;
        }
        int at = n++;
        while (at > 0 && weight_of(a, ret[at - 1]) < q) {
            ret[at] = ret[at - 1];
            at--;
        }
        ret[at] = (enum cg_coding)i;
    }
    return n;
}
