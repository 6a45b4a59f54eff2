/* SPDX-License-Identifier: MIT */
#include "core/arbiter/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/memory.h"
#include "core/py/interp.h"

enum { TRIES = 5, SLICE_MS = 100, SLICES = 10 };

static struct cg_listener_options
options_of(const struct cg_settings *s)
{
    return (struct cg_listener_options){
        .backlog = (int)cg_settings_int(s, CG_backlog),
        .reuse_port = cg_settings_bool(s, CG_reuse_port),
        .umask = (unsigned)cg_settings_int(s, CG_umask),
        .uid = (int)cg_settings_int(s, CG_user),
        .gid = (int)cg_settings_int(s, CG_group),
    };
}

static const struct cg_listener *
find(const struct cg_sockets *s, const char *text)
{
    for (int i = 0; s != NULL && i < s->n; i++) {
        if (strcmp(s->items[i].addr.text, text) == 0) {
            return &s->items[i];
        }
    }
    return NULL;
}

/* A second's pause that a signal to stop ends. GIL given up meanwhile. */
static bool
pause_or_stop(bool (*interrupted)(void *self), void *self)
{
    for (int i = 0; i < SLICES; i++) {
        if (interrupted(self)) {
            return true;
        }
        cg_gil_drop();
        poll(NULL, 0, SLICE_MS);
        cg_gil_take();
    }
    return interrupted(self);
}

static void
log_try(struct cg_log *log, const struct cg_addr *addr,
        const struct cg_error *err)
{
    char tuple[320];
    cg_addr_tuple(addr, tuple, sizeof tuple);
    if (err->code == -EADDRINUSE) {
        cg_log_line(log, CG_ERROR, "Connection in use: %s", tuple);
    } else if (err->code == -EADDRNOTAVAIL) {
        cg_log_line(log, CG_ERROR, "Invalid address: %s", tuple);
    }
    cg_log_line(log, CG_ERROR, "connection to %s failed: %s", tuple, err->text);
}

static int
open_one(const struct cg_addr *addr, const struct cg_listener_options *o,
         struct cg_log *log, bool (*interrupted)(void *self), void *self,
         struct cg_listener *ret, struct cg_error *err)
{
    if (addr->kind == CG_ADDR_FD) {
        return cg_listener_adopt(addr->fd, o, ret, err);
    }
    for (int try = 1;; try++) {
        int r = cg_listener_open(addr, o, ret, err);
        if (r == 0) {
            return 0;
        }
        log_try(log, addr, err);
        bool again = r == -EADDRINUSE || r == -EADDRNOTAVAIL;
        if (!again || try == TRIES) {
            return cg_error_prefix(err, "Can't connect to %s", addr->text);
        }
        cg_log_line(log, CG_DEBUG, "Retrying in 1 second.");
        if (pause_or_stop(interrupted, self)) {
            return cg_error_set(err, ECANCELED, "stopped while waiting for %s",
                                addr->text);
        }
    }
}

static int
take_over(const struct cg_listener *old, struct cg_listener *ret,
          struct cg_error *err)
{
    *ret = *old;
    ret->fd = fcntl(old->fd, F_DUPFD_CLOEXEC, 3);
    return ret->fd < 0 ? cg_error_set(err, errno, "cannot keep %s: %s",
                                      old->text, strerror(errno))
                       : 0;
}

/* An fd:// bind leaves all others out (gunicorn-compat 3.3). */
static bool
has_fd(const struct cg_value *bind)
{
    for (size_t i = 0; i < bind->list.n; i++) {
        if (strncmp(bind->list.items[i].s, "fd://", 5) == 0) {
            return true;
        }
    }
    return false;
}

int
cg_sockets_open(const struct cg_settings *s, const struct cg_sockets *old,
                struct cg_log *log, bool (*interrupted)(void *self), void *self,
                struct cg_sockets *ret, struct cg_error *err)
{
    const struct cg_value *bind = cg_settings_value(s, CG_bind);
    struct cg_listener_options o = options_of(s);
    struct cg_sockets made = {.items =
                                  cg_calloc(bind->list.n, sizeof *made.items)};
    bool fds_only = has_fd(bind);
    int r = 0;
    for (size_t i = 0; r == 0 && i < bind->list.n; i++) {
        struct cg_addr addr;
        r = cg_addr_parse(bind->list.items[i].s, &addr, err);
        if (r < 0) {
            cg_error_prefix(err, "%s: bind", s->source[CG_bind].text);
        } else if (!fds_only || addr.kind == CG_ADDR_FD) {
            const struct cg_listener *kept = find(old, addr.text);
            r = kept != NULL ? take_over(kept, &made.items[made.n], err)
                             : open_one(&addr, &o, log, interrupted, self,
                                        &made.items[made.n], err);
            made.n += r == 0;
        }
    }
    if (r < 0) {
        cg_sockets_close(&made, old, true);
        return r;
    }
    *ret = made;
    return 0;
}

void
cg_sockets_close(struct cg_sockets *s, const struct cg_sockets *next,
                 bool unlink_paths)
{
    for (int i = 0; i < s->n; i++) {
        bool kept = find(next, s->items[i].addr.text) != NULL;
        cg_listener_close(&s->items[i], unlink_paths && !kept);
    }
    free(s->items);
    *s = (struct cg_sockets){0};
}

void
cg_sockets_quiesce(const struct cg_sockets *s)
{
    for (int i = 0; i < s->n; i++) {
        cg_listener_quiesce(&s->items[i]);
    }
}

void
cg_sockets_text(const struct cg_sockets *s, struct cg_buf *out)
{
    for (int i = 0; i < s->n; i++) {
        cg_buf_puts(out, i > 0 ? "," : "");
        cg_buf_puts(out, s->items[i].text);
    }
}
