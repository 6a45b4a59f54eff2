/* SPDX-License-Identifier: MIT */
/*
 * Scalars: booleans, numbers, strings, words of a list, and what gunicorn takes
 * in their place.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/validate/internal.h"
#include "core/base/memory.h"

int
cg_validate_bool(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_BOOL || v->kind == CG_VALUE_NONE) {
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return cg_value_wrong(err, "Invalid type for casting: ", v, "");
    }
    cg_auto(free) char *word = cg_stripped(v->s);
    bool yes = strcasecmp(word, "true") == 0;
    if (!yes && strcasecmp(word, "false") != 0) {
        return cg_value_wrong(err, "Invalid boolean: ", v, "");
    }
    cg_value_replace(v, cg_value_bool(yes));
    return 0;
}

/* Python's int(text, 0): prefixes, single underscores between digits. */
static bool
parse_int0(const char *text, int64_t *ret)
{
    char digits[80];
    size_t n = 0;
    cg_auto(free) char *s = cg_stripped(text);
    const char *p = s;
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    int base = 10;
    if (p[0] == '0' && p[1] != '\0') {
        char kind = (char)(p[1] | 32);
        base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
        p += base != 10 ? 2 : 0;
        p += base != 10 && *p == '_' ? 1 : 0;
    }
    const char *first = p;
    for (; *p != '\0' && n < sizeof digits - 1; p++) {
        if (*p == '_' && p > first && p[-1] != '_' && p[1] != '\0') {
            continue;
        }
        digits[n++] = *p;
    }
    digits[n] = '\0';
    if (n == 0 || !isalnum((unsigned char)digits[0]) ||
        (base == 10 && digits[0] == '0' && strspn(digits, "0") != n)) {
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(digits, &end, base);
    *ret = negative ? -value : value;
    return *end == '\0' && errno == 0;
}

/* Everything that uses a number keeps it in 32 bits. */
static int
check_range(const struct cg_row *row, struct cg_value *v, int64_t n,
            struct cg_error *err)
{
    bool both = row->least > 0 && row->most > 0;
    if (n < 0 && !both) {
        return cg_error_set(err, EINVAL, "Value must be positive: %lld",
                            (long long)n);
    }
    cg_value_replace(v, cg_value_int(n));
    if (n < row->least || (row->most != 0 && n > row->most)) {
        return cg_value_wrong_as(row, v, err);
    }
    return n > INT32_MAX ? cg_error_set(err, EINVAL,
                                        "Value must be at most 2147483647: "
                                        "%lld",
                                        (long long)n)
                         : 0;
}

int
cg_validate_uint(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    int64_t n = 0;
    switch (v->kind) {
    case CG_VALUE_INT: n = v->i; break;
    case CG_VALUE_BOOL: n = v->b; break;
    case CG_VALUE_STR:
        if (row->words != NULL && strcmp(v->s, row->words) == 0) {
            return 0; /* resolved when all layers are in */
        }
        if (!parse_int0(v->s, &n)) {
            cg_auto(buf) struct cg_buf b = {0};
            cg_value_repr(v, &b);
            return cg_error_set(err, EINVAL,
                                "invalid literal for int() with base 0: %s "
                                "(a whole number is wanted, such as %s = %s)",
                                cg_buf_str(&b), row->name,
                                row->def != NULL ? row->def : "1");
        }
        break;
    default:
        return cg_error_set(err, EINVAL,
                            "int() can't convert non-string with explicit base "
                            "(a whole number is wanted, such as %s = %s)",
                            row->name, row->def != NULL ? row->def : "1");
    }
    return check_range(row, v, n, err);
}

/* The two numbers of "2-16"; false: it is no range. */
static bool
parse_range(const char *text, int64_t *ret_least, int64_t *ret_most)
{
    size_t n = strspn(text, "0123456789");
    cg_auto(free) char *least = cg_strdup(text);
    least[n] = '\0';
    return text[n] == '-' && isdigit((unsigned char)text[n + 1]) &&
           cg_int_parse(least, 10, ret_least) &&
           cg_int_parse(text + n + 1, 10, ret_most);
}

static int
wrong_range(const struct cg_row *row, const struct cg_value *v, const char *why,
            struct cg_error *err)
{
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(v, &b);
    return cg_error_set(err, EINVAL,
                        "Value must be a whole number or a range LEAST-MOST: "
                        "%s%s (such as %s = \"2-16\")",
                        cg_buf_str(&b), why, row->name);
}

/* A range stays text, "2-16"; one of one number is that number. */
int
cg_validate_range(const struct cg_row *row, struct cg_value *v,
                  struct cg_error *err)
{
    int64_t least, most;
    cg_auto(free) char *text =
        v->kind == CG_VALUE_STR ? cg_stripped(v->s) : NULL;
    size_t digits = text != NULL ? strspn(text, "0123456789") : 0;
    size_t hyphen = digits + (digits > 0 ? strspn(text + digits, " ") : 0);
    if (digits == 0 || text[hyphen] != '-') {
        return cg_validate_uint(row, v, err);
    }
    if (!parse_range(text, &least, &most)) {
        return wrong_range(row, v, "", err);
    }
    if (least < 1) {
        return wrong_range(row, v, ": the least is 1", err);
    }
    if (most < least) {
        return wrong_range(row, v, ": the larger number comes last", err);
    }
    if (most > INT32_MAX) {
        return wrong_range(row, v, ": too large a number", err);
    }
    cg_value_replace(v,
                     least == most ? cg_value_int(least) : cg_value_str(text));
    return 0;
}

int
cg_validate_seconds(const struct cg_row *row, struct cg_value *v,
                    struct cg_error *err)
{
    double f = -1;
    char none = '\0', *end = &none;
    bool is_text = v->kind == CG_VALUE_STR && v->s[0] != '\0';
    if (v->kind == CG_VALUE_FLOAT) {
        f = v->f;
    } else if (v->kind == CG_VALUE_INT) {
        f = (double)v->i;
    } else if (is_text && strspn(v->s, "0123456789.") == strlen(v->s)) {
        f = strtod(v->s, &end);
    }
    if (!(f >= 0 && f <= INT32_MAX) || *end != '\0') {
        cg_auto(buf) struct cg_buf b = {0};
        cg_value_repr(v, &b);
        return cg_error_set(err, EINVAL,
                            "Value must be a number of seconds, 0 or more: %s "
                            "(such as %s = 0.5)",
                            cg_buf_str(&b), row->name);
    }
    cg_value_replace(v, cg_value_float(f));
    return 0;
}

int
cg_validate_str(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return cg_value_wrong(err, "Not a string: ", v, "");
    }
    cg_value_replace_str(v, cg_stripped(v->s));
    return 0;
}

/* No string: None is the default, except where gunicorn keeps it. */
static int
validate_no_word(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE && strcmp(row->name, "header_map") != 0) {
        cg_value_replace(v, cg_value_str(row->def));
        return 0;
    }
    if (v->kind == CG_VALUE_BOOL && strcmp(row->name, "http2_cleartext") == 0) {
        cg_value_replace(v, cg_value_str(v->b ? "prior-knowledge" : "off"));
        return 0;
    }
    if (v->kind == CG_VALUE_NONE) {
        return 0;
    }
    return strcmp(row->name, "http_parser") == 0
               ? cg_error_set(err, EINVAL, "http_parser must be a string")
               : cg_value_wrong(err, "Invalid type for casting: ", v, "");
}

/* gunicorn looks reload_engine up as it is, and shows its repr. */
static int
validate_engine(const struct cg_row *row, struct cg_value *v,
                struct cg_error *err)
{
    if (v->kind == CG_VALUE_STR && cg_has_word(row->words, ' ', v->s)) {
        return 0;
    }
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_repr(v, &b);
    return cg_error_set(err, EINVAL, "Invalid reload_engine: %s",
                        cg_buf_str(&b));
}

int
cg_validate_word(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    if (strcmp(row->name, "reload_engine") == 0) {
        return validate_engine(row, v, err);
    }
    if (v->kind != CG_VALUE_STR) {
        return validate_no_word(row, v, err);
    }
    char *word = cg_stripped(v->s);
    cg_lower(word);
    if (cg_has_word(row->words, ' ', word)) {
        cg_value_replace_str(v, word);
        return 0;
    }
    if (strcmp(row->name, "header_map") == 0) {
        free(word); /* shown as it was written */
    } else {
        cg_value_replace_str(v, word);
    }
    return cg_value_wrong_as(row, v, err);
}

int
cg_validate_proxy(struct cg_value *v, struct cg_error *err)
{
    static const char *const words[][2] = {
        {"off", "off"},  {"false", "off"}, {"0", "off"},
        {"none", "off"}, {"true", "auto"}, {"auto", "auto"},
        {"1", "auto"},   {"v1", "v1"},     {"v2", "v2"}};
    if (v->kind == CG_VALUE_NONE || v->kind == CG_VALUE_BOOL) {
        bool on = v->kind == CG_VALUE_BOOL && v->b;
        cg_value_replace(v, cg_value_str(on ? "auto" : "off"));
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return cg_error_set(err, EINVAL,
                            "proxy_protocol must be string or bool");
    }
    cg_auto(free) char *word = cg_stripped(v->s);
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        if (strcasecmp(word, words[i][0]) == 0) {
            cg_value_replace(v, cg_value_str(words[i][1]));
            return 0;
        }
    }
    return cg_error_set(err, EINVAL,
                        "proxy_protocol must be: off, v1, v2, or auto");
}

/* gunicorn takes whatever there is and ignores it (ssl_version). */
int
cg_validate_any(struct cg_value *v)
{
    if (v->kind != CG_VALUE_STR && v->kind != CG_VALUE_NONE) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_value_repr(v, &b);
        cg_value_replace(v, cg_value_str(cg_buf_str(&b)));
    }
    return 0;
}
