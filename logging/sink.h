/* SPDX-License-Identifier: MIT */
/*
 * One target of a log: a file, or a standard stream. Whole lines are appended
 * by one system call, so lines of several processes do not mix. Writing never
 * blocks for longer than a moment: a pipe that nobody reads, a stopped terminal
 * or a full disk costs lines, not requests.
 */
#ifndef CG_LOGGING_SINK_H
#define CG_LOGGING_SINK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/error.h"

struct cg_sink {
    char *path;            /* NULL: off; "-": the stream */
    int fd;                /* -1: off */
    int stream;            /* 1 or 2, for "-" */
    bool owned;            /* the descriptor is ours to close */
    bool waits;            /* no regular file: writing could block … */
    bool nonblock, socket; /* … unless the descriptor is of such a kind */
    bool gathers;          /* several lines in one write are as good */
    _Atomic bool stalled;  /* the last line found no room: do not wait again */
    _Atomic bool torn;     /* the last line was cut: begin a new one first */
};

struct cg_sink_options {
    const char *setting; /* for messages */
    const char *path;    /* NULL: off; "-": the stream */
    int stream;          /* 1: standard output, 2: error */
    int uid, gid;        /* who gets a file, -1: leave it */
};

/* err names the setting and, if that is the reason, the folder that is missing.
 * note: filled if a file keeps its owner, and why; may be NULL. How root is
 * kept from being led astray: core/base/place.h. */
int cg_sink_open(struct cg_sink *s, const struct cg_sink_options *o,
                 struct cg_error *note, struct cg_error *err);
void cg_sink_close(struct cg_sink *s);
/* A file, not one of the standard streams. */
bool cg_sink_is_file(const struct cg_sink *s);
/* Opens the path again. The descriptor keeps its number, so that whoever holds
 * it follows; on failure the old file stays. */
int cg_sink_reopen(struct cg_sink *s, const char *setting, int uid, int gid,
                   struct cg_error *note, struct cg_error *err);
/* In a child of whoever opened it: a pipe or terminal gets a description of its
 * own, since who shares one can make it block. The number stays. */
void cg_sink_part(struct cg_sink *s);
/* All of p, or -errno and what was not written (*ret_rest may be NULL); it is
 * not tried again. Any thread. */
int cg_sink_write(struct cg_sink *s, const char *p, size_t n,
                  struct cg_slice *ret_rest);

#endif
