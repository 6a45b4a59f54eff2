/* SPDX-License-Identifier: MIT */
#include "core/arbiter/log_words.h"

#include <string.h>

#include "config/near.h"
#include "core/base/memory.h"
#include "logging/access.h"
#include "logging/log.h"

struct warner {
    cg_log_words_warn *warn;
    void *self;
};

void
cg_log_words_check_level(const struct cg_settings *s, cg_log_words_warn *warn,
                         void *self)
{
    const char *level = cg_settings_str(s, CG_loglevel);
    enum cg_level ignored;
    if (!cg_level_of(level, &ignored)) {
        cg_auto(free) char *text = cg_strf(
            "loglevel: '%.100s' is no level and means info: write debug, info, "
            "warning, error or critical",
            level != NULL ? level : "");
        warn(self, CG_loglevel, text);
    }
}

static void
warn_of_atom(void *self, const char *atom)
{
    const struct warner *w = self;
    cg_auto(free) char *text =
        strncmp(atom, "%(", 2) == 0
            ? cg_strf("access_log_format: '%.100s' is no form of that atom: it "
                      "prints as with s. Only B, T, M and D are numbers",
                      atom)
        : atom[0] == '%'
            ? cg_strf("access_log_format: '%.2s' is no atom and stays as it "
                      "is: write %%(%c)s, or %%%% for a percent sign",
                      atom, atom[1] != '\0' ? atom[1] : 'h')
            : cg_strf("access_log_format: there is no atom '%.100s': it prints "
                      "'-'",
                      atom);
    w->warn(w->self, CG_access_log_format, text);
}

/* The word for a whole format that this one is close to, or NULL. */
static const char *
nearest_word(const char *format)
{
    static const char *const words[] = {"json", "logfmt", "common", "combined"};
    const char *near = NULL;
    size_t least = 3;
    cg_auto(free) char *lower = cg_strdup(format);
    for (char *c = lower; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        size_t d = cg_word_distance(lower, words[i]);
        if (d < least) {
            least = d;
            near = words[i];
        }
    }
    return near;
}

/* Each line would be the same: a word that is misspelt, most likely. */
static void
check_word(const char *format, const struct warner *w)
{
    const char *near = nearest_word(format);
    cg_auto(free) char *text = cg_strf(
        "access_log_format: '%.100s' has no atom, so each line is just that; "
        "%s%s%s",
        format, near != NULL ? "did you mean '" : "write atoms such as %(h)s",
        near != NULL ? near : ", or json, logfmt, common or combined",
        near != NULL ? "'?" : "");
    w->warn(w->self, CG_access_log_format, text);
}

void
cg_log_words_check_format(const struct cg_settings *s, cg_log_words_warn *warn,
                          void *self)
{
    const char *format = cg_settings_str(s, CG_access_log_format);
    struct warner w = {warn, self};
    if (format == NULL || *format == '\0') {
        return;
    }
    struct cg_access_format *f = cg_access_compile(format, warn_of_atom, &w);
    if (!cg_access_is_structured(f) && strchr(format, '%') == NULL) {
        check_word(format, &w);
    }
    cg_access_free(f);
}
