/* SPDX-License-Identifier: MIT */
#include "core/worker/security.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/net/openssl.h"
#include "core/py/compat/tls.h"

enum { SOON_S = 14 * 24 * 3600, DAY_S = 24 * 3600 };

struct cg_security {
    const struct cg_ticket_board *tickets;
    struct cg_py_tls *py;
    struct cg_tls *tls;
    int keylog_fd;
};

/* ---- certificates and the calendar ---- */

static int
check_time(const struct cg_py_site *site, struct cg_error *err)
{
    char text[64] = "";
    struct tm tm;
    time_t over = cg_tls_expiry(site->context);
    if (over == 0 || over > time(NULL)) {
        return 0;
    }
    gmtime_r(&over, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S GMT", &tm);
    return cg_error_set(err, EKEYEXPIRED,
                        "%s: the certificate has expired on %s: renew it",
                        site->source, text);
}

void
cg_security_warn(const struct cg_security *s,
                 void (*warn)(void *self, const char *text), void *self)
{
    if (s != NULL && s->py->notice[0] != '\0') {
        warn(self, s->py->notice);
    }
    for (int i = 0; s != NULL && i < s->py->nsites; i++) {
        time_t over = cg_tls_expiry(s->py->sites[i].context);
        time_t left = over - time(NULL);
        if (over != 0 && left < SOON_S) {
            cg_auto(free) char *text =
                cg_strf("%s: the certificate expires in %ld day%s: renew it",
                        s->py->sites[i].source, (long)(left / DAY_S),
                        left / DAY_S == 1 ? "" : "s");
            warn(self, text);
        }
    }
}

/* ---- made and freed ---- */

static bool
is_asked_for(const struct cg_settings *s, enum cg_setting_id id)
{
    const char *text = cg_settings_str(s, id);
    return text != NULL && text[0] != '\0';
}

static struct cg_tls_context *
contexts_of(const struct cg_py_tls *py)
{
    struct cg_tls_context *c = cg_calloc((size_t)py->nsites, sizeof *c);
    for (int i = 0; i < py->nsites; i++) {
        const struct cg_py_site *site = &py->sites[i];
        c[i] = (struct cg_tls_context){
            .context = site->context,
            .verify_mode = site->verify_mode,
            .options = site->options,
            .least_version = site->least_version,
            .names = site->names,
            .source = site->source,
        };
    }
    return c;
}

static int
open_keylog(struct cg_security *s, struct cg_error *err)
{
    const char *path = s->py->keylog;
    if (path[0] == '\0') {
        return 0;
    }
    s->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return s->keylog_fd >= 0
               ? 0
               : cg_error_set(err, errno, "SSLKEYLOGFILE '%s': %s", path,
                              strerror(errno));
}

static int
make(struct cg_security *s, struct cg_error *err)
{
    int r = cg_openssl_load(s->py->library, err);
    if (r < 0) {
        cg_auto(free) char *why = cg_strdup(err->text);
        return cg_error_set(err, -r,
                            "TLS cannot be served by this Python: %s. Use a "
                            "Python with a shared OpenSSL, or let a proxy in "
                            "front of the server do TLS",
                            why);
    }
    if ((r = open_keylog(s, err)) < 0) {
        return r;
    }
    struct cg_tls_context *contexts = contexts_of(s->py);
    const struct cg_tls_options o = {
        .contexts = contexts,
        .ncontexts = s->py->nsites,
        .tickets = s->tickets,
        .session_context = s->py->session,
        .session_context_n = s->py->session_n,
        .keylog_fd = s->keylog_fd,
    };
    r = cg_tls_new(&o, &s->tls, err);
    free(contexts);
    for (int i = 0; r == 0 && i < s->py->nsites; i++) {
        r = check_time(&s->py->sites[i], err);
    }
    return r;
}

int
cg_security_new(const struct cg_settings *settings,
                const struct cg_ticket_board *tickets, struct cg_security **ret,
                struct cg_error *err)
{
    *ret = NULL;
    if (!cg_settings_are_secure(settings)) {
        return 0;
    }
    struct cg_security *s = cg_calloc(1, sizeof *s);
    s->keylog_fd = -1;
    s->tickets = tickets;
    int r = cg_py_tls_new(settings, &s->py, err);
    if (r == 0) {
        r = make(s, err);
    }
    if (r < 0) {
        cg_security_free(s);
        return cg_error_prefix(
            err, "%s",
            settings
                ->source[is_asked_for(settings, CG_certfile) ? CG_certfile
                                                             : CG_keyfile]
                .text);
    }
    *ret = s;
    return 0;
}

void
cg_security_free(struct cg_security *s)
{
    if (s != NULL) {
        cg_tls_free(s->tls);
        cg_py_tls_free(s->py);
        cg_fd_close(&s->keylog_fd);
        free(s);
    }
}

void
cg_security_enter(struct cg_security *s, const struct cg_listener *listeners,
                  int n)
{
    bool *secure = cg_calloc((size_t)n + 1, sizeof *secure);
    for (int i = 0; i < n; i++) {
        secure[i] = listeners[i].secure;
    }
    cg_tls_set_listeners(s->tls, secure, n);
    free(secure);
    if (s->py->asks != NULL) {
        const struct cg_tls_asking asking = {cg_py_tls_ask, s->py};
        cg_tls_set_asking(s->tls, &asking);
    }
}

/* ---- renewed in a worker ---- */

static void
add_file(const char ***files, size_t *n, const char *path)
{
    if (path != NULL && path[0] != '\0') {
        *files = cg_realloc(*files, (*n + 2) * sizeof **files);
        (*files)[(*n)++] = path;
        (*files)[*n] = NULL;
    }
}

void
cg_security_watch(struct cg_security *s, const struct cg_settings *settings,
                  void (*changed)(void *self), void *self)
{
    const struct cg_value *more = cg_settings_value(settings, CG_certificates);
    const char **files = cg_calloc(1, sizeof *files);
    size_t n = 0;
    add_file(&files, &n, cg_settings_str(settings, CG_certfile));
    add_file(&files, &n, cg_settings_str(settings, CG_keyfile));
    for (size_t i = 0; i < more->list.n; i++) {
        const struct cg_value *item = &more->list.items[i];
        for (size_t k = 0; k + 1 < item->list.n; k += 2) {
            if (item->list.items[k + 1].kind == CG_VALUE_STR) {
                add_file(&files, &n, item->list.items[k + 1].s);
            }
        }
    }
    cg_tls_watch(s->tls, files, changed, self);
    free(files);
}

int
cg_security_renew(struct cg_security *s, const struct cg_settings *settings,
                  struct cg_error *err)
{
    struct cg_security *made = NULL;
    int r = cg_security_new(settings, s->tickets, &made, err);
    if (r < 0 || made == NULL) {
        return r;
    }
    struct cg_py_tls *old = s->py;
    cg_tls_replace(s->tls, made->tls);
    s->py = made->py;
    made->py = old;
    made->tls = NULL;
    if (s->py->asks != NULL) {
        const struct cg_tls_asking asking = {cg_py_tls_ask, s->py};
        cg_tls_set_asking(s->tls, &asking);
    }
    cg_security_free(made);
    return 0;
}

const struct cg_transport_maker *
cg_security_maker(const struct cg_security *s)
{
    return cg_tls_maker(s->tls);
}

bool
cg_security_asks(const struct cg_security *s)
{
    return s->py->asks != NULL;
}
