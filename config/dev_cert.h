/* SPDX-License-Identifier: MIT */
/* dev_cert: where the certificate for development is kept, and what the setting
 * goes with. It is made when the server starts (core/py/glue/dev_cert.py). */
#ifndef CG_CONFIG_DEV_CERT_H
#define CG_CONFIG_DEV_CERT_H

#include "config/settings.h"
#include "core/base/error.h"

/* certfile and keyfile get the paths in the user's data folder, if dev_cert is
 * on and neither is set. */
void cg_dev_cert_resolve(struct cg_settings *s);
/* After it. What contradicts dev_cert is an error that says what to leave out.
 */
int cg_dev_cert_check(const struct cg_settings *s, struct cg_error *err);

#endif
