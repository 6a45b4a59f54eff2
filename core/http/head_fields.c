/* SPDX-License-Identifier: MIT */
/* What the fields of a complete head say together: Host, framing, persistence,
 * expectations, and what a trusted proxy adds. */
#include <string.h>

#include "core/http/host.h"
#include "core/http/reader.h"
#include "core/http/scan.h"

/* What is collected in one pass over the fields. */
struct gather {
    const char *p;
    const struct cg_field *host;
    bool content_type;
    bool close, keep_alive, upgrade_token, upgrade_field;
    /* Transfer-Encoding's list so far; void: an empty element, or identity,
     * which RFC 9112 has taken out of the list of codings */
    bool coding, coding_void, chunked, chunked_not_last, other_coding;
    const struct cg_field *unknown_coding;
};

static struct cg_slice
value_of(const struct gather *g, const struct cg_field *f)
{
    return (struct cg_slice){g->p + f->value, f->value_n};
}

static enum cg_head_status
refuse(struct cg_request *r, enum cg_refusal why, const struct cg_field *f)
{
    return cg_refuse_head(r, why, f->value, f->value_n);
}

/* The next element of a comma list; false at the end. */
static bool
next_element(struct cg_slice *list, struct cg_slice *ret)
{
    if (list->p == NULL) {
        return false;
    }
    const char *comma = memchr(list->p, ',', list->n);
    size_t n = comma != NULL ? (size_t)(comma - list->p) : list->n;
    *ret = cg_slice_trim((struct cg_slice){list->p, n});
    if (comma == NULL) {
        *list = (struct cg_slice){NULL, 0};
    } else {
        *list = (struct cg_slice){comma + 1, list->n - n - 1};
    }
    return true;
}

/* ---- single fields ---- */

static enum cg_head_status
on_length(struct cg_request *r, const struct gather *g,
          const struct cg_field *f)
{
    if (r->has_length || !cg_length_read(value_of(g, f), &r->content_length)) {
        return refuse(r, CG_REFUSE_CONTENT_LENGTH, f);
    }
    r->has_length = true;
    return CG_HEAD_MORE;
}

static void
on_coding(struct gather *g, const struct cg_field *f)
{
    struct cg_slice list = value_of(g, f), e;
    g->coding = true;
    while (next_element(&list, &e)) {
        if (e.n == 0 || cg_slice_is_nocase(e, "identity")) {
            g->coding_void = true;
        } else if (cg_slice_is_nocase(e, "chunked")) {
            g->chunked_not_last = g->chunked_not_last || g->chunked;
            g->chunked = true;
            continue;
        } else if (cg_slice_is_nocase(e, "gzip") ||
                   cg_slice_is_nocase(e, "deflate") ||
                   cg_slice_is_nocase(e, "compress")) {
            g->other_coding = true;
        } else {
            g->unknown_coding = f;
        }
        g->chunked_not_last = g->chunked_not_last || g->chunked;
    }
}

static void
on_connection(struct gather *g, const struct cg_field *f)
{
    struct cg_slice list = value_of(g, f), e;
    while (next_element(&list, &e)) {
        if (cg_slice_is_nocase(e, "close")) {
            g->close = true;
        } else if (cg_slice_is_nocase(e, "keep-alive")) {
            g->keep_alive = true;
        } else if (cg_slice_is_nocase(e, "upgrade")) {
            g->upgrade_token = true;
        }
    }
}

/* A list (RFC 9110 10.1.1), on one line or several: what is empty asks for
 * nothing. */
static enum cg_head_status
on_expect(struct cg_request *r, const struct gather *g,
          const struct cg_field *f)
{
    if (r->minor == 0) {
        return CG_HEAD_MORE; /* RFC 9110 10.1.1: ignored in 1.0 */
    }
    struct cg_slice list = value_of(g, f), e;
    while (next_element(&list, &e)) {
        if (e.n > 0 && !cg_slice_is_nocase(e, "100-continue")) {
            return refuse(r, CG_REFUSE_EXPECTATION, f);
        }
        r->expect_continue = r->expect_continue || e.n > 0;
    }
    return CG_HEAD_MORE;
}

static enum cg_head_status
on_known_field(struct cg_request *r, struct gather *g, bool trusted,
               const struct cg_field *f)
{
    switch (f->id) {
    case CG_FIELD_HOST:
        if (g->host != NULL) {
            return refuse(r, CG_REFUSE_HOST, f);
        }
        g->host = f;
        break;
    case CG_FIELD_CONTENT_TYPE:
        if (g->content_type) {
            return refuse(r, CG_REFUSE_CONTENT_TYPE, f);
        }
        g->content_type = true;
        break;
    case CG_FIELD_CONTENT_LENGTH: return on_length(r, g, f);
    case CG_FIELD_TRANSFER_ENCODING: on_coding(g, f); break;
    case CG_FIELD_CONNECTION: on_connection(g, f); break;
    case CG_FIELD_UPGRADE: g->upgrade_field = true; break;
    case CG_FIELD_EXPECT: return on_expect(r, g, f);
    case CG_FIELD_SCRIPT_NAME:
        if (trusted) {
            r->script_name = (struct cg_span){f->value, f->value_n};
        }
        break;
    default: break;
    }
    return CG_HEAD_MORE;
}

/* ---- the whole ---- */

/* Whether a Host field names the authority of an absolute target. */
static bool
is_of_target(const struct cg_request *r, const struct gather *g,
             const struct cg_authority *host)
{
    struct cg_authority target;
    bool https = (g->p[r->target.at + 4] | 32) == 's';
    return cg_authority_read(cg_span_of(g->p, r->authority), &target) &&
           cg_authority_is(host, &target, https ? 443 : 80);
}

static enum cg_head_status
check_host(struct cg_request *r, const struct cg_head_policy *policy,
           const struct gather *g)
{
    if (g->host == NULL) {
        return r->minor >= 1 && !policy->allow_missing_host
                   ? cg_refuse_head(r, CG_REFUSE_NO_HOST, 0, 0)
                   : CG_HEAD_MORE;
    }
    struct cg_authority host;
    if (!cg_authority_read(value_of(g, g->host), &host)) {
        return refuse(r, CG_REFUSE_HOST, g->host);
    }
    /* CONNECT names another host than the one that is asked, with its port */
    if (r->authority.n > 0 && !r->method_is_connect &&
        !is_of_target(r, g, &host)) {
        return refuse(r, CG_REFUSE_HOST_MISMATCH, g->host);
    }
    return CG_HEAD_MORE;
}

static enum cg_head_status
check_framing(struct cg_request *r, const struct gather *g)
{
    if (!g->coding) {
        return CG_HEAD_MORE;
    }
    if (g->unknown_coding != NULL && !g->coding_void) {
        return refuse(r, CG_REFUSE_UNSUPPORTED_CODING, g->unknown_coding);
    }
    if (g->coding_void || !g->chunked || g->chunked_not_last || r->has_length ||
        r->minor == 0) {
        return cg_refuse_head(r, CG_REFUSE_TRANSFER_ENCODING, 0, 0);
    }
    r->chunked = true;
    r->force_close = r->force_close || g->other_coding;
    return CG_HEAD_MORE;
}

/* One field that a rule names. */
static enum cg_head_status
on_scheme_field(struct cg_request *r, const struct cg_scheme_rule *rule,
                const char *p, const struct cg_field *f)
{
    struct cg_slice v = {p + f->value, f->value_n};
    uint8_t scheme =
        cg_slice_is(v, rule->value) ? CG_SCHEME_HTTPS : CG_SCHEME_HTTP;
    if (r->scheme != CG_SCHEME_TRANSPORT && r->scheme != scheme) {
        return refuse(r, CG_REFUSE_SCHEMES, f);
    }
    r->scheme = scheme;
    return CG_HEAD_MORE;
}

static enum cg_head_status
check_schemes(struct cg_request *r, const struct cg_head_policy *policy,
              const char *p)
{
    const struct cg_scheme_rule *rule = policy->schemes;
    for (; rule != NULL && rule->name != NULL; rule++) {
        size_t n = strlen(rule->name);
        for (int i = 0; i < r->nfields; i++) {
            const struct cg_field *f = &r->fields[i];
            if (f->name_n == n && cg_name_is(p + f->name, rule->name, n) &&
                on_scheme_field(r, rule, p, f) == CG_HEAD_REFUSED) {
                return CG_HEAD_REFUSED;
            }
        }
    }
    return CG_HEAD_MORE;
}

static void
decide_persistence(struct cg_request *r, const struct gather *g)
{
    r->keep_alive = !g->close && (r->minor >= 1 || g->keep_alive);
    r->upgrade = r->minor >= 1 && g->upgrade_token && g->upgrade_field;
    r->force_close = r->force_close || r->method_is_connect;
}

enum cg_head_status
cg_head_finish(struct cg_request *r, const struct cg_head_policy *policy,
               bool trusted, const char *p)
{
    struct gather g = {.p = p};
    for (int i = 0; i < r->nfields; i++) {
        if (r->fields[i].id != CG_FIELD_OTHER &&
            on_known_field(r, &g, trusted, &r->fields[i]) == CG_HEAD_REFUSED) {
            return CG_HEAD_REFUSED;
        }
    }
    if (check_host(r, policy, &g) == CG_HEAD_REFUSED ||
        check_framing(r, &g) == CG_HEAD_REFUSED ||
        (trusted && check_schemes(r, policy, p) == CG_HEAD_REFUSED)) {
        return CG_HEAD_REFUSED;
    }
    decide_persistence(r, &g);
    bool plain = !r->folded && !policy->strip_header_spaces;
    enum cg_opinion second = cg_crosscheck(r, p, r->lines, plain);
    r->agreed = second == CG_AGREES;
    return second != CG_DISAGREES
               ? CG_HEAD_DONE
               : cg_refuse_head(r, CG_REFUSE_DISAGREEMENT, 0, 0);
}
