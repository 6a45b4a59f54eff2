/* SPDX-License-Identifier: MIT */
/*
 * The second opinion: http-parser reads the block that our scanner has proven,
 * and must find the same request. Its known faults (unknown methods, HTAB after
 * framing values, Transfer-Encoding-X) are kept out by giving it, in a second
 * try, only what frames a request, written plainly. Lines that it has read
 * before, byte by byte (memo.h), are left out: it takes them one by one.
 */
#include <http_parser.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "core/http/scan.h"

/* What http-parser is shown, and whether it finds the fields where we did. */
struct opinion {
    http_parser hp;
    const struct cg_request *r;
    const char *p;
    bool all;      /* every line is a field of r: none was dropped */
    bool astray;   /* a field elsewhere */
    unsigned next; /* field of r that comes next */
    unsigned seen;
};

/* Framing is compared, so it is asked about every time. */
static bool
is_left_out(const struct cg_request *r, unsigned i)
{
    return i < CG_PROVEN_MAX && (r->proven >> i & 1) != 0 &&
           r->fields[i].id != CG_FIELD_CONTENT_LENGTH &&
           r->fields[i].id != CG_FIELD_TRANSFER_ENCODING;
}

static int
on_field(http_parser *hp, const char *at, size_t n)
{
    struct opinion *o = hp->data;
    o->seen++;
    if (o->all) {
        while (o->next < o->r->nfields && is_left_out(o->r, o->next)) {
            o->next++;
        }
        o->astray = o->astray || o->next >= o->r->nfields ||
                    at != o->p + o->r->fields[o->next].name;
        o->next++;
    }
    return 0;
}

static int
on_head(http_parser *hp)
{
    return 1; /* no body follows: the framing is ours */
}

static const http_parser_settings counting = {
    .on_header_field = on_field,
    .on_headers_complete = on_head,
};

static bool
frames_alike(const struct cg_request *r, const http_parser *hp)
{
    uint64_t length = r->has_length ? r->content_length : UINT64_MAX;
    bool chunked = (hp->flags & F_CHUNKED) != 0;
    return hp->http_major == 1 && hp->http_minor == r->minor &&
           chunked == r->chunked && hp->content_length == length;
}

static bool
show(struct opinion *o, const char *from, const char *to)
{
    size_t n = (size_t)(to - from);
    return n == 0 || (http_parser_execute(&o->hp, &counting, from, n) == n &&
                      HTTP_PARSER_ERRNO(&o->hp) == HPE_OK);
}

/* Shows the head but for what is left out; *shown counts its fields. */
static bool
show_head(struct opinion *o, unsigned *shown)
{
    const struct cg_request *r = o->r;
    const char *from = o->p + r->line.at, *end = o->p + r->head_n;
    for (unsigned i = 0; r->proven != 0 && i < r->nfields; i++) {
        if (!is_left_out(r, i)) {
            continue;
        }
        if (!show(o, from, o->p + r->fields[i].name)) {
            return false;
        }
        from = i + 1u < r->nfields ? o->p + r->fields[i + 1].name : end - 2;
        --*shown;
    }
    return show(o, from, end);
}

static bool
agrees_on_all(const struct cg_request *r, const char *p, unsigned fields)
{
    struct opinion o = {.r = r, .p = p, .all = fields == r->nfields};
    http_parser_init(&o.hp, HTTP_REQUEST);
    o.hp.data = &o;
    return show_head(&o, &fields) && o.seen == fields && !o.astray &&
           frames_alike(r, &o.hp) &&
           cg_slice_is(cg_span_of(p, r->method),
                       http_method_str((enum http_method)o.hp.method));
}

/* It does not take HTAB for white space between the elements of a list (RFC
 * 9110 5.6.3), as our reader does. */
static void
put_plainly(struct cg_buf *b, struct cg_slice value)
{
    char *to = cg_buf_reserve(b, value.n);
    for (size_t i = 0; i < value.n; i++) {
        to[i] = value.p[i] == '\t' ? ' ' : value.p[i];
    }
    b->n += value.n;
}

static bool
agrees_on_framing(const struct cg_request *r, const char *p)
{
    cg_auto(buf) struct cg_buf b = {0};
    struct opinion o = {.r = r};
    cg_buf_putf(&b, "PUT / HTTP/1.%d\r\n", r->minor);
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        if (f->id == CG_FIELD_CONTENT_LENGTH ||
            f->id == CG_FIELD_TRANSFER_ENCODING) {
            cg_buf_put(&b, p + f->name, f->name_n);
            cg_buf_puts(&b, ": ");
            put_plainly(&b, (struct cg_slice){p + f->value, f->value_n});
            cg_buf_puts(&b, "\r\n");
        }
    }
    cg_buf_puts(&b, "\r\n");
    http_parser_init(&o.hp, HTTP_REQUEST);
    o.hp.data = &o;
    return show(&o, b.p, b.p + b.n) && frames_alike(r, &o.hp);
}

enum cg_opinion
cg_crosscheck(const struct cg_request *r, const char *p, unsigned fields,
              bool plain)
{
    if (plain && agrees_on_all(r, p, fields)) {
        return CG_AGREES;
    }
    return agrees_on_framing(r, p) ? CG_AGREES_ON_FRAMING : CG_DISAGREES;
}
