/* SPDX-License-Identifier: MIT */
/*
 * Validation of one value: gunicorn's coercions and error texts, a function for
 * each type of setting. They turn *v into the validated form, or return
 * -errno with gunicorn's text in err. Used by validate.c alone, which is what
 * the rest of config sees (cg_validate in table.h).
 */
#ifndef CG_CONFIG_VALIDATE_INTERNAL_H
#define CG_CONFIG_VALIDATE_INTERNAL_H

#include "config/table.h"

/* scalar.c */
int cg_validate_bool(struct cg_value *v, struct cg_error *err);
int cg_validate_seconds(const struct cg_row *row, struct cg_value *v,
                        struct cg_error *err);
int cg_validate_uint(const struct cg_row *row, struct cg_value *v,
                     struct cg_error *err);
int cg_validate_range(const struct cg_row *row, struct cg_value *v,
                      struct cg_error *err);
int cg_validate_str(struct cg_value *v, struct cg_error *err);
int cg_validate_word(const struct cg_row *row, struct cg_value *v,
                     struct cg_error *err);
int cg_validate_proxy(struct cg_value *v, struct cg_error *err);
int cg_validate_any(struct cg_value *v);

/* list.c */
int cg_validate_list(const struct cg_row *row, struct cg_value *v,
                     struct cg_error *err);
int cg_validate_targets(const struct cg_row *row, struct cg_value *v,
                        struct cg_error *err);
int cg_validate_files(const struct cg_row *row, struct cg_value *v,
                      struct cg_error *err);
int cg_validate_csv(struct cg_value *v, struct cg_error *err);
int cg_validate_addrs(struct cg_value *v, struct cg_error *err);
int cg_validate_protocols(struct cg_value *v, struct cg_error *err);
int cg_validate_dict(const struct cg_row *row, struct cg_value *v,
                     struct cg_error *err);
int cg_validate_pairs(const struct cg_row *row, struct cg_value *v,
                      struct cg_error *err);

/* certificates.c */
int cg_validate_certs(struct cg_value *v, struct cg_error *err);

/* system.c, statsd.c */
int cg_validate_user(struct cg_value *v, struct cg_error *err);
int cg_validate_group(struct cg_value *v, struct cg_error *err);
int cg_validate_chdir(struct cg_value *v, struct cg_error *err);
int cg_validate_statsd(struct cg_value *v, struct cg_error *err);

/* ---- validate.c: what all of them use ---- */

/* -EINVAL: what was given stands between `before` and `after`. */
int cg_value_wrong(struct cg_error *err, const char *before,
                   const struct cg_value *v, const char *after);
/* The row's own text, with the value where it says %s. */
int cg_value_wrong_as(const struct cg_row *row, const struct cg_value *v,
                      struct cg_error *err);
/* v is released; with, or the string, is its own from here on. */
void cg_value_replace(struct cg_value *v, struct cg_value with);
void cg_value_replace_str(struct cg_value *v, char *owned);
/* Without white space at both ends; the caller's to free. */
char *cg_stripped(const char *s);
void cg_lower(char *s);

#endif
