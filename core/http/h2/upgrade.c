/* SPDX-License-Identifier: MIT */
#include "core/http/h2/upgrade.h"

#include <string.h>

#include "core/http/scan.h"

static struct cg_slice
value_of(const struct cg_field *f, const char *base)
{
    return (struct cg_slice){base + f->value, f->value_n};
}

static bool
is_settings(const struct cg_field *f, const char *base)
{
    static const char name[] = "http2-settings";
    return f->name_n == sizeof name - 1 &&
           cg_name_is(base + f->name, name, sizeof name - 1);
}

/* A comma list of tokens, in any case. */
static bool
has_token(struct cg_slice list, const char *token)
{
    for (size_t at = 0; at < list.n;) {
        const char *p = list.p + at, *comma = memchr(p, ',', list.n - at);
        size_t n = comma != NULL ? (size_t)(comma - p) : list.n - at;
        if (cg_slice_is_nocase(cg_slice_trim((struct cg_slice){p, n}), token)) {
            return true;
        }
        at += n + 1;
    }
    return false;
}

static bool
any_has_token(const struct cg_request *r, const char *base, enum cg_field_id id,
              const char *token)
{
    for (int i = 0; i < r->nfields; i++) {
        if (r->fields[i].id == id &&
            has_token(value_of(&r->fields[i], base), token)) {
            return true;
        }
    }
    return false;
}

/* NULL: there is none, or more than one. */
static const struct cg_field *
only_settings(const struct cg_request *r, const char *base)
{
    const struct cg_field *found = NULL;
    for (int i = 0; i < r->nfields; i++) {
        if (is_settings(&r->fields[i], base)) {
            if (found != NULL) {
                return NULL;
            }
            found = &r->fields[i];
        }
    }
    return found;
}

/* ---- base64url without padding (RFC 4648, 5) ---- */

static int
digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

/* False: it is none, or does not fit. */
static bool
decode(struct cg_slice text, uint8_t *to, size_t room, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = digit_of(text.p[i]);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            if (n == room) {
                return false;
            }
            have -= 8;
            to[n++] = (uint8_t)(bits >> have);
        }
    }
    *ret_n = n;
    return text.n % 4 != 1;
}

/* What RFC 9113, 6.5.2 asks of values. */
static bool
is_valid(const uint8_t *p)
{
    enum { ENABLE_PUSH = 2, INITIAL_WINDOW = 4, MAX_FRAME = 5, CONNECT = 8 };
    unsigned id = (unsigned)p[0] << 8 | p[1];
    uint32_t v = (uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 |
                 (uint32_t)p[4] << 8 | p[5];
    switch (id) {
    case ENABLE_PUSH:
    case CONNECT: return v <= 1;
    case INITIAL_WINDOW: return v <= INT32_MAX;
    case MAX_FRAME: return v >= 16384 && v <= 16777215;
    default: return true;
    }
}

bool
cg_h2_upgrade_read(const struct cg_request *r, const char *base,
                   uint8_t ret[CG_H2_SETTINGS_MAX], size_t *ret_n)
{
    enum { SETTING = 6 };
    const struct cg_field *f;
    if (!r->upgrade || r->minor == 0 || r->method_is_connect ||
        !any_has_token(r, base, CG_FIELD_UPGRADE, "h2c") ||
        !any_has_token(r, base, CG_FIELD_CONNECTION, "http2-settings") ||
        (f = only_settings(r, base)) == NULL ||
        !decode(value_of(f, base), ret, CG_H2_SETTINGS_MAX, ret_n) ||
        *ret_n % SETTING != 0) {
        return false;
    }
    for (size_t i = 0; i < *ret_n; i += SETTING) {
        if (!is_valid(ret + i)) {
            return false;
        }
    }
    return true;
}

/* ---- the request ---- */

void
cg_h2_upgrade_head(const struct cg_request *r, const char *base,
                   struct cg_buf *out)
{
    cg_buf_put(out, base + r->line.at, r->line.n);
    cg_buf_put(out, "\r\n", 2);
    for (int i = 0; i < r->nfields; i++) {
        const struct cg_field *f = &r->fields[i];
        if (f->id == CG_FIELD_UPGRADE || f->id == CG_FIELD_CONNECTION ||
            is_settings(f, base)) {
            continue;
        }
        cg_buf_put(out, base + f->name, f->name_n);
        cg_buf_put(out, ": ", 2);
        cg_buf_put(out, base + f->value, f->value_n);
        cg_buf_put(out, "\r\n", 2);
    }
    cg_buf_put(out, "\r\n", 2);
}
