/* SPDX-License-Identifier: MIT */
#include "config/dev_cert.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"

static const char file_name[] = "/cgunicorn/dev-cert/certificate.";

/* The user's folder for data (XDG Base Directory); NULL: nobody knows. The path
 * of a file in it, owned by the caller. */
static char *
path_of(const char *ending)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data != NULL && data[0] == '/') {
        return cg_strf("%s%s%s", data, file_name, ending);
    }
    if (home == NULL || home[0] != '/') {
        const struct passwd *user = getpwuid(geteuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    return home != NULL && home[0] == '/'
               ? cg_strf("%s/.local/share%s%s", home, file_name, ending)
               : NULL;
}

static bool
is_empty(const struct cg_settings *s, enum cg_setting_id id)
{
    const char *text = cg_settings_str(s, id);
    return text == NULL || text[0] == '\0';
}

static void
take_path(struct cg_settings *s, enum cg_setting_id id, const char *ending)
{
    char *path = path_of(ending);
    if (path != NULL) {
        cg_value_release(&s->value[id]);
        s->value[id] = cg_value_str(path);
        free(path);
        s->source[id].layer = s->source[CG_dev_cert].layer;
        free(s->source[id].text);
        s->source[id].text =
            cg_strf("%s (dev_cert)", s->source[CG_dev_cert].text);
    }
}

void
cg_dev_cert_resolve(struct cg_settings *s)
{
    if (cg_settings_bool(s, CG_dev_cert) && is_empty(s, CG_certfile) &&
        is_empty(s, CG_keyfile)) {
        take_path(s, CG_certfile, "pem");
        take_path(s, CG_keyfile, "key");
    }
}

int
cg_dev_cert_check(const struct cg_settings *s, struct cg_error *err)
{
    const char *from = s->source[CG_dev_cert].text;
    if (!cg_settings_bool(s, CG_dev_cert)) {
        return 0;
    }
    if (cg_settings_bool(s, CG_daemon)) {
        return cg_error_set(err, EINVAL,
                            "%s: dev_cert is for development: leave out daemon "
                            "(%s), or name a certificate with certfile",
                            from, s->source[CG_daemon].text);
    }
    if (is_empty(s, CG_certfile) && is_empty(s, CG_keyfile)) {
        return cg_error_set(err, EINVAL,
                            "%s: dev_cert: the user has no home folder to keep "
                            "a certificate in: name a folder with the "
                            "environment variable XDG_DATA_HOME",
                            from);
    }
    cg_auto(free) char *path = path_of("pem");
    const char *certfile = cg_settings_str(s, CG_certfile);
    return path != NULL && certfile != NULL && strcmp(path, certfile) == 0
               ? 0
               : cg_error_set(err, EINVAL,
                              "%s: dev_cert makes a certificate, and %s (%s) "
                              "names one: leave out one of them",
                              from,
                              is_empty(s, CG_certfile) ? "keyfile" : "certfile",
                              s->source[is_empty(s, CG_certfile) ? CG_keyfile
                                                                 : CG_certfile]
                                  .text);
}
