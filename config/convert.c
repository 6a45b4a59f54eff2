/* SPDX-License-Identifier: MIT */
/*
 * YAML as the Python that says the same. ${NAME} becomes os.environ, so that
 * the result follows the environment as its source did.
 */
#include <string.h>

#include "config/inspect.h"
#include "config/secret.h"
#include "config/table.h"
#include "config/yaml.h"
#include "core/base/memory.h"

struct writer {
    struct cg_buf body;
    bool needs_os, show_secrets;
    const char *shown;
    struct cg_findings *f;
};

static void
put_text(struct cg_buf *b, const char *p, size_t n)
{
    cg_auto(free) char *text = cg_strndup(p, n);
    struct cg_value v = cg_value_str(text);
    cg_value_repr(&v, b);
    cg_value_release(&v);
}

/* The name and, after ":-", the default: os.environ["NAME"]. */
static void
put_variable(struct cg_buf *b, const char *p, size_t n)
{
    cg_auto(free) char *name = cg_strndup(p, n);
    char *fallback = strstr(name, ":-");
    if (fallback == NULL) {
        cg_buf_puts(b, "os.environ[");
        put_text(b, name, strlen(name));
        cg_buf_putc(b, ']');
        return;
    }
    cg_buf_puts(b, "(os.environ.get(");
    put_text(b, name, (size_t)(fallback - name));
    cg_buf_puts(b, ") or ");
    put_text(b, fallback + 2, strlen(fallback + 2));
    cg_buf_putc(b, ')');
}

/* The end of the plain text at s, with "$$" in it taken as a dollar. */
static const char *
take_plain(const char *s, struct cg_buf *plain)
{
    while (*s != '\0' &&
           !(s[0] == '$' && s[1] == '{' && strchr(s, '}') != NULL)) {
        s += s[0] == '$' && s[1] == '$';
        cg_buf_putc(plain, *s++);
    }
    return s;
}

static void
put_string(struct writer *w, const char *s)
{
    const char *between = "";
    do {
        cg_auto(buf) struct cg_buf plain = {0};
        s = take_plain(s, &plain);
        if (plain.n > 0 || (*s == '\0' && *between == '\0')) {
            cg_buf_puts(&w->body, between);
            put_text(&w->body, cg_buf_str(&plain), plain.n);
            between = " + ";
        }
        if (*s != '\0') {
            const char *end = strchr(s, '}');
            cg_buf_puts(&w->body, between);
            put_variable(&w->body, s + 2, (size_t)(end - s) - 2);
            w->needs_os = true;
            between = " + ";
            s = end + 1;
        }
    } while (*s != '\0');
}

static void
put_python(struct writer *w, const struct cg_value *v)
{
    bool map = v->kind == CG_VALUE_MAP;
    if (v->kind == CG_VALUE_STR) {
        put_string(w, v->s);
        return;
    }
    if (!map && v->kind != CG_VALUE_LIST) {
        cg_value_repr(v, &w->body);
        return;
    }
    cg_buf_putc(&w->body, map ? '{' : '[');
    for (size_t i = 0; i < v->list.n; i++) {
        bool key = map && i % 2 == 0;
        cg_buf_puts(&w->body, i == 0 ? "" : map && !key ? ": " : ", ");
        if (key) { /* keys are not expanded */
            cg_value_repr(&v->list.items[i], &w->body);
        } else {
            put_python(w, &v->list.items[i]);
        }
    }
    cg_buf_putc(&w->body, map ? '}' : ']');
}

/* "hooks:post_fork": gunicorn knows import strings with dots only. */
static void
put_import_string(struct writer *w, const char *text)
{
    cg_auto(free) char *dotted = cg_strdup(text);
    char *colon = strchr(dotted, ':');
    if (colon != NULL) {
        *colon = '.';
    }
    put_text(&w->body, dotted, strlen(dotted));
}

static void
take_setting(void *self, enum cg_setting_id id, const struct cg_value *v)
{
    struct writer *w = self;
    if (cg_rows[id].type == TYPE_HOOK && v->kind == CG_VALUE_NONE) {
        return; /* no hook: in Python, none is named */
    }
    cg_buf_putf(&w->body, "%s = ", cg_rows[id].name);
    if (cg_rows[id].type == TYPE_HOOK && v->kind == CG_VALUE_STR &&
        strchr(v->s, '$') == NULL) {
        put_import_string(w, v->s);
    } else {
        struct cg_value copy = cg_value_copy(v);
        if (!w->show_secrets) {
            cg_secret_refer(id, &copy, w->shown, w->f);
        }
        put_python(w, &copy);
        cg_value_release(&copy);
    }
    cg_buf_putc(&w->body, '\n');
}

int
cg_config_yaml_to_python(const char *path, const char *shown, bool show_secrets,
                         struct cg_buf *out, struct cg_findings *f)
{
    struct writer w = {.show_secrets = show_secrets, .shown = shown, .f = f};
    int r = cg_yaml_visit(path, shown, take_setting, &w, f);
    if (r == 0 && f->problems == 0) {
        cg_buf_puts(out, w.needs_os ? "import os\n\n" : "");
        cg_buf_put(out, w.body.p, w.body.n);
    }
    cg_buf_release(&w.body);
    return r < 0 ? r : -(int)(f->problems > 0);
}
