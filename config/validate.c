/* SPDX-License-Identifier: MIT */
/* One function per type of setting: gunicorn's coercions and error texts. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/table.h"
#include "core/base/memory.h"
#include "core/base/network.h"

static int
wrong(struct cg_error *err, const char *before, const struct cg_value *v,
      const char *after)
{
    cg_auto(buf) struct cg_buf b = {0};
    if (v->kind == CG_VALUE_STR) {
        cg_buf_puts(&b, v->s);
    } else {
        cg_value_repr(v, &b);
    }
    return cg_error_set(err, EINVAL, "%s%s%s", before, cg_buf_str(&b), after);
}

/* The row's own text, with the value where it says %s. */
static int
wrong_as(const struct cg_row *row, const struct cg_value *v,
         struct cg_error *err)
{
    const char *hole = strstr(row->wrong, "%s");
    if (hole == NULL) {
        return cg_error_set(err, EINVAL, "%s", row->wrong);
    }
    cg_auto(free) char *before =
        cg_strndup(row->wrong, (size_t)(hole - row->wrong));
    return wrong(err, before, v, hole + 2);
}

static char *
stripped(const char *s)
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

static void
replace(struct cg_value *v, struct cg_value with)
{
    cg_value_release(v);
    *v = with;
}

static void
replace_str(struct cg_value *v, char *owned)
{
    replace(v, (struct cg_value){.kind = CG_VALUE_STR, .s = owned});
}

/* ---- scalars ---- */

static int
validate_bool(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_BOOL || v->kind == CG_VALUE_NONE) {
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return wrong(err, "Invalid type for casting: ", v, "");
    }
    cg_auto(free) char *word = stripped(v->s);
    bool yes = strcasecmp(word, "true") == 0;
    if (!yes && strcasecmp(word, "false") != 0) {
        return wrong(err, "Invalid boolean: ", v, "");
    }
    replace(v, cg_value_bool(yes));
    return 0;
}

/* Python's int(text, 0): prefixes, single underscores between digits. */
static bool
parse_int0(const char *text, int64_t *ret)
{
    char digits[80];
    size_t n = 0;
    cg_auto(free) char *s = stripped(text);
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
    replace(v, cg_value_int(n));
    if (n < row->least || (row->most != 0 && n > row->most)) {
        return wrong_as(row, v, err);
    }
    return n > INT32_MAX ? cg_error_set(err, EINVAL,
                                        "Value must be at most 2147483647: "
                                        "%lld",
                                        (long long)n)
                         : 0;
}

static int
validate_uint(const struct cg_row *row, struct cg_value *v,
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

static int
validate_str(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return wrong(err, "Not a string: ", v, "");
    }
    replace_str(v, stripped(v->s));
    return 0;
}

static void
lower(char *s)
{
    for (; *s != '\0'; s++) {
        *s = (char)tolower((unsigned char)*s);
    }
}

/* No string: None is the default, except where gunicorn keeps it. */
static int
validate_no_word(const struct cg_row *row, struct cg_value *v,
                 struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE && strcmp(row->name, "header_map") != 0) {
        replace(v, cg_value_str(row->def));
        return 0;
    }
    if (v->kind == CG_VALUE_BOOL && strcmp(row->name, "http2_cleartext") == 0) {
        replace(v, cg_value_str(v->b ? "prior-knowledge" : "off"));
        return 0;
    }
    if (v->kind == CG_VALUE_NONE) {
        return 0;
    }
    return strcmp(row->name, "http_parser") == 0
               ? cg_error_set(err, EINVAL, "http_parser must be a string")
               : wrong(err, "Invalid type for casting: ", v, "");
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

static int
validate_word(const struct cg_row *row, struct cg_value *v,
              struct cg_error *err)
{
    if (strcmp(row->name, "reload_engine") == 0) {
        return validate_engine(row, v, err);
    }
    if (v->kind != CG_VALUE_STR) {
        return validate_no_word(row, v, err);
    }
    char *word = stripped(v->s);
    lower(word);
    if (cg_has_word(row->words, ' ', word)) {
        replace_str(v, word);
        return 0;
    }
    if (strcmp(row->name, "header_map") == 0) {
        free(word); /* shown as it was written */
    } else {
        replace_str(v, word);
    }
    return wrong_as(row, v, err);
}

static int
validate_proxy(struct cg_value *v, struct cg_error *err)
{
    static const char *const words[][2] = {
        {"off", "off"},  {"false", "off"}, {"0", "off"},
        {"none", "off"}, {"true", "auto"}, {"auto", "auto"},
        {"1", "auto"},   {"v1", "v1"},     {"v2", "v2"}};
    if (v->kind == CG_VALUE_NONE || v->kind == CG_VALUE_BOOL) {
        bool on = v->kind == CG_VALUE_BOOL && v->b;
        replace(v, cg_value_str(on ? "auto" : "off"));
        return 0;
    }
    if (v->kind != CG_VALUE_STR) {
        return cg_error_set(err, EINVAL,
                            "proxy_protocol must be string or bool");
    }
    cg_auto(free) char *word = stripped(v->s);
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        if (strcasecmp(word, words[i][0]) == 0) {
            replace(v, cg_value_str(words[i][1]));
            return 0;
        }
    }
    return cg_error_set(err, EINVAL,
                        "proxy_protocol must be: off, v1, v2, or auto");
}

/* ---- lists ---- */

static int
check_strings(struct cg_value *list, struct cg_error *err)
{
    for (size_t i = 0; i < list->list.n; i++) {
        struct cg_value *item = &list->list.items[i];
        /* gunicorn lets None through and fails where it is used */
        int r = item->kind == CG_VALUE_NONE
                    ? wrong(err, "Not a string: ", item, "")
                    : validate_str(item, err);
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

static int
validate_list(const struct cg_row *row, struct cg_value *v,
              struct cg_error *err)
{
    if (is_false(v)) {
        replace(v, cg_value_list());
        return 0;
    }
    if (v->kind == CG_VALUE_STR) {
        struct cg_value list = cg_value_list();
        replace_str(v, stripped(v->s));
        cg_value_push(&list, *v);
        *v = list;
        return 0;
    }
    if (v->kind == CG_VALUE_MAP) {
        struct cg_value keys = cg_value_list();
        for (size_t i = 0; i < v->list.n; i += 2) {
            cg_value_push(&keys, cg_value_copy(&v->list.items[i]));
        }
        replace(v, keys);
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

static int
validate_files(const struct cg_row *row, struct cg_value *v,
               struct cg_error *err)
{
    int r = validate_list(row, v, err);
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        const char *path = v->list.items[i].s;
        struct stat st;
        if (strpbrk(path, "*?[") == NULL && stat(path, &st) < 0) {
            return cg_error_set(err, ENOENT, "File %s does not exists.", path);
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
                                                   .s = stripped(part)});
        }
        text += n + (text[n] == ',');
    }
    return list;
}

static int
validate_csv(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        replace(v, cg_value_list());
        return 0;
    }
    int r = validate_str(v, err);
    if (r == 0) {
        replace(v, cg_split_commas(v->s));
    }
    return r;
}

static int
validate_addrs(struct cg_value *v, struct cg_error *err)
{
    struct cg_network net;
    int r = validate_csv(v, err);
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

static int
validate_protocols(struct cg_value *v, struct cg_error *err)
{
    if (v->kind != CG_VALUE_NONE && v->kind != CG_VALUE_STR) {
        return cg_error_set(err, EINVAL, "http_protocols must be a string");
    }
    struct cg_value all = cg_split_commas(v->kind == CG_VALUE_STR ? v->s : "");
    struct cg_value list = cg_value_list();
    for (size_t i = 0; i < all.list.n; i++) {
        if (all.list.items[i].s[0] != '\0') {
            lower(all.list.items[i].s);
            cg_value_push(&list, cg_value_copy(&all.list.items[i]));
        }
    }
    cg_value_release(&all);
    if (list.list.n == 0) {
        cg_value_push(&list, cg_value_str("h1"));
    }
    replace(v, list);
    int r = 0;
    for (size_t i = 0; r == 0 && i < v->list.n; i++) {
        r = check_protocol(v, i, err);
    }
    return r;
}

static int
validate_dict(const struct cg_row *row, struct cg_value *v,
              struct cg_error *err)
{
    if (v->kind != CG_VALUE_MAP) {
        return wrong(err, "Value is not a dictionary: ", v, " ");
    }
    /* the others may hold whatever their reader understands */
    bool strings = strcmp(row->name, "secure_scheme_headers") == 0;
    return strings ? check_strings(v, err) : 0;
}

/* ---- certificates ---- */

/* One name is a list of one. */
static int
check_names(struct cg_value *names, struct cg_error *err)
{
    if (names->kind == CG_VALUE_STR) {
        struct cg_value list = cg_value_list();
        cg_value_push(&list, cg_value_copy(names));
        replace(names, list);
    }
    bool good = names->kind == CG_VALUE_LIST;
    for (size_t i = 0; good && i < names->list.n; i++) {
        good = names->list.items[i].kind == CG_VALUE_STR;
    }
    return good ? 0
                : wrong(err, "names is not a list of host names: ", names, "");
}

static int
check_certificate(struct cg_value *v, struct cg_error *err)
{
    bool has_file = false;
    if (v->kind != CG_VALUE_MAP) {
        return wrong(
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
            r = wrong(err, "only certfile, keyfile and names are known, not ",
                      key, "");
        } else if (value->kind != CG_VALUE_STR) {
            r = wrong(err, "not a path: ", value, "");
        }
        if (r < 0) {
            return r;
        }
        has_file = has_file || strcmp(name, "certfile") == 0;
    }
    return has_file ? 0 : wrong(err, "certfile is missing in ", v, "");
}

static int
validate_certs(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        replace(v, cg_value_list());
    }
    if (v->kind != CG_VALUE_LIST) {
        return wrong(err, "not a list of dictionaries: ", v, "");
    }
    for (size_t i = 0; i < v->list.n; i++) {
        int r = check_certificate(&v->list.items[i], err);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- code ---- */

static int
validate_class(struct cg_value *v, struct cg_error *err)
{
    return v->kind == CG_VALUE_OBJECT && v->object.callable
               ? 0
               : validate_str(v, err);
}

static int
validate_hook(const struct cg_row *row, struct cg_value *v,
              struct cg_error *err)
{
    if (v->kind == CG_VALUE_STR) {
        replace_str(v, stripped(v->s));
        if (strpbrk(v->s, ".:") == NULL) {
            return cg_error_set(err, EINVAL,
                                "Value '%s' is not import string. Format: "
                                "module[.submodules...].object",
                                v->s);
        }
        return 0;
    }
    if (v->kind != CG_VALUE_OBJECT || !v->object.callable) {
        return wrong(err, "Value is not callable: ", v, "");
    }
    bool flexible = strcmp(row->name, "post_request") == 0;
    int n = v->object.arity;
    if (flexible ? n < 2 || n > 4 : n != row->arity) {
        return cg_error_set(err, EINVAL, "Value must have an arity of: %d",
                            row->arity);
    }
    return 0;
}

/* ---- the system ---- */

static bool
all_digits(const char *s)
{
    return *s != '\0' && strspn(s, "0123456789") == strlen(s);
}

/* A number as an id. setuid() takes 32 bits of it: 2^32 would be root. */
static int
check_id(const char *complaint, struct cg_value *v, struct cg_error *err)
{
    enum { DIGITS = 10 };
    int64_t n = v->i;
    if (v->kind == CG_VALUE_STR) {
        const char *digits = v->s + strspn(v->s, "0");
        n = strlen(digits) > DIGITS ? INT64_MAX : atoll(digits);
    }
    if (n < 0 || n >= UINT32_MAX) {
        return wrong(err, complaint, v, "': ids go from 0 to 4294967294");
    }
    replace(v, cg_value_int(n));
    return 0;
}

static bool
is_id(const struct cg_value *v)
{
    return v->kind == CG_VALUE_INT ||
           (v->kind == CG_VALUE_STR && all_digits(v->s));
}

static int
validate_user(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        replace(v, cg_value_int(geteuid()));
        return 0;
    }
    if (is_id(v)) {
        return check_id("No such user: '", v, err);
    }
    struct passwd *pw = v->kind == CG_VALUE_STR ? getpwnam(v->s) : NULL;
    if (pw == NULL) {
        return wrong(err, "No such user: '", v, "'");
    }
    replace(v, cg_value_int(pw->pw_uid));
    return 0;
}

static int
validate_group(struct cg_value *v, struct cg_error *err)
{
    if (v->kind == CG_VALUE_NONE) {
        replace(v, cg_value_int(getegid()));
        return 0;
    }
    if (is_id(v)) {
        return check_id("No such group: '", v, err);
    }
    struct group *gr = v->kind == CG_VALUE_STR ? getgrnam(v->s) : NULL;
    if (gr == NULL) {
        return wrong(err, "No such group: '", v, "'");
    }
    replace(v, cg_value_int(gr->gr_gid));
    return 0;
}

/* Where we are, as the shell spells it: links in PWD are kept. */
static char *
current_dir(void)
{
    const char *pwd = getenv("PWD");
    struct stat a, b;
    if (pwd != NULL && pwd[0] == '/' && stat(pwd, &a) == 0 &&
        stat(".", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
        return cg_strdup(pwd);
    }
    cg_auto(free) char *cwd = getcwd(NULL, 0);
    return cg_strdup(cwd != NULL ? cwd : "/");
}

/* Without ".", ".." and doubled slashes, by its text alone: a link such as
 * /srv/current stays what it is, so that it can be moved under the server. */
static char *
normalized(const char *path)
{
    struct cg_buf b = {0};
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            while (b.n > 0 && b.p[--b.n] != '/') {
            }
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            cg_buf_putc(&b, '/');
            cg_buf_put(&b, path, n);
        }
        path += n + (path[n] == '/');
    }
    if (b.n == 0) {
        cg_buf_putc(&b, '/');
    }
    return cg_buf_take(&b);
}

static int
validate_chdir(struct cg_value *v, struct cg_error *err)
{
    int r = validate_str(v, err);
    if (r < 0) {
        return r;
    }
    const char *dir = v->kind == CG_VALUE_STR ? v->s : ".";
    cg_auto(free) char *here = current_dir();
    cg_auto(free) char *joined =
        dir[0] == '/' ? cg_strdup(dir) : cg_strf("%s/%s", here, dir);
    cg_auto(free) char *path = normalized(joined);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return cg_error_set(err, ENOENT, "can't chdir to '%s'", dir);
    }
    replace(v, cg_value_str(path));
    return 0;
}

/* ---- addresses ---- */

/* The text after a ':' as a port; false when it is none. */
static bool
take_port(const char *text, int *ret)
{
    int64_t n;
    if (!cg_int_parse(text, 10, &n) || n < 0 || n > INT32_MAX) {
        return false;
    }
    *ret = (int)n;
    return true;
}

/* gunicorn's parse_address; `unix:1234` is a host called unix. */
bool
cg_split_statsd(const char *text, char **ret_host, int *ret_port)
{
    *ret_port = 8125;
    bool digits = strncmp(text, "unix:", 5) == 0 && text[5] != '\0' &&
                  strspn(text + 5, "0123456789") == strlen(text + 5);
    if (strncmp(text, "unix:", 5) == 0 && !digits) {
        *ret_port = -1;
        *ret_host =
            cg_strdup(text + (strncmp(text, "unix://", 7) == 0 ? 7 : 5));
        return true;
    }
    text += strncmp(text, "tcp://", 6) == 0 ? 6 : 0;
    const char *end = strchr(text, ']');
    bool v6 = text[0] == '[' && end != NULL;
    const char *colon = v6 && end[1] == ':' ? end + 1
                        : v6                ? NULL
                                            : strchr(text, ':');
    const char *last = v6 ? end : colon != NULL ? colon : text + strlen(text);
    cg_auto(free) char *port =
        colon != NULL ? cg_strndup(colon + 1, strcspn(colon + 1, ":")) : NULL;
    if (port != NULL && !take_port(port, ret_port)) {
        return false;
    }
    *ret_host = cg_strndup(text + v6, (size_t)(last - text) - v6);
    lower(*ret_host);
    if (text[0] == '\0') {
        free(*ret_host);
        *ret_host = cg_strdup("0.0.0.0");
    }
    return true;
}

static int
validate_statsd(struct cg_value *v, struct cg_error *err)
{
    int port, r = validate_str(v, err);
    char *host = NULL;
    if (r < 0 || v->kind == CG_VALUE_NONE) {
        return r;
    }
    bool good = cg_split_statsd(v->s, &host, &port);
    free(host);
    return good ? 0
                : cg_error_set(err, EINVAL,
                               "Value must be one of ('host:port', "
                               "'unix://PATH')");
}

/* gunicorn takes whatever there is and ignores it (ssl_version). */
static int
validate_any(struct cg_value *v)
{
    if (v->kind != CG_VALUE_STR && v->kind != CG_VALUE_NONE) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_value_repr(v, &b);
        replace(v, cg_value_str(cg_buf_str(&b)));
    }
    return 0;
}

int
cg_validate(const struct cg_row *row, struct cg_value *v, struct cg_error *err)
{
    switch (row->type) {
    case TYPE_BOOL: return validate_bool(v, err);
    case TYPE_UINT: return validate_uint(row, v, err);
    case TYPE_STR: return validate_str(v, err);
    case TYPE_LIST: return validate_list(row, v, err);
    case TYPE_FILES: return validate_files(row, v, err);
    case TYPE_CSV: return validate_csv(v, err);
    case TYPE_ADDRS: return validate_addrs(v, err);
    case TYPE_DICT: return validate_dict(row, v, err);
    case TYPE_CERTS: return validate_certs(v, err);
    case TYPE_CLASS: return validate_class(v, err);
    case TYPE_HOOK: return validate_hook(row, v, err);
    case TYPE_USER: return validate_user(v, err);
    case TYPE_GROUP: return validate_group(v, err);
    case TYPE_CHDIR: return validate_chdir(v, err);
    case TYPE_WORD: return validate_word(row, v, err);
    case TYPE_PROXY: return validate_proxy(v, err);
    case TYPE_STATSD: return validate_statsd(v, err);
    case TYPE_ANY: return validate_any(v);
    case TYPE_PROTOCOLS: return validate_protocols(v, err);
    }
    return 0;
}
