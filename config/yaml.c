/* SPDX-License-Identifier: MIT */
#include "config/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "config/table.h"
#include "core/base/fd.h"
#include "core/base/memory.h"

enum { MAX_BYTES = 1 << 20, MAX_NODES = 10000, MAX_DEPTH = 50 };

static const char too_large[] = "too large or too deeply nested";

struct reader {
    yaml_document_t doc;
    const char *shown;
    bool raw;  /* variables of the environment stay as they are written */
    int nodes; /* converted so far: aliases count each time */
    struct cg_error *err;
};

static int
fail(struct reader *r, yaml_mark_t mark, const char *text)
{
    return cg_error_set(r->err, EINVAL, "%s:%zu:%zu: %s", r->shown,
                        mark.line + 1, mark.column + 1, text);
}

static int
fail_name(struct reader *r, yaml_mark_t mark, const char *before,
          const char *name, const char *after)
{
    cg_auto(free) char *text = cg_strf("%s%s%s", before, name, after);
    return fail(r, mark, text);
}

/* ---- scalars ---- */

/* ${NAME} and ${NAME:-default}; $$ is a dollar. NULL with err. */
static char *
expand(struct reader *r, yaml_mark_t mark, const char *s)
{
    struct cg_buf b = {0};
    while (*s != '\0') {
        if (s[0] == '$' && s[1] == '$') {
            cg_buf_putc(&b, '$');
            s += 2;
            continue;
        }
        const char *end = s[0] == '$' && s[1] == '{' ? strchr(s, '}') : NULL;
        if (end == NULL) {
            cg_buf_putc(&b, *s++);
            continue;
        }
        cg_auto(free) char *name = cg_strndup(s + 2, (size_t)(end - s) - 2);
        char *fallback = strstr(name, ":-");
        if (fallback != NULL) {
            *fallback = '\0';
            fallback += 2;
        }
        const char *value = getenv(name);
        if (value == NULL || (*value == '\0' && fallback != NULL)) {
            value = fallback;
        }
        if (value == NULL) {
            cg_buf_release(&b);
            fail_name(r, mark, "the environment variable ", name,
                      " is not set: set it, or write ${NAME:-default}");
            return NULL;
        }
        cg_buf_puts(&b, value);
        if (b.n > MAX_BYTES) {
            cg_buf_release(&b);
            fail_name(r, mark, "with ", name, " it is larger than 1 MiB");
            return NULL;
        }
        s = end + 1;
    }
    return cg_buf_take(&b);
}

/* The core schema of YAML 1.2 for a plain scalar. */
static struct cg_value
plain(const char *s)
{
    char *end;
    if (*s == '\0' || cg_has_word("null Null NULL ~", ' ', s)) {
        return cg_value_none();
    }
    if (cg_has_word("true True TRUE false False FALSE", ' ', s)) {
        return cg_value_bool((s[0] | 32) == 't');
    }
    const char *digits = s + (*s == '-' || *s == '+');
    size_t n = strlen(digits);
    errno = 0;
    if (n > 1 && digits[0] == '0' && isdigit((unsigned char)digits[1])) {
        return cg_value_str(s); /* octal or decimal? told by the validator */
    }
    if (n > 0 && strspn(digits, "0123456789") == n) {
        long long i = strtoll(s, &end, 10);
        return errno == 0 ? cg_value_int(i) : cg_value_str(s);
    }
    const char *base = s[0] == '0' && s[1] == 'x'   ? "0123456789abcdefABCDEF"
                       : s[0] == '0' && s[1] == 'o' ? "01234567"
                                                    : NULL;
    if (base != NULL && s[2] != '\0' && s[2 + strspn(s + 2, base)] == '\0') {
        long long i = strtoll(s + 2, &end, s[1] == 'x' ? 16 : 8);
        return errno == 0 ? cg_value_int(i) : cg_value_str(s);
    }
    if (n > 0 && strspn(digits, "0123456789.eE+-") == n &&
        isdigit((unsigned char)digits[digits[0] == '.'])) {
        double f = strtod(s, &end);
        if (*end == '\0') {
            return cg_value_float(f);
        }
    }
    return cg_value_str(s);
}

static int
check_tag(struct reader *r, const yaml_node_t *node)
{
    static const char known[] =
        YAML_STR_TAG " " YAML_INT_TAG " " YAML_FLOAT_TAG " " YAML_BOOL_TAG
                     " " YAML_NULL_TAG " " YAML_SEQ_TAG " " YAML_MAP_TAG;
    const char *tag = (const char *)node->tag;
    if (tag == NULL || cg_has_word(known, ' ', tag)) {
        return 0;
    }
    return fail_name(r, node->start_mark, "unknown tag ", tag,
                     ": plain values, lists and maps are understood");
}

static bool
has_nul(const yaml_node_t *scalar)
{
    return strlen((const char *)scalar->data.scalar.value) !=
           scalar->data.scalar.length;
}

static int
convert_scalar(struct reader *r, const yaml_node_t *node, struct cg_value *ret)
{
    const char *text = (const char *)node->data.scalar.value;
    if (has_nul(node)) {
        return fail(r, node->start_mark, "a NUL character in a value");
    }
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        strchr(text, '$') == NULL) {
        *ret = plain(text);
        return 0;
    }
    char *s = r->raw ? cg_strdup(text) : expand(r, node->start_mark, text);
    if (s == NULL) {
        return r->err->code;
    }
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        *ret = plain(s); /* workers: ${N:-4} is a number */
        free(s);
    } else {
        *ret = (struct cg_value){.kind = CG_VALUE_STR, .s = s};
    }
    return 0;
}

/* ---- nodes ---- */

static const char nul_in_key[] = "a NUL character in a key";
static const char needs_maps[] = "<< needs a map, or a list of maps";

static int convert(struct reader *r, int index, int depth,
                   struct cg_value *ret);

static yaml_node_t *
node_at(struct reader *r, int index)
{
    return yaml_document_get_node(&r->doc, index);
}

static int
convert_list(struct reader *r, const yaml_node_t *node, int depth,
             struct cg_value *ret)
{
    struct cg_value list = cg_value_list();
    for (yaml_node_item_t *i = node->data.sequence.items.start;
         i < node->data.sequence.items.top; i++) {
        struct cg_value item;
        int e = convert(r, *i, depth + 1, &item);
        if (e < 0) {
            cg_value_release(&list);
            return e;
        }
        cg_value_push(&list, item);
    }
    *ret = list;
    return 0;
}

static bool
has_key(const struct cg_value *map, const char *key)
{
    for (size_t i = 0; i < map->list.n; i += 2) {
        if (strcmp(map->list.items[i].s, key) == 0) {
            return true;
        }
    }
    return false;
}

static int
convert_pair(struct reader *r, const yaml_node_pair_t *pair, int depth,
             struct cg_value *map)
{
    const yaml_node_t *key = node_at(r, pair->key);
    if (key->type != YAML_SCALAR_NODE) {
        return fail(r, key->start_mark, "a key must be a plain word");
    }
    const char *name = (const char *)key->data.scalar.value;
    if (has_nul(key)) {
        return fail(r, key->start_mark, nul_in_key);
    }
    if (strcmp(name, "<<") == 0) {
        return 0; /* after the map's own keys */
    }
    if (has_key(map, name)) {
        return fail_name(r, key->start_mark, "the key '", name,
                         "' is there twice");
    }
    struct cg_value v;
    int e = convert(r, pair->value, depth + 1, &v);
    if (e < 0) {
        return e;
    }
    cg_value_push(map, cg_value_str(name));
    cg_value_push(map, v);
    return 0;
}

/* `<<: *base` or a list of them: keys that are not there yet. */
static int
convert_merge(struct reader *r, int index, int depth, struct cg_value *map)
{
    struct cg_value from;
    int e = convert(r, index, depth, &from);
    if (e < 0) {
        return e;
    }
    const struct cg_value *maps = &from;
    size_t n = 1;
    if (from.kind == CG_VALUE_LIST) {
        maps = from.list.items;
        n = from.list.n;
    }
    for (size_t i = 0; e == 0 && i < n; i++) {
        const struct cg_value *m = &maps[i];
        if (m->kind != CG_VALUE_MAP) {
            e = fail(r, node_at(r, index)->start_mark, needs_maps);
        }
        for (size_t k = 0; e == 0 && k < m->list.n; k += 2) {
            if (!has_key(map, m->list.items[k].s)) {
                cg_value_push(map, cg_value_copy(&m->list.items[k]));
                cg_value_push(map, cg_value_copy(&m->list.items[k + 1]));
            }
        }
    }
    cg_value_release(&from);
    return e;
}

static bool
is_merge(struct reader *r, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = node_at(r, pair->key);
    return key->type == YAML_SCALAR_NODE &&
           strcmp((const char *)key->data.scalar.value, "<<") == 0;
}

static int
convert_map(struct reader *r, const yaml_node_t *node, int depth,
            struct cg_value *ret)
{
    struct cg_value map = cg_value_map();
    yaml_node_pair_t *start = node->data.mapping.pairs.start;
    yaml_node_pair_t *top = node->data.mapping.pairs.top;
    int e = 0;
    for (yaml_node_pair_t *p = start; e == 0 && p < top; p++) {
        e = convert_pair(r, p, depth, &map);
    }
    for (yaml_node_pair_t *p = start; e == 0 && p < top; p++) {
        e = is_merge(r, p) ? convert_merge(r, p->value, depth + 1, &map) : 0;
    }
    if (e < 0) {
        cg_value_release(&map);
        return e;
    }
    *ret = map;
    return 0;
}

static int
convert(struct reader *r, int index, int depth, struct cg_value *ret)
{
    const yaml_node_t *node = node_at(r, index);
    if (++r->nodes > MAX_NODES || depth > MAX_DEPTH) {
        return fail(r, node->start_mark, too_large);
    }
    int e = check_tag(r, node);
    if (e < 0) {
        return e;
    }
    switch (node->type) {
    case YAML_SCALAR_NODE: return convert_scalar(r, node, ret);
    case YAML_SEQUENCE_NODE: return convert_list(r, node, depth, ret);
    case YAML_MAPPING_NODE: return convert_map(r, node, depth, ret);
    case YAML_NO_NODE: break;
    }
    *ret = cg_value_none();
    return 0;
}

/* ---- settings ---- */

struct target {
    struct cg_settings *s; /* or … */
    void (*take)(void *self, enum cg_setting_id id, const struct cg_value *v);
    void *self;
    struct cg_findings *f;
    bool seen[CG_SETTING_COUNT];
};

static void
warn_unknown(struct reader *r, const struct target *t, yaml_mark_t mark,
             const char *name)
{
    const char *retired = cg_setting_retired(name);
    const char *near = cg_setting_suggest(name);
    cg_auto(free) char *at =
        cg_strf("%s:%zu:%zu", r->shown, mark.line + 1, mark.column + 1);
    if (retired != NULL) {
        cg_findings_warn(t->f, "%s: %s", at, retired);
    } else if (near != NULL) {
        cg_findings_warn(t->f,
                         "%s: '%s' is no setting and has no effect; did you "
                         "mean '%s'?",
                         at, name, near);
    } else {
        cg_findings_warn(t->f, "%s: '%s' is no setting and has no effect", at,
                         name);
    }
}

static int
check_word_for_bool(struct reader *r, const struct cg_row *row,
                    const struct cg_value *v, yaml_mark_t mark)
{
    if (row->type != TYPE_BOOL || v->kind != CG_VALUE_STR) {
        return 0;
    }
    bool yes = strcasecmp(v->s, "yes") == 0 || strcasecmp(v->s, "on") == 0;
    if (yes || strcasecmp(v->s, "no") == 0 || strcasecmp(v->s, "off") == 0) {
        cg_auto(free) char *text =
            cg_strf("%s: write %s in place of '%s'", row->name,
                    yes ? "true" : "false", v->s);
        return fail(r, mark, text);
    }
    return 0;
}

/* 0022: YAML 1.1 and C say octal, YAML 1.2 says 22, Python refuses. */
static int
check_leading_zero(struct reader *r, const struct cg_row *row,
                   const struct cg_value *v, yaml_mark_t mark)
{
    bool is_number = row->type == TYPE_UINT || row->type == TYPE_RANGE;
    if (!is_number || v->kind != CG_VALUE_STR || v->s[0] != '0') {
        return 0;
    }
    size_t zeros = strspn(v->s, "0"), n = strlen(v->s);
    if (n == zeros || strspn(v->s, "0123456789") != n) {
        return 0;
    }
    cg_auto(free) char *text =
        cg_strf("%s: write 0o%s (octal) or %s (decimal) in place of '%s'",
                row->name, v->s + zeros, v->s + zeros, v->s);
    return fail(r, mark, text);
}

static int
apply_value(struct reader *r, struct target *t, int id, int index)
{
    const yaml_node_t *node = node_at(r, index);
    struct cg_value v;
    int e = convert(r, index, 1, &v);
    if (e < 0) {
        return e;
    }
    if (t->take != NULL) {
        t->take(t->self, (enum cg_setting_id)id, &v);
        cg_value_release(&v);
        return 0;
    }
    e = check_word_for_bool(r, &cg_rows[id], &v, node->start_mark);
    if (e == 0) {
        e = check_leading_zero(r, &cg_rows[id], &v, node->start_mark);
    }
    if (e == 0 && !(cg_rows[id].type == TYPE_HOOK && v.kind == CG_VALUE_NONE)) {
        cg_auto(free) char *source =
            cg_strf("%s:%zu:%zu", r->shown, node->start_mark.line + 1,
                    node->start_mark.column + 1);
        e = cg_settings_set(t->s, (enum cg_setting_id)id, v, CG_LAYER_FILE,
                            source, r->err);
        if (e == 0) {
            return 0;
        }
    }
    cg_value_release(&v);
    return e;
}

static int apply_map(struct reader *r, struct target *t, const yaml_node_t *map,
                     int depth);

/* `<<: *base` or a list of them: keys that are not there yet. */
static int
apply_merge(struct reader *r, struct target *t, int index, int depth)
{
    const yaml_node_t *node = node_at(r, index);
    if (++r->nodes > MAX_NODES) {
        return fail(r, node->start_mark, too_large);
    }
    if (node->type == YAML_SEQUENCE_NODE && depth < MAX_DEPTH) {
        for (yaml_node_item_t *i = node->data.sequence.items.start;
             i < node->data.sequence.items.top; i++) {
            int e = apply_merge(r, t, *i, depth + 1);
            if (e < 0) {
                return e;
            }
        }
        return 0;
    }
    if (node->type != YAML_MAPPING_NODE || depth >= MAX_DEPTH) {
        return fail(r, node->start_mark, needs_maps);
    }
    return apply_map(r, t, node, depth + 1);
}

static int
apply_pair(struct reader *r, struct target *t, const yaml_node_pair_t *pair,
           int depth)
{
    const yaml_node_t *key = node_at(r, pair->key);
    if (++r->nodes > MAX_NODES || key->type != YAML_SCALAR_NODE) {
        return fail(r, key->start_mark,
                    r->nodes > MAX_NODES ? too_large
                                         : "a key must be a setting's name");
    }
    const char *name = (const char *)key->data.scalar.value;
    if (has_nul(key)) {
        return fail(r, key->start_mark, nul_in_key);
    }
    if (strcmp(name, "<<") == 0) {
        return 0; /* after the map's own keys */
    }
    int id = cg_setting_find(name);
    if (id < 0) {
        if (depth == 0 && name[0] != '.' && strncmp(name, "x-", 2) != 0) {
            warn_unknown(r, t, key->start_mark, name);
        }
        return 0;
    }
    if (t->seen[id]) {
        return depth > 0 ? 0
                         : fail_name(r, key->start_mark, "the key '", name,
                                     "' is there twice");
    }
    t->seen[id] = true;
    return apply_value(r, t, id, pair->value);
}

static int
apply_map(struct reader *r, struct target *t, const yaml_node_t *map, int depth)
{
    yaml_node_pair_t *start = map->data.mapping.pairs.start;
    yaml_node_pair_t *top = map->data.mapping.pairs.top;
    for (yaml_node_pair_t *p = start; p < top; p++) {
        if (apply_pair(r, t, p, depth) < 0) {
            if (r->nodes > MAX_NODES) {
                return r->err->code;
            }
            cg_findings_problem(t->f, r->err->text);
        }
    }
    for (yaml_node_pair_t *p = start; p < top; p++) {
        if (is_merge(r, p)) {
            int e = apply_merge(r, t, p->value, depth);
            if (e < 0) {
                return e;
            }
        }
    }
    return 0;
}

/* ---- the file ---- */

static int
slurp(const char *path, const char *shown, struct cg_buf *b,
      struct cg_error *err)
{
    /* a pipe would be waited for, at a reload by the master */
    cg_auto(fd_close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    ssize_t n;
    if (fd < 0 || fstat(fd, &st) < 0) {
        return cg_error_set(err, errno, "%s: %s", shown, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return cg_error_set(err, EISDIR, "%s: %s", shown, strerror(EISDIR));
    }
    if (!S_ISREG(st.st_mode)) {
        return cg_error_set(err, EINVAL,
                            "%s: it is no regular file: name the configuration "
                            "file with -c",
                            shown);
    }
    do {
        n = read(fd, cg_buf_reserve(b, 65536), 65536);
        b->n += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && b->n <= MAX_BYTES) || (n < 0 && errno == EINTR));
    if (n < 0) {
        return cg_error_set(err, errno, "%s: %s", shown, strerror(errno));
    }
    return b->n > MAX_BYTES ? cg_error_set(err, EFBIG,
                                           "%s: larger than 1 MiB: is this the "
                                           "configuration file?",
                                           shown)
                            : 0;
}

static int
parse_error(const yaml_parser_t *p, const char *shown, struct cg_error *err)
{
    const char *problem = p->problem != NULL ? p->problem : "invalid YAML";
    return cg_error_set(err, EINVAL, "%s:%zu:%zu: invalid YAML: %s%s%s", shown,
                        p->problem_mark.line + 1, p->problem_mark.column + 1,
                        problem, p->context != NULL ? ", " : "",
                        p->context != NULL ? p->context : "");
}

/* Nothing, or what `---` alone makes: one empty scalar. */
static bool
is_empty(const yaml_node_t *root)
{
    return root == NULL ||
           (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0);
}

static int
apply_document(struct reader *r, struct target *t)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    if (is_empty(root)) {
        return 0;
    }
    if (root->type != YAML_MAPPING_NODE) {
        return fail(r, root->start_mark,
                    "the file must be a map of settings, such as "
                    "`workers: 4`");
    }
    return apply_map(r, t, root, 0);
}

/* What follows the first document would be left out without a word. */
static int
check_end(struct reader *r, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &r->doc)) {
        return parse_error(parser, r->shown, r->err);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&r->doc);
    int e = is_empty(root) ? 0
                           : fail(r, root->start_mark,
                                  "a second document: a configuration is one");
    yaml_document_delete(&r->doc);
    return e;
}

/* The parts of a list or map that begin here; or end, negative. */
static int
depth_of(yaml_event_type_t type)
{
    bool begins =
        type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
    bool ends =
        type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
    return begins - ends;
}

/* Before anything is built of it: with libyaml, depth and anchors cost the
 * square of their number. What is no YAML is told later. */
static int
check_size(struct reader *r, const char *text, size_t n)
{
    yaml_parser_t parser;
    yaml_event_t event;
    yaml_event_type_t type = YAML_NO_EVENT;
    int nodes = 0, depth = 0, e = 0;
    if (!yaml_parser_initialize(&parser)) {
        cg_die("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    while (e == 0 && type != YAML_STREAM_END_EVENT &&
           yaml_parser_parse(&parser, &event)) {
        type = event.type;
        depth += depth_of(type);
        nodes += depth_of(type) > 0 || type == YAML_SCALAR_EVENT ||
                 type == YAML_ALIAS_EVENT;
        if (nodes > MAX_NODES || depth > MAX_DEPTH + 1) {
            e = fail(r, event.start_mark, too_large);
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return e;
}

static int
parse_text(struct reader *r, struct target *t, const struct cg_buf *text)
{
    yaml_parser_t parser;
    int e = check_size(r, text->p, text->n);
    if (e < 0) {
        return e;
    }
    if (!yaml_parser_initialize(&parser)) {
        cg_die("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text->p,
                                 text->n);
    if (!yaml_parser_load(&parser, &r->doc)) {
        e = parse_error(&parser, r->shown, r->err);
    } else {
        e = apply_document(r, t);
        yaml_document_delete(&r->doc);
        e = e < 0 ? e : check_end(r, &parser);
    }
    yaml_parser_delete(&parser);
    return e;
}

static int
read_path(const char *path, struct reader *r, struct target *t)
{
    cg_auto(buf) struct cg_buf text = {0};
    struct cg_error err = {0};
    r->err = &err;
    int e = slurp(path, r->shown, &text, &err);
    e = e < 0 ? e : parse_text(r, t, &text);
    if (e < 0) {
        cg_findings_problem(t->f, err.text);
    }
    return e;
}

int
cg_yaml_read(const char *path, const char *shown, struct cg_settings *s,
             struct cg_findings *f)
{
    struct reader r = {.shown = shown};
    struct target t = {.s = s, .f = f};
    return read_path(path, &r, &t);
}

int
cg_yaml_visit(const char *path, const char *shown,
              void (*take)(void *self, enum cg_setting_id id,
                           const struct cg_value *v),
              void *self, struct cg_findings *f)
{
    struct reader r = {.shown = shown, .raw = true};
    struct target t = {.take = take, .self = self, .f = f};
    return read_path(path, &r, &t);
}

/* ---- one value ---- */

int
cg_yaml_parse_value(const char *text, struct cg_value *ret,
                    struct cg_error *err)
{
    struct reader r = {.shown = "value", .err = err};
    yaml_parser_t parser;
    int e = check_size(&r, text, strlen(text));
    if (e < 0) {
        return e;
    }
    if (!yaml_parser_initialize(&parser)) {
        cg_die("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text,
                                 strlen(text));
    if (!yaml_parser_load(&parser, &r.doc)) {
        e = parse_error(&parser, r.shown, err);
    } else {
        bool empty = yaml_document_get_root_node(&r.doc) == NULL;
        *ret = cg_value_none();
        e = empty ? 0 : convert(&r, 1, 1, ret);
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    return e;
}
