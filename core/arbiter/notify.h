/* SPDX-License-Identifier: MIT */
/*
 * Notify: what the service manager is told (sd_notify's protocol, without its
 * library): datagrams to the socket that NOTIFY_SOCKET names. Nothing happens,
 * and nothing fails, when there is none. The variable stays for the
 * application, as under gunicorn.
 */
#ifndef CG_ARBITER_NOTIFY_H
#define CG_ARBITER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Lines such as "READY=1\nSTATUS=…". False: it could not be sent. */
bool cg_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool cg_notify_wanted(void);
/* How often WATCHDOG=1 has to be sent, in milliseconds: half of WATCHDOG_USEC
 * if that is meant for this process; 0: not at all. */
uint64_t cg_notify_watchdog_ms(void);

#endif
