/* SPDX-License-Identifier: MIT */
/* YAML configuration files: flat keys, the core schema of YAML 1.2. */
#ifndef CG_CONFIG_YAML_H
#define CG_CONFIG_YAML_H

#include "config/settings.h"

/* Reads `path` (shown as `shown`) into s with the layer FILE. Every problem is
 * "file.yaml:LINE:COLUMN: …" and goes to f; reading goes on after a wrong
 * value. Bounded: 1 MiB, 10 000 nodes, 50 deep. 0, or negative when the file
 * could not be read through. */
int cg_yaml_read(const char *path, const char *shown, struct cg_settings *s,
                 struct cg_findings *f);

/* The same without storing: each setting as it is written, `$` and all, in the
 * order of the file; v is borrowed. */
int cg_yaml_visit(const char *path, const char *shown,
                  void (*take)(void *self, enum cg_setting_id id,
                               const struct cg_value *v),
                  void *self, struct cg_findings *f);

#endif
