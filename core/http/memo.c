/* SPDX-License-Identifier: MIT */
#include "core/http/memo.h"

#include <string.h>

#include "core/http/reader.h"

static bool
is_own(const struct cg_field *f)
{
    return f->id == CG_FIELD_COOKIE || f->id == CG_FIELD_AUTHORIZATION;
}

/* Bytes of the k-th line, with its CRLF. */
static size_t
length_of(const struct cg_head_memo *m, unsigned k)
{
    return m->line[k + 1].name - m->line[k].name;
}

static bool
is_line(const struct cg_head_memo *m, unsigned k, const char *p, size_t n)
{
    return n >= length_of(m, k) && !is_own(&m->line[k]) &&
           memcmp(p, m->bytes + m->line[k].name, length_of(m, k)) == 0;
}

static bool
has_room(const struct cg_request *r, const struct cg_head_policy *policy,
         size_t n)
{
    return r->nfields < policy->limit_fields && r->nfields < CG_PROVEN_MAX &&
           r->pos + n <= policy->limit_head;
}

static void
take_line(const struct cg_head_memo *m, unsigned k, struct cg_request *r)
{
    uint32_t shift = r->pos - m->line[k].name;
    r->proven |= (uint64_t)1 << r->nfields;
    struct cg_field *f = cg_request_add_field(r);
    *f = m->line[k];
    f->name += shift;
    f->value += shift;
    r->field_at = r->pos;
    r->pos = r->scanned = r->pos + (uint32_t)length_of(m, k);
    r->lines++;
    r->dropped_last = false;
    r->memo_at = (uint16_t)(k + 1);
}

bool
cg_memo_take(const struct cg_head_memo *m, struct cg_request *r,
             const struct cg_head_policy *policy, const char *p, size_t n)
{
    for (unsigned k = r->memo_at; k < m->n && k < r->memo_at + 2u; k++) {
        if (is_line(m, k, p + r->pos, n - r->pos)) {
            if (!has_room(r, policy, length_of(m, k))) {
                return false;
            }
            take_line(m, k, r);
            return true;
        }
    }
    return false;
}

void
cg_memo_follow(const struct cg_head_memo *m, struct cg_request *r)
{
    const struct cg_field *f = &r->fields[r->nfields - 1];
    const struct cg_field *expected = &m->line[r->memo_at];
    if (r->memo_at < m->n && f->id == expected->id &&
        f->name_n == expected->name_n) {
        r->memo_at++;
    }
}

/* ---- learning ---- */

/* All lines of the block are fields as received, under any trust. */
static bool
is_fit(const struct cg_request *r)
{
    return r->agreed && r->nfields > 0 && r->nfields == r->lines &&
           r->nfields <= CG_MEMO_LINES && !r->has_underscore &&
           r->head_n - 2 - r->fields[0].name <= CG_MEMO_BYTES;
}

static int
count_missed(const struct cg_request *r)
{
    int n = 0;
    for (int i = 0; i < r->nfields; i++) {
        n += !(r->proven >> i & 1) && !is_own(&r->fields[i]);
    }
    return n;
}

/* Anew only when it has missed as many lines as it has: a line that differs
 * with every request must not make each of them pay for a copy. */
static bool
is_worth(struct cg_head_memo *m, const struct cg_request *r)
{
    int missed = m->missed + count_missed(r);
    m->missed = (uint16_t)(missed < UINT16_MAX ? missed : UINT16_MAX);
    return m->n == 0 || m->missed >= m->n;
}

void
cg_memo_learn(struct cg_head_memo *m, const struct cg_request *r, const char *p)
{
    if (!is_fit(r) || !is_worth(m, r)) {
        return;
    }
    uint32_t start = r->fields[0].name, end = r->head_n - 2;
    memcpy(m->bytes, p + start, end - start);
    for (int i = 0; i < r->nfields; i++) {
        m->line[i] = r->fields[i];
        m->line[i].name -= start;
        m->line[i].value -= start;
    }
    m->line[r->nfields].name = end - start;
    m->n = r->nfields;
    m->missed = 0;
}
