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

/* Most requests have no field of that length: so much is known at once. */
static inline bool
may_have(const struct cg_request *req, struct cg_slice name)
{
    for (int i = 0; i < req->nfields; i++) {
        if (req->fields[i].name_n == name.n) {
            return true;
        }
    }
    return false;
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

static void
make(struct cg_call *call)
{
    uint64_t wall_us = call->executor->engine->wall_us;
    call->ex.id = (struct cg_slice){call->id, CG_UUID_SIZE};
    cg_uuid_make(call->id, (call->ex.start_us + wall_us) / 1000);
}

static __attribute__((noinline)) void
take_or_make(struct cg_call *call, struct cg_slice name)
{
    struct cg_slice id = received(&call->ex, name);
    if (!is_sane(id)) {
        make(call);
        return;
    }
    memcpy(call->id, id.p, id.n);
    call->ex.id = (struct cg_slice){call->id, id.n};
}

void
cg_request_id_take(struct cg_call *call)
{
    struct cg_exchange *ex = &call->ex;
    struct cg_slice name = call->executor->engine->config->request_id.field;
    if (__builtin_expect(ex->peer->trusted && may_have(ex->req, name), 0)) {
        take_or_make(call, name);
    } else {
        make(call);
    }
}

void
cg_request_id_reply(struct cg_call *call)
{
    struct cg_slice wanted = call->executor->engine->config->request_id.field;
    if (!cg_reply_has_field(&call->ex.writer->reply, wanted)) {
        cg_exchange_field(&call->ex, wanted, call->ex.id);
    }
}
