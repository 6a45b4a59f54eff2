/* SPDX-License-Identifier: MIT */
/* How many connections wait on a listening unix socket, which only the
 * kernel's socket diagnosis tells (sock_diag(7)). */
#ifndef CG_CONTROL_UNIX_QUEUE_H
#define CG_CONTROL_UNIX_QUEUE_H

#include <stdint.h>

/* Those that wait, and the most; untouched when it is not known. Asks the
 * kernel and does not wait. */
void cg_unix_queue(int fd, int64_t *ret_waiting, int64_t *ret_most);

#endif
