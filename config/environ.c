/* SPDX-License-Identifier: MIT */
/*
 * What the environment says about settings: gunicorn's variables
 * (gunicorn-compat 3.12), and CGUNICORN_<SETTING> for every row of the table.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/table.h"
#include "core/base/memory.h"

static const char prefix[] = "CGUNICORN_";

static void
set_from_variable(struct cg_settings *s, enum cg_setting_id id,
                  const char *variable, struct cg_value v,
                  struct cg_findings *f)
{
    struct cg_error err = {0};
    cg_auto(free) char *source = cg_strf("environment %s", variable);
    if (cg_settings_set(s, id, v, CG_LAYER_ENVIRONMENT, source, &err) < 0) {
        cg_value_release(&v);
        cg_auto(free) char *text =
            cg_strf("%s: correct the variable, or unset it", err.text);
        cg_findings_problem(f, text);
    }
}

/* The variable's text, NULL when it is not there or says nothing. */
static const char *
text_of(const char *variable, struct cg_findings *f)
{
    const char *text = getenv(variable);
    if (text != NULL && text[strspn(text, " \t")] == '\0') {
        cg_findings_warn(f, "environment %s is empty: it counts as not set",
                         variable);
        return NULL;
    }
    return text;
}

/* ---- gunicorn's variables ---- */

/* PORT is looked at later, when it is known that nothing else names a socket.
 */
static void
apply_known(struct cg_settings *s, struct cg_findings *f)
{
    const char *port = text_of("PORT", f);
    const char *workers = text_of("WEB_CONCURRENCY", f);
    const char *allow = getenv("FORWARDED_ALLOW_IPS");
    if (port != NULL) {
        cg_auto(free) char *bind = cg_strf("0.0.0.0:%s", port);
        set_from_variable(s, CG_bind, "PORT", cg_value_str(bind), f);
    }
    if (workers != NULL) {
        int64_t n; /* int(text), where 08 is a number */
        set_from_variable(s, CG_workers, "WEB_CONCURRENCY",
                          cg_int_parse(workers, 10, &n) ? cg_value_int(n)
                                                        : cg_value_str(workers),
                          f);
    }
    if (allow != NULL) {
        set_from_variable(s, CG_forwarded_allow_ips, "FORWARDED_ALLOW_IPS",
                          cg_value_str(allow), f);
    }
}

/* ---- ours ---- */

/* A list is split as a shell would, a dictionary is YAML's {a: b}, a mode's
 * leading zero is octal; anything else is the text. */
static int
value_of(const struct cg_row *row, const char *text, struct cg_value *ret,
         struct cg_error *err)
{
    int64_t n;
    if (row->type == TYPE_LIST || row->type == TYPE_FILES ||
        row->type == TYPE_TARGETS || row->type == TYPE_PAIRS) {
        return cg_split_words(text, ret) == 0
                   ? 0
                   : cg_error_set(err, EINVAL, "a quote is not closed in: %s",
                                  text);
    }
    if (row->type == TYPE_DICT || row->type == TYPE_CERTS) {
        return cg_yaml_parse_value(text, ret, err);
    }
    *ret = row->cli == CLI_AUTOINT && cg_int_parse(text, 0, &n)
               ? cg_value_int(n)
               : cg_value_str(text);
    return 0;
}

static void
apply_ours(struct cg_settings *s, int id, const char *variable,
           struct cg_findings *f)
{
    const char *text = text_of(variable, f);
    struct cg_error err = {0};
    struct cg_value v;
    if (text == NULL) {
        return;
    }
    if (value_of(&cg_rows[id], text, &v, &err) < 0) {
        cg_error_prefix(&err, "environment %s: %s", variable, cg_rows[id].name);
        cg_findings_problem(f, err.text);
        return;
    }
    set_from_variable(s, (enum cg_setting_id)id, variable, v, f);
}

/* "CGUNICORN_WORKERS" -> "workers"; NULL for another variable. */
static char *
setting_name(const char *variable)
{
    size_t n = sizeof prefix - 1;
    if (strncmp(variable, prefix, n) != 0) {
        return NULL;
    }
    char *name = cg_strdup(variable + n);
    for (char *c = name; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return name;
}

static void
apply_variable(struct cg_settings *s, const char *variable,
               struct cg_findings *f)
{
    cg_auto(free) char *name = setting_name(variable);
    int id = name != NULL ? cg_setting_find(name) : -1;
    if (id >= 0) {
        apply_ours(s, id, variable, f);
        return;
    }
    /* a service in Kubernetes may make variables such as CGUNICORN_PORT: only
     * what is near a setting is told */
    const char *near = name != NULL ? cg_setting_suggest(name) : NULL;
    if (near != NULL) {
        cg_findings_warn(f,
                         "environment %s: '%s' is no setting and has no "
                         "effect; did you mean '%s'?",
                         variable, name, near);
    }
}

void
cg_settings_apply_environment(struct cg_settings *s, struct cg_findings *f)
{
    apply_known(s, f);
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (equals != NULL) {
            cg_auto(free) char *variable =
                cg_strndup(*e, (size_t)(equals - *e));
            apply_variable(s, variable, f);
        }
    }
}
