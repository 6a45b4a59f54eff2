/* SPDX-License-Identifier: MIT */
#include "core/engine/exchange/request_id.h"

#include <string.h>
#include <strings.h>

#include "core/base/uuid.h"
#include "core/engine/exchange/call.h"
#include "core/engine/state.h"

static bool
is_sane(struct cg_slice s)
{
    static const bool safe[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
        ['-'] = true,         ['.'] = true,         ['_'] = true,
        ['~'] = true,         ['+'] = true,         ['/'] = true,
        ['='] = true,         ['@'] = true,         [':'] = true};
    for (size_t i = 0; i < s.n; i++) {
        if (!safe[(unsigned char)s.p[i]]) {
            return false;
        }
    }
    return s.n > 0 && s.n <= CG_REQUEST_ID_MAX;
}

/* Of several none is believed. */
static struct cg_slice
received(const struct cg_exchange *ex, struct cg_slice name)
{
    struct cg_slice found = {NULL, 0};
    int n = 0;
    for (int i = 0; i < ex->req->nfields; i++) {
        const struct cg_field *f = &ex->req->fields[i];
        if (f->name_n == name.n &&
            strncasecmp(ex->base + f->name, name.p, name.n) == 0) {
            found = (struct cg_slice){ex->base + f->value, f->value_n};
            n++;
        }
    }
    return n == 1 ? found : (struct cg_slice){NULL, 0};
}

void
cg_request_id_take(struct cg_call *call)
{
    struct cg_exchange *ex = &call->ex;
    const struct cg_engine_config *config = call->executor->engine->config;
    struct cg_slice id = {NULL, 0};
    if (ex->peer->trusted) {
        id = received(ex, config->request_id.field);
    }
    if (is_sane(id)) {
        memcpy(call->id, id.p, id.n);
    } else {
        cg_uuid_make(call->id);
        id.n = CG_UUID_SIZE;
    }
    ex->id = (struct cg_slice){call->id, id.n};
}

void
cg_request_id_reply(struct cg_call *call)
{
    struct cg_slice wanted = call->executor->engine->config->request_id.field;
    if (!cg_reply_has_field(&call->ex.writer->reply, wanted)) {
        cg_exchange_field(&call->ex, wanted, call->ex.id);
    }
}
