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
