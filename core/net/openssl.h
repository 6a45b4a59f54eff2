/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL, as a table of functions: those of the copy that Python's module _ssl
 * has loaded. It is never linked: another copy of the same name in front of it
 * would break the interpreter's (SONAME), also for users without TLS. What is
 * here of its types and numbers is its stable ABI, 1.1.1 and newer.
 */
#ifndef CG_NET_OPENSSL_H
#define CG_NET_OPENSSL_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/base/error.h"

struct ssl_st;
struct ssl_ctx_st;
struct bio_st;
struct bio_method_st;
struct x509_st;

/* OSSL_PARAM of openssl/core.h */
struct cg_ossl_param {
    const char *key;
    unsigned type;
    void *data;
    size_t size, returned;
};

typedef int cg_openssl_ticket_evp(struct ssl_st *s, unsigned char *name,
                                  unsigned char *iv, void *cipher, void *mac,
                                  int enc);
typedef int cg_openssl_hello(struct ssl_st *s, int *alert, void *arg);
typedef void cg_openssl_void(void);

/* X-macro: result, name, parameters. */
#define CG_OPENSSL_FUNCTIONS(X)                                                \
    X(void, ERR_clear_error, (void))                                           \
    X(unsigned long, ERR_get_error, (void))                                    \
    X(void, ERR_error_string_n, (unsigned long e, char *buf, size_t n))        \
    X(const char *, ERR_reason_error_string, (unsigned long e))                \
    X(int, BIO_get_new_index, (void))                                          \
    X(struct bio_method_st *, BIO_meth_new, (int type, const char *name))      \
    X(int, BIO_meth_set_read,                                                  \
      (struct bio_method_st * m, int (*f)(struct bio_st *, char *, int)))      \
    X(int, BIO_meth_set_write,                                                 \
      (struct bio_method_st * m,                                               \
       int (*f)(struct bio_st *, const char *, int)))                          \
    X(int, BIO_meth_set_ctrl,                                                  \
      (struct bio_method_st * m,                                               \
       long (*f)(struct bio_st *, int, long, void *)))                         \
    X(int, BIO_meth_set_create,                                                \
      (struct bio_method_st * m, int (*f)(struct bio_st *)))                   \
    X(struct bio_st *, BIO_new, (const struct bio_method_st *m))               \
    X(void, BIO_set_init, (struct bio_st * b, int init))                       \
    X(void, BIO_set_flags, (struct bio_st * b, int flags))                     \
    X(void, BIO_clear_flags, (struct bio_st * b, int flags))                   \
    X(int, BIO_free, (struct bio_st * b))                                      \
    X(struct bio_st *, BIO_new_mem_buf, (const void *p, int n))                \
    X(const struct bio_method_st *, BIO_s_mem, (void))                         \
    X(long, BIO_ctrl, (struct bio_st * b, int cmd, long n, void *p))           \
    X(struct ssl_st *, SSL_new, (struct ssl_ctx_st * c))                       \
    X(void, SSL_free, (struct ssl_st * s))                                     \
    X(void, SSL_set_bio,                                                       \
      (struct ssl_st * s, struct bio_st * r, struct bio_st * w))               \
    X(void, SSL_set_accept_state, (struct ssl_st * s))                         \
    X(int, SSL_do_handshake, (struct ssl_st * s))                              \
    X(int, SSL_read, (struct ssl_st * s, void *p, int n))                      \
    X(int, SSL_write, (struct ssl_st * s, const void *p, int n))               \
    X(int, SSL_shutdown, (struct ssl_st * s))                                  \
    X(int, SSL_get_shutdown, (const struct ssl_st *s))                         \
    X(int, SSL_get_error, (const struct ssl_st *s, int r))                     \
    X(int, SSL_want, (const struct ssl_st *s))                                 \
    X(int, SSL_has_pending, (const struct ssl_st *s))                          \
    X(long, SSL_ctrl, (struct ssl_st * s, int cmd, long n, void *p))           \
    X(int, SSL_version, (const struct ssl_st *s))                              \
    X(const char *, SSL_get_version, (const struct ssl_st *s))                 \
    X(const void *, SSL_get_current_cipher, (const struct ssl_st *s))          \
    X(const char *, SSL_CIPHER_get_name, (const void *cipher))                 \
    X(uint32_t, SSL_CIPHER_get_id, (const void *cipher))                       \
    X(void, SSL_get0_alpn_selected,                                            \
      (const struct ssl_st *s, const unsigned char **p, unsigned *n))          \
    X(int, SSL_session_reused, (const struct ssl_st *s))                       \
    X(long, SSL_get_verify_result, (const struct ssl_st *s))                   \
    X(const char *, SSL_get_servername, (const struct ssl_st *s, int type))    \
    X(struct ssl_ctx_st *, SSL_set_SSL_CTX,                                    \
      (struct ssl_st * s, struct ssl_ctx_st * c))                              \
    X(int, SSL_set_ex_data, (struct ssl_st * s, int i, void *p))               \
    X(void *, SSL_get_ex_data, (const struct ssl_st *s, int i))                \
    X(int, CRYPTO_get_ex_new_index,                                            \
      (int class, long n, void *p, void *make, void *copy, void *release))     \
    X(int, SSL_CTX_up_ref, (struct ssl_ctx_st * c))                            \
    X(void, SSL_CTX_free, (struct ssl_ctx_st * c))                             \
    X(long, SSL_CTX_ctrl, (struct ssl_ctx_st * c, int cmd, long n, void *p))   \
    X(long, SSL_CTX_callback_ctrl,                                             \
      (struct ssl_ctx_st * c, int cmd, cg_openssl_void *f))                    \
    X(int, SSL_CTX_get_verify_mode, (const struct ssl_ctx_st *c))              \
    X(struct x509_st *, SSL_CTX_get0_certificate,                              \
      (const struct ssl_ctx_st *c))                                            \
    X(int, SSL_CTX_check_private_key, (const struct ssl_ctx_st *c))            \
    X(int, SSL_CTX_set_num_tickets, (struct ssl_ctx_st * c, size_t n))         \
    X(size_t, SSL_CTX_get_num_tickets, (const struct ssl_ctx_st *c))           \
    X(int, SSL_CTX_set_session_id_context,                                     \
      (struct ssl_ctx_st * c, const unsigned char *id, unsigned n))            \
    X(void, SSL_CTX_set_keylog_callback,                                       \
      (struct ssl_ctx_st * c, void (*f)(const struct ssl_st *, const char *))) \
    X(void, SSL_CTX_set_msg_callback,                                          \
      (struct ssl_ctx_st * c, cg_openssl_void * f))                            \
    X(void, SSL_CTX_set_psk_server_callback,                                   \
      (struct ssl_ctx_st * c, cg_openssl_void * f))                            \
    X(void, SSL_CTX_set_client_hello_cb,                                       \
      (struct ssl_ctx_st * c, cg_openssl_hello * f, void *arg))                \
    X(int, SSL_client_hello_get0_ext,                                          \
      (struct ssl_st * s, unsigned type, const unsigned char **p, size_t *n))  \
    X(void, X509_free, (struct x509_st * x))                                   \
    X(const void *, X509_get0_notAfter, (const struct x509_st *x))             \
    X(int, X509_check_host,                                                    \
      (struct x509_st * x, const char *name, size_t n, unsigned flags,         \
       char **peer))                                                           \
    X(void *, X509_get_subject_name, (const struct x509_st *x))                \
    X(void *, X509_get_issuer_name, (const struct x509_st *x))                 \
    X(void *, X509_get_serialNumber, (struct x509_st * x))                     \
    X(int, X509_NAME_print_ex,                                                 \
      (struct bio_st * b, const void *name, int indent, unsigned long flags))  \
    X(int, i2a_ASN1_INTEGER, (struct bio_st * b, const void *n))               \
    X(int, PEM_write_bio_X509, (struct bio_st * b, struct x509_st * x))        \
    X(const char *, X509_verify_cert_error_string, (long n))                   \
    X(int, ASN1_TIME_to_tm, (const void *t, struct tm *tm))                    \
    X(const void *, EVP_aes_256_cbc, (void))                                   \
    X(int, EVP_EncryptInit_ex,                                                 \
      (void *ctx, const void *cipher, void *engine, const unsigned char *key,  \
       const unsigned char *iv))                                               \
    X(int, EVP_DecryptInit_ex,                                                 \
      (void *ctx, const void *cipher, void *engine, const unsigned char *key,  \
       const unsigned char *iv))

/* Those that some versions lack; NULL there. */
#define CG_OPENSSL_PERHAPS(X)                                                  \
    X(struct x509_st *, SSL_get1_peer_certificate, (const struct ssl_st *s))   \
    X(struct x509_st *, SSL_get_peer_certificate, (const struct ssl_st *s))    \
    X(int, SSL_CTX_set_tlsext_ticket_key_evp_cb,                               \
      (struct ssl_ctx_st * c, cg_openssl_ticket_evp * f))                      \
    X(int, EVP_MAC_CTX_set_params, (void *mac, const struct cg_ossl_param *p)) \
    X(uint64_t, SSL_CTX_get_options, (const struct ssl_ctx_st *c))             \
    X(uint64_t, SSL_CTX_set_options, (struct ssl_ctx_st * c, uint64_t options))

struct cg_openssl {
#define X(result, name, parameters) result(*name) parameters;
    CG_OPENSSL_FUNCTIONS(X)
    CG_OPENSSL_PERHAPS(X)
#undef X
};

/* Numbers of its headers. */
enum {
    CG_SSL_ERROR_SSL = 1,
    CG_SSL_ERROR_WANT_READ = 2,
    CG_SSL_ERROR_SYSCALL = 5,
    CG_SSL_ERROR_ZERO_RETURN = 6,
    CG_SSL_ERROR_WANT_CLIENT_HELLO = 11,
    CG_SSL_RECEIVED_SHUTDOWN = 2,
    CG_SSL_READING = 3,
    CG_SSL_CTRL_MODE = 33,
    CG_SSL_CTRL_CLEAR_MODE = 78,
    CG_SSL_CTRL_SET_READ_AHEAD = 41,
    CG_SSL_CTRL_SET_SESS_CACHE_MODE = 44,
    CG_SSL_CTRL_SET_SERVERNAME_CB = 53,
    CG_SSL_CTRL_SET_SERVERNAME_ARG = 54,
    CG_SSL_CTRL_SET_TICKET_KEYS = 59,
    CG_SSL_CTRL_GET_MIN_VERSION = 130,
    CG_SSL_MODE_PARTIAL_WRITE = 1,
    CG_SSL_MODE_MOVING_BUFFER = 2,
    CG_SSL_MODE_RELEASE_BUFFERS = 16,
    CG_SSL_OP_NO_RENEGOTIATION = 1 << 30,
    CG_SSL_TLSEXT_OK = 0,
    CG_SSL_TLSEXT_NOACK = 3,
    CG_SSL_HELLO_SUCCESS = 1,
    CG_SSL_HELLO_RETRY = -1,
    CG_BIO_READ = 1,
    CG_BIO_WRITE = 2,
    CG_BIO_SPECIAL = 4,
    CG_BIO_RETRY = 8,
    CG_BIO_CTRL_RESET = 1,
    CG_BIO_CTRL_INFO = 3,
    CG_BIO_CTRL_FLUSH = 11,
    CG_BIO_SOURCE_SINK = 0x0400
};
/* A name as RFC 4514 has it, in UTF-8: XN_FLAG_RFC2253 without ESC_MSB. */
#define CG_XN_RFC4514 0x01110313UL

/*
 * Fills the table from the copy that the shared object of this path (Python's
 * _ssl) has loaded. The process keeps it. 0 or a negative errno; err says what
 * is missing.
 */
int cg_openssl_load(const char *module, struct cg_error *err);
/* The table; after a load. */
extern struct cg_openssl cg_openssl;

#endif
