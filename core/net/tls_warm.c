/* SPDX-License-Identifier: MIT */
/*
 * Which connections keep OpenSSL's buffers: a ring, in the order in which they
 * became warm. A connection's lock is taken before the ring's; who has the
 * ring's only tries to take another connection's.
 */
#include "core/net/tls_internal.h"

enum { LOOKS = 4 }; /* at others that are in use, to find one that is not */

static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cg_tls_warmth *ring[CG_TLS_WARM];
static unsigned next;

static void
keep_buffers(struct ssl_st *ssl, bool keep)
{
    cg_openssl.SSL_ctrl(ssl, keep ? CG_SSL_CTRL_CLEAR_MODE : CG_SSL_CTRL_MODE,
                        CG_SSL_MODE_RELEASE_BUFFERS, NULL);
}

/* False while somebody uses it. What OpenSSL cannot free now, it frees with the
 * next record. */
static bool
cool(struct cg_tls_warmth *w)
{
    if (pthread_mutex_trylock(w->lock) != 0) {
        return false;
    }
    w->place = 0;
    keep_buffers(w->ssl, false);
    cg_openssl.SSL_free_buffers(w->ssl);
    pthread_mutex_unlock(w->lock);
    return true;
}

void
cg_tls_warm_up(struct cg_tls_warmth *w)
{
    if (__builtin_expect(w->place != 0, 1)) {
        return;
    }
    pthread_mutex_lock(&ring_lock);
    for (int i = 0; i < LOOKS && w->place == 0; i++) {
        unsigned at = next++ % CG_TLS_WARM;
        if (ring[at] == NULL || cool(ring[at])) {
            ring[at] = w;
            w->place = (int)at + 1;
            keep_buffers(w->ssl, true);
        }
    }
    pthread_mutex_unlock(&ring_lock);
}

void
cg_tls_warm_end(struct cg_tls_warmth *w)
{
    pthread_mutex_lock(&ring_lock);
    if (w->place != 0) {
        ring[w->place - 1] = NULL;
        w->place = 0;
    }
    pthread_mutex_unlock(&ring_lock);
}
