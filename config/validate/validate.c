/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "config/validate/internal.h"
#include "core/base/memory.h"

/* ---- what all of them use ---- */

int
cg_value_wrong(struct cg_error *err, const char *before,
               const struct cg_value *v, const char *after)
{
    cg_auto(buf) struct cg_buf b = {0};
    if (v->kind == CG_VALUE_STR) {
        cg_buf_puts(&b, v->s);
    } else {
        cg_value_repr(v, &b);
    }
    return cg_error_set(err, EINVAL, "%s%s%s", before, cg_buf_str(&b), after);
}

int
cg_value_wrong_as(const struct cg_row *row, const struct cg_value *v,
                  struct cg_error *err)
{
    const char *hole = strstr(row->wrong, "%s");
    if (hole == NULL) {
        return cg_error_set(err, EINVAL, "%s", row->wrong);
    }
    cg_auto(free) char *before =
        cg_strndup(row->wrong, (size_t)(hole - row->wrong));
    return cg_value_wrong(err, before, v, hole + 2);
}

char *
cg_stripped(const char *s)
{
    while (isspace((unsigned char)*s)) {
        s++;
    }
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1])) {
        n--;
    }
    return cg_strndup(s, n);
}

void
cg_value_replace(struct cg_value *v, struct cg_value with)
{
    cg_value_release(v);
    *v = with;
}

void
cg_value_replace_str(struct cg_value *v, char *owned)
{
    cg_value_replace(v, (struct cg_value){.kind = CG_VALUE_STR, .s = owned});
}

void
cg_lower(char *s)
{
    for (; *s != '\0'; s++) {
        *s = (char)tolower((unsigned char)*s);
    }
}

/* ---- code ---- */

static int
validate_class(struct cg_value *v, struct cg_error *err)
{
    return v->kind == CG_VALUE_OBJECT && v->object.callable
               ? 0
               : cg_validate_str(v, err);
}

static int
validate_hook(const struct cg_row *row, struct cg_value *v,
              struct cg_error *err)
{
    if (v->kind == CG_VALUE_STR) {
        cg_value_replace_str(v, cg_stripped(v->s));
        if (strpbrk(v->s, ".:") == NULL) {
            return cg_error_set(err, EINVAL,
                                "Value '%s' is not import string. Format: "
                                "module[.submodules...].object",
                                v->s);
        }
        return 0;
    }
    if (v->kind != CG_VALUE_OBJECT || !v->object.callable) {
        return cg_value_wrong(err, "Value is not callable: ", v, "");
    }
    bool flexible = strcmp(row->name, "post_request") == 0;
    int n = v->object.arity;
    if (flexible ? n < 2 || n > 4 : n != row->arity) {
        return cg_error_set(err, EINVAL, "Value must have an arity of: %d",
                            row->arity);
    }
    return 0;
}

/* ---- all types ---- */

int
cg_validate(const struct cg_row *row, struct cg_value *v, struct cg_error *err)
{
    switch (row->type) {
    case TYPE_BOOL: return cg_validate_bool(v, err);
    case TYPE_UINT: return cg_validate_uint(row, v, err);
    case TYPE_RANGE: return cg_validate_range(row, v, err);
    case TYPE_SECONDS: return cg_validate_seconds(row, v, err);
    case TYPE_STR: return cg_validate_str(v, err);
    case TYPE_LIST: return cg_validate_list(row, v, err);
    case TYPE_FILES: return cg_validate_files(row, v, err);
    case TYPE_TARGETS: return cg_validate_targets(row, v, err);
    case TYPE_CSV: return cg_validate_csv(v, err);
    case TYPE_ADDRS: return cg_validate_addrs(v, err);
    case TYPE_DICT: return cg_validate_dict(row, v, err);
    case TYPE_PAIRS: return cg_validate_pairs(row, v, err);
    case TYPE_CERTS: return cg_validate_certs(v, err);
    case TYPE_CLASS: return validate_class(v, err);
    case TYPE_HOOK: return validate_hook(row, v, err);
    case TYPE_USER: return cg_validate_user(v, err);
    case TYPE_GROUP: return cg_validate_group(v, err);
    case TYPE_CHDIR: return cg_validate_chdir(v, err);
    case TYPE_WORD: return cg_validate_word(row, v, err);
    case TYPE_PROXY: return cg_validate_proxy(v, err);
    case TYPE_STATSD: return cg_validate_statsd(v, err);
    case TYPE_ANY: return cg_validate_any(v);
    case TYPE_PROTOCOLS: return cg_validate_protocols(v, err);
    }
    return 0;
}
