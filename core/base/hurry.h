/* SPDX-License-Identifier: MIT */
/*
 * Hurry: system calls that throw away what others have sent do not keep us. A
 * message on a unix socket may bring descriptors; if nobody takes them, the
 * kernel closes them within the call that drops the message (recv, close), and
 * the close of a TCP socket with SO_LINGER waits for its peer as long as the
 * sender liked. A signal ends that wait: so one comes each few milliseconds
 * between begin and end. Any thread, for itself.
 */
#ifndef CG_BASE_HURRY_H
#define CG_BASE_HURRY_H

#include <signal.h>
#include <stdbool.h>

/* Nothing else uses it; its handler does nothing. */
#define CG_HURRY_SIGNAL (SIGRTMAX - 8)

struct cg_hurry {
    int timer; /* the kernel's number of it */
    bool on;   /* false: there could be none, and calls take their time */
};

void cg_hurry_begin(struct cg_hurry *h);
/* Keeps errno. */
void cg_hurry_end(struct cg_hurry *h);
/* No descriptors come to this unix socket any more, nor to what is accepted
 * from it: who sends some gets an error (Linux 6.16; before, nothing). */
void cg_hurry_refuse(int fd);
/* As cg_fd_close, of a socket that others can send to. */
void cg_hurry_close(int *fd);

#endif
