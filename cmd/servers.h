/* SPDX-License-Identifier: MIT */
/*
 * Servers: the masters that run here and are heard by this user, found by the
 * names of their control channels, and asked through these. A name is believed
 * if it has the pid of who listens there. What a server says is another
 * process's word: bounded, and made harmless before a terminal sees it.
 */
#ifndef CG_CMD_SERVERS_H
#define CG_CMD_SERVERS_H

#include <sys/types.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

enum { CG_CHANNEL_NAME = 108 };

struct cg_server {
    char channel[CG_CHANNEL_NAME]; /* of its abstract socket, without the NUL */
    int pid;
    uid_t uid; /* whose it is, as the kernel says */
    char name[100], state[20], version[20], address[200];
    int old_master_pid; /* of an upgrade under way, 0: none */
};

struct cg_servers {
    struct cg_server *items; /* owned */
    int n;
    int strangers; /* other users' servers, or such that do not answer */
};

/* Which ones are meant; zeroed: all. */
struct cg_server_choice {
    int pid;
    const char *name;
};

void cg_servers_find(const struct cg_server_choice *which,
                     struct cg_servers *ret);
void cg_servers_release(struct cg_servers *s);
/* One question; the whole of the answer. 0, or -errno with err. */
int cg_server_ask(const struct cg_server *server, const char *line,
                  struct cg_buf *reply, struct cg_error *err);
/* Puts text with what could steer a terminal made "?"; newlines stay if they
 * may. */
void cg_put_clean(struct cg_buf *out, const char *text, bool newlines);

#endif
