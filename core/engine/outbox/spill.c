/* SPDX-License-Identifier: MIT */
#include "core/engine/outbox/spill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/base/tmpfile.h"

enum { SEND_STEP = 64 * 1024 };

struct cg_spill {
    int fd;
    uint64_t max;
    uint64_t at; /* offset of the first byte; below max */
    uint64_t n;  /* bytes from there on, and on from 0 */
    const char *dir;
};

struct cg_spill *
cg_spill_new(const struct cg_spill_policy *policy, struct cg_error *err)
{
    const char *dir = cg_tmpfile_dir(policy->dir);
    int fd = cg_tmpfile_open(dir, "response");
    if (fd < 0) {
        cg_error_set(err, -fd,
                     "cannot make a temporary file for a response in '%s' "
                     "(tmp_upload_dir): %s",
                     dir, strerror(-fd));
        return NULL;
    }
    struct cg_spill *s = cg_malloc(sizeof *s);
    *s = (struct cg_spill){.fd = fd, .max = policy->max, .dir = dir};
    return s;
}

void
cg_spill_free(struct cg_spill *s)
{
    if (s != NULL) {
        cg_tmpfile_close(&s->fd);
        free(s);
    }
}

uint64_t
cg_spill_bytes(const struct cg_spill *s)
{
    return s->n;
}

static size_t
least(size_t n, uint64_t bound)
{
    return n < bound ? n : (size_t)bound;
}

/* Up to the end of the file or of the room in it. */
static ssize_t
put_piece(struct cg_spill *s, const char *p, size_t n)
{
    uint64_t end = s->at + s->n < s->max ? s->at + s->n : s->at + s->n - s->max;
    size_t room = least(least(n, s->max - s->n), s->max - end);
    ssize_t w;
    do {
        w = room > 0 ? pwrite(s->fd, p, room, (off_t)end) : 0;
    } while (w < 0 && errno == EINTR);
    if (w > 0) {
        s->n += (uint64_t)w;
    }
    return w == 0 && room > 0 ? -ENOSPC : w < 0 ? -errno : w;
}

ssize_t
cg_spill_put(struct cg_spill *s, const char *p, size_t n, struct cg_error *err)
{
    size_t taken = 0;
    while (taken < n) {
        ssize_t w = put_piece(s, p + taken, n - taken);
        if (w < 0 && taken == 0) {
            return cg_error_set(err, (int)-w,
                                "cannot write a response to '%s' "
                                "(tmp_upload_dir): %s",
                                s->dir, strerror((int)-w));
        }
        if (w <= 0) {
            break;
        }
        taken += (size_t)w;
    }
    return (ssize_t)taken;
}

static void
take(struct cg_spill *s, size_t n)
{
    s->at += n;
    s->n -= n;
    if (s->at == s->max || s->n == 0) {
        s->at = 0;
    }
}

ssize_t
cg_spill_send(struct cg_spill *s, struct cg_transport *t)
{
    char bytes[SEND_STEP];
    size_t want = least(least(sizeof bytes, s->n), s->max - s->at);
    ssize_t got = pread(s->fd, bytes, want, (off_t)s->at);
    if (got <= 0) {
        return got < 0 ? -errno : -ENODATA;
    }
    struct iovec part = {bytes, (size_t)got};
    ssize_t sent = cg_transport_send(t, &part, 1, false);
    if (sent > 0) {
        take(s, (size_t)sent);
    }
    return sent;
}
