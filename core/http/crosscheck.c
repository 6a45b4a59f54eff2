/* SPDX-License-Identifier: MIT */
/*
 * The second opinion: http-parser reads the block that our scanner has proven,
 * and must find the same request. Its known faults (unknown methods, HTAB after
 * framing values, Transfer-Encoding-X) are kept out by giving it, in a second
 * try, only what frames a request, written plainly.
 */
#include <http_parser.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "core/http/scan.h"

static int
on_field(http_parser *hp, const char *at, size_t n)
{
    ++*(unsigned *)hp->data;
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
parse(http_parser *hp, const char *p, size_t n, unsigned *fields)
{
    http_parser_init(hp, HTTP_REQUEST);
    hp->data = fields;
    *fields = 0;
    size_t used = http_parser_execute(hp, &counting, p, n);
    return HTTP_PARSER_ERRNO(hp) == HPE_OK && used == n;
}

static bool
agrees_on_all(const struct cg_request *r, const char *p, unsigned fields)
{
    http_parser hp;
    unsigned seen;
    size_t n = r->head_n - r->line.at;
    if (!parse(&hp, p + r->line.at, n, &seen) || seen != fields ||
        !frames_alike(r, &hp)) {
        return false;
    }
    return cg_slice_is(cg_span_of(p, r->method),
                       http_method_str((enum http_method)hp.method));
}

static bool
agrees_on_framing(const struct cg_request *r, const char *p)
{
    cg_auto(buf) struct cg_buf b = {0};
    http_parser hp;
    unsigned seen;
    cg_buf_putf(&b, "PUT / HTTP/1.%d\r\n", r->minor);
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        if (f->id == CG_FIELD_CONTENT_LENGTH ||
            f->id == CG_FIELD_TRANSFER_ENCODING) {
            cg_buf_put(&b, p + f->name, f->name_n);
            cg_buf_puts(&b, ": ");
            cg_buf_put(&b, p + f->value, f->value_n);
            cg_buf_puts(&b, "\r\n");
        }
    }
    cg_buf_puts(&b, "\r\n");
    return parse(&hp, b.p, b.n, &seen) && frames_alike(r, &hp);
}

bool
cg_crosscheck(const struct cg_request *r, const char *p, unsigned fields,
              bool plain)
{
    return (plain && agrees_on_all(r, p, fields)) || agrees_on_framing(r, p);
}
