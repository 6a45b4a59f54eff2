/* SPDX-License-Identifier: MIT */
/* X-Request-Start: when a front took a request in, as proxies and platforms
 * write it. */
#ifndef CG_HTTP_REQUEST_START_H
#define CG_HTTP_REQUEST_START_H

#include <stdint.h>

#include "core/base/bytes.h"

/* Microseconds since 1970 of "t=1700000000.123" (nginx's ${msec}),
 * "1700000000123" (Heroku's router) or "t=1700000000123456" (Apache's %t); 0
 * for anything else. */
uint64_t cg_request_start_us(struct cg_slice value);

#endif
