/* SPDX-License-Identifier: MIT */
/* The master's listeners: made at start, exchanged at a reload. */
#ifndef CG_ARBITER_SOCKETS_H
#define CG_ARBITER_SOCKETS_H

#include "config/settings.h"
#include "core/net/listener.h"
#include "logging/log.h"

struct cg_sockets {
    struct cg_listener *items; /* owned */
    int n;
};

/*
 * What this process was started with: GUNICORN_FD of an old master, or
 * systemd's LISTEN_FDS. *ret stays empty when there is none; then the binds are
 * used.
 */
enum cg_inherited { INHERITED_NOTHING, INHERITED_UPGRADE, INHERITED_SYSTEMD };
int cg_sockets_inherit(const struct cg_settings *s, struct cg_sockets *ret,
                       enum cg_inherited *ret_from, struct cg_error *err);

/*
 * Opens every bind of the settings. A listener of `old` (may be NULL) with the
 * same address is taken over by duplicating it; all of them if the binds are
 * those of `old_settings`, inherited ones included. Retries as gunicorn: five
 * times, a second apart, told in the log; `interrupted` is asked before each.
 */
int cg_sockets_open(const struct cg_settings *s,
                    const struct cg_settings *old_settings,
                    const struct cg_sockets *old, struct cg_log *log,
                    bool (*interrupted)(void *self), void *self,
                    struct cg_sockets *ret, struct cg_error *err);
/* Closes; unix socket files are removed unless `next` has the same one. */
void cg_sockets_close(struct cg_sockets *s, const struct cg_sockets *next,
                      bool unlink_paths);
/* Kernel: no new connections; those that wait stay. */
void cg_sockets_quiesce(const struct cg_sockets *s);
/* "web (http://127.0.0.1:8000), admin (…)": those that systemd named. */
void cg_sockets_names(const struct cg_sockets *s, struct cg_buf *out);
/* "http://127.0.0.1:8000,unix:/run/app.sock" */
/* Which of them speak TLS, by the settings. */
void cg_sockets_secure(struct cg_sockets *s,
                       const struct cg_settings *settings);
void cg_sockets_text(const struct cg_sockets *s, struct cg_buf *out);

#endif
