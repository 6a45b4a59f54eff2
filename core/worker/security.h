/* SPDX-License-Identifier: MIT */
/*
 * Security: the server's TLS of one generation, made in the master, so that a
 * key that only root reads works and a passphrase is asked for once, and used
 * by its workers. NULL where there is none. GIL held.
 */
#ifndef CG_WORKER_SECURITY_H
#define CG_WORKER_SECURITY_H

#include "config/settings.h"
#include "core/base/error.h"
#include "core/net/listener.h"
#include "core/net/tls.h"
#include "logging/log.h"

struct cg_security;

/* *ret is NULL when the settings ask for none. err is one line: what, where it
 * comes from, the way out. */
int cg_security_new(const struct cg_settings *s,
                    const struct cg_ticket_board *tickets,
                    struct cg_security **ret, struct cg_error *err);
void cg_security_free(struct cg_security *s);
/* In a worker, before its engine: which listeners it is for. */
void cg_security_enter(struct cg_security *s,
                       const struct cg_listener *listeners, int n);
/* Its certificates and keys are looked at from time to time; `changed` as in
 * cg_tls_watch. After cg_security_enter. */
void cg_security_watch(struct cg_security *s,
                       const struct cg_settings *settings,
                       void (*changed)(void *self), void *self);
/* New connections get what the files hold now. On an error nothing changes. */
int cg_security_renew(struct cg_security *s, const struct cg_settings *settings,
                      struct cg_error *err);
/* For the engine. */
const struct cg_transport_maker *cg_security_maker(const struct cg_security *s);
/* Handshakes ask Python (sni_callback). */
bool cg_security_asks(const struct cg_security *s);
/* A WARNING for each certificate that is over soon, and for one that is made
 * for development. */
void cg_security_warn(const struct cg_security *s,
                      void (*warn)(void *self, const char *text), void *self);

#endif
