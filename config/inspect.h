/* SPDX-License-Identifier: MIT */
/*
 * Settings told to a person: what each value is and where it came from, and
 * how two configurations differ.
 */
#ifndef CG_CONFIG_INSPECT_H
#define CG_CONFIG_INSPECT_H

#include <stdio.h>

#include "config/settings.h"

/* Value, source, what it hides, default, when a change takes effect, how to
 * set it, help: the paragraph of `cgunicorn config explain`. */
void cg_config_explain(const struct cg_settings *s, enum cg_setting_id id,
                       FILE *to);
/* The same of what another process said: the value as it is shown, its source
 * (NULL: the default), what it hides and why (NULL: nothing). */
struct cg_config_told {
    const char *value, *source, *hides, *because;
};
void cg_config_explain_told(const struct cg_config_told *told,
                            enum cg_setting_id id, FILE *to);

/* One value as it counts: as --print-config shows it, but gthread where sync
 * with threads means that. */
void cg_config_show(const struct cg_settings *s, enum cg_setting_id id,
                    struct cg_buf *out);
/* Why it is that value, if something else than its source made it so: whether
 * there is such a reason. out is empty before. */
bool cg_config_because(const struct cg_settings *s, enum cg_setting_id id,
                       struct cg_buf *out);

/* Tells whether two values are the same, secrets too: hexadecimal, with NUL. */
enum { CG_CONFIG_DIGEST = 41 };
void cg_config_digest(const struct cg_settings *s, enum cg_setting_id id,
                      char ret[CG_CONFIG_DIGEST]);
/* Whether a variable of the environment says something of a configuration. */
bool cg_config_reads_variable(const char *name);
/* "name: VALUE (source) -> the one of s", and a note. */
void cg_config_diff_line(const struct cg_settings *s, enum cg_setting_id id,
                         const char *value, const char *source,
                         const char *note, FILE *to);
/* A line for each setting that differs; how many there are. What is code in
 * both is named, not compared, and does not count. */
int cg_config_diff(const struct cg_settings *a, const struct cg_settings *b,
                   FILE *to);
/*
 * A YAML file as the Python file that says the same, on `out`: variables of
 * the environment stay variables, import strings get gunicorn's dots, secrets
 * of raw_env become variables unless they are to be shown. What is wrong with
 * the file goes to f; negative then.
 */
int cg_config_yaml_to_python(const char *path, const char *shown,
                             bool show_secrets, struct cg_buf *out,
                             struct cg_findings *f);

#endif
