/* SPDX-License-Identifier: MIT */
/*
 * Outbox: what a socket did not take yet, in order: copied bytes, borrowed
 * bytes that an object keeps alive, parts of files. Belongs to one connection.
 */
#ifndef CG_ENGINE_OUTBOX_H
#define CG_ENGINE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct cg_segment {
    struct cg_segment *next;
    const char *p; /* memory; NULL for a file part */
    size_t n;      /* bytes left */
    void *keep;    /* owner of borrowed memory, to be dropped; or NULL */
    int fd;        /* file part: owned descriptor, else -1 */
    off_t offset;
    char copy[]; /* copied bytes */
};

/* Zeroed memory is an empty outbox. */
struct cg_outbox {
    struct cg_segment *first, *last;
    size_t bytes; /* in all segments */
};

void cg_outbox_put(struct cg_outbox *o, const char *p, size_t n);
void cg_outbox_hold(struct cg_outbox *o, const char *p, size_t n, void *keep);
/* Duplicates fd. 0 or -errno. */
int cg_outbox_put_file(struct cg_outbox *o, int fd, off_t offset, size_t n);

/* Writes what the socket takes. 1: empty now; 0: more waits; negative errno:
 * the peer is gone (-EPIPE …) or a file was cut short (-ENODATA). Objects to
 * be dropped are chained through `next` in *dropped. */
int cg_outbox_flush(struct cg_outbox *o, int socket,
                    struct cg_segment **dropped);
/* Empties without writing; objects to be dropped go to *dropped. */
void cg_outbox_clear(struct cg_outbox *o, struct cg_segment **dropped);

/*
 * One direct send of `count` parts, not through an outbox. Returns the bytes
 * taken (0 when the socket is full), or a negative errno. `more`: a file part
 * follows at once (MSG_MORE).
 */
ssize_t cg_socket_send(int socket, const struct iovec *parts, int count,
                       bool more);

#endif
