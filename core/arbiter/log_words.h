/* SPDX-License-Identifier: MIT */
/*
 * Words in the settings of the logs that mean nothing: gunicorn takes them, so
 * they are no errors, and they are surely not what was meant. A start, a reload
 * and --check-config tell them.
 */
#ifndef CG_ARBITER_LOG_WORDS_H
#define CG_ARBITER_LOG_WORDS_H

#include "config/settings.h"

/* Whose word it is, and a sentence that begins with the setting's name. */
typedef void cg_log_words_warn(void *self, enum cg_setting_id id,
                               const char *text);

void cg_log_words_check_level(const struct cg_settings *s,
                              cg_log_words_warn *warn, void *self);
/* For lines that the server itself makes: a logger of the user's may know more
 * atoms. */
void cg_log_words_check_format(const struct cg_settings *s,
                               cg_log_words_warn *warn, void *self);

#endif
