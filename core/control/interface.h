/* SPDX-License-Identifier: MIT */
/*
 * Control interface: gunicorn's protocol for `gunicornc` and programs like it,
 * on a unix socket whose file has a name. A frame is its length in four bytes,
 * big-endian, and a JSON object; a client may send several. A question is
 * {"id", "command", "args"}, its answer {"id", "status", "data" or "error"}.
 * Who may open the socket file is heard. What no frame of that kind is ends the
 * connection, as in gunicorn.
 */
#ifndef CG_CONTROL_INTERFACE_H
#define CG_CONTROL_INTERFACE_H

#include "core/base/error.h"
#include "core/control/channel.h"
#include "core/control/json.h"

/* Bytes of a question; gunicorn would take 16 MiB. */
enum { CG_INTERFACE_MOST = 64 * 1024, CG_INTERFACE_ARGS = 16 };

struct cg_interface_request {
    const char *command;                 /* a line of words */
    const char *args[CG_INTERFACE_ARGS]; /* more words, as they are */
    int nargs;
};

struct cg_interface_calls {
    /* Puts one JSON value; or a negative number and what the answer's `error`
     * is to be. */
    int (*run)(void *self, const struct cg_channel_peer *peer,
               const struct cg_interface_request *r, struct cg_json *data,
               struct cg_error *err);
    void *self;
};

/* listen_fd moves in: bound, listening, non-blocking. calls has to stay. */
struct cg_desk *cg_interface_new(int listen_fd,
                                 const struct cg_interface_calls *calls);

#endif
