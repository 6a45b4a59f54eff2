/* SPDX-License-Identifier: MIT */
/* The list of certificates. */
#include <errno.h>
#include <string.h>

#include "config/validate/internal.h"

/* One name is a list of one. */
static int
check_names(struct cg_value *names, struct cg_error *err)
{
    if (names->kind == CG_VALUE_STR) {
        struct cg_value list = cg_value_list();
        cg_value_push(&list, cg_value_copy(names));
        cg_value_replace(names, list);
    }
    bool good = names->kind == CG_VALUE_LIST;
    for (size_t i = 0; good && i < names->list.n; i++) {
        good = names->list.items[i].kind == CG_VALUE_STR;
    }
    return good ? 0
                : cg_value_wrong(
                      err, "names is not a list of host names: ", names, "");
}

static int
check_certificate(struct cg_value *v, struct cg_error *err)
{
    bool has_file = false;
    if (v->kind != CG_VALUE_MAP) {
        return cg_value_wrong(
            err, "not a dictionary with certfile, keyfile and names: ", v, "");
    }
    for (size_t i = 0; i + 1 < v->list.n; i += 2) {
        const struct cg_value *key = &v->list.items[i];
        struct cg_value *value = &v->list.items[i + 1];
        const char *name = key->kind == CG_VALUE_STR ? key->s : "";
        int r = 0;
        if (strcmp(name, "names") == 0) {
            r = check_names(value, err);
        } else if (strcmp(name, "certfile") != 0 &&
                   strcmp(name, "keyfile") != 0) {
            r = cg_value_wrong(
                err, "only certfile, keyfile and names are known, not ", key,
                "");
        } else if (value->kind != CG_VALUE_STR) {
            r = cg_value_wrong(err, "not a path: ", value, "");
        }
        if (r < 0) {
            return r;
        }
        has_file = has_file || strcmp(name, "certfile") == 0;
    }
    return has_file ? 0 : cg_value_wrong(err, "certfile is missing in ", v, "");
}

int
cg_validate_certs(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        cg_value_replace(v, cg_value_list());
    }
    if (v->kind != CG_VALUE_LIST) {
        return cg_value_wrong(err, "not a list of dictionaries: ", v, "");
    }
    for (size_t i = 0; i < v->list.n; i++) {
        int r = check_certificate(&v->list.items[i], err);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}
