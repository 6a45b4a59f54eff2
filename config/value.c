/* SPDX-License-Identifier: MIT */
/* Neutral values: what readers hand over and settings store. */
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "core/base/memory.h"

struct cg_value
cg_value_none(void)
{
    return (struct cg_value){.kind = CG_VALUE_NONE};
}

struct cg_value
cg_value_bool(bool b)
{
    return (struct cg_value){.kind = CG_VALUE_BOOL, .b = b};
}

struct cg_value
cg_value_int(int64_t i)
{
    return (struct cg_value){.kind = CG_VALUE_INT, .i = i};
}

struct cg_value
cg_value_float(double f)
{
    return (struct cg_value){.kind = CG_VALUE_FLOAT, .f = f};
}

struct cg_value
cg_value_str(const char *s)
{
    return (struct cg_value){.kind = CG_VALUE_STR, .s = cg_strdup(s)};
}

struct cg_value
cg_value_list(void)
{
    return (struct cg_value){.kind = CG_VALUE_LIST};
}

struct cg_value
cg_value_map(void)
{
    return (struct cg_value){.kind = CG_VALUE_MAP};
}

void
cg_value_push(struct cg_value *list, struct cg_value item)
{
    CG_ASSERT(list->kind == CG_VALUE_LIST || list->kind == CG_VALUE_MAP);
    list->list.items =
        cg_realloc(list->list.items, (list->list.n + 1) * sizeof item);
    list->list.items[list->list.n++] = item;
}

struct cg_value
cg_value_copy(const struct cg_value *v)
{
    struct cg_value copy = *v;
    switch (v->kind) {
    case CG_VALUE_STR: copy.s = cg_strdup(v->s); break;
    case CG_VALUE_LIST:
    case CG_VALUE_MAP:
        copy.list.items = NULL;
        copy.list.n = 0;
        for (size_t i = 0; i < v->list.n; i++) {
            cg_value_push(&copy, cg_value_copy(&v->list.items[i]));
        }
        break;
    case CG_VALUE_OBJECT:
        v->object.ops->retain(v->object.ref);
        copy.object.repr = cg_strdup(v->object.repr);
        break;
    case CG_VALUE_NONE:
    case CG_VALUE_BOOL:
    case CG_VALUE_INT:
    case CG_VALUE_FLOAT: break;
    }
    return copy;
}

void
cg_value_release(struct cg_value *v)
{
    switch (v->kind) {
    case CG_VALUE_STR: free(v->s); break;
    case CG_VALUE_LIST:
    case CG_VALUE_MAP:
        for (size_t i = 0; i < v->list.n; i++) {
            cg_value_release(&v->list.items[i]);
        }
        free(v->list.items);
        break;
    case CG_VALUE_OBJECT:
        v->object.ops->release(v->object.ref);
        free(v->object.repr);
        break;
    case CG_VALUE_NONE:
    case CG_VALUE_BOOL:
    case CG_VALUE_INT:
    case CG_VALUE_FLOAT: break;
    }
    *v = cg_value_none();
}

static void
repr_str(const char *s, struct cg_buf *out)
{
    char quote = strchr(s, '\'') != NULL && strchr(s, '"') == NULL ? '"' : '\'';
    cg_buf_putc(out, quote);
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '\\' || c == (unsigned char)quote) {
            cg_buf_putc(out, '\\');
            cg_buf_putc(out, *s);
        } else if (c == '\n') {
            cg_buf_puts(out, "\\n");
        } else if (c == '\r') {
            cg_buf_puts(out, "\\r");
        } else if (c == '\t') {
            cg_buf_puts(out, "\\t");
        } else if (c < 0x20 || c == 0x7f) {
            cg_buf_putf(out, "\\x%02x", c);
        } else {
            cg_buf_putc(out, *s);
        }
    }
    cg_buf_putc(out, quote);
}

/* The shortest digits that read back as the same number, as in Python. */
static void
repr_float(double f, struct cg_buf *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (strtod(text, NULL) == f) {
            break;
        }
    }
    cg_buf_puts(out, text);
    if (strspn(text, "-0123456789") == strlen(text)) {
        cg_buf_puts(out, ".0");
    }
}

static void
repr_items(const struct cg_value *v, struct cg_buf *out)
{
    bool map = v->kind == CG_VALUE_MAP;
    cg_buf_putc(out, map ? '{' : '[');
    for (size_t i = 0; i < v->list.n; i++) {
        if (i > 0) {
            cg_buf_puts(out, map && i % 2 == 1 ? ": " : ", ");
        }
        cg_value_repr(&v->list.items[i], out);
    }
    cg_buf_putc(out, map ? '}' : ']');
}

void
cg_value_repr(const struct cg_value *v, struct cg_buf *out)
{
    switch (v->kind) {
    case CG_VALUE_NONE: cg_buf_puts(out, "None"); break;
    case CG_VALUE_BOOL: cg_buf_puts(out, v->b ? "True" : "False"); break;
    case CG_VALUE_INT: cg_buf_putf(out, "%lld", (long long)v->i); break;
    case CG_VALUE_FLOAT: repr_float(v->f, out); break;
    case CG_VALUE_STR: repr_str(v->s, out); break;
    case CG_VALUE_LIST:
    case CG_VALUE_MAP: repr_items(v, out); break;
    case CG_VALUE_OBJECT: cg_buf_puts(out, v->object.repr); break;
    }
}
