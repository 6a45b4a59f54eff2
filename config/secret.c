/* SPDX-License-Identifier: MIT */
#include "config/secret.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"

static const char hidden[] = "***";

/* ---- what is one ---- */

/* Words are what lies between underscores: API_KEY has KEY, MONKEY has not. */
static bool
is_secret_word(const char *p, size_t n)
{
    static const char *const words[] = {
        "KEY",    "APIKEY", "TOKEN",  "SECRET",      "SECRETS",    "PASSWORD",
        "PASSWD", "PASS",   "PWD",    "CREDENTIALS", "CREDENTIAL", "DSN",
        "AUTH",   "SALT",   "PEPPER", "PRIVATE",     "PASSPHRASE"};
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        if (strlen(words[i]) == n && strncasecmp(words[i], p, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool
sounds_secret(const char *name, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t word = 0;
        while (at + word < n && name[at + word] != '_') {
            word++;
        }
        if (is_secret_word(name + at, word)) {
            return true;
        }
        at += word + 1;
    }
    return false;
}

/* The password of scheme://user:password@host; NULL when there is none. */
static const char *
url_password(const char *value, size_t *ret_n)
{
    const char *authority = strstr(value, "://");
    if (authority == NULL) {
        return NULL;
    }
    authority += 3;
    size_t n = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', n);
    const char *colon =
        at != NULL ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    if (colon == NULL || colon + 1 == at) {
        return NULL;
    }
    *ret_n = (size_t)(at - colon) - 1;
    return colon + 1;
}

bool
cg_secret_is_in(const char *variable)
{
    const char *equals = strchr(variable, '=');
    size_t ignored;
    if (equals == NULL || equals[1] == '\0') {
        return false;
    }
    return sounds_secret(variable, (size_t)(equals - variable)) ||
           url_password(equals + 1, &ignored) != NULL;
}

/* ---- hiding it ---- */

static char *
hide(const char *variable)
{
    const char *value = strchr(variable, '=') + 1;
    int name = (int)(value - variable);
    size_t n;
    const char *password = url_password(value, &n);
    if (password == NULL || sounds_secret(variable, (size_t)name - 1)) {
        return cg_strf("%.*s%s", name, variable, hidden);
    }
    return cg_strf("%.*s%s%s", (int)(password - variable), variable, hidden,
                   password + n);
}

static bool
may_have_one(enum cg_setting_id id, const struct cg_value *v)
{
    return id == CG_raw_env && v->kind == CG_VALUE_LIST;
}

static bool
is_one(const struct cg_value *item)
{
    return item->kind == CG_VALUE_STR && cg_secret_is_in(item->s);
}

static void
put_instead(struct cg_value *item, char *text)
{
    cg_value_release(item);
    *item = cg_value_str(text);
    free(text);
}

struct cg_value
cg_secret_hide(enum cg_setting_id id, const struct cg_value *v)
{
    struct cg_value copy = cg_value_copy(v);
    for (size_t i = 0; may_have_one(id, &copy) && i < copy.list.n; i++) {
        if (is_one(&copy.list.items[i])) {
            put_instead(&copy.list.items[i], hide(copy.list.items[i].s));
        }
    }
    return copy;
}

void
cg_secret_refer(enum cg_setting_id id, struct cg_value *v, const char *shown,
                struct cg_findings *f)
{
    for (size_t i = 0; may_have_one(id, v) && i < v->list.n; i++) {
        struct cg_value *item = &v->list.items[i];
        if (!is_one(item) || strstr(item->s, "${") != NULL) {
            continue; /* a variable of the environment stays one */
        }
        int name = (int)strcspn(item->s, "=");
        cg_findings_warn(f,
                         "%s: raw_env: the value of %.*s may be a secret and "
                         "is left out: set it in the environment, or write it "
                         "with --show-secrets",
                         shown, name, item->s);
        put_instead(item,
                    cg_strf("%.*s=${%.*s}", name, item->s, name, item->s));
    }
}
