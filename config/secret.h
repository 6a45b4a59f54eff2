/* SPDX-License-Identifier: MIT */
/*
 * Secrets in what is shown of a configuration: environment variables whose
 * names sound like one, and passwords inside URLs. Output of --print-config,
 * `config explain` and `config convert` lands in tickets and chats.
 */
#ifndef CG_CONFIG_SECRET_H
#define CG_CONFIG_SECRET_H

#include "config/settings.h"

/* Whether "NAME=VALUE" has something to hide: by its name (a part of it is
 * KEY, TOKEN, PASSWORD …), or since the value is a URL with a password. */
bool cg_secret_is_in(const char *variable);
/* A copy of the value of a setting as it may be shown: of raw_env, what is
 * secret becomes "***". The caller releases it. */
struct cg_value cg_secret_hide(enum cg_setting_id id, const struct cg_value *v);
/*
 * Of raw_env, what is secret becomes "NAME=${NAME}", as YAML spells a variable
 * of the environment; each is told to f, in whose message `shown` names the
 * file. Other settings stay as they are.
 */
void cg_secret_refer(enum cg_setting_id id, struct cg_value *v,
                     const char *shown, struct cg_findings *f);

#endif
