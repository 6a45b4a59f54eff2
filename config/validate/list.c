/* SPDX-License-Identifier: MIT */
/*
 * Lists and dictionaries: of strings, files, addresses, protocols.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "config/validate/internal.h"
#include "core/base/memory.h"
#include "core/base/network.h"

static int
check_strings(struct cg_value *list, struct cg_error *err)
{
    for (size_t i = 0; i < list->list.n; i++) {
        struct cg_value *item = &list->list.items[i];
        /* gunicorn lets None through and fails where it is used */
        int r = item->kind == CG_VALUE_NONE
                    ? cg_value_wrong(err, "Not a string: ", item, "")
                    : cg_validate_str(item, err);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* As Python's `not value`. */
static bool
is_false(const struct cg_value *v)
{
    switch (v->kind) {
    case CG_VALUE_NONE: return true;
    case CG_VALUE_BOOL: return !v->b;
    case CG_VALUE_INT: return v->i == 0;
    case CG_VALUE_FLOAT: return v->f == 0;
    case CG_VALUE_STR: return v->s[0] == '\0';
    case CG_VALUE_LIST:
    case CG_VALUE_MAP: return v->list.n == 0;
    case CG_VALUE_OBJECT: return false;
    }
    return false;
}

int
cg_validate_list(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    if (is_false(v)) {
        cg_value_replace(v, cg_value_list());
        return 0;
    }
    if (v->kind == CG_VALUE_STR) {
        struct cg_value list = cg_value_list();
        cg_value_replace_str(v, cg_stripped(v->s));
        cg_value_push(&list, *v);
        *v = list;
        return 0;
    }
    if (v->kind == CG_VALUE_MAP) {
        struct cg_value keys = cg_value_list();
        for (size_t i = 0; i < v->list.n; i += 2) {
            cg_value_push(&keys, cg_value_copy(&v->list.items[i]));
        }
        cg_value_replace(v, keys);
    }
    if (v->kind == CG_VALUE_OBJECT) {
        return cg_error_set(err, EINVAL, "Not a list of strings: %s",
                            v->object.repr);
    }
    if (v->kind != CG_VALUE_LIST) {
        const char *kind = v->kind == CG_VALUE_INT    ? "int"
                           : v->kind == CG_VALUE_BOOL ? "bool"
                                                      : "float";
        return cg_error_set(err, EINVAL,
                            "'%s' object is not iterable (a string or a list "
                            "of strings is wanted, such as %s = [\"%s\"])",
                            kind, row->name, row->meta);
    }
    return check_strings(v, err);
}

int
cg_validate_files(const struct cg_row *row, struct cg_value *v,
                  struct cg_error *err)
{
    int r = cg_validate_list(row, v, err);
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        const char *path = v->list.items[i].s;
        struct stat st;
        if (strpbrk(path, "*?[") == NULL && stat(path, &st) < 0) {
            return cg_error_set(err, ENOENT, "File %s does not exists.", path);
        }
    }
    return r;
}

/* What a request line and a Host field can hold. */
static bool
is_target(const char *text)
{
    enum { MOST = 500 };
    const char *rest = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : text;
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return n <= MOST && (rest == text ? *text == '/' : strcspn(rest, "/") > 0);
}

int
cg_validate_targets(const struct cg_row *row, struct cg_value *v,
                    struct cg_error *err)
{
    int r = cg_validate_list(row, v, err);
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        if (!is_target(v->list.items[i].s)) {
            return cg_error_set(err, EINVAL,
                                "Not a path such as /ready, nor a URL such as "
                                "https://shop.example/ready: %.200s",
                                v->list.items[i].s);
        }
    }
    return r;
}

struct cg_value
cg_split_commas(const char *text)
{
    struct cg_value list = cg_value_list();
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        if (n > 0) {
            cg_auto(free) char *part = cg_strndup(text, n);
            cg_value_push(&list, (struct cg_value){.kind = CG_VALUE_STR,
                                                   .s = cg_stripped(part)});
        }
        text += n + (text[n] == ',');
    }
    return list;
}

int
cg_validate_csv(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        cg_value_replace(v, cg_value_list());
        return 0;
    }
    int r = cg_validate_str(v, err);
    if (r == 0) {
        cg_value_replace(v, cg_split_commas(v->s));
    }
    return r;
}

int
cg_validate_addrs(struct cg_value *v, struct cg_error *err)
{
    struct cg_network net;
    int r = cg_validate_csv(v, err);
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        if (strcmp(v->list.items[i].s, "*") != 0) {
            r = cg_network_parse(v->list.items[i].s, &net, err);
        }
    }
    return r;
}

static int
check_protocol(const struct cg_value *list, size_t at, struct cg_error *err)
{
    const char *p = list->list.items[at].s;
    if (strcmp(p, "h1") != 0 && strcmp(p, "h2") != 0) {
        return cg_error_set(
            err, EINVAL, "Invalid protocol '%s'. Valid protocols: h1, h2", p);
    }
    for (size_t k = 0; k < at; k++) {
        if (strcmp(p, list->list.items[k].s) == 0) {
            return cg_error_set(err, EINVAL, "Duplicate protocols specified");
        }
    }
    return 0;
}

int
cg_validate_protocols(struct cg_value *v, struct cg_error *err)
{
    if (v->kind != CG_VALUE_NONE && v->kind != CG_VALUE_STR) {
        return cg_error_set(err, EINVAL, "http_protocols must be a string");
    }
    struct cg_value all = cg_split_commas(v->kind == CG_VALUE_STR ? v->s : "");
    struct cg_value list = cg_value_list();
    for (size_t i = 0; i < all.list.n; i++) {
        if (all.list.items[i].s[0] != '\0') {
            cg_lower(all.list.items[i].s);
            cg_value_push(&list, cg_value_copy(&all.list.items[i]));
        }
    }
    cg_value_release(&all);
    if (list.list.n == 0) {
        cg_value_push(&list, cg_value_str("h1"));
    }
    cg_value_replace(v, list);
    int r = 0;
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        r = check_protocol(v, i, err);
    }
    return r;
}

/* A name goes into titles, the log and the environment. */
static bool
is_name(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    enum { MOST = 40 };
    size_t n = strlen(s);
    return strncmp(s, "dirty-", 6) != 0 && n > 0 && n <= MOST &&
           s[strspn(s, letters)] == '\0';
}

static int
check_companions(const struct cg_value *v, struct cg_error *err)
{
    for (size_t i = 0; i + 1 < v->list.n; i += 2) {
        const char *what = v->list.items[i + 1].s;
        if (!is_name(v->list.items[i].s)) {
            return cg_error_set(err, EINVAL,
                                "'%s' is no name of a companion: letters, "
                                "digits, - _ and ., 40 at most, and "
                                "not dirty- in front",
                                v->list.items[i].s);
        }
        if (what[strspn(what, " \t")] == '\0') {
            return cg_error_set(err, EINVAL,
                                "the companion %s has nothing to run: write a "
                                "command, or module:callable",
                                v->list.items[i].s);
        }
    }
    return 0;
}

int
cg_validate_dict(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    if (v->kind != CG_VALUE_MAP) {
        return cg_value_wrong(err, "Value is not a dictionary: ", v, " ");
    }
    /* the others may hold whatever their reader understands */
    bool strings = strcmp(row->name, "secure_scheme_headers") == 0;
    bool companions = strcmp(row->name, "companions") == 0;
    int r = strings || companions ? check_strings(v, err) : 0;
    return r == 0 && companions ? check_companions(v, err) : r;
}

/* {"/static": "folder", "*.css": 3600} as the strings that a list would have.
 */
static struct cg_value
joined(const struct cg_value *map)
{
    struct cg_value list = cg_value_list();
    for (size_t i = 0; i + 1 < map->list.n; i += 2) {
        const struct cg_value *value = &map->list.items[i + 1];
        cg_auto(buf) struct cg_buf b = {0};
        cg_buf_puts(&b, map->list.items[i].s);
        cg_buf_putc(&b, '=');
        if (value->kind == CG_VALUE_STR) {
            cg_buf_puts(&b, value->s);
        } else {
            cg_value_repr(value, &b);
        }
        cg_value_push(&list, cg_value_str(cg_buf_str(&b)));
    }
    return list;
}

static bool
has_names(const struct cg_value *map)
{
    for (size_t i = 0; i < map->list.n; i += 2) {
        if (map->list.items[i].kind != CG_VALUE_STR) {
            return false;
        }
    }
    return true;
}

int
cg_validate_pairs(const struct cg_row *row, struct cg_value *v,
                  struct cg_error *err)
{
    if (v->kind == CG_VALUE_MAP) {
        if (!has_names(v)) {
            return cg_value_wrong(err, "Not a dictionary of strings: ", v, "");
        }
        cg_value_replace(v, joined(v));
    }
    int r = cg_validate_list(row, v, err);
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        const char *text = v->list.items[i].s;
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals[1] == '\0') {
            return cg_error_set(err, EINVAL,
                                "%s: '%.200s' is no %s: write both, with an "
                                "equals sign between them",
                                row->name, text, row->meta);
        }
    }
    return r;
}
