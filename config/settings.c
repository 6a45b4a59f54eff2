/* SPDX-License-Identifier: MIT */
/* One generation of settings: defaults, setting, typed views, printing. */
#include "config/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/near.h"
#include "config/secret.h"
#include "config/table.h"
#include "core/base/memory.h"

const struct cg_row cg_rows[CG_SETTING_COUNT] = {
#define SETTING(id, kind, ...)                                                 \
    [CG_##id] = {.name = #id, .type = kind, __VA_ARGS__},
#include "config/settings.def"
#undef SETTING
};

/* ---- defaults ---- */

/* "A=b C=d" of the table; keys and values have no blanks. */
static struct cg_value
parse_pairs(const char *text)
{
    struct cg_value map = cg_value_map();
    cg_auto(free) char *copy = cg_strdup(text);
    char *save = NULL;
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(w, '=');
        *equals = '\0';
        cg_value_push(&map, cg_value_str(w));
        cg_value_push(&map, cg_value_str(equals + 1));
    }
    return map;
}

static struct cg_value
default_value(const struct cg_row *row)
{
    if (row->type == TYPE_DICT) {
        return row->def != NULL ? parse_pairs(row->def) : cg_value_map();
    }
    if (row->type == TYPE_CERTS) {
        return cg_value_list();
    }
    return row->def != NULL ? cg_value_str(row->def) : cg_value_none();
}

/* was: the value until now, as text */
static void
set_source(struct cg_settings *s, enum cg_setting_id id, enum cg_layer layer,
           const char *text, const char *was)
{
    struct cg_source *old = &s->source[id];
    cg_auto(free) char *old_text = old->text;
    if (old->layer == layer && old_text != NULL &&
        strcmp(old_text, text) == 0) {
        old_text = NULL; /* the same again: an import string got its object */
        return;
    }
    if (old->layer != CG_LAYER_DEFAULT && was != NULL) {
        char *hidden =
            cg_strf("%s%s%s from %s", old->hidden != NULL ? old->hidden : "",
                    old->hidden != NULL ? "\n" : "", was, old_text);
        free(old->hidden);
        old->hidden = hidden;
    }
    old->layer = layer;
    old->text = cg_strdup(text);
}

static int
set_default(struct cg_settings *s, enum cg_setting_id id, struct cg_error *err)
{
    const struct cg_row *row = &cg_rows[id];
    struct cg_value v = default_value(row);
    set_source(s, id, CG_LAYER_DEFAULT, "default", NULL);
    if (row->type == TYPE_HOOK) {
        s->value[id] = v; /* no hook */
        return 0;
    }
    int r = cg_validate(row, &v, err);
    s->value[id] = v;
    return r < 0 ? cg_error_prefix(err, "default of %s", row->name) : 0;
}

int
cg_settings_new(struct cg_settings **ret_settings, struct cg_error *err)
{
    struct cg_settings *s = cg_calloc(1, sizeof *s);
    int r = 0;
    for (int id = 0; r == 0 && id < CG_SETTING_COUNT; id++) {
        r = set_default(s, (enum cg_setting_id)id, err);
    }
    if (r < 0) {
        cg_settings_free(s);
        return r;
    }
    *ret_settings = s;
    return 0;
}

void
cg_settings_free(struct cg_settings *s)
{
    if (s == NULL) {
        return;
    }
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        cg_value_release(&s->value[id]);
        free(s->source[id].text);
        free(s->source[id].hidden);
    }
    free(s->workers_reason);
    free(s);
}

/* ---- setting ---- */

int
cg_settings_set(struct cg_settings *s, enum cg_setting_id id, struct cg_value v,
                enum cg_layer layer, const char *source_text,
                struct cg_error *err)
{
    const struct cg_row *row = &cg_rows[id];
    struct cg_value checked = cg_value_copy(&v);
    if (cg_validate(row, &checked, err) < 0) {
        cg_value_release(&checked);
        return cg_error_prefix(err, "%s: %s", source_text, row->name);
    }
    cg_auto(buf) struct cg_buf was = {0};
    struct cg_value shown = cg_secret_hide(id, &s->value[id]);
    cg_value_repr(&shown, &was);
    cg_value_release(&shown);
    cg_value_release(&v);
    cg_value_release(&s->value[id]);
    s->value[id] = checked;
    set_source(s, id, layer, source_text, cg_buf_str(&was));
    return 0;
}

/* ---- names ---- */

int
cg_setting_find(const char *name)
{
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        if (strcmp(cg_rows[id].name, name) == 0) {
            return id;
        }
    }
    return -1;
}

const char *
cg_setting_name(enum cg_setting_id id)
{
    return cg_rows[id].name;
}

/* A flag's name with underscores, used as a setting: preload, log_level. */
static const char *
suggest_by_flag(const char *name)
{
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        if (cg_rows[id].flags == NULL) {
            continue;
        }
        cg_auto(free) char *flags = cg_strdup(cg_rows[id].flags);
        char *save = NULL;
        for (char *f = strtok_r(flags, " ", &save); f != NULL;
             f = strtok_r(NULL, " ", &save)) {
            f += strspn(f, "-");
            for (char *c = f; *c != '\0'; c++) {
                *c = *c == '-' ? '_' : *c;
            }
            /* single letters and everyday words are ordinary variables */
            if (strlen(f) > 2 && strcmp(f, name) == 0 &&
                strcmp(f, "env") != 0) {
                return cg_rows[id].name;
            }
        }
    }
    return NULL;
}

/* Words that real configs use for themselves. */
static bool
is_everyday(const char *name)
{
    static const char *const words[] = {
        "host",    "port",   "logger", "path",    "timeouts",
        "address", "debug",  "cores",  "logging", "reloads",
        "users",   "groups", "log",    "env",     "config_file"};
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        if (strcmp(words[i], name) == 0) {
            return true;
        }
    }
    return false;
}

const char *
cg_setting_suggest(const char *name)
{
    static const char *const aliases[][2] = {
        {"python_path", "pythonpath"},
        {"max_request_jitter", "max_requests_jitter"},
        {"max_worker_connections", "worker_connections"},
        {"keep_alive", "keepalive"},
        {"access_logformat", "access_log_format"},
        {"process_name", "proc_name"},
        {"binds", "bind"},
        {"pid_file", "pidfile"}};
    for (size_t i = 0; i < CG_COUNT(aliases); i++) {
        if (strcmp(aliases[i][0], name) == 0) {
            return aliases[i][1];
        }
    }
    const char *found = suggest_by_flag(name);
    if (found != NULL || is_everyday(name) || strlen(name) < 6) {
        return found;
    }
    size_t best = 3;
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        size_t d = cg_word_distance(name, cg_rows[id].name);
        if (d > 0 && d < best && strlen(cg_rows[id].name) >= 6) {
            best = d;
            found = cg_rows[id].name;
        }
    }
    return found;
}

const char *
cg_setting_nearest(const char *name)
{
    const char *found = cg_setting_suggest(name);
    size_t best = strlen(name) < 5 ? 2 : 3;
    for (int id = 0; found == NULL && id < CG_SETTING_COUNT; id++) {
        size_t d = cg_word_distance(name, cg_rows[id].name);
        if (d < best) {
            best = d;
            found = cg_rows[id].name;
        }
    }
    return found;
}

const char *
cg_setting_retired(const char *name)
{
    if (strcmp(name, "debug") == 0) {
        return "`debug` is no setting any more and has no effect: "
               "`loglevel = \"debug\"` makes the log say more";
    }
    if (strcmp(name, "django_settings") == 0) {
        return "`django_settings` is no setting any more and has no effect: "
               "name the project's wsgi module as the application";
    }
    if (strcmp(name, "tolerate_dangerous_framing") == 0) {
        return "`tolerate_dangerous_framing` existed in gunicorn 22.0 only and "
               "has no effect";
    }
    return NULL;
}

/* ---- typed views ---- */

int
cg_settings_each_variable(const struct cg_settings *s,
                          int (*each)(void *self, const char *name,
                                      const char *value, struct cg_error *err),
                          void *self, struct cg_error *err)
{
    const struct cg_value *list = cg_settings_value(s, CG_raw_env);
    int r = 0;
    for (size_t i = 0; r == 0 && i < list->list.n; i++) {
        cg_auto(free) char *name = cg_strdup(list->list.items[i].s);
        char *equals = strchr(name, '=');
        if (equals == NULL) {
            return cg_error_set(err, EINVAL,
                                "%s: raw_env: environment setting '%s' "
                                "invalid: write NAME=VALUE",
                                s->source[CG_raw_env].text, name);
        }
        *equals = '\0';
        r = each(self, name, equals + 1, err);
    }
    return r;
}

const struct cg_value *
cg_settings_value(const struct cg_settings *s, enum cg_setting_id id)
{
    return &s->value[id];
}

bool
cg_settings_bool(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    return v->kind == CG_VALUE_BOOL && v->b;
}

int64_t
cg_settings_int(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    CG_ASSERT(v->kind == CG_VALUE_INT);
    return v->i;
}

struct cg_range
cg_settings_range(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    if (v->kind == CG_VALUE_INT) {
        return (struct cg_range){(int)v->i, (int)v->i};
    }
    CG_ASSERT(v->kind == CG_VALUE_STR);
    return (struct cg_range){atoi(v->s), atoi(strchr(v->s, '-') + 1)};
}

uint64_t
cg_settings_us(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    CG_ASSERT(v->kind == CG_VALUE_FLOAT);
    return (uint64_t)(v->f * 1e6 + 0.5);
}

const char *
cg_settings_str(const struct cg_settings *s, enum cg_setting_id id)
{
    const struct cg_value *v = &s->value[id];
    CG_ASSERT(v->kind == CG_VALUE_STR || v->kind == CG_VALUE_NONE);
    return v->kind == CG_VALUE_STR ? v->s : NULL;
}

const char *
cg_settings_proc_name(const struct cg_settings *s)
{
    const char *name = cg_settings_str(s, CG_proc_name);
    return name != NULL ? name : cg_settings_str(s, CG_default_proc_name);
}

bool
cg_settings_is_uwsgi(const struct cg_settings *s)
{
    return strcmp(cg_settings_str(s, CG_protocol), "uwsgi") == 0;
}

bool
cg_settings_sendfile(const struct cg_settings *s)
{
    /* gunicorn: anything that was set, True included, turns it off */
    if (s->value[CG_sendfile].kind != CG_VALUE_NONE) {
        return false;
    }
    const char *env = getenv("SENDFILE");
    if (env == NULL) {
        return true;
    }
    return strcasecmp(env, "y") == 0 || strcasecmp(env, "1") == 0 ||
           strcasecmp(env, "yes") == 0 || strcasecmp(env, "true") == 0;
}

const char *
cg_settings_worker_class(const struct cg_settings *s)
{
    const struct cg_value *v = &s->value[CG_worker_class];
    if (v->kind == CG_VALUE_OBJECT) {
        return v->object.repr;
    }
    const char *name = v->kind == CG_VALUE_STR ? v->s : "sync";
    size_t n = strlen(name);
    bool sync = strcmp(name, "sync") == 0 ||
                (n >= 10 && strcmp(name + n - 10, "SyncWorker") == 0);
    return sync && cg_settings_range(s, CG_threads).most > 1 ? "gthread" : name;
}

/* ---- --print-config ---- */

static int
by_name(const void *a, const void *b)
{
    return strcmp(cg_rows[*(const int *)a].name, cg_rows[*(const int *)b].name);
}

/* ('localhost', 8125), or the path */
static void
print_statsd(const char *text, struct cg_buf *out)
{
    char *host = NULL;
    int port;
    if (!cg_split_statsd(text, &host, &port)) {
        return;
    }
    if (port < 0) {
        cg_buf_puts(out, host);
    } else {
        struct cg_value v = cg_value_str(host);
        cg_buf_putc(out, '(');
        cg_value_repr(&v, out);
        cg_buf_putf(out, ", %d)", port);
        cg_value_release(&v);
    }
    free(host);
}

void
cg_value_print(const struct cg_row *row, const struct cg_value *v,
               struct cg_buf *out)
{
    if (v->kind == CG_VALUE_STR && row->type == TYPE_STATSD) {
        print_statsd(v->s, out);
    } else if (v->kind == CG_VALUE_STR) {
        cg_buf_puts(out, v->s);
    } else if (v->kind == CG_VALUE_OBJECT && v->object.callable) {
        cg_buf_putf(out, "<%s()>", v->object.repr);
    } else if (v->kind == CG_VALUE_NONE && row->qualname != NULL) {
        cg_buf_putf(out, "<%s()>", row->qualname);
    } else {
        cg_value_repr(v, out);
    }
}

void
cg_settings_show(const struct cg_settings *s, enum cg_setting_id id,
                 struct cg_buf *out)
{
    if (cg_settings_bool(s, CG_show_secrets)) {
        cg_value_print(&cg_rows[id], &s->value[id], out);
        return;
    }
    struct cg_value shown = cg_secret_hide(id, &s->value[id]);
    cg_value_print(&cg_rows[id], &shown, out);
    cg_value_release(&shown);
}

void
cg_settings_print(const struct cg_settings *s, FILE *to)
{
    int order[CG_SETTING_COUNT], width = 0;
    for (int id = 0; id < CG_SETTING_COUNT; id++) {
        int n = (int)strlen(cg_rows[id].name);
        order[id] = id;
        width = n > width ? n : width;
    }
    qsort(order, CG_SETTING_COUNT, sizeof order[0], by_name);
    for (int i = 0; i < CG_SETTING_COUNT; i++) {
        cg_auto(buf) struct cg_buf b = {0};
        cg_settings_show(s, (enum cg_setting_id)order[i], &b);
        fprintf(to, "%-*s = %s\n", width, cg_rows[order[i]].name,
                cg_buf_str(&b));
    }
}
