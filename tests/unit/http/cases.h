/* SPDX-License-Identifier: MIT */
/* tests/cases/http-cases.json as a table. */
#ifndef CG_TESTS_CASES_H
#define CG_TESTS_CASES_H

#include "core/base/bytes.h"

struct part {
    const char *text;
    size_t n, times;
};

static const struct http_case {
    const char *id;
    const char *expect; /* A accept, R refuse, AR accept then refuse, W wait */
    const char *status; /* of the refusal: "400", "414|400", … */
    const char *told;   /* the requests that are accepted */
    bool keep_alive;
    bool proxy;
    const struct part *raw; /* text == NULL ends */
} cases[] = {
#include "cases.inc"
};

static inline struct cg_buf
raw_of(const struct http_case *c)
{
    struct cg_buf b = {0};
    for (const struct part *part = c->raw; part->text != NULL; part++) {
        for (size_t k = 0; k < part->times; k++) {
            cg_buf_put(&b, part->text, part->n);
        }
    }
    return b;
}

#endif
