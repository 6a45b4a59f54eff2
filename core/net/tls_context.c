/* SPDX-License-Identifier: MIT */
/* Contexts: taken over from Python's ssl, chosen by the client's name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/net/tls_internal.h"

struct cg_tls *cg_tls_alloc(void);

/* ---- the log of secrets (SSLKEYLOGFILE), which is Python's feature ---- */

static int keylog_fd = -1;

static void
on_secret(const struct ssl_st *s, const char *line)
{
    struct iovec parts[] = {{(void *)(uintptr_t)line, strlen(line)},
                            {(void *)(uintptr_t) "\n", 1}};
    ssize_t ignored = writev(keylog_fd, parts, 2); /* opened for appending */
    (void)ignored;
}

/* ---- names ---- */

/* Exact, or one label in place of a star (RFC 6125, 6.4.3). */
static bool
matches(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) == 0) {
        const char *dot = strchr(name, '.');
        return dot != NULL && dot > name && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

static bool
is_for(const struct cg_tls_site *site, const char *name)
{
    const struct cg_openssl *o = &cg_openssl;
    if (site->names == NULL) {
        struct x509_st *x = o->SSL_CTX_get0_certificate(site->context);
        return x != NULL &&
               o->X509_check_host(x, name, strlen(name), 0, NULL) == 1;
    }
    for (char **n = site->names; *n != NULL; n++) {
        if (matches(*n, name)) {
            return true;
        }
    }
    return false;
}

/* With the lock. NULL: no certificate is for it. */
static const struct cg_tls_site *
site_of(const struct cg_tls *t, const char *name)
{
    for (int i = 0; name != NULL && i < t->nsites; i++) {
        if (is_for(&t->sites[i], name)) {
            return &t->sites[i];
        }
    }
    return NULL;
}

bool
cg_tls_is_elsewhere(struct cg_tls *t, const char *asked, const char *name)
{
    pthread_mutex_lock(&t->lock);
    const struct cg_tls_site *own = site_of(t, asked);
    bool covered = is_for(own != NULL ? own : &t->sites[0], name);
    bool elsewhere = !covered && site_of(t, name) != NULL;
    pthread_mutex_unlock(&t->lock);
    return elsewhere;
}

/* The host name of a client hello (RFC 6066, 3), to be freed; NULL: none. */
static char *
name_of(struct ssl_st *s)
{
    const unsigned char *p;
    size_t n;
    if (!cg_openssl.SSL_client_hello_get0_ext(s, 0, &p, &n) || n < 5 ||
        p[2] != 0) {
        return NULL;
    }
    size_t name_n = (size_t)p[3] << 8 | p[4];
    if (name_n == 0 || name_n > n - 5 || name_n > 255 ||
        memchr(p + 5, '\0', name_n) != NULL) {
        return NULL;
    }
    return cg_strndup((const char *)p + 5, name_n);
}

static int
choose(struct ssl_st *s, struct cg_tls_question *q)
{
    struct cg_tls *t = q->tls;
    if (t->nsites > 1) {
        free(q->name);
        q->name = name_of(s);
        pthread_mutex_lock(&t->lock);
        const struct cg_tls_site *site = site_of(t, q->name);
        if (site != NULL) {
            cg_openssl.SSL_set_SSL_CTX(s, site->context);
        }
        pthread_mutex_unlock(&t->lock);
    }
    return CG_SSL_HELLO_SUCCESS;
}

/* Python is not called in here: who has the baton may not wait for the GIL. */
static int
on_hello(struct ssl_st *s, int *alert, void *unused)
{
    struct cg_tls_question *q =
        cg_openssl.SSL_get_ex_data(s, cg_tls_question_index);
    if (q == NULL || q->tls->asking.ask == NULL) {
        return q != NULL ? choose(s, q) : CG_SSL_HELLO_SUCCESS;
    }
    if (q->state == CG_TLS_UNASKED) {
        q->name = name_of(s);
        q->state = CG_TLS_WAITS;
    }
    if (q->state == CG_TLS_WAITS) {
        return CG_SSL_HELLO_RETRY;
    }
    *alert = q->alert;
    return q->alert == 0 ? CG_SSL_HELLO_SUCCESS : 0;
}

struct ssl_st *
cg_tls_open(struct cg_tls *t)
{
    pthread_mutex_lock(&t->lock);
    struct ssl_st *s = cg_openssl.SSL_new(t->sites[0].context);
    pthread_mutex_unlock(&t->lock);
    return s;
}

/* ---- taking over ---- */

/* The pointer is where we believe only if what is behind it says what Python
 * says. */
static int
check(const struct cg_tls_context *c, struct cg_error *err)
{
    const struct cg_openssl *o = &cg_openssl;
    struct ssl_ctx_st *context = c->context;
    /* CERT_REQUIRED is SSL_VERIFY_PEER with FAIL_IF_NO_PEER_CERT */
    int verify = c->verify_mode == 2 ? 3 : c->verify_mode;
    if (o->SSL_CTX_get_verify_mode(context) == verify &&
        (o->SSL_CTX_get_options == NULL ||
         (uint32_t)o->SSL_CTX_get_options(context) == (uint32_t)c->options) &&
        (c->least_version <= 0 ||
         o->SSL_CTX_ctrl(context, CG_SSL_CTRL_GET_MIN_VERSION, 0, NULL) ==
             c->least_version)) {
        return 0;
    }
    return cg_error_set(err, ENOSYS,
                        "%s: a context of this Python's ssl is not built as "
                        "this program knows it; TLS cannot be served by it: "
                        "use a Python from 3.9 on with CPython's own ssl, or "
                        "let a proxy in front of the server do TLS",
                        c->source);
}

static void
make_ready(struct ssl_ctx_st *c, const struct cg_tls_options *opts)
{
    const struct cg_openssl *o = &cg_openssl;
    /* Python's callbacks take a connection of ours for one of its own */
    o->SSL_CTX_set_keylog_callback(c, opts->keylog_fd >= 0 ? on_secret : NULL);
    o->SSL_CTX_set_msg_callback(c, NULL);
    o->SSL_CTX_set_psk_server_callback(c, NULL);
    o->SSL_CTX_callback_ctrl(c, CG_SSL_CTRL_SET_SERVERNAME_CB, NULL);
    o->SSL_CTX_set_client_hello_cb(c, on_hello, NULL);
    o->SSL_CTX_ctrl(c, CG_SSL_CTRL_SET_READ_AHEAD, 1, NULL);
    o->SSL_CTX_ctrl(c, CG_SSL_CTRL_SET_SESS_CACHE_MODE, 0, NULL);
    o->SSL_CTX_ctrl(c, CG_SSL_CTRL_CLEAR_MODE, CG_SSL_MODE_PARTIAL_WRITE, NULL);
    o->SSL_CTX_ctrl(c, CG_SSL_CTRL_MODE,
                    CG_SSL_MODE_MOVING_BUFFER | CG_SSL_MODE_RELEASE_BUFFERS,
                    NULL);
    if (o->SSL_CTX_set_options != NULL) {
        o->SSL_CTX_set_options(c, CG_SSL_OP_NO_RENEGOTIATION);
    }
    o->SSL_CTX_set_session_id_context(c, opts->session_context,
                                      (unsigned)opts->session_context_n);
    /* OpenSSL's own number: one is what clients use, each costs */
    if (o->SSL_CTX_get_num_tickets(c) == 2) {
        o->SSL_CTX_set_num_tickets(c, 1);
    }
    cg_tls_use_tickets(c, opts->tickets);
}

static char **
copy_names(const char *const *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != NULL) {
        n++;
    }
    if (n == 0) {
        return NULL;
    }
    char **copy = cg_calloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = cg_strdup(names[i]);
    }
    return copy;
}

static void
release_sites(struct cg_tls_site *sites, int n)
{
    for (int i = 0; i < n; i++) {
        cg_openssl.SSL_CTX_free(sites[i].context);
        for (char **name = sites[i].names; name != NULL && *name != NULL;
             name++) {
            free(*name);
        }
        free(sites[i].names);
    }
    free(sites);
}

int
cg_tls_new(const struct cg_tls_options *o, struct cg_tls **ret,
           struct cg_error *err)
{
    for (int i = 0; i < o->ncontexts; i++) {
        int r = check(&o->contexts[i], err);
        if (r < 0) {
            return r;
        }
    }
    struct cg_tls *t = cg_tls_alloc();
    t->sites = cg_calloc((size_t)o->ncontexts, sizeof *t->sites);
    keylog_fd = o->keylog_fd;
    for (int i = 0; i < o->ncontexts; i++) {
        struct cg_tls_site *site = &t->sites[t->nsites++];
        site->context = o->contexts[i].context;
        cg_openssl.SSL_CTX_up_ref(site->context);
        site->names = copy_names(o->contexts[i].names);
        make_ready(site->context, o);
    }
    *ret = t;
    return 0;
}

void
cg_tls_free(struct cg_tls *t)
{
    if (t != NULL) {
        release_sites(t->sites, t->nsites);
        free(t->secure);
        cg_tls_forget_files(t);
        pthread_mutex_destroy(&t->lock);
        free(t);
    }
}

void
cg_tls_replace(struct cg_tls *t, struct cg_tls *other)
{
    pthread_mutex_lock(&t->lock);
    struct cg_tls_site *sites = t->sites;
    int n = t->nsites;
    t->sites = other->sites;
    t->nsites = other->nsites;
    pthread_mutex_unlock(&t->lock);
    other->sites = sites;
    other->nsites = n;
    cg_tls_free(other);
}

void
cg_tls_set_asking(struct cg_tls *t, const struct cg_tls_asking *asking)
{
    t->asking = *asking;
}

time_t
cg_tls_expiry(void *context)
{
    const struct cg_openssl *o = &cg_openssl;
    struct tm tm = {0};
    struct x509_st *x = o->SSL_CTX_get0_certificate(context);
    return x != NULL && o->ASN1_TIME_to_tm(o->X509_get0_notAfter(x), &tm) == 1
               ? timegm(&tm)
               : 0;
}
