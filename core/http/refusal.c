/* SPDX-License-Identifier: MIT */
/* Refusals: status, name and message from one table. */
#include <string.h>

#include "core/base/memory.h"
#include "core/http/request.h"

enum { SHOWN = 200 };

static const struct {
    int status;
    const char *name, *message;
} table[] = {
    [CG_REFUSE_NONE] = {0, "none", ""},
#define CG_REFUSAL(ID, code, text)                                             \
    [CG_REFUSE_##ID] = {.status = code, .name = #ID, .message = text},
#include "core/http/refusals.def"
#undef CG_REFUSAL
};

int
cg_refusal_status(enum cg_refusal why)
{
    CG_ASSERT((size_t)why < CG_COUNT(table));
    return table[why].status;
}

const char *
cg_refusal_name(enum cg_refusal why)
{
    CG_ASSERT((size_t)why < CG_COUNT(table));
    return table[why].name;
}

void
cg_refusal_text(const struct cg_request *r, const char *base,
                struct cg_buf *out)
{
    const char *message = table[r->refusal].message;
    const char *hole = strstr(message, "%s");
    if (hole == NULL) {
        cg_buf_puts(out, message);
        return;
    }
    cg_buf_put(out, message, (size_t)(hole - message));
    cg_buf_put_escaped(out, cg_span_of(base, r->refused_at), SHOWN);
    cg_buf_puts(out, hole + 2);
}
