/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: made by the master, inherited by workers.
 *
 * The room core/net is what touches sockets: these, the loop that waits for
 * them (loop.h), a client's bytes (transport.h) and processes that keep
 * descriptors for others (holder.h). What always holds: a descriptor is
 * non-blocking and CLOEXEC from its birth and has one owner; nothing here knows
 * HTTP or keeps a limit. What the bytes mean is core/http's, how long somebody
 * waits for them the engine's.
 */
#ifndef CG_NET_LISTENER_H
#define CG_NET_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/base/addr.h"

struct cg_listener {
    int fd;                       /* owned; non-blocking, CLOEXEC */
    int family;                   /* AF_INET, AF_INET6, AF_UNIX */
    bool secure;                  /* TLS is spoken on it */
    bool adopted;                 /* fd:// or systemd: never unlinked, and
                                     never quiesced: others use it too */
    struct sockaddr_storage name; /* getsockname() */
    socklen_t name_n;
    char text[320];      /* "http://127.0.0.1:8000" */
    char host[108];      /* SERVER_NAME: address, or the unix path */
    char port[8];        /* SERVER_PORT: "8000", "" for unix */
    char fd_name[256];   /* that systemd gave it, or "" */
    struct cg_addr addr; /* as configured */
    dev_t file_dev;      /* of the unix socket file, to know it again */
    ino_t file_ino;      /* 0: no file */
    int backlog;         /* that the kernel grants; 0: not known (unix) */
    bool given_up;       /* its fault was told, see listener_fault.h */
};

struct cg_listener_options {
    int backlog;
    bool reuse_port;
    bool v6only;    /* an IPv6 socket leaves IPv4 to another one */
    unsigned umask; /* of unix socket files */
    int uid, gid;   /* owner of unix socket files, by the bits of an
                       id; -1 = leave */
};

/*
 * Binds and listens once (no retry). err names the bind, and what can be done:
 * who already listens, missing folder, missing permission, path not a socket.
 * -EADDRINUSE and -EADDRNOTAVAIL are worth a retry. An fd:// bind is adopted.
 * A socket file that is in the way is removed, as gunicorn does.
 */
int cg_listener_open(const struct cg_addr *addr,
                     const struct cg_listener_options *o,
                     struct cg_listener *ret_listener, struct cg_error *err);
/* Takes over a bound socket (fd://N, GUNICORN_FD, systemd). fd moves in, unless
 * it fails. One that listens already keeps its backlog. */
int cg_listener_adopt(int fd, const struct cg_listener_options *o,
                      struct cg_listener *ret_listener, struct cg_error *err);
/* What is spoken on it, and with it its text. */
void cg_listener_set_secure(struct cg_listener *l, bool secure);
/* Whether it is bound where `addr` says; names are resolved. */
bool cg_listener_is_at(const struct cg_listener *l, const struct cg_addr *addr);
/* Whether somebody listens on that unix socket. */
bool cg_listener_is_served(const struct cg_addr *a);
/* Whether its socket file was removed since it was bound. */
bool cg_listener_is_lost(const struct cg_listener *l);
/* How many clients may wait at a TCP socket that listens; 0: not known. */
int cg_listener_backlog(int fd);
/* Closes; with `unlink_path` removes the unix socket file, if it is still the
 * one that was bound and was not adopted. */
void cg_listener_close(struct cg_listener *l, bool unlink_path);
/*
 * Stops new connections without losing those in the listen queue: from here on
 * the kernel drops connection attempts (TCP: a socket filter on SYN), so that
 * workers can accept what waits and then close. Best effort, never an error.
 * It holds for the socket, so for every process that shares it: not for a
 * master that has handed its sockets to a successor, and never for adopted
 * ones, which systemd keeps for the next start. Unix sockets are not touched;
 * for them the path is removed.
 */
void cg_listener_quiesce(const struct cg_listener *l);

#endif
