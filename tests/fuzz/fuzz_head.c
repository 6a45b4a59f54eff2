/* SPDX-License-Identifier: MIT */
/*
 * Heads: any split of the bytes gives what the whole gives, under any policy,
 * and so does a reader that remembers another head; where http-parser accepts
 * what we accept, it has found the same request.
 */
#include <http_parser.h>

#include "core/http/scan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/http/told.h"

static struct cg_head_policy
choose_policy(struct fuzz_input *in, bool *trusted)
{
    struct cg_head_policy p = cg_head_policy_default;
    unsigned a = fuzz_byte(in), b = fuzz_byte(in);
    p.permit_folding = a & 1;
    p.strip_header_spaces = a & 2;
    p.permit_unconventional_method = a & 4;
    p.permit_unconventional_version = a & 8;
    p.casefold_method = a & 16;
    p.allow_missing_host = a & 32;
    p.forwarder_any = a & 64;
    *trusted = a & 128;
    p.header_map = (enum cg_header_map)((b & 3) % 3);
    if (b & 4) { /* small limits are reached by small inputs */
        p.limit_line = 40;
        p.limit_fields = 3;
        p.limit_field_size = 50;
        p.limit_head = 150;
    }
    return p;
}

/* Another reason may be found first when more bytes are there, but a refusal
 * is a refusal with the same status. */
static void
cut_reason(char *told)
{
    if (strncmp(told, "refused ", 8) == 0) {
        told[8] = '\0';
    }
}

/* ---- http-parser's view ---- */

struct other {
    struct cg_buf fields; /* "name=value " as we tell them */
    struct cg_buf target;
    bool in_value;
};

static int
on_url(http_parser *hp, const char *p, size_t n)
{
    cg_buf_put(&((struct other *)hp->data)->target, p, n);
    return 0;
}

static void
end_value(struct other *o)
{
    while (o->in_value && o->fields.n > 0 &&
           (o->fields.p[o->fields.n - 1] == ' ' ||
            o->fields.p[o->fields.n - 1] == '\t')) {
        o->fields.n--; /* http-parser leaves OWS behind a value */
    }
    o->in_value = false;
}

static int
on_field(http_parser *hp, const char *p, size_t n)
{
    struct other *o = hp->data;
    if (o->in_value) {
        end_value(o);
        cg_buf_putc(&o->fields, '\n');
    }
    cg_buf_put(&o->fields, p, n);
    return 0;
}

static int
on_value(http_parser *hp, const char *p, size_t n)
{
    struct other *o = hp->data;
    if (!o->in_value) {
        cg_buf_putc(&o->fields, '=');
    }
    o->in_value = true;
    cg_buf_put(&o->fields, p, n);
    return 0;
}

static int
on_end(http_parser *hp)
{
    end_value(hp->data);
    return 1;
}

static void
compare(const struct cg_request *r, const char *p, const http_parser *hp,
        struct other *o)
{
    struct cg_buf ours = {0};
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        if (i > 0) {
            cg_buf_putc(&ours, '\n');
        }
        cg_buf_put(&ours, p + f->name, f->name_n);
        cg_buf_putc(&ours, '=');
        cg_buf_put(&ours, p + f->value, f->value_n);
        while (f->value_n == 0 && ours.p[ours.n - 1] == ' ') {
            ours.n--;
        }
    }
    struct cg_slice target = cg_span_of(p, r->target);
    struct cg_slice method = cg_span_of(p, r->method);
    EXPECT(cg_slice_is(method, http_method_str((enum http_method)hp->method)),
           "%.*s", (int)method.n, method.p);
    EXPECT(target.n == o->target.n &&
               memcmp(target.p, o->target.p, target.n) == 0,
           "%.*s and %.*s", (int)target.n, target.p, (int)o->target.n,
           o->target.p);
    EXPECT(ours.n == o->fields.n &&
               (ours.n == 0 || memcmp(ours.p, o->fields.p, ours.n) == 0),
           "\n%.*s\nand\n%.*s", (int)ours.n, ours.p, (int)o->fields.n,
           o->fields.p);
    EXPECT(((hp->flags & F_CHUNKED) != 0) == r->chunked, "chunked");
    EXPECT(hp->content_length ==
               (r->has_length ? r->content_length : UINT64_MAX),
           "length");
    cg_buf_release(&ours);
}

/* Known faults of http-parser: HTAB behind a framing value, names that begin
 * as a framing field's does. core/http/crosscheck.c asks plainly then. */
static bool
is_beyond_it(const struct cg_request *r, const char *p)
{
    bool beyond = memchr(p, '\t', r->head_n) != NULL;
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        beyond = beyond || (f->name_n > strlen("Transfer-Encoding") &&
                            cg_name_is(p + f->name, "transfer-encoding", 17));
    }
    return beyond;
}

static void
ask_http_parser(const struct cg_request *r, const char *p)
{
    static const http_parser_settings callbacks = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_end,
    };
    struct other o = {0};
    http_parser hp;
    http_parser_init(&hp, HTTP_REQUEST);
    hp.data = &o;
    size_t n = r->head_n - r->line.at;
    size_t used = http_parser_execute(&hp, &callbacks, p + r->line.at, n);
    if (HTTP_PARSER_ERRNO(&hp) == HPE_OK && used == n && !is_beyond_it(r, p)) {
        compare(r, p, &hp, &o);
    }
    cg_buf_release(&o.fields);
    cg_buf_release(&o.target);
}

/* A head that differs in one byte was read before; and this one itself. */
static void
expect_the_same_after(const struct cg_head_policy *policy, bool trusted,
                      const struct fuzz_input *in, size_t at, const char *whole)
{
    cg_auto(free) char *before = cg_malloc(in->n + 1);
    memcpy(before, in->p, in->n);
    cg_auto(free) char *again =
        told_with_memo(policy, trusted, in->p, in->n, before, in->n);
    before[at % (in->n + 1)] ^= 1;
    cg_auto(free) char *after =
        told_with_memo(policy, trusted, in->p, in->n, before, in->n);
    cut_reason(again);
    cut_reason(after);
    EXPECT(strcmp(whole, again) == 0, "first '%s', again '%s'", whole, again);
    EXPECT(strcmp(whole, after) == 0, "first '%s', after another '%s'", whole,
           after);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input in = fuzz_input(data, n);
    bool trusted;
    struct cg_head_policy policy = choose_policy(&in, &trusted);
    size_t step = fuzz_byte(&in) + 1;
    cg_auto(free) char *whole =
        told_in_steps(&policy, trusted, in.p, in.n, in.n);
    cg_auto(free) char *parts =
        told_in_steps(&policy, trusted, in.p, in.n, step);
    cut_reason(whole);
    cut_reason(parts);
    EXPECT(strcmp(whole, parts) == 0, "whole '%s', %zu at a time '%s'", whole,
           step, parts);
    expect_the_same_after(&policy, trusted, &in, step * 7, whole);

    /* the defaults, so that no field is dropped or changed but by its '_' */
    struct cg_request r = {0};
    if (memchr(in.p, '_', in.n) == NULL &&
        cg_head_read(&r, &cg_head_policy_default, trusted, in.p, in.n) ==
            CG_HEAD_DONE) {
        ask_http_parser(&r, in.p);
    }
    cg_request_release(&r);
    return 0;
}
