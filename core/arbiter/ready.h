/* SPDX-License-Identifier: MIT */
/* What a daemon tells the shell that started it; see daemon.c. */
#ifndef CG_ARBITER_READY_H
#define CG_ARBITER_READY_H

/* Each closes *fd; nothing happens when it is -1. */
void cg_ready_tell(int *fd);
void cg_ready_fail(int *fd, int status, const char *reason);

#endif
