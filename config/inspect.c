/* SPDX-License-Identifier: MIT */
#include "config/inspect.h"

#include <string.h>

#include "config/help.h"
#include "config/table.h"
#include "core/base/memory.h"
#include "core/base/sha1.h"

enum { INDENT = 4 };

/* ---- what a value means ---- */

/* sync with threads, which is gthread. */
static bool
is_upgraded(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    return id == CG_worker_class && v->kind == CG_VALUE_STR &&
           strcmp(cg_settings_worker_class(s), v->s) != 0;
}

void
cg_config_show(const struct cg_settings *s, enum cg_setting_id id,
               struct cg_buf *out)
{
    if (is_upgraded(s, id)) {
        cg_buf_puts(out, cg_settings_worker_class(s));
    } else {
        cg_settings_show(s, id, out);
    }
}

bool
cg_config_because(const struct cg_settings *s, enum cg_setting_id id,
                  struct cg_buf *out)
{
    if (id == CG_workers && s->workers_reason != NULL) {
        cg_buf_puts(out, s->workers_reason);
    } else if (is_upgraded(s, id)) {
        cg_buf_putf(out, "'%s' with threads = ", s->value[id].s);
        cg_settings_show(s, CG_threads, out);
        cg_buf_puts(out, " means this class, as in gunicorn");
    }
    return out->n > 0;
}

/* To be compared: secrets are in it. */
static void
put_meaning(const struct cg_settings *s, enum cg_setting_id id,
            struct cg_buf *out)
{
    if (is_upgraded(s, id)) {
        cg_buf_putf(out, "'%s'", cg_settings_worker_class(s));
    } else {
        cg_value_repr(&s->value[id], out);
    }
}

/* ---- explain ---- */

static void
put_default(enum cg_setting_id id, FILE *to)
{
    struct cg_settings *d = NULL;
    struct cg_error ignored = {0};
    if (cg_settings_new(&d, &ignored) < 0) {
        return;
    }
    cg_auto(buf) struct cg_buf b = {0};
    cg_value_print(&cg_rows[id], &d->value[id], &b);
    fprintf(to, "    default  %s%s%s%s\n", cg_buf_str(&b),
            cg_rows[id].theirs != NULL ? " (gunicorn: " : "",
            cg_rows[id].theirs != NULL ? cg_rows[id].theirs : "",
            cg_rows[id].theirs != NULL ? ")" : "");
    cg_settings_free(d);
}

/* "2 from conf.py:3", a line each, the nearest first. */
static void
put_hidden(const char *lines, FILE *to)
{
    const char *end = lines + strlen(lines);
    while (end > lines) {
        const char *start = end;
        while (start > lines && start[-1] != '\n') {
            start--;
        }
        fprintf(to, "    hides    %.*s\n", (int)(end - start), start);
        end = start > lines ? start - 1 : start;
    }
}

static void
put_ways(const struct cg_row *row, FILE *to)
{
    cg_auto(buf) struct cg_buf b = {0};
    for (const char *f = row->flags; f != NULL && *f != '\0';) {
        size_t n = strcspn(f, " ");
        cg_buf_putf(&b, "%.*s%s%s, ", (int)n, f, row->meta != NULL ? " " : "",
                    row->meta != NULL ? row->meta : "");
        f += n + (f[n] == ' ');
    }
    cg_buf_puts(&b, "CGUNICORN_");
    for (const char *c = row->name; *c != '\0'; c++) {
        cg_buf_putc(&b, *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c);
    }
    fprintf(to, "    set by   %s, `%s` in a file\n", cg_buf_str(&b), row->name);
}

void
cg_config_explain_told(const struct cg_config_told *told, enum cg_setting_id id,
                       FILE *to)
{
    const struct cg_row *row = &cg_rows[id];
    fprintf(to, "%s = %s\n", row->name, told->value);
    fprintf(to, "    from     %s\n",
            told->source != NULL ? told->source : "nobody: it is the default");
    if (told->hides != NULL) {
        put_hidden(told->hides, to);
    }
    if (told->because != NULL) {
        fprintf(to, "    because  %s\n", told->because);
    }
    put_default(id, to);
    fprintf(to, "    changes  %s\n",
            row->reload ? "take effect on a reload (HUP)"
                        : "take effect on a restart");
    put_ways(row, to);
    fprintf(to, "%*s", INDENT, "");
    cg_help_wrap(to, row->help, INDENT, cg_help_width(to));
}

void
cg_config_explain(const struct cg_settings *s, enum cg_setting_id id, FILE *to)
{
    const struct cg_source *source = &s->source[id];
    cg_auto(buf) struct cg_buf value = {0};
    cg_auto(buf) struct cg_buf because = {0};
    cg_config_show(s, id, &value);
    const struct cg_config_told told = {
        .value = cg_buf_str(&value),
        .source = source->layer == CG_LAYER_DEFAULT ? NULL : source->text,
        .hides = source->hidden,
        .because =
            cg_config_because(s, id, &because) ? cg_buf_str(&because) : NULL};
    cg_config_explain_told(&told, id, to);
}

/* ---- diff ---- */

static bool
is_code(const struct cg_value *v)
{
    return v->kind == CG_VALUE_OBJECT;
}

static void
put_side(const struct cg_settings *s, int id, struct cg_buf *b)
{
    cg_config_show(s, (enum cg_setting_id)id, b);
    if (is_upgraded(s, (enum cg_setting_id)id)) {
        cg_buf_puts(b, " (threads = ");
        cg_settings_show(s, CG_threads, b);
        cg_buf_putc(b, ')');
    } else {
        cg_buf_putf(b, " (%s)", s->source[id].text);
    }
}

static bool
is_same(const struct cg_settings *a, const struct cg_settings *b, int id)
{
    cg_auto(buf) struct cg_buf x = {0};
    cg_auto(buf) struct cg_buf y = {0};
    put_meaning(a, (enum cg_setting_id)id, &x);
    put_meaning(b, (enum cg_setting_id)id, &y);
    return strcmp(cg_buf_str(&x), cg_buf_str(&y)) == 0;
}

void
cg_config_digest(const struct cg_settings *s, enum cg_setting_id id,
                 char ret[CG_CONFIG_DIGEST])
{
    cg_auto(buf) struct cg_buf text = {0};
    uint8_t sum[CG_SHA1_SIZE];
    put_meaning(s, id, &text);
    cg_sha1(cg_buf_str(&text), text.n, sum);
    for (size_t i = 0; i < CG_SHA1_SIZE; i++) {
        snprintf(ret + 2 * i, 3, "%02x", sum[i]);
    }
}

bool
cg_config_reads_variable(const char *name)
{
    static const char *const names[] = {
        "GUNICORN_CMD_ARGS",   "WEB_CONCURRENCY",        "PORT",
        "FORWARDED_ALLOW_IPS", "DJANGO_SETTINGS_MODULE", "PYTHONPATH"};
    bool is = strncmp(name, "CGUNICORN_", strlen("CGUNICORN_")) == 0;
    for (size_t i = 0; i < CG_COUNT(names) && !is; i++) {
        is = strcmp(name, names[i]) == 0;
    }
    return is;
}

void
cg_config_diff_line(const struct cg_settings *s, enum cg_setting_id id,
                    const char *value, const char *source, const char *note,
                    FILE *to)
{
    cg_auto(buf) struct cg_buf new = {0};
    put_side(s, id, &new);
    fprintf(to, "%s: %s (%s) -> %s%s\n", cg_rows[id].name, value, source,
            cg_buf_str(&new), note);
}

int
cg_config_diff(const struct cg_settings *a, const struct cg_settings *b,
               FILE *to)
{
    int n = 0;
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        bool same = is_same(a, b, id);
        if (id == CG_config || (same && !is_code(&a->value[id]))) {
            continue;
        }
        cg_auto(buf) struct cg_buf x = {0};
        cg_auto(buf) struct cg_buf y = {0};
        put_side(a, id, &x);
        put_side(b, id, &y);
        fprintf(to, "%s: %s -> %s%s\n", cg_rows[id].name, cg_buf_str(&x),
                cg_buf_str(&y), same ? ": code in both, not compared" : "");
        n += !same;
    }
    return n;
}
