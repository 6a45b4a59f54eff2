/* SPDX-License-Identifier: MIT */
#include "core/exchange/named.h"

#include <strings.h>

struct cg_slice
cg_named_field(const struct cg_exchange *ex, struct cg_slice name)
{
    struct cg_slice found = {NULL, 0};
    for (int i = 0; i < ex->req->nfields; i++) {
        const struct cg_field *f = &ex->req->fields[i];
        if (f->name_n == name.n &&
            strncasecmp(ex->base + f->name, name.p, name.n) == 0) {
            found = (struct cg_slice){ex->base + f->value, f->value_n};
        }
    }
    return found;
}

struct cg_slice
cg_named_reply_field(const struct cg_exchange *ex, struct cg_slice wanted)
{
    const struct cg_writer *w = ex->writer;
    struct cg_slice name, value, found = {NULL, 0};
    size_t at = 0;
    while (w->started && w->headed &&
           cg_reply_next_field(&w->reply, &at, &name, &value)) {
        if (name.n == wanted.n && strncasecmp(name.p, wanted.p, name.n) == 0) {
            found = value;
        }
    }
    return found;
}
