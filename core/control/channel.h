/* SPDX-License-Identifier: MIT */
/*
 * Control channel: how the commands of `cgunicorn` reach a running master. An
 * abstract unix socket (there is no file) whose name begins with
 * CG_CHANNEL_PREFIX and has the master's pid; what comes behind it keeps two
 * masters with one pid, in containers that share a network, apart. A client
 * sends one line of words and gets one JSON text; then the connection ends.
 * Heard are the user of the master and root only; the client looks likewise at
 * whom it has found.
 */
#ifndef CG_CONTROL_CHANNEL_H
#define CG_CONTROL_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/control/desk.h"

#define CG_CHANNEL_PREFIX "cgunicorn-control/"

enum { CG_CHANNEL_LINE = 1024, CG_CHANNEL_WORDS = 8 };

/* Who asks, as the kernel says it. */
struct cg_channel_peer {
    int pid;
    uid_t uid;
};

struct cg_channel_calls {
    /* words[0..n), n of them at most CG_CHANNEL_WORDS; puts the JSON. */
    void (*run)(void *self, const struct cg_channel_peer *peer,
                const char *const *words, int n, struct cg_buf *reply);
    void *self;
};

/* Its desk, or NULL with err. calls has to stay. */
struct cg_desk *cg_channel_open(int pid, const struct cg_channel_calls *calls,
                                struct cg_error *err);
/* {"error": "…"} */
void cg_channel_put_error(struct cg_buf *reply, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Of a connected unix socket: false if the kernel does not tell. */
bool cg_channel_peer_of(int fd, struct cg_channel_peer *ret);

#endif
