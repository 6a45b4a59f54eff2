/* SPDX-License-Identifier: MIT */
/*
 * Settings: one table (settings.def), every use. A generation of settings is
 * built aside, layer by layer, validated value by value, and swapped in whole.
 * Every value remembers where it came from. This module reads no file and
 * knows no Python: readers hand over neutral values, and objects that only
 * another layer understands travel as opaque references.
 */
#ifndef CG_CONFIG_SETTINGS_H
#define CG_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/findings.h"
#include "core/base/bytes.h"
#include "core/base/error.h"

enum cg_value_kind {
    CG_VALUE_NONE,
    CG_VALUE_BOOL,
    CG_VALUE_INT,
    CG_VALUE_FLOAT,
    CG_VALUE_STR,
    CG_VALUE_LIST,
    CG_VALUE_MAP, /* list of key, value, key, value … in order */
    CG_VALUE_OBJECT
};

/* Something that only its maker understands (a Python callable, class …). */
struct cg_object_ops {
    void (*retain)(void *ref);
    void (*release)(void *ref);
};

struct cg_value {
    enum cg_value_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        char *s; /* owned, NUL-terminated UTF-8 */
        struct {
            struct cg_value *items; /* owned */
            size_t n;
        } list;
        struct {
            void *ref; /* owned through ops */
            const struct cg_object_ops *ops;
            char *repr;    /* owned: how messages show it */
            int arity;     /* positional parameters of a callable, else -1 */
            bool callable; /* a function, method or class */
            bool is_class;
        } object;
    };
};

/* Constructors; strings are copied, lists and objects move in. */
struct cg_value cg_value_none(void);
struct cg_value cg_value_bool(bool b);
struct cg_value cg_value_int(int64_t i);
struct cg_value cg_value_float(double f);
struct cg_value cg_value_str(const char *s);
struct cg_value cg_value_list(void);
struct cg_value cg_value_map(void);
void cg_value_push(struct cg_value *list, struct cg_value item);
struct cg_value cg_value_copy(const struct cg_value *v);
void cg_value_release(struct cg_value *v);
/* Splits as a shell does; a value of kind LIST. -EINVAL: a quote is open. */
int cg_split_words(const char *text, struct cg_value *ret);
/* As Python's repr would show it: 'x', ['a'], True, None. */
void cg_value_repr(const struct cg_value *v, struct cg_buf *out);

enum cg_setting_id {
#define SETTING(name, type, ...) CG_##name,
#include "config/settings.def"
#undef SETTING
    CG_SETTING_COUNT
};

/* Which layer a value came from, lowest first. */
enum cg_layer {
    CG_LAYER_DEFAULT,
    CG_LAYER_ENVIRONMENT, /* WEB_CONCURRENCY, PORT, CGUNICORN_WORKERS … */
    CG_LAYER_FRAMEWORK,
    CG_LAYER_FILE,
    CG_LAYER_ENV_ARGS, /* GUNICORN_CMD_ARGS */
    CG_LAYER_CLI
};

struct cg_source {
    enum cg_layer layer;
    char *text; /* "gunicorn_config.py:12", "command line"; owned */
    /* what lower layers said, a line "VALUE from SOURCE" each; owned or NULL */
    char *hidden;
};

struct cg_settings {
    struct cg_value value[CG_SETTING_COUNT];
    struct cg_source source[CG_SETTING_COUNT];
    /* how `workers = auto` was resolved, for the log; owned, NULL otherwise */
    char *workers_reason;
};

/* The defaults of the table alone. Free with cg_settings_free. */
int cg_settings_new(struct cg_settings **ret_settings, struct cg_error *err);
void cg_settings_free(struct cg_settings *s);
/*
 * The environment's share: WEB_CONCURRENCY, PORT, FORWARDED_ALLOW_IPS, then
 * CGUNICORN_<SETTING>. A variable that is set to nothing counts as not set.
 * What is wrong goes to f, with the variable's name.
 */
void cg_settings_apply_environment(struct cg_settings *s,
                                   struct cg_findings *f);

/* -1 when there is no such setting. Names are exact, lower case. */
int cg_setting_find(const char *name);
const char *cg_setting_name(enum cg_setting_id id);
/* The nearest setting for a name that is none (misspelt, or a flag's name used
 * as a setting: preload -> preload_app); NULL when nothing is near. */
const char *cg_setting_suggest(const char *name);
/* The nearest setting for a word that is surely meant to be one, however
 * short; NULL when nothing is near. */
const char *cg_setting_nearest(const char *name);
/* Names of options that once were settings or come from sample files, such as
 * `debug`: accepted, without effect; the sentence says so. NULL if unknown. */
const char *cg_setting_retired(const char *name);

/*
 * Validates (gunicorn's coercions and error texts) and stores a value. The
 * value moves in on success and stays the caller's on failure. err's text is
 * "<source>: <name>: <gunicorn's text>".
 */
int cg_settings_set(struct cg_settings *s, enum cg_setting_id id,
                    struct cg_value v, enum cg_layer layer,
                    const char *source_text, struct cg_error *err);

/*
 * Once all layers are in: `workers = auto` becomes a number, and settings that
 * contradict each other or the machine are warned about, with the reason.
 */
void cg_settings_finish(struct cg_settings *s, struct cg_findings *f);

/* Whether TLS is spoken: certfile or keyfile is set. */
bool cg_settings_are_secure(const struct cg_settings *s);
/* Whether http_protocols has h2. */
bool cg_settings_offer_h2(const struct cg_settings *s);
/* And on a listener, whose bind says tls: or does not. */
bool cg_settings_bind_is_secure(const struct cg_settings *s, bool says_tls);
/*
 * What a start or a reload has to refuse although every value is right:
 * settings of TLS without a certificate, since plain HTTP is not what they ask
 * for. err names them, where they come from and the way out.
 */
int cg_settings_check_features(const struct cg_settings *s,
                               struct cg_error *err);

/* Typed views of validated values; borrowed. A wrong type is our mistake. */
bool cg_settings_bool(const struct cg_settings *s, enum cg_setting_id id);
int64_t cg_settings_int(const struct cg_settings *s, enum cg_setting_id id);
/* Of one that may be a range; a plain number is both. */
struct cg_range {
    int least, most;
};
struct cg_range cg_settings_range(const struct cg_settings *s,
                                  enum cg_setting_id id);
/* Of a decimal number of seconds. */
uint64_t cg_settings_us(const struct cg_settings *s, enum cg_setting_id id);
/* NULL for None. */
const char *cg_settings_str(const struct cg_settings *s, enum cg_setting_id id);
const struct cg_value *cg_settings_value(const struct cg_settings *s,
                                         enum cg_setting_id id);
/* The variables of raw_env in their order; ends with the first negative return
 * of `each`, or with an error that names one that is no NAME=VALUE. */
int cg_settings_each_variable(const struct cg_settings *s,
                              int (*each)(void *self, const char *name,
                                          const char *value,
                                          struct cg_error *err),
                              void *self, struct cg_error *err);
/* The derived ones of gunicorn's Config. */
const char *cg_settings_proc_name(const struct cg_settings *s);
/* Whether requests come as uwsgi packets (protocol). */
bool cg_settings_is_uwsgi(const struct cg_settings *s);
bool cg_settings_sendfile(const struct cg_settings *s);
/* "sync", or "gthread" when threads > 1 upgrades it; a class object's repr. */
const char *cg_settings_worker_class(const struct cg_settings *s);

/* One value as --print-config shows it, secrets hidden (config/secret.h) unless
 * show_secrets is set. */
void cg_settings_show(const struct cg_settings *s, enum cg_setting_id id,
                      struct cg_buf *out);
/* --print-config: sorted, padded "name = value" lines as gunicorn prints. */
void cg_settings_print(const struct cg_settings *s, FILE *to);

#endif
