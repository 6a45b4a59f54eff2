/* SPDX-License-Identifier: MIT */
/* Policy: what settings mean to the engine and the parser, in their terms. */
#ifndef CG_WORKER_POLICY_H
#define CG_WORKER_POLICY_H

#include "config/settings.h"
#include "core/engine/engine.h"
#include "core/http/h2/h2.h"

/* Owns the lists that the configs point to; must outlive the engine. */
struct cg_policy {
    struct cg_head_policy head;
    struct cg_engine_config engine;
    struct cg_budget budget;
    struct cg_h2_policy http2;
    int max_in_flight; /* of a class whose requests share a thread */
    struct cg_trust *trust, *proxy_trust, *uwsgi_trust;
    struct cg_files *files;  /* NULL: nothing is served */
    struct cg_slice *exempt; /* borrow from the settings */
    char **forwarder;        /* lower case, NULL-terminated */
    struct cg_scheme_rule *schemes;
};

/* Fills from settings; `server` is the Server field, borrowed. */
int cg_policy_init(struct cg_policy *p, const struct cg_settings *s,
                   const char *server, struct cg_error *err);
void cg_policy_release(struct cg_policy *p);

#endif
