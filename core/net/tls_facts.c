/* SPDX-License-Identifier: MIT */
/* What a handshake came to: versions, ciphers, the client's certificate. */
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/net/tls_internal.h"

enum { TEXT_MOST = 64 * 1024 };

/* What one of OpenSSL's printers writes. */
static char *
text_of(int (*print)(struct bio_st *to, const void *what), const void *what)
{
    const struct cg_openssl *o = &cg_openssl;
    struct bio_st *to = o->BIO_new(o->BIO_s_mem());
    char *p = NULL;
    if (to == NULL) {
        return cg_strdup("");
    }
    print(to, what);
    long n = o->BIO_ctrl(to, CG_BIO_CTRL_INFO, 0, &p);
    char *text = cg_strndup(n > 0 && p != NULL ? p : "",
                            n > 0 && n < TEXT_MOST ? (size_t)n : 0);
    o->BIO_free(to);
    return text;
}

static int
print_name(struct bio_st *to, const void *name)
{
    return cg_openssl.X509_NAME_print_ex(to, name, 0, CG_XN_RFC4514);
}

static int
print_integer(struct bio_st *to, const void *n)
{
    return cg_openssl.i2a_ASN1_INTEGER(to, n);
}

static int
print_pem(struct bio_st *to, const void *x)
{
    return cg_openssl.PEM_write_bio_X509(to, (struct x509_st *)(uintptr_t)x);
}

static struct x509_st *
peer_certificate(const struct ssl_st *ssl)
{
    const struct cg_openssl *o = &cg_openssl;
    return o->SSL_get1_peer_certificate != NULL
               ? o->SSL_get1_peer_certificate(ssl)
           : o->SSL_get_peer_certificate != NULL
               ? o->SSL_get_peer_certificate(ssl)
               : NULL;
}

static struct cg_secure_client *
client_of(const struct ssl_st *ssl)
{
    const struct cg_openssl *o = &cg_openssl;
    struct x509_st *x = peer_certificate(ssl);
    if (x == NULL) {
        return NULL;
    }
    struct cg_secure_client *c = cg_calloc(1, sizeof *c);
    long result = o->SSL_get_verify_result(ssl);
    c->verified = result == 0;
    c->why_not = c->verified ? "" : o->X509_verify_cert_error_string(result);
    c->subject = text_of(print_name, o->X509_get_subject_name(x));
    c->issuer = text_of(print_name, o->X509_get_issuer_name(x));
    c->serial = text_of(print_integer, o->X509_get_serialNumber(x));
    c->pem = text_of(print_pem, x);
    o->X509_free(x);
    return c;
}

static bool
is_h2(const struct ssl_st *ssl)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    cg_openssl.SSL_get0_alpn_selected(ssl, &p, &n);
    return n == 2 && memcmp(p, "h2", 2) == 0;
}

void
cg_tls_learn(struct ssl_st *ssl, struct cg_secure *facts)
{
    const struct cg_openssl *o = &cg_openssl;
    const void *cipher = o->SSL_get_current_cipher(ssl);
    *facts = (struct cg_secure){
        .protocol = o->SSL_get_version(ssl),
        .cipher = cipher != NULL ? o->SSL_CIPHER_get_name(cipher) : "",
        .version = (uint16_t)o->SSL_version(ssl),
        .suite = cipher != NULL ? (uint16_t)o->SSL_CIPHER_get_id(cipher)
                                : (uint16_t)0,
        .resumed = o->SSL_session_reused(ssl) == 1,
        .is_h2 = is_h2(ssl),
        .client = client_of(ssl),
    };
}

void
cg_tls_forget(struct cg_secure *facts)
{
    struct cg_secure_client *c =
        (struct cg_secure_client *)(uintptr_t)facts->client;
    if (c == NULL) {
        return;
    }
    free(c->subject);
    free(c->issuer);
    free(c->serial);
    free(c->pem);
    free(c);
    facts->client = NULL;
}
