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

/* Escaping would spoil letters that are turned later: "\\x0a". */
static void
put_upper(struct cg_buf *out, struct cg_slice s)
{
    char upper[SHOWN + 1];
    size_t n = s.n < sizeof upper ? s.n : sizeof upper;
    for (size_t i = 0; i < n; i++) {
        bool lower = s.p[i] >= 'a' && s.p[i] <= 'z';
        upper[i] = (char)(lower ? s.p[i] - 32 : s.p[i]);
    }
    cg_buf_put_escaped(out, (struct cg_slice){upper, n}, SHOWN);
}

void
cg_refusal_text(const struct cg_request *r, const char *base,
                struct cg_buf *out)
{
    const char *message = table[r->refusal].message;
    const char *hole = strchr(message, '%');
    if (hole == NULL) {
        cg_buf_puts(out, message);
        return;
    }
    cg_buf_put(out, message, (size_t)(hole - message));
    if (hole[1] == 'S') {
        put_upper(out, cg_span_of(base, r->refused_at));
    } else {
        cg_buf_put_escaped(out, cg_span_of(base, r->refused_at), SHOWN);
    }
    cg_buf_puts(out, hole + 2);
}
