/* SPDX-License-Identifier: MIT */
/*
 * A head read in steps, told as one line of text: "GET /x?q 1.1 keep length=5
 * path=/x | Host=a X=1", "refused HEADER" or "more". The bytes lie at the end
 * of memory of their own, at another address with every call. For tests and
 * fuzzers.
 */
#ifndef CG_TESTS_TOLD_H
#define CG_TESTS_TOLD_H

#include <stdlib.h>

#include "core/base/memory.h"
#include "core/http/memo.h"
#include "core/http/request.h"

static inline void
put_span(struct cg_buf *b, const char *name, const char *base,
         struct cg_span span)
{
    if (span.n > 0) {
        cg_buf_putf(b, " %s=", name);
        cg_buf_put_escaped(b, cg_span_of(base, span), 64);
    }
}

static inline void
put_flags(struct cg_buf *b, const struct cg_request *r)
{
    const struct {
        bool is;
        const char *word;
    } flags[] = {
        {r->keep_alive, "keep"},
        {r->chunked, "chunked"},
        {r->force_close, "force-close"},
        {r->expect_continue, "expect"},
        {r->upgrade, "upgrade"},
        {r->method_is_head, "head"},
        {r->method_is_connect, "connect"},
        {r->path_has_percent, "percent"},
        {r->has_query, "has-query"},
        {r->scheme == CG_SCHEME_HTTPS, "https"},
        {r->scheme == CG_SCHEME_HTTP, "http"},
    };
    for (size_t i = 0; i < CG_COUNT(flags); i++) {
        if (flags[i].is) {
            cg_buf_putf(b, " %s", flags[i].word);
        }
    }
    if (r->has_length) {
        cg_buf_putf(b, " length=%llu", (unsigned long long)r->content_length);
    }
}

static inline void
put_head(struct cg_buf *b, const struct cg_request *r, const char *base)
{
    cg_buf_put_escaped(b, cg_span_of(base, r->method), 64);
    cg_buf_puts(b, " ");
    cg_buf_put_escaped(b, cg_span_of(base, r->target), 64);
    cg_buf_putf(b, " 1.%d", r->minor);
    put_flags(b, r);
    put_span(b, "path", base, r->path);
    put_span(b, "query", base, r->query);
    put_span(b, "authority", base, r->authority);
    put_span(b, "script", base, r->script_name);
    cg_buf_puts(b, " |");
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        cg_buf_puts(b, " ");
        cg_buf_put(b, base + f->name, f->name_n);
        cg_buf_puts(b, "=");
        cg_buf_put_escaped(b, (struct cg_slice){base + f->value, f->value_n},
                           64);
    }
}

static inline void
put_refusal(struct cg_buf *b, const struct cg_request *r)
{
    cg_buf_putf(b, "refused %s", cg_refusal_name(r->refusal));
}

/* A head that was read, and perhaps changed in place, reads the same again. */
static inline void
told_again(const struct cg_head_policy *policy, bool trusted, char *bytes,
           size_t n, struct cg_buf *told)
{
    struct cg_request r = {0};
    struct cg_buf again = {0};
    if (cg_head_read(&r, policy, trusted, bytes, n) == CG_HEAD_DONE) {
        put_head(&again, &r, bytes);
    } else {
        put_refusal(&again, &r);
    }
    if (again.n != told->n || memcmp(again.p, told->p, again.n) != 0) {
        cg_buf_puts(told, " BUT AGAIN ");
        cg_buf_put(told, again.p, again.n);
    }
    cg_buf_release(&again);
    cg_request_release(&r);
}

/* The bytes come at once, to a reader that knows the lines of `known`. */
static inline char *
told_with_memo(const struct cg_head_policy *policy, bool trusted,
               const char *text, size_t n, const char *known, size_t known_n)
{
    static struct cg_head_memo memo;
    struct cg_buf told = {0};
    const struct {
        const char *p;
        size_t n;
    } both[] = {{known, known_n}, {text, n}};
    memo = (struct cg_head_memo){0};
    for (int i = 0; i < 2; i++) {
        struct cg_request r = {0};
        char *bytes = cg_malloc(both[i].n);
        memcpy(bytes, both[i].p, both[i].n);
        cg_buf_reset(&told);
        switch (
            cg_head_read_with(&r, &memo, policy, trusted, bytes, both[i].n)) {
        case CG_HEAD_MORE: cg_buf_puts(&told, "more"); break;
        case CG_HEAD_REFUSED: put_refusal(&told, &r); break;
        case CG_HEAD_DONE: put_head(&told, &r, bytes); break;
        }
        free(bytes);
        cg_request_release(&r);
    }
    return cg_buf_take(&told);
}

/* The bytes come `step` at a time. */
static inline char *
told_in_steps(const struct cg_head_policy *policy, bool trusted,
              const char *text, size_t n, size_t step)
{
    struct cg_request r = {0};
    struct cg_buf told = {0};
    enum cg_head_status st = CG_HEAD_MORE;
    char *bytes = cg_malloc(n);
    memcpy(bytes, text, n);
    for (size_t have = 0; st == CG_HEAD_MORE && have < n;) {
        have = have + step < n ? have + step : n;
        char *p = cg_malloc(have);
        memcpy(p, bytes, have);
        st = cg_head_read(&r, policy, trusted, p, have);
        memcpy(bytes, p, have); /* the reader may have joined folded lines */
        free(p);
    }
    switch (st) {
    case CG_HEAD_MORE: cg_buf_puts(&told, "more"); break;
    case CG_HEAD_REFUSED: put_refusal(&told, &r); break;
    case CG_HEAD_DONE:
        put_head(&told, &r, bytes);
        told_again(policy, trusted, bytes, r.head_n, &told);
        break;
    }
    free(bytes);
    cg_request_release(&r);
    return cg_buf_take(&told);
}

#endif
