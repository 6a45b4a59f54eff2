/* SPDX-License-Identifier: MIT */
/* File descriptors: owned by one variable, moved with take, CLOEXEC at birth.
 */
#ifndef CG_BASE_FD_H
#define CG_BASE_FD_H

/* Moves the descriptor out; *fd is -1 afterwards. */
int cg_fd_take(int *fd);
/* Closes unless -1, sets -1, keeps errno. */
void cg_fd_close(int *fd);
void cg_cleanup_fd_close(int *fd); /* cg_auto(fd_close) */
/* 0 or -errno. */
int cg_fd_set_nonblock(int fd);
int cg_fd_set_cloexec(int fd, int on);
/* Gives closed standard streams to /dev/null, so that what is opened later does
 * not get their numbers. Before anything else is opened. */
void cg_fd_fill_standard(void);
/* A program closed its standard streams: what it prints must not go to whom got
 * their numbers. Returns fd, or its CLOEXEC copy above them; -1 when there is
 * no number left, and fd is closed. */
int cg_fd_above_stdio(int fd);
/* A description of the same file that can only read, and so makes no mapping
 * that can be written; by /proc. -errno. */
int cg_fd_read_only(int fd);
/* Reads away what is in a pipe or counter that does not block. */
void cg_fd_empty(int fd);

#endif
