/* SPDX-License-Identifier: MIT */
/* Sealing and opening of tickets with the keys that workers share. */
#include <string.h>
#include <sys/random.h>

#include "core/base/memory.h"
#include "core/net/tls_internal.h"

enum { IV = 16, PARAM_UTF8 = 4, PARAM_OCTETS = 5 };

static const struct cg_ticket_board *keys;

static int
set_mac(void *mac, const uint8_t *key)
{
    static const char sha256[] = "SHA256";
    const struct cg_ossl_param params[] = {
        {"key", PARAM_OCTETS, (void *)(uintptr_t)key, CG_TICKET_SECRET, 0},
        {"digest", PARAM_UTF8, (void *)(uintptr_t)sha256, sizeof sha256 - 1, 0},
        {NULL, 0, NULL, 0, 0},
    };
    return cg_openssl.EVP_MAC_CTX_set_params(mac, params);
}

static int
seal(unsigned char *name, unsigned char *iv, void *cipher, void *mac)
{
    struct cg_ticket_key k;
    cg_tickets_newest(keys, &k);
    memcpy(name, k.name, CG_TICKET_NAME);
    int good = getrandom(iv, IV, 0) == IV &&
               cg_openssl.EVP_EncryptInit_ex(
                   cipher, cg_openssl.EVP_aes_256_cbc(), NULL, k.aes, iv) &&
               set_mac(mac, k.hmac);
    explicit_bzero(&k, sizeof k);
    return good ? 1 : -1;
}

/* 0: no key of ours, so a full handshake; 2: good, and worth a new one. */
static int
unseal(const unsigned char *name, unsigned char *iv, void *cipher, void *mac)
{
    struct cg_ticket_key k;
    bool newest = false;
    if (!cg_tickets_find(keys, name, &k, &newest)) {
        return 0;
    }
    int good = set_mac(mac, k.hmac) &&
               cg_openssl.EVP_DecryptInit_ex(
                   cipher, cg_openssl.EVP_aes_256_cbc(), NULL, k.aes, iv);
    explicit_bzero(&k, sizeof k);
    return !good ? -1 : newest ? 1 : 2;
}

static int
on_ticket(struct ssl_st *s, unsigned char *name, unsigned char *iv,
          void *cipher, void *mac, int enc)
{
    return enc ? seal(name, iv, cipher, mac) : unseal(name, iv, cipher, mac);
}

/* OpenSSL 1.1.1 has one key per context: the newest at the start. */
void
cg_tls_use_tickets(struct ssl_ctx_st *context,
                   const struct cg_ticket_board *board)
{
    const struct cg_openssl *o = &cg_openssl;
    if (board == NULL) {
        return;
    }
    keys = board;
    if (o->SSL_CTX_set_tlsext_ticket_key_evp_cb != NULL &&
        o->EVP_MAC_CTX_set_params != NULL) {
        o->SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
        return;
    }
    struct cg_ticket_key k;
    cg_tickets_newest(board, &k);
    o->SSL_CTX_ctrl(context, CG_SSL_CTRL_SET_TICKET_KEYS, sizeof k, &k);
    explicit_bzero(&k, sizeof k);
}
