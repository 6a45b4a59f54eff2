/* SPDX-License-Identifier: MIT */
#include "core/engine/conn/rest.h"

#include "core/base/memory.h"
#include "core/engine/state.h"

/* Of the budget it may take n bytes, or those it has. */
static bool
hold(const struct cg_engine *e, struct cg_conn *c, size_t n)
{
    struct cg_budget *b = e->config->intake.budget;
    if (b == NULL || n <= c->rest_held) {
        return true;
    }
    if (!cg_purse_take(&b->memory, n - c->rest_held)) {
        return false;
    }
    c->rest_held = (uint32_t)n;
    return true;
}

static void
hold_none(const struct cg_engine *e, struct cg_conn *c)
{
    if (c->rest_held > 0) {
        cg_purse_give(&e->config->intake.budget->memory, c->rest_held);
        c->rest_held = 0;
    }
}

static void
lose(struct cg_engine *e, struct cg_conn *c)
{
    struct cg_error err = {0};
    cg_rest_release(e, c);
    c->rest_lost = true;
    cg_budget_tell(&err, &e->config->intake.budget->memory, "memory",
                   "request_memory");
    cg_note_trouble(e, err.text);
}

void
cg_rest_put(struct cg_engine *e, struct cg_conn *c, const char *p, size_t n)
{
    if (n == 0) {
        return;
    }
    if (__builtin_expect(!hold(e, c, c->rest.n + n), 0)) {
        lose(e, c);
        return;
    }
    cg_buf_put(&c->rest, p, n);
}

void
cg_rest_count(const struct cg_engine *e, struct cg_conn *c)
{
    hold_none(e, c);
    if (e->config->intake.budget != NULL && c->rest.n > 0) {
        cg_purse_add(&e->config->intake.budget->memory, c->rest.n);
        c->rest_held = (uint32_t)c->rest.n;
    }
}

struct cg_buf
cg_rest_take(const struct cg_engine *e, struct cg_conn *c)
{
    struct cg_buf all = c->rest;
    hold_none(e, c);
    c->rest = (struct cg_buf){0};
    c->rest_at = 0;
    return all;
}

void
cg_rest_release(const struct cg_engine *e, struct cg_conn *c)
{
    hold_none(e, c);
    cg_buf_release(&c->rest);
    c->rest_at = 0;
}
